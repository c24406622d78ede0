"""What holds for every op: each test runs once per `OpCase` of tests/op_cases."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numba
import numpy as np
import pytest
from dirty_memory import plain_python
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_cases import cases_by_family, example_inputs, upstream_gradient
from op_cases.case import OpCase

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.autograd.graph import topological_order
from tinygrad_llm.ops import gelu, int8_linear, layer_norm, thin_matmul_kernels
from tinygrad_llm.testing import dot_product_check, gradcheck

FLOATS = ("float64", "float32")
GOLDEN = Path(__file__).parent / "golden"
FAMILIES = cases_by_family()
CASES = [case for cases in FAMILIES.values() for case in cases]
WITH_KERNELS = [case for case in CASES if case.kernels]
GOLDEN_CASES = [(family, case) for family, cases in FAMILIES.items() for case in cases if case.torch is not None]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """These arrays are tiny: where other programs run, a second thread would be waited for at each kernel."""
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def for_each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def leaves(arrays) -> list[Tensor]:
    """Leaf tensors on these very arrays, whatever their memory layout."""
    return [Tensor._from_array(array).requires_grad_() for array in arrays]


def run(case: OpCase, arrays, dout=None) -> tuple[np.ndarray, list[np.ndarray]]:
    """The output, and the gradient of each input."""
    tensors = leaves(arrays)
    out = case.call(*tensors)
    out.backward(upstream_gradient(out.shape, out.dtype) if dout is None else dout)
    return out.data, [x.grad.data for x in tensors]


def assert_close(got, expected, rtol, what):
    """Elementwise, with a floor that is relative to the largest element."""
    assert got.shape == expected.shape, what
    finite = np.abs(expected[np.isfinite(expected)])
    np.testing.assert_allclose(got, expected, rtol, rtol * finite.max(initial=1.0), err_msg=what)


def assert_same_run(got, expected, rtol):
    assert_close(got[0], expected[0], rtol, "output")
    for number, (a, b) in enumerate(zip(got[1], expected[1], strict=True)):
        assert_close(a, b, rtol, f"gradient of input {number}")


@for_each(CASES)
@given(data=st.data())
def test_forward_equals_reference(case, data):
    arrays = data.draw(case.inputs, label="inputs")
    for dtype, rtol in (("float64", 1e-10), ("float32", 1e-4)):
        arrays = [x.astype(dtype) for x in arrays]
        tensors = [Tensor(x) for x in arrays]
        out = case.call(*tensors)
        assert out.dtype == dtype
        assert_close(out.data, np.asarray(case.ref(*(x.astype("float64") for x in arrays))), rtol, dtype)
        assert not out.requires_grad
        for x, array in zip(tensors, arrays, strict=True):
            np.testing.assert_array_equal(x.data, array)


@for_each(CASES)
@given(data=st.data())
def test_gradients_equal_central_differences(case, data):
    arrays = data.draw(case.inputs, label="inputs")
    assume(case.differentiable_at is None or case.differentiable_at(*arrays))
    tensors = leaves(arrays)
    assert gradcheck(case.call, *tensors)
    assert dot_product_check(case.call, *tensors, rng=np.random.default_rng(arrays[0].size))


@for_each(CASES)
def test_gradients_keep_the_dtype(case):
    arrays = example_inputs(case)
    expected = run(case, arrays)
    got = run(case, [x.astype("float32") for x in arrays])
    assert {gradient.dtype for gradient in got[1]} == {np.dtype("float32")}
    assert {gradient.dtype for gradient in expected[1]} == {np.dtype("float64")}
    assert_same_run(got, expected, 1e-4)


@for_each(CASES)
def test_gradients_are_proportional_to_the_upstream_gradient(case):
    """Also where an op takes 1, the usual one of a loss, for a special case."""
    arrays = example_inputs(case)
    shape = run(case, arrays)[0].shape
    for_ones = run(case, arrays, np.ones(shape))
    for factor in (0.0, 2.0):
        expected = for_ones[0], [factor * gradient for gradient in for_ones[1]]
        assert_same_run(run(case, arrays, np.full(shape, factor)), expected, 1e-12)


@for_each(CASES)
@given(data=st.data())
@settings(max_examples=8)
def test_nothing_is_changed_or_shared(case, data):
    """Inputs, upstream gradient and saved arrays stay as they are, and each gradient has its own memory."""
    arrays = data.draw(case.inputs, label="inputs")
    tensors = leaves(arrays)
    out = case.call(*tensors)
    nodes = topological_order(out.node)
    assert case.function in {node.function for node in nodes}
    dout = upstream_gradient(out.shape)
    saved = [array for node in nodes for array in node.saved if isinstance(array, np.ndarray)]
    watched = [*arrays, *saved, dout, out.data]
    before = [array.copy() for array in watched]

    out.backward(dout, retain_graph=True)
    gradients = [x.grad.data for x in tensors]
    for array, copy in zip(watched, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    for gradient in gradients:
        assert not any(np.may_share_memory(gradient, array) for array in watched)
    for a, b in combinations(gradients, 2):
        assert not np.may_share_memory(a, b)

    for x in tensors:
        x.grad = None
    out.backward(dout)
    for x, gradient in zip(tensors, gradients, strict=True):
        np.testing.assert_array_equal(x.grad.data, gradient)


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in other layouts of memory."""
    doubled = np.repeat(array[..., None], 2, axis=-1)
    return {
        "transposed": array.T.copy().T,
        "strided": doubled[..., 0],
        "negative strides": np.flip(np.flip(array).copy()),
    }


