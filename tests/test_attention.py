"""Attention: what the op cases do not say. Causality, masks, dropout, extreme values, memory and error messages."""

from __future__ import annotations

import tracemalloc

import numba
import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops import attention_kernels, attention_tiles
from tinygrad_llm.ops.attention import attention_ref, qkv_attention, scaled_dot_product_attention
from tinygrad_llm.testing import gradcheck

INF = np.inf


def random(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def heads(*shape, dtype="float64", requires_grad=True, n=3):
    return [Tensor(random(*shape, seed=i, dtype=dtype), requires_grad=requires_grad) for i in range(n)]


def run(q, k, v, dout=None, **options):
    """The output and the three gradients, as arrays. The inputs are used as they lie in memory, views too."""
    inputs = [Tensor._from_array(x).requires_grad_() for x in (q, k, v)]
    out = scaled_dot_product_attention(*inputs, **options)
    out.backward(random(*out.shape, seed=9, dtype=out.dtype) if dout is None else dout)
    return [out.data, *(x.grad.data for x in inputs)]


# Causality


@pytest.mark.parametrize("t", [1, 15, 64, 99])
def test_a_later_token_changes_no_bit_of_earlier_outputs(t):
    qkv = random(2, 100, 24)
    changed = qkv.copy()
    changed[:, t:] = random(2, 100 - t, 24, seed=1)
    before, after = (qkv_attention(Tensor(x), 2).data for x in (qkv, changed))
    np.testing.assert_array_equal(before[:, :t], after[:, :t])
    assert (before[:, t:] != after[:, t:]).any()


def test_a_later_token_gets_no_gradient_from_earlier_outputs():
    qkv = Tensor(random(1, 80, 12), requires_grad=True)
    dout = np.zeros((1, 80, 4), "float32")
    dout[:, :50] = 1
    qkv_attention(qkv, 2).backward(dout)
    assert np.all(qkv.grad.data[:, 50:] == 0)
    assert np.any(qkv.grad.data[:, 49, 4:] != 0)


@pytest.mark.parametrize(("T", "S"), [(3, 5), (5, 3), (70, 130), (130, 70)])
def test_causal_counts_from_the_first_key(T, S):
    """As in PyTorch also where T and S differ: query 0 sees key 0 only."""
    q, k, v = random(1, 2, T, 4), random(1, 2, S, 4), random(1, 2, S, 4)
    out = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), is_causal=True)
    np.testing.assert_allclose(out.data[..., 0, :], v[..., 0, :], rtol=1e-6)
    triangle = np.tri(T, S, dtype=bool)
    same = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), Tensor(triangle))
    np.testing.assert_allclose(out.data, same.data, rtol=1e-5, atol=1e-6)


# Masks


@pytest.mark.parametrize("kind", ["bool", "added"])
def test_a_query_that_sees_no_key_gets_zeros(kind):
    """As in PyTorch 2.13; a softmax of −∞ alone would be NaN."""
    mask = np.ones((70, 90), bool)
    mask[[3, 69]] = False
    added = np.where(mask, 0.0, -INF)
    out, dq, _, _ = run(
        *(random(2, 2, n, 4, seed=n, dtype="float64") for n in (70, 90, 90)),
        attn_mask=mask if kind == "bool" else added,
    )
    assert np.all(out[:, :, [3, 69]] == 0)
    assert np.all(dq[:, :, [3, 69]] == 0)
    assert np.all(out[:, :, 4] != 0)


