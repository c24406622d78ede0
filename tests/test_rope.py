"""rotary_embedding and its module: what a rotation keeps, distances, frequencies and their scaling, layouts, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.nn import LinearScaling, Llama3Scaling, RotaryEmbedding
from tinygrad_llm.ops.rope import rotary_embedding

D, T_MAX = 8, 64
SCALINGS = [None, LinearScaling(4.0), Llama3Scaling(4.0, 1.0, 4.0, 40)]


def vectors(T, seed=0, H=2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, T, H, D))


def turned(x: np.ndarray, start: int = 0, **settings) -> np.ndarray:
    return RotaryEmbedding(D, T_MAX, **settings)(Tensor(x), start).data


def frequencies(head_dim: int = D, **settings) -> np.ndarray:
    """Radians per position, read off the module: the angle of position 1."""
    rotary = RotaryEmbedding(head_dim, 2, **settings)
    return np.arctan2(rotary.sin[1].astype(np.float64), rotary.cos[1])


@pytest.mark.parametrize("scaling", SCALINGS)
@given(start=st.integers(0, T_MAX - 10), seed=st.integers(0, 99))
def test_lengths_stay(scaling, start, seed):
    x = vectors(10, seed)
    norms = np.linalg.norm(turned(x, start, scaling=scaling), axis=-1)
    np.testing.assert_allclose(norms, np.linalg.norm(x, axis=-1), rtol=1e-6)


@pytest.mark.parametrize("scaling", SCALINGS)
@given(shift=st.integers(0, T_MAX - 10), seed=st.integers(0, 99))
def test_scores_depend_on_the_distance_only(scaling, shift, seed):
    q, k = vectors(10, seed), vectors(10, seed + 100)
    scores, shifted = (
        np.einsum("bthd,bshd->bhts", turned(q, start, scaling=scaling), turned(k, start, scaling=scaling))
        for start in (0, shift)
    )
    np.testing.assert_allclose(shifted, scores, rtol=0, atol=1e-5)
    assert np.abs(scores - np.einsum("bthd,bshd->bhts", q, k)).max() > 0.1  # and on it they do depend


def test_position_0_is_not_turned():
    x = vectors(3)
    np.testing.assert_array_equal(turned(x)[:, 0], x[:, 0])
    assert (turned(x)[:, 1:] != x[:, 1:]).all()


def test_turning_in_two_steps_is_turning_by_the_sum():
    """Position 3, then on by 4, is position 7: angles add."""
    x = vectors(1)
    np.testing.assert_allclose(turned(turned(x, 3), 4), turned(x, 7), rtol=0, atol=1e-6)


def test_pairs_by_hand():
    """Pair i is (x_i, x_{i + D/2}), a number of the complex plane that is multiplied by e^(iθ)."""
    x = vectors(5)
    angles = np.arange(5)[:, None] * 10_000.0 ** (-np.arange(0, D, 2) / D)
    product = (x[..., : D // 2] + 1j * x[..., D // 2 :]) * np.exp(1j * angles)[:, None]
    np.testing.assert_allclose(turned(x), np.concatenate([product.real, product.imag], -1), rtol=0, atol=1e-6)


def test_interleaved_layout_maps_as_documented():
    """Queries and keys in the interleaved layout, from weights whose rows are moved as ops/rope.py says."""
    rng = np.random.default_rng(0)
    T, C = 6, 5
    x = rng.standard_normal((T, C))
    angles = np.arange(T)[:, None] * 10_000.0 ** (-np.arange(0, D, 2) / D)

    def interleaved(weight):
        pairs = (x @ weight.T).reshape(T, D // 2, 2)
        z = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles)
        return np.stack([z.real, z.imag], -1).reshape(T, D)

    def half_split(rows):
        moved = rows.reshape(D // 2, 2, C).swapaxes(0, 1).reshape(D, C)
        return turned((x @ moved.T)[None, :, None])[0, :, 0]

    query, key = rng.standard_normal((2, D, C))
    np.testing.assert_allclose(
        half_split(query) @ half_split(key).T, interleaved(query) @ interleaved(key).T, rtol=0, atol=1e-5
    )


def test_frequencies():
    np.testing.assert_allclose(frequencies(theta=10_000.0), [1, 0.1, 0.01, 0.001], rtol=1e-6)


def test_linear_scaling_divides_all_frequencies():
    np.testing.assert_allclose(frequencies(scaling=LinearScaling(4.0)), frequencies() / 4, rtol=1e-6)


def test_llama3_scaling():
    """Llama 3.1's own numbers: of 64 pairs the fast ones stay, slow ones are 8 times slower, none is out of order."""
    plain = frequencies(128, theta=500_000.0)
    ratio = frequencies(128, theta=500_000.0, scaling=Llama3Scaling(8.0, 1.0, 4.0, 8192)) / plain
    turns = 8192 * plain / (2 * math.pi)
    np.testing.assert_allclose(ratio[turns > 4], 1, rtol=1e-6)
    np.testing.assert_allclose(ratio[turns < 1], 1 / 8, rtol=1e-6)
    between = ratio[(turns > 1) & (turns < 4)]
    assert len(between) == 6
    assert (np.diff(ratio) <= 1e-6).all()
    assert (np.diff(between) < 0).all()
    half_way = (2.5 - 1) / (4 - 1)
    two_and_a_half_turns = np.array([2.5 * 2 * math.pi / 8192])
    scaled = Llama3Scaling(8.0, 1.0, 4.0, 8192).scaled(two_and_a_half_turns) / two_and_a_half_turns
    np.testing.assert_allclose(scaled, half_way + (1 - half_way) / 8, rtol=1e-12)


