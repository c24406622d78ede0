"""Muon beyond PyTorch's settings: other polynomials, stacked weights, and several optimizers combined."""

import json

import numpy as np
import pytest

from tinygrad_llm import optim
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.optim.muon import JORDAN, POLAR_EXPRESS, orthogonalise, orthogonalise_ref


def with_gradient(shape, seed=0, dtype="float32") -> Tensor:
    rng = np.random.default_rng(seed)
    p = Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True)
    p.grad = Tensor(rng.standard_normal(shape).astype(dtype))
    return p


def decaying(rows, columns, decay, seed=0):
    """A matrix whose singular values are 1, decay, decay², …"""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal((rows, rows)))
    v, _ = np.linalg.qr(rng.standard_normal((columns, rows)))
    return u * decay ** np.arange(rows) @ v.T


@pytest.mark.parametrize("polynomials", [(JORDAN,) * 5, POLAR_EXPRESS, (JORDAN,), (JORDAN,) * 7])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (8, 8), (8, 20)])
@pytest.mark.parametrize("decay", [0.9, 0.3])
def test_orthogonalise_is_the_iteration_as_it_is_written(shape, decay, polynomials):
    matrix = decaying(*shape, decay)
    expected = orthogonalise_ref(matrix, polynomials)
    np.testing.assert_allclose(orthogonalise(matrix, polynomials), expected, atol=1e-7)
    np.testing.assert_allclose(orthogonalise(matrix.T, polynomials), expected.T, atol=1e-7)
    np.testing.assert_allclose(orthogonalise(np.float32(matrix), polynomials), expected, atol=5e-3)


def test_rounding_does_not_grow_with_the_number_of_steps():
    """A float32 matrix of rank 1: what rounding makes of the other singular values must not explode."""
    matrix = np.outer(np.ones(16), np.linspace(-1, 1, 40)).astype(np.float32)
    result = orthogonalise(matrix, (JORDAN,) * 20)
    assert np.abs(np.linalg.svd(result, compute_uv=False)).max() < 1.3


def test_polar_express_brings_singular_values_near_one():
    s = np.linspace(0.01, 1, 1000)
    for a, b, c in POLAR_EXPRESS:
        s = a * s + b * s**3 + c * s**5
    assert 0.72 < s.min() < 0.74
    assert 1.26 < s.max() < 1.28


def test_stacked_matrices_are_orthogonalised_apart():
    stacked, parts = with_gradient((12, 4)), [with_gradient((4, 4)) for _ in range(3)]
    for i, part in enumerate(parts):
        part.data[...] = stacked.data[4 * i : 4 * i + 4]
        part.grad.data[...] = stacked.grad.data[4 * i : 4 * i + 4]
    settings = {"lr": 0.1, "ns_coefficients": POLAR_EXPRESS, "ns_steps": 3}
    optim.Muon([{"params": [stacked], "stacked": 3}], **settings).step()
    optim.Muon(parts, **settings).step()
    np.testing.assert_array_equal(stacked.data, np.concatenate([part.data for part in parts]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stacked": 5}, r"a weight of shape \(6, 2\) does not hold 5 stacked matrices"),
        ({"stacked": 0}, "does not hold 0 stacked"),
        ({"ns_coefficients": POLAR_EXPRESS}, "or one for each of ns_steps = 5, not "),
        ({"ns_coefficients": (1.0, 2.0)}, r"must be a triple \(a, b, c\)"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        optim.Muon([with_gradient((6, 2))], **settings)


def combined():
    """The parameters, and the two optimizers as one."""
    matrix, vector = with_gradient((4, 6), seed=1), with_gradient((5,), seed=2)
    muon = optim.Muon([matrix], lr=0.1, ns_coefficients=POLAR_EXPRESS, ns_steps=3)
    return (vector, matrix), optim.Combined(optim.AdamW([vector], lr=0.5), muon)


def test_combined_optimizers_do_what_each_does_alone():
    (vector, matrix), both = combined()
    (alone_vector, alone_matrix), _ = combined()
    optim.AdamW([alone_vector], lr=0.5).step(lr_factor=0.25)
    optim.Muon([alone_matrix], lr=0.1, ns_coefficients=POLAR_EXPRESS, ns_steps=3).step(lr_factor=0.25)
    both.step(lr_factor=0.25)
    np.testing.assert_array_equal(vector.data, alone_vector.data)
    np.testing.assert_array_equal(matrix.data, alone_matrix.data)
    assert [group["lr"] for group in both.param_groups] == [0.5, 0.1]
    both.zero_grad()
    assert vector.grad is None
    assert matrix.grad is None


def test_combined_state_survives_json_bit_for_bit():
    first, optimizer = combined()
    optimizer.step()
    state = optimizer.state_dict()
    assert set(state["arrays"]) == {"0.0.exp_avg", "0.0.exp_avg_sq", "1.0.momentum_buffer"}
    second, other = combined()
    arrays = {name: array.copy() for name, array in state["arrays"].items()}
    other.load_state_dict({"arrays": arrays, "scalars": json.loads(json.dumps(state["scalars"]))})
    for p, q in zip(first, second, strict=True):
        q.data[...] = p.data
    optimizer.step(0.5)
    other.step(0.5)
    for p, q in zip(first, second, strict=True):
        np.testing.assert_array_equal(q.data, p.data)


def test_combined_optimizers_share_no_parameter():
    p = with_gradient((3, 3))
    with pytest.raises(ValueError, match="twice"):
        optim.Combined(optim.AdamW([p]), optim.Muon([p]))
    with pytest.raises(ValueError, match="Combined: there are no parameters"):
        optim.Combined()


def test_combined_state_of_other_optimizers_changes_nothing():
    (vector, matrix), optimizer = combined()
    swapped = optim.Combined(optim.Muon([matrix]), optim.AdamW([vector]))
    before = optimizer.state_dict()["scalars"]
    with pytest.raises(ValueError, match="AdamW: the state is another optimizer's"):
        optimizer.load_state_dict(swapped.state_dict())
    assert optimizer.state_dict()["scalars"] == before


def test_a_matrix_of_one_row_is_updated():
    """Its orthogonal matrix is the row at length 1, roughly; here after one step, with a list of one polynomial."""
    p = Tensor(np.zeros((1, 4)), requires_grad=True)
    p.grad = Tensor(np.array([[3.0, 0.0, 4.0, 0.0]]))
    optim.Muon([p], lr=1.0, weight_decay=0.0, ns_coefficients=[JORDAN], ns_steps=1).step()
    np.testing.assert_allclose(p.data / np.linalg.norm(p.data), [[-0.6, 0.0, -0.8, 0.0]], atol=1e-12)
