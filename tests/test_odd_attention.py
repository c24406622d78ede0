"""Attention of odd inputs: sizes around the tiles, huge scores, NaN, infinities, rows that are masked as a whole.

Where ours differs from PyTorch 2.13 on the CPU, which was asked for each case:

    NaN in a query              its row is NaN; there 0
    a mask that hides all keys  0, for False and −∞ as there, and for the lowest number, where it has the mean of all
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from dirty_memory import plain_python
from odd_checks import DTYPES, close, run

from tinygrad_llm import functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.attention import attend, attention_ref
from tinygrad_llm.ops.attention_layout import Options, as_heads, new_heads

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, in plain Python: overflow is meant


def attention(q, k, v, mask=None, is_causal=False, generates=True):
    """By the kernel of training; if `generates` that of generation must agree. q (T, D), k (S, D), v (S, Dv)."""
    tensors = [Tensor(each) for each in (q, k, v)]
    out = F.scaled_dot_product_attention(*tensors, None if mask is None else Tensor(mask), is_causal=is_causal).data
    if not generates:
        return out
    options = Options((1, 1), 1, 1 / math.sqrt(q.shape[-1]), is_causal)
    few, few_heads = new_heads(1, 1, len(q), v.shape[-1], q.dtype)
    heads = [as_heads(each, options) for each in (q, k, v)]
    attend(few_heads, np.empty((1, len(q)), q.dtype), *heads, mask, len(k), options, few_queries=True)
    close(few[0, 0], out, str(q.dtype), "few queries")
    return out


def small_qkv(dtype: str, n: int = 5) -> list[np.ndarray]:
    return list(np.random.default_rng(0).standard_normal((3, n, 4)).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_of_any_size(dtype, is_causal):
    rng = np.random.default_rng(0)
    sizes = [(1, 1, 1), (1, 17, 3), (3, 2, 16), (15, 16, 17), (17, 15, 2), (16, 1, 5), (63, 65, 7), (65, 64, 8)]
    for T, S, D in [*sizes, (64, 129, 33), (131, 3, 1), (0, 3, 2), (2, 0, 2)]:
        q, k, v = (rng.standard_normal((n, D)).astype(dtype) for n in (T, S, S))
        expected = attention_ref(*(each.astype(float) for each in (q, k, v)), is_causal=is_causal)
        close(attention(q, k, v, is_causal=is_causal), expected, dtype, f"{T}, {S}, {D}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", [False, -np.inf, "lowest"])
def test_a_row_that_is_masked_as_a_whole_gets_zeros(hidden, dtype):
    """Its query gets no gradient, and keys and values none from it."""
    q, k, v = small_qkv(dtype)
    lowest = np.finfo(dtype).min if hidden == "lowest" else hidden
    mask = np.ones((5, 5), bool) if hidden is False else np.zeros((5, 5), dtype)
    mask[1] = lowest
    # the kernel of generation takes the mean of all values for "lowest", which no mask of its callers holds
    assert (attention(q, k, v, mask, generates=hidden != "lowest")[1] == 0).all()
    _, dq, dk, dv = run(lambda *qkv: F.scaled_dot_product_attention(*qkv, Tensor(mask)), q, k, v)
    assert (dq[1] == 0).all()
    q[1] += 1
    _, _, dk_again, dv_again = run(lambda *qkv: F.scaled_dot_product_attention(*qkv, Tensor(mask)), q, k, v)
    np.testing.assert_array_equal(dk, dk_again)
    np.testing.assert_array_equal(dv, dv_again)


NAN_IN = {  # where it is: which queries (rows) and which features (columns) of the result are NaN, if causal
    "query": (slice(2, 3), slice(None)),
    "key": (slice(2, None), slice(None)),
    "value": (slice(None), slice(3, 4)),  # 0 times NaN is NaN, also where the token comes too late to be seen
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [5, 70])
@pytest.mark.parametrize("where", NAN_IN)
def test_nan_in_attention(where, n, dtype):
    qkv = small_qkv(dtype, n)
    clean = attention(*qkv, is_causal=True)
    qkv[list(NAN_IN).index(where)][2, 3] = np.nan
    out = attention(*qkv, is_causal=True, generates=where != "value")  # that kernel does not look at later ones
    seen = np.zeros((n, 4), bool)
    seen[NAN_IN[where]] = True
    np.testing.assert_array_equal(np.isnan(out), seen)
    np.testing.assert_array_equal(out[~seen], clean[~seen])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_mask_with_nan_or_infinity_makes_its_query_nan(odd, dtype):
    qkv, mask = small_qkv(dtype), np.zeros((5, 5), dtype)
    clean = attention(*qkv, mask)
    mask[3, 1] = odd
    out = attention(*qkv, mask)
    assert np.isnan(out[3]).all()
    np.testing.assert_array_equal(np.delete(out, 3, axis=0), np.delete(clean, 3, axis=0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1e4, 1e30])
def test_huge_scores_choose_one_value(factor, dtype):
    q, k, v = small_qkv(dtype)
    best = (q @ k.T).argmax(axis=1)
    np.testing.assert_array_equal(attention(q * q.dtype.type(factor), k, v), v[best])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_that_overflow_are_nan(dtype):
    q, k, v = small_qkv(dtype)
    q[:], k[:] = np.finfo(dtype).max, 4
    assert np.isnan(attention(q, k, v)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_attention_of_odd_numbers_compiled_and_plain(dtype):
    q, k, v = small_qkv(dtype)
    mask = np.zeros((5, 5), dtype)
    q[0], q[1] = q[0] * 1e4, q[1] * 1e-42
    k[3], v[2], mask[2], q[4, 0] = 0, v[2] * 1e30, -np.inf, np.nan
    compiled = run(lambda *qkv: F.scaled_dot_product_attention(*qkv, Tensor(mask)), q, k, v)
    with plain_python():
        plain = run(lambda *qkv: F.scaled_dot_product_attention(*qkv, Tensor(mask)), q, k, v)
    for ours, expected in zip(compiled, plain, strict=True):
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=1)
        close(ours / largest, expected / largest, dtype)