def test_nan_stays_in_its_pair():
    x = vectors(3, H=1)
    x[0, 1, 0, 2] = np.nan
    assert np.argwhere(np.isnan(turned(x)))[:, 1:].tolist() == [[1, 0, 2], [1, 0, 6]]


@pytest.mark.parametrize("shape", [(0, 3, 2, 8), (2, 0, 2, 8), (2, 3, 0, 8)])
def test_empty_inputs(shape):
    x = Tensor(np.zeros(shape), requires_grad=True)
    out = RotaryEmbedding(8, 8)(x)
    out.backward(np.zeros(shape))
    assert out.shape == x.grad.shape == shape


def test_module_says_what_it_is():
    assert repr(RotaryEmbedding(8, 64)) == "RotaryEmbedding(8, 64, theta=10000.0)"
    assert "scaling=LinearScaling(factor=4.0)" in repr(RotaryEmbedding(8, 64, scaling=LinearScaling(4.0)))
    assert list(RotaryEmbedding(8, 64).parameters()) == []


@pytest.mark.parametrize(
    ("x", "table", "error", "message"),
    [
        (np.zeros((3, 4)), (3, 2), ValueError, r"expected an input \(…, T, H, D\) with an even D, got \(3, 4\)"),
        (np.zeros((3, 1, 5)), (3, 2), ValueError, r"with an even D, got \(3, 1, 5\)"),
        (np.zeros((3, 1, 0)), (3, 0), ValueError, r"with an even D, got \(3, 1, 0\)"),
        (np.zeros((3, 1, 4)), (2, 2), ValueError, r"cos and sin \(T, D/2\) = \(3, 2\), got \(2, 2\) and \(2, 2\)"),
        (np.zeros((3, 1, 4)), (3, 4), ValueError, r"cos and sin \(T, D/2\) = \(3, 2\), got \(3, 4\)"),
        (np.zeros((3, 1, 4), int), (3, 2), TypeError, "needs a floating-point tensor, got int64"),
    ],
)
def test_errors_of_the_op(x, table, error, message):
    with pytest.raises(error, match="^rotary_embedding: .*" + message):
        rotary_embedding(Tensor(x), np.ones(table), np.ones(table))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RotaryEmbedding(7, 8), "RotaryEmbedding: a head needs an even number of features"),
        (lambda: RotaryEmbedding(8, 0), "RotaryEmbedding: max_seq_len must be an integer of at least 1, not 0"),
        (lambda: RotaryEmbedding(8, 8, theta=0.0), r"RotaryEmbedding: theta must be a number above 0, not 0\.0"),
        (lambda: RotaryEmbedding(8, 8)(Tensor(np.zeros((1, 3, 1, 8))), 6), "9 tokens are more than max_seq_len = 8"),
        (lambda: LinearScaling(0.0), "LinearScaling: factor must be a number above 0"),
        (lambda: Llama3Scaling(factor=math.inf), "Llama3Scaling: factor must be a number above 0, not inf"),
        (lambda: Llama3Scaling(low_freq_factor=-1.0), "Llama3Scaling: low_freq_factor must be a number above 0"),
        (lambda: Llama3Scaling(low_freq_factor=4.0), r"high_freq_factor must be a number above 4\.0, not 4\.0"),
        (lambda: Llama3Scaling(original_max_position_embeddings=0), "original_max_position_embeddings must be an int"),
    ],
)
def test_errors_of_the_module(make, message):
    with pytest.raises(ValueError, match=message):
        make()
