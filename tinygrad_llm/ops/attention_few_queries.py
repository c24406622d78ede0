"""Attention of a few queries to many keys: what each token of a generated text does with the KV cache.

The tiles of `attention_kernels.py` would be nearly empty: 16 queries wide for one query, and filled with a copy of all
keys and values, each of which is then used once. Here keys and values are read where they are, once: the time is that
of reading them from memory. One query's scores are a row of S numbers, so the softmax is the plain one: all scores
first, then their maximum, then the weights. No gradient: nothing is kept for a backward pass.

The reference is `attention_ref` of `attention.py`.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange
from .attention_tiles import row_at
from .fast_math import fast_exp, largest_of

FEW = 16  # queries: the narrowest tile
SMALL = 1 << 18  # keys' and values' elements that one thread has read before another is awake


def few_queries_ref(query: np.ndarray, keys: np.ndarray, values: np.ndarray, scale: float) -> np.ndarray:
    """One query (D,), keys (S, D) and values (S, Dv) -> (Dv,)."""
    scores = scale * (keys @ query)
    weights = np.exp(scores - scores.max())
    return weights @ values / weights.sum()


@kernel
def compute_row_of_scores(scores, query, keys, start, step, scale):
    """scores[s] = scale · ⟨query, keys[start + s · step]⟩."""
    for s in range(scores.shape[0]):
        key, total = keys[start + s * step], scores.dtype.type(0)
        for d in range(query.shape[0]):
            total += query[d] * key[d]
        scores[s] = scale * total


@kernel
def exponentiate(scores):
    """Scores become e^(score − largest); returns their sum: 0 where all of them are −∞, which hides every key."""
    largest = largest_of(scores)
    if largest == -np.inf:
        largest = scores.dtype.type(0)
    total = scores.dtype.type(0)
    for s in range(scores.shape[0]):
        scores[s] = fast_exp(scores[s] - largest)
        total += scores[s]
    return total


@kernel
def mix_values(mixed, weights, values, start, step):
    """mixed = Σ_s weights[s] · values[start + s · step], four rows at once: `mixed` is then read and written less."""
    S = weights.shape[0]
    for d in range(mixed.shape[0]):
        mixed[d] = 0
    for s in range(0, S // 4 * 4, 4):
        w0, w1, w2, w3 = weights[s], weights[s + 1], weights[s + 2], weights[s + 3]
        row = start + s * step
        v0, v1, v2, v3 = values[row], values[row + step], values[row + 2 * step], values[row + 3 * step]
        for d in range(mixed.shape[0]):
            mixed[d] += (w0 * v0[d] + w1 * v1[d]) + (w2 * v2[d] + w3 * v3[d])
    for s in range(S // 4 * 4, S):
        w, v = weights[s], values[start + s * step]
        for d in range(mixed.shape[0]):
            mixed[d] += w * v[d]


@kernel
def attend_head(out, q, k, v, mask, strides, mask_strides, sizes, scale, causal, b, h):
    """All queries of one head, one after the other."""
    _, _, G, T, S, _ = sizes
    out_strides, q_strides, k_strides, v_strides = strides[0], strides[1], strides[2], strides[3]
    scores, mixed = np.empty(S, out.dtype), np.empty(v.shape[1], out.dtype)
    key_start, value_start = row_at(k_strides, b, h // G, 0), row_at(v_strides, b, h // G, 0)
    for t in range(T):
        visible = scores[: min(t + 1, S)] if causal else scores
        compute_row_of_scores(visible, q[row_at(q_strides, b, h, t)], k, key_start, k_strides[2], scale)
        if mask.size > 0:
            mask_start = row_at(mask_strides, b, h, t)
            for s in range(visible.shape[0]):
                visible[s] += mask[mask_start + s * mask_strides[3]]
        total = exponentiate(visible)
        mix_values(mixed, visible, v, value_start, v_strides[2])
        out_row = out[row_at(out_strides, b, h, t)]
        factor = out.dtype.type(1) / total if total != 0 else total
        for d in range(out_row.shape[0]):
            out_row[d] = mixed[d] * factor


@kernel(parallel=True)
def attention_of_few_queries(out, q, k, v, mask, strides, mask_strides, sizes, scale, causal):
    """out = softmax(scale · q kᵀ + mask) v, arguments as those of `attention_forward`. A thread takes whole heads."""
    B, H, _, _, S, _ = sizes
    if B * H * S * (k.shape[1] + v.shape[1]) < SMALL:
        for task in range(B * H):
            attend_head(out, q, k, v, mask, strides, mask_strides, sizes, scale, causal, task // H, task % H)
    else:
        for task in prange(B * H):
            attend_head(out, q, k, v, mask, strides, mask_strides, sizes, scale, causal, task // H, task % H)