@for_each(CASES)
def test_any_memory_layout_gives_the_same(case):
    arrays = example_inputs(case)
    expected = run(case, arrays)
    for layout in layouts(arrays[0]):
        views = [layouts(array)[layout] for array in arrays]
        assert_same_run(run(case, views), expected, 1e-12)
    for dout in layouts(upstream_gradient(expected[0].shape)).values():
        assert_same_run(run(case, arrays, dout), expected, 1e-12)


@for_each(CASES)
def test_broadcast_views_give_the_same(case):
    """Along a broadcast axis all elements are one and the same in memory (stride 0)."""
    arrays = example_inputs(case)
    views = [np.broadcast_to(x[:1], x.shape) if x.ndim else x for x in arrays]
    dout = np.broadcast_to(0.5, run(case, arrays)[0].shape)
    assert_same_run(run(case, views, dout), run(case, [x.copy() for x in views], dout.copy()), 1e-12)


@for_each([case for case in CASES if len(example_inputs(case)) > 1])
def test_each_input_alone_gets_the_same_gradient(case):
    """The others are constants then, and an op may leave out what only they need."""
    arrays = example_inputs(case)
    out, gradients = run(case, arrays)
    for number, expected in enumerate(gradients):
        tensors = [Tensor(array, requires_grad=number == other) for other, array in enumerate(arrays)]
        case.call(*tensors).backward(upstream_gradient(out.shape))
        np.testing.assert_array_equal(tensors[number].grad.data, expected)
        assert all(x.grad is None for x in tensors if not x.requires_grad)


def same_shaped_pairs(case: OpCase) -> list[tuple[int, int]]:
    shapes = [x.shape for x in example_inputs(case)]
    return [(a, b) for a, b in combinations(range(len(shapes)), 2) if shapes[a] == shapes[b]]


@for_each([case for case in CASES if same_shaped_pairs(case)])
def test_one_tensor_used_twice_gets_the_sum(case):
    for first, second in same_shaped_pairs(case):
        arrays = list(example_inputs(case))
        arrays[second] = arrays[first].copy()
        out, gradients = run(case, arrays)
        tensors = leaves(arrays)
        tensors[second] = tensors[first]
        case.call(*tensors).backward(upstream_gradient(out.shape))
        assert_close(tensors[first].grad.data, gradients[first] + gradients[second], 1e-12, f"{first}, {second}")


@for_each(WITH_KERNELS)
@given(data=st.data())
@settings(max_examples=5)
def test_compiled_kernels_equal_plain_python(case, data):
    drawn = data.draw(case.inputs, label="inputs")
    all_inputs = [[x.astype(dtype) for x in arrays] for arrays in (example_inputs(case), drawn) for dtype in FLOATS]
    compiled = [run(case, arrays) for arrays in all_inputs]
    with plain_python():
        plain = [run(case, arrays) for arrays in all_inputs]
    for ours, expected in zip(compiled, plain, strict=True):
        assert ours[0].dtype == expected[0].dtype
        assert_same_run(ours, expected, 1e-12 if ours[0].dtype == np.float64 else 1e-5)


@for_each([case for case in WITH_KERNELS if case.name.startswith(("gelu-tanh", "layer_norm", "int8_linear", "linear"))])
def test_what_large_arrays_do_in_several_threads_is_the_same(case, monkeypatch):
    """Some kernels have a second loop for them; in plain Python a limit of 0 sends these small arrays there."""
    arrays = example_inputs(case)
    with plain_python():
        expected = run(case, arrays)
        for module in (gelu, layer_norm, int8_linear, thin_matmul_kernels):
            monkeypatch.setattr(module, "FEW", 0)
        assert_same_run(run(case, arrays), expected, 1e-12)


@for_each(WITH_KERNELS)
def test_number_of_threads_changes_no_bit(case):
    arrays = [x.astype("float32") for x in example_inputs(case)]
    alone = run(case, arrays)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    try:
        several = run(case, arrays)
    finally:
        numba.set_num_threads(1)
    np.testing.assert_array_equal(several[0], alone[0])
    for a, b in zip(several[1], alone[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("family", "case"), GOLDEN_CASES, ids=[case.name for _, case in GOLDEN_CASES])
def test_golden_values_of_pytorch(family, case):
    run_script = f"run tests/golden/make_op_golden.py {family}"
    path = GOLDEN / f"ops_{family}.npz"
    assert path.exists(), f"{path.name} is missing: {run_script}"
    with np.load(path, allow_pickle=False) as file:
        golden = {key.removeprefix(case.name): file[key] for key in file.files if key.startswith(f"{case.name}/")}
    shapes = [x.shape for x in example_inputs(case)]
    for dtype, rtol in (("float64", 1e-10), ("float32", 2e-5)):
        inputs = [golden.get(f"/{dtype}/input{number}") for number in range(len(shapes))]
        assert [None if x is None else x.shape for x in inputs] == shapes, f"not the case's example: {run_script}"
        gradients = [golden[f"/{dtype}/grad{number}"] for number in range(len(shapes))]
        assert_same_run(run(case, inputs), (golden[f"/{dtype}/out"], gradients), rtol)