def test_a_key_that_no_query_sees_has_no_effect():
    q, k, v = (random(2, 3, 70, 8, seed=i, dtype="float64") for i in range(3))
    mask = np.ones((2, 1, 1, 70), bool)
    mask[1, ..., 40:] = False
    out, dq, dk, dv = run(q, k, v, attn_mask=mask)
    assert np.all(dk[1, :, 40:] == 0)
    assert np.all(dv[1, :, 40:] == 0)
    alone = run(q[1:], k[1:, :, :40], v[1:, :, :40], dout=random(2, 3, 70, 8, seed=9, dtype="float64")[1:])
    for ours, expected in zip((out[1:], dq[1:], dk[1:, :, :40], dv[1:, :, :40]), alone, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


def test_causal_and_a_mask_go_together():
    q, k, v = (random(1, 2, 80, 8, seed=i, dtype="float64") for i in range(3))
    mask = np.random.default_rng(5).random((80, 80)) < 0.7
    both = run(q, k, v, attn_mask=mask, is_causal=True)
    combined = run(q, k, v, attn_mask=mask & np.tri(80, dtype=bool))
    for ours, expected in zip(both, combined, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)


def test_a_float32_mask_goes_with_float64_queries():
    q, k, v = heads(1, 1, 3, 2)
    mask = Tensor(np.ones((3, 3), "float32"), requires_grad=True)
    out = scaled_dot_product_attention(q, k, v, mask)
    out.backward(np.ones(out.shape))
    assert out.dtype == "float64"
    assert mask.grad.dtype == "float32"


# Grouped heads


def test_grouped_queries_are_repeated_keys():
    q, k, v = random(2, 6, 70, 8), random(2, 2, 70, 8, seed=1), random(2, 2, 70, 8, seed=2)
    out, dq, dk, dv = run(q, k, v, enable_gqa=True, is_causal=True)
    repeated = run(q, k.repeat(3, axis=1), v.repeat(3, axis=1), is_causal=True)
    summed = [*repeated[:2], *(x.reshape(2, 2, 3, 70, 8).sum(axis=2) for x in repeated[2:])]
    for ours, expected in zip((out, dq, dk, dv), summed, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


# Packed


@pytest.mark.parametrize("T", [5, 64, 100])
def test_packed_equals_split(T):
    B, H, D = 2, 3, 4
    packed = Tensor(random(B, T, 3 * H * D), requires_grad=True)
    dout = random(B, T, H * D, seed=1)
    out = qkv_attention(packed, H)
    out.backward(dout)
    q, k, v = packed.data.reshape(B, T, 3, H, D).transpose(2, 0, 3, 1, 4)
    expected = run(q, k, v, dout=dout.reshape(B, T, H, D).transpose(0, 2, 1, 3), is_causal=True)
    np.testing.assert_array_equal(out.data, expected[0].transpose(0, 2, 1, 3).reshape(B, T, H * D))
    gradients = np.stack(expected[1:]).transpose(1, 3, 0, 2, 4).reshape(packed.shape)
    np.testing.assert_array_equal(packed.grad.data, gradients)


def test_heads_are_joined_without_a_copy():
    out = scaled_dot_product_attention(*heads(2, 3, 5, 4))
    assert np.shares_memory(out.data.transpose(0, 2, 1, 3).reshape(2, 5, 12), out.data)


# Dropout


def dropped_weights(p, seed, T=80, S=70, dtype="float64", **options):
    """The weights that were used, seen through values that are the identity."""
    q, k = random(2, 2, T, 4, dtype=dtype), random(2, 2, S, 4, seed=1, dtype=dtype)
    v = np.broadcast_to(np.eye(S, dtype=dtype), (2, 2, S, S))
    rng = np.random.default_rng(seed)
    out = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), dropout_p=p, rng=rng, **options).data
    return out, attention_ref(q, k, v, **options)


def test_dropout_zeroes_weights_and_scales_up_the_others():
    got, weights = dropped_weights(0.25, seed=3)
    kept = got != 0
    np.testing.assert_allclose(got[kept], weights[kept] / 0.75, rtol=1e-10)
    sigma = np.sqrt(0.25 * 0.75 / kept.size)
    assert abs(kept.mean() - 0.75) < 5 * sigma


def test_dropout_is_independent_along_every_axis():
    """Neighbours along each axis are both kept as often as independence says."""
    kept = dropped_weights(0.5, seed=4)[0] != 0
    for axis in range(4):
        both = kept.take(range(1, kept.shape[axis]), axis) & kept.take(range(kept.shape[axis] - 1), axis)
        assert abs(both.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / both.size) * 2


