"""Attention of a few queries, the way generation takes: against the formula and the tiles, in any number of threads."""

import numba
import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm import Tensor, no_grad
from tinygrad_llm.functional import scaled_dot_product_attention
from tinygrad_llm.ops import attention, attention_few_queries
from tinygrad_llm.ops.attention import attention_ref
from tinygrad_llm.ops.attention_cached import cached_attention
from tinygrad_llm.ops.attention_few_queries import FEW, SMALL, few_queries_ref
from tinygrad_llm.ops.attention_layout import Options, as_heads, new_heads


def arrays(seed=0, B=2, H=4, n_key_heads=4, T=3, S=7, D=5, Dv=6, dtype=np.float32):
    rng = np.random.default_rng(seed)
    shapes = (B, H, T, D), (B, n_key_heads, S, D), (B, n_key_heads, S, Dv)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def attend(q, k, v, attn_mask=None, is_causal=False, scale=None):
    """What `cached_attention` calls, for any mask and any number of key heads."""
    B, H, T, D = q.shape
    options = Options((B, H), k.shape[1], 1 / np.sqrt(D) if scale is None else scale, is_causal)
    out, out_heads = new_heads(B, H, T, v.shape[-1], q.dtype)
    heads = [as_heads(x, options) for x in (q, k, v)]
    attention.attend(out_heads, np.empty((B * H, T), q.dtype), *heads, attn_mask, k.shape[2], options, few_queries=True)
    return out


MASKS = {
    "none": None,
    "boolean": np.random.default_rng(1).random((2, 1, 3, 7)) < 0.6,
    "numbers": np.random.default_rng(2).standard_normal((4, 3, 7)).astype(np.float32),
    "hides all from one query": np.arange(3)[:, None] != np.ones(7),
    "all keys or none": np.arange(3)[:, None] != 1,
    "no key": np.zeros((1, 1), bool),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3, "is_causal": True}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_is_the_formula(mask, options, dtype):
    qkv = arrays(dtype=dtype)
    expected = attention_ref(*qkv, attn_mask=MASKS[mask], **options)
    out = attend(*qkv, attn_mask=MASKS[mask], **options)
    with plain_python():
        plain = attend(*qkv, attn_mask=MASKS[mask], **options)
    assert out.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 or mask == "numbers" else 1e-12
    np.testing.assert_allclose(out, expected, atol=tolerance)
    np.testing.assert_allclose(plain, expected, atol=tolerance)
    if mask in ("hides all from one query", "all keys or none"):
        assert not out[:, :, 1].any()


@pytest.mark.parametrize("T", [1, 2, FEW - 1])
@pytest.mark.parametrize("S", [1, 3, 4, 64, 130])
def test_any_length_is_what_the_tiles_make(T, S):
    qkv = arrays(T=T, S=S, D=16, Dv=32)
    for options in ({}, {"is_causal": True}):
        tiles = scaled_dot_product_attention(*(Tensor(x) for x in qkv), **options).data
        np.testing.assert_allclose(attend(*qkv, **options), tiles, atol=2e-6)


def test_query_heads_share_key_heads():
    qkv = arrays(H=6, n_key_heads=2)
    np.testing.assert_allclose(attend(*qkv), attention_ref(*qkv, enable_gqa=True), atol=1e-6)


def test_one_query_is_the_short_formula():
    q, k, v = arrays(B=1, H=1, n_key_heads=1, T=1)
    expected = few_queries_ref(q[0, 0, 0], k[0, 0], v[0, 0], scale=0.5)
    np.testing.assert_allclose(attend(q, k, v, scale=0.5)[0, 0, 0], expected, atol=1e-6)


def test_huge_scores_do_not_overflow_and_nan_stays():
    q, k, v = arrays(T=1)
    np.testing.assert_allclose(attend(100 * q, 100 * k, v), attention_ref(100 * q, 100 * k, v), atol=1e-5)
    k[0, 1, 2, 3] = np.nan
    out = attend(q, k, v)
    assert np.isnan(out[0, 1]).all()
    assert np.isfinite(np.delete(out.reshape(8, -1), 1, axis=0)).all()


def test_only_what_is_cached_takes_this_way(monkeypatch):
    """So that an op has the same result, to the last bit, whether gradients are recorded or not."""
    monkeypatch.setattr(attention, "attention_of_few_queries", lambda *_: pytest.fail("went to the few queries"))
    qkv = arrays(T=1)
    recorded = scaled_dot_product_attention(*(Tensor(x, requires_grad=True) for x in qkv))
    with no_grad():
        np.testing.assert_array_equal(scaled_dot_product_attention(*(Tensor(x) for x in qkv)).data, recorded.data)


def test_threads_change_no_bit():
    qkv = arrays(T=1, S=SMALL // 8 // 32 + 1, D=16, Dv=16)  # enough work to share out
    shared = attend(*qkv)
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(attend(*qkv), shared)
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


@pytest.mark.parametrize("limit", [0, 10**9])
def test_both_loops_over_heads_are_the_formula(monkeypatch, limit):
    """The one for several threads, and the other; in plain Python the limit between them can be set."""
    monkeypatch.setattr(attention_few_queries, "SMALL", limit)
    qkv = arrays(H=6, n_key_heads=2, S=9, dtype=np.float64)
    with plain_python():
        np.testing.assert_allclose(attend(*qkv), attention_ref(*qkv, enable_gqa=True), atol=1e-12)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_heads_may_lie_side_by_side(which):
    """Positions of one head are then not neighbours in memory; here of queries, keys or values alone."""
    qkv = arrays(S=11, dtype=np.float64)
    qkv[which] = qkv[which].swapaxes(1, 2).copy().swapaxes(1, 2)
    for is_causal in (False, True):
        with plain_python():
            out = attend(*qkv, is_causal=is_causal)
        np.testing.assert_allclose(out, attention_ref(*qkv, is_causal=is_causal), atol=1e-12)


@pytest.mark.parametrize(("T", "length"), [(1, 1), (1, 9), (3, 3), (3, 9), (FEW + 4, FEW + 9)])
def test_cached_attention_is_attention_to_views_of_the_cache(T, length):
    rng = np.random.default_rng(0)
    B, H, D = 2, 3, 4
    qkv = rng.standard_normal((B, T, 3 * H * D)).astype(np.float32)
    keys, values = rng.standard_normal((2, B, H, length + 5, D)).astype(np.float32)
    queries = qkv.reshape(B, T, 3, H, D)[:, :, 0].transpose(0, 2, 1, 3)
    visible = np.tri(T, length, length - T, dtype=bool)
    expected = attention_ref(queries, keys[:, :, :length], values[:, :, :length], visible)
    with no_grad():
        out = cached_attention(Tensor(qkv), H, keys, values, length)
    np.testing.assert_allclose(out.data, expected.transpose(0, 2, 1, 3).reshape(B, T, H * D), atol=1e-6)
