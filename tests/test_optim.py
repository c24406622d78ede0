"""Optimizers and clipping against PyTorch's (tests/golden/make_nn_golden.py) and their own formulas."""

import contextlib
import json
from pathlib import Path

import numba
import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm import optim
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.optim import clip
from tinygrad_llm.optim.adamw import CHUNK, adamw_ref
from tinygrad_llm.optim.muon import orthogonalise

GOLDEN = dict(np.load(Path(__file__).parent / "golden" / "optim.npz"))
OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "sgd_momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    "sgd_nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (optim.Adam, {"lr": 0.1, "betas": (0.8, 0.95)}),
    "adam_l2": (optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    "adamw": (optim.AdamW, {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.1}),
    "muon": (optim.Muon, {"lr": 0.1}),
    "muon_plain": (optim.Muon, {"lr": 0.1, "nesterov": False, "momentum": 0.5, "weight_decay": 0.0}),
}


def parameters(dtype="float64") -> dict[str, Tensor]:
    return {name: Tensor(GOLDEN[f"start/{name}"].astype(dtype), requires_grad=True) for name in "ab"}


def set_gradients(params: dict[str, Tensor], step: int) -> None:
    for name, p in params.items():
        gradient = Tensor(GOLDEN[f"gradients/{name}"][step].astype(p.dtype))
        p.grad = None if (name, step) == ("b", 3) else gradient


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_are_pytorchs(name, jit):
    make, settings = OPTIMIZERS[name]
    params = parameters()
    optimizer = make(params.values(), **settings)
    for step in range(10):
        set_gradients(params, step)
        if jit:
            optimizer.step()
        else:
            with plain_python():
                optimizer.step()
        for key, p in params.items():
            np.testing.assert_allclose(p.data, GOLDEN[f"{name}/{key}"][step], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays_float32_and_close(name):
    make, settings = OPTIMIZERS[name]
    params = parameters("float32")
    optimizer = make(params.values(), **settings)
    for step in range(10):
        set_gradients(params, step)
        optimizer.step()
    for key, p in params.items():
        assert p.dtype == np.float32
        np.testing.assert_allclose(p.data, GOLDEN[f"{name}/{key}"][9], rtol=1e-4, atol=1e-5)
    assert {a.dtype for a in optimizer.state_dict()["arrays"].values()} <= {np.dtype("float32")}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_is_uninterrupted(name):
    """The state survives JSON and a copy of its arrays, bit for bit."""
    make, settings = OPTIMIZERS[name]
    params = parameters("float32")
    optimizer = make(params.values(), **settings)
    for step in range(5):
        set_gradients(params, step)
        optimizer.step()
    saved = optimizer.state_dict()
    arrays = {key: array.copy() for key, array in saved["arrays"].items()}
    scalars = json.loads(json.dumps(saved["scalars"]))
    resumed = {key: Tensor(p.data, requires_grad=True) for key, p in params.items()}
    other = make(resumed.values(), lr=123.0)
    other.load_state_dict({"arrays": arrays, "scalars": scalars})
    for step in range(5, 10):
        for each, each_optimizer in ((params, optimizer), (resumed, other)):
            set_gradients(each, step)
            each_optimizer.step()
    for key in params:
        np.testing.assert_array_equal(params[key].data, resumed[key].data)
    assert {k: v for k, v in other.param_groups[0].items() if k != "params"} == {
        k: v for k, v in optimizer.param_groups[0].items() if k != "params"
    }


@pytest.mark.parametrize("size", [1, 7, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adamw_kernels_are_the_formula(size, dtype):
    rng = np.random.default_rng(size)
    p = Tensor(rng.standard_normal(size).astype(dtype), requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.01, weight_decay=0.1)
    expected = (p.data.astype("float64"), np.zeros(size), np.zeros(size))
    for step in (1, 2, 3):
        gradient = rng.standard_normal(size).astype(dtype)
        p.grad = Tensor(gradient)
        optimizer.step()
        expected = adamw_ref(*expected, gradient.astype("float64"), step, 0.01, 0.9, 0.999, 1e-8, 0.1, 0.0)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(p.data, expected[0], rtol=tolerance, atol=tolerance)


def test_adamw_leaves_the_gradient_alone_and_takes_views():
    rng = np.random.default_rng(0)
    p = Tensor(np.zeros((3, 4)), requires_grad=True)
    gradient = rng.standard_normal((4, 3))
    p.grad = Tensor._from_array(gradient.T)
    before = gradient.copy()
    optim.AdamW([p], lr=0.1).step()
    np.testing.assert_array_equal(gradient, before)
    np.testing.assert_allclose(p.data, -0.1 * np.sign(gradient.T), rtol=1e-6)


def test_nan_gradients_show_in_the_parameters():
    p = Tensor([1.0, 1.0], requires_grad=True)
    p.grad = Tensor([np.nan, 1.0])
    optim.AdamW([p]).step()
    np.testing.assert_array_equal(np.isnan(p.data), [True, False])


def test_groups_and_the_schedules_factor():
    a, b = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.1)
    a.grad = b.grad = Tensor([1.0])
    optimizer.step(lr_factor=0.5)
    assert [a.item(), b.item()] == pytest.approx([0.5, 0.95])
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.1]
    optimizer.zero_grad()
    assert a.grad is b.grad is None
    optimizer.step()
    assert a.item() == 0.5


def test_only_matrices_decay():
    matrix, bias = Tensor(np.ones((2, 2)), requires_grad=True), Tensor(np.ones(2), requires_grad=True)
    optimizer = optim.AdamW(optim.decay_matrices([matrix, bias], weight_decay=0.5), lr=0.1)
    matrix.grad, bias.grad = Tensor(np.zeros((2, 2))), Tensor(np.zeros(2))
    optimizer.step()
    np.testing.assert_allclose(matrix.data, 0.95)
    assert (bias.data == 1).all()


def test_a_step_between_forward_and_backward_is_noticed():
    p = Tensor([1.0, 2.0], requires_grad=True)
    loss = (p * p).sum()
    p.grad = Tensor([1.0, 1.0])
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
def test_orthogonalise_brings_singular_values_near_one(shape):
    matrix = np.random.default_rng(0).standard_normal(shape)
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    result = orthogonalise(matrix)
    singular_values = np.linalg.svd(result, compute_uv=False)
    assert singular_values.min() > 0.6
    assert singular_values.max() < 1.25
    aligned = u.T @ result @ vt.T  # diagonal: the directions are kept
    np.testing.assert_allclose(aligned, np.diag(np.diag(aligned)), atol=1e-9)
    assert not orthogonalise(np.zeros(shape)).any()


def test_clipping_is_pytorchs():
    for max_norm in (0.5, 100.0):
        params = parameters()
        for name, p in params.items():
            p.grad = Tensor(GOLDEN[f"start/{name}"])
        norm = optim.clip_grad_norm_(params.values(), max_norm)
        assert norm == pytest.approx(float(GOLDEN[f"clip-{max_norm}/norm"]), rel=1e-12)
        for name, p in params.items():
            np.testing.assert_allclose(p.grad.data, GOLDEN[f"clip-{max_norm}/{name}"], rtol=1e-12)


@pytest.mark.parametrize("size", [1, 9, 10, 25])
def test_sums_of_squares_by_chunk_are_the_references(size):
    x = np.linspace(-2, 3, size).astype(np.float32)
    sums = np.empty(-(-size // 10))
    for context in (contextlib.nullcontext, plain_python):
        with context():
            clip.squares_by_chunk(sums, x, 10)
            np.testing.assert_allclose(sums, clip.squares_by_chunk_ref(x, 10), rtol=1e-6)


def test_clipping_large_float32_gradients():
    p = Tensor(np.zeros((300, 500), np.float32), requires_grad=True)
    p.grad = Tensor(np.random.default_rng(0).standard_normal(p.shape).astype(np.float32))
    exact = np.linalg.norm(p.grad.data.astype("float64"))
    assert optim.clip_grad_norm_([p], 1.0) == pytest.approx(exact, rel=1e-6)
    assert np.linalg.norm(p.grad.data) == pytest.approx(1.0, rel=1e-5)


def test_results_do_not_depend_on_jit_or_threads():
    """Sums run over chunks of a fixed size, so one thread and many round alike, bit for bit."""
    rng = np.random.default_rng(0)
    start, gradient = rng.standard_normal((2, 5 * CHUNK + 3)).astype(np.float32)

    def clipped_step() -> tuple[float, np.ndarray]:
        p = Tensor(start, requires_grad=True)
        p.grad = Tensor(gradient)
        norm = optim.clip_grad_norm_([p], 1.0)
        optim.AdamW([p], lr=0.1).step()
        return norm, p.data

    norm, stepped = clipped_step()
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        single_norm, single = clipped_step()
    finally:
        numba.set_num_threads(threads)
    assert norm == single_norm
    np.testing.assert_array_equal(stepped, single)
    with plain_python():
        plain_norm, plain = clipped_step()
    assert norm == pytest.approx(plain_norm, rel=1e-5)
    np.testing.assert_allclose(stepped, plain, rtol=1e-4, atol=1e-6)


def test_clipping_without_gradients_and_with_nonfinite_ones():
    p = Tensor([1.0, 2.0], requires_grad=True)
    assert optim.clip_grad_norm_(p, 1.0) == 0.0
    p.grad = Tensor([np.nan, 1.0])
    with pytest.raises(ValueError, match="total norm is nan"):
        optim.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad.data[1] == 1.0
    assert np.isnan(optim.clip_grad_norm_([p], 1.0))
    assert np.isnan(p.grad.data).all()
    with pytest.raises(ValueError, match="max_norm must be at least 0, not -1"):
        optim.clip_grad_norm_([p], -1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD([], lr=0.1), ValueError, "no parameters"),
        (lambda p: optim.SGD([p, p], lr=0.1), ValueError, "twice"),
        (lambda p: optim.SGD([p.data], lr=0.1), TypeError, "must be tensors, not ndarray"),
        (lambda p: optim.SGD([p * 2], lr=0.1), ValueError, "leaf tensors"),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "lr must be a number of at least 0, not -1"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr must be"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda p: optim.AdamW([p], betas=(0.9, 1.0)), ValueError, "betas and momentum .* not 1.0"),
        (lambda p: optim.AdamW([{"params": [p], "decay": 1}]), ValueError, "unknown setting 'decay'"),
        (lambda p: optim.Muon([p]), ValueError, r"only matrices .* got shape \(2,\)"),
    ],
)
def test_impossible_settings(make, error, message):
    with pytest.raises(error, match=message):
        make(Tensor([1.0, 2.0], requires_grad=True))


def test_a_state_that_does_not_fit():
    def optimizer(*shapes):
        params = [Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
        for p in params:
            p.grad = Tensor(np.ones(p.shape))
        made = optim.AdamW(params)
        made.step()
        return made

    with pytest.raises(ValueError, match=r"groups of \[1\] parameters, this has \[2\]"):
        optimizer(3, 3).load_state_dict(optimizer(3).state_dict())
    with pytest.raises(ValueError, match=r"state 0.exp_avg has shape \(3,\), its parameter \(4,\)"):
        optimizer(4).load_state_dict(optimizer(3).state_dict())
    params = [Tensor(np.ones(3), requires_grad=True)]
    with pytest.raises(ValueError, match="SGD: the state is another optimizer's: it has betas"):
        optim.SGD(params).load_state_dict(optimizer(3).state_dict())


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_forgets_or_zeroes(set_to_none):
    used, unused = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    used.grad = Tensor(np.ones(2))
    optim.SGD([used, unused], lr=0.1).zero_grad(set_to_none=set_to_none)
    assert unused.grad is None
    assert (used.grad is None) if set_to_none else used.grad.tolist() == [0, 0]