def test_dropout_follows_the_generator():
    first, same, other = (dropped_weights(0.5, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert 0.4 < ((first != 0) == (other != 0)).mean() < 0.6


@pytest.mark.parametrize(("p", "is_causal"), [(0.3, False), (0.6, True)])
def test_dropout_gradients(p, is_causal):
    def attend(q, k, v):
        rng = np.random.default_rng(11)
        return scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=is_causal, rng=rng)

    assert gradcheck(attend, *heads(2, 2, 6, 3))


def test_dropout_in_plain_python_is_the_same():
    compiled = dropped_weights(0.4, seed=6, T=6, S=7)[0]
    with plain_python():
        np.testing.assert_allclose(dropped_weights(0.4, seed=6, T=6, S=7)[0], compiled, rtol=1e-12)


def test_dropout_of_everything_gives_zeros():
    assert np.all(dropped_weights(1.0, seed=0)[0] == 0)


# Numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_do_not_overflow(dtype):
    q, k, v = (random(1, 2, 70, 8, seed=i, dtype=dtype) for i in range(3))
    out, *gradients = run(1e3 * q, 1e3 * k, v, is_causal=True)
    expected = attention_ref(1e3 * q.astype("float64"), 1e3 * k.astype("float64"), v, is_causal=True)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    assert all(np.isfinite(x).all() for x in gradients)


def test_very_low_scores_count_as_much_as_any():
    q, k, v = np.full((1, 1, 2, 1), -1e3), np.full((1, 1, 70, 1), 1e3), random(1, 1, 70, 3, dtype="float64")
    out = run(q, k, v)[0]
    np.testing.assert_allclose(out[0, 0, 0], v[0, 0].mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_nan_propagates(which):
    arrays = [random(1, 1, 70, 4, seed=i) for i in range(3)]
    arrays[which][0, 0, 5] = np.nan
    out = run(*arrays)[0]
    assert np.isnan(out[0, 0, 5]).all()


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 2, 0, 4)])
def test_nothing_to_attend(shape):
    for x in run(*(np.zeros(shape, "float32") for _ in range(3)), is_causal=True):
        assert x.shape == shape


def test_no_keys_give_zeros():
    out, dq, dk, _ = run(random(2, 2, 3, 4), np.zeros((2, 2, 0, 4), "float32"), np.zeros((2, 2, 0, 5), "float32"))
    assert out.shape == (2, 2, 3, 5)
    assert np.all(out == 0)
    assert np.all(dq == 0)
    assert dk.shape == (2, 2, 0, 4)


def test_no_queries_teach_nothing():
    out, dq, dk, dv = run(np.zeros((2, 2, 0, 4)), *(random(2, 2, 3, 4, dtype="float64") for _ in range(2)))
    assert out.shape == dq.shape == (2, 2, 0, 4)
    assert dk.shape == dv.shape == (2, 2, 3, 4)
    assert np.all(dk == 0)
    assert np.all(dv == 0)


def test_threads_change_no_bit():
    """Few heads, so that each one's work is cut into parts."""
    arrays = [random(1, 1, 300, 16, seed=i) for i in range(3)]
    several = run(*arrays, is_causal=True)
    numba.set_num_threads(1)
    try:
        alone = run(*arrays, is_causal=True)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    for a, b in zip(several, alone, strict=True):
        np.testing.assert_array_equal(a, b)


# Memory


def peak_memory(T, H, C, **options):
    """Of a forward and backward pass, in bytes, without its inputs."""
    qkv, dout = Tensor(random(1, T, 3 * C), requires_grad=True), random(1, T, C)
    tracemalloc.start()
    try:
        qkv_attention(qkv, H, **options).backward(dout)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dropout_p", [0.0, 0.1])
def test_no_array_of_scores_is_made(dropout_p):
    options = {"H": 4, "C": 64, "dropout_p": dropout_p, "rng": np.random.default_rng(0)}
    peak_memory(64, **options)  # compiles
    one_array_of_scores = 2048 * 2048 * 4
    assert peak_memory(2048, **options) < one_array_of_scores / 2


def test_kernels_make_no_array_of_scores(monkeypatch):
    """In plain Python, where the scratch arrays inside kernels are counted too; with small tiles, to be quick."""
    for module in (attention_kernels, attention_tiles):
        monkeypatch.setattr(module, "WIDTH", 16)
    one_array_of_scores = 112 * 112 * 4
    with plain_python():
        peak_memory(16, H=1, C=1)  # what is only made once does not count
        assert peak_memory(112, H=1, C=1) < one_array_of_scores
