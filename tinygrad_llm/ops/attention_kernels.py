"""The kernels of `attention.py`: softmax(q kᵀ) v one tile at a time, so that no (T, S) array ever exists.

A tile holds the scores of up to 64 keys (rows) with up to 64 queries (columns). Columns are contiguous in memory, so
with queries as columns the softmax needs no sum along a row: maximum, exp and total are loops over all queries at once,
which the compiler turns into vector instructions. Tiles are local scratch that stays in the cache.

B batch, H query heads (G of them share each of the key heads), T queries, S keys, D features of one head, P dropout.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange
from .fast_math import fast_exp

KEY_TILE = 64
QUERY_TILE = 64
# Stands for "no score yet": finite, so that (score − maximum) is never ∞ − ∞, and below all that softmax can see.
LOWEST = -3.4e38


@kernel
def add_product(c, a, b):
    """c (M, N) += a (M, K) · b (K, N). M and K are multiples of 4.

    Four rows of c and four steps of k at once: 16 multiplications for each 4 elements of b that are read. The reshapes
    make all row numbers constants, which spares the compiled loop the test for negative indices.
    """
    M, K = a.shape
    N = b.shape[1]
    a = a.reshape(M // 4, 4, K // 4, 4)
    b = b.reshape(K // 4, 4, N)
    c = c.reshape(M // 4, 4, N)
    for m in range(M // 4):
        for k in range(K // 4):
            a00, a01, a02, a03 = a[m, 0, k, 0], a[m, 0, k, 1], a[m, 0, k, 2], a[m, 0, k, 3]
            a10, a11, a12, a13 = a[m, 1, k, 0], a[m, 1, k, 1], a[m, 1, k, 2], a[m, 1, k, 3]
            a20, a21, a22, a23 = a[m, 2, k, 0], a[m, 2, k, 1], a[m, 2, k, 2], a[m, 2, k, 3]
            a30, a31, a32, a33 = a[m, 3, k, 0], a[m, 3, k, 1], a[m, 3, k, 2], a[m, 3, k, 3]
            for n in range(N):
                b0, b1, b2, b3 = b[k, 0, n], b[k, 1, n], b[k, 2, n], b[k, 3, n]
                c[m, 0, n] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c[m, 1, n] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c[m, 2, n] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c[m, 3, n] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def add_transposed_product(c, a, b):
    """c (M, N) += aᵀ · b for a (K, M), b (K, N): `add_product` with the scalars read down the columns of a."""
    K, M = a.shape
    N = b.shape[1]
    a = a.reshape(K // 4, 4, M // 4, 4)
    b = b.reshape(K // 4, 4, N)
    c = c.reshape(M // 4, 4, N)
    for m in range(M // 4):
        for k in range(K // 4):
            a00, a01, a02, a03 = a[k, 0, m, 0], a[k, 1, m, 0], a[k, 2, m, 0], a[k, 3, m, 0]
            a10, a11, a12, a13 = a[k, 0, m, 1], a[k, 1, m, 1], a[k, 2, m, 1], a[k, 3, m, 1]
            a20, a21, a22, a23 = a[k, 0, m, 2], a[k, 1, m, 2], a[k, 2, m, 2], a[k, 3, m, 2]
            a30, a31, a32, a33 = a[k, 0, m, 3], a[k, 1, m, 3], a[k, 2, m, 3], a[k, 3, m, 3]
            for n in range(N):
                b0, b1, b2, b3 = b[k, 0, n], b[k, 1, n], b[k, 2, n], b[k, 3, n]
                c[m, 0, n] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c[m, 1, n] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c[m, 2, n] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c[m, 3, n] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@kernel
def fill(tile, value):
    for i in range(tile.shape[0]):
        for j in range(tile.shape[1]):
            tile[i, j] = value


@kernel
def load_rows(tile, x, strides, b, h, first, n_rows, factor):
    """tile = factor · n_rows rows of x, those of batch element b and head h from position `first` on; rest zeros."""
    if n_rows < tile.shape[0] or x.shape[1] < tile.shape[1]:
        fill(tile, 0)
    start = b * strides[0] + h * strides[1] + first * strides[2]
    for i in range(n_rows):
        row, tile_row = x[start + i * strides[2]], tile[i]
        for d in range(x.shape[1]):
            tile_row[d] = row[d] * factor


@kernel
def store_rows(x, strides, b, h, first, n_rows, tile, factor):
    """The inverse: the first n_rows rows of factor · tile to their places in x."""
    start = b * strides[0] + h * strides[1] + first * strides[2]
    for i in range(n_rows):
        row, tile_row = x[start + i * strides[2]], tile[i]
        for d in range(x.shape[1]):
            row[d] = tile_row[d] * factor


@kernel
def transpose(out, x):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = x[j, i]


@kernel
def compute_scores(scores, keys, q_columns, mask, mask_strides, b, h, key, first, T, S, is_causal):
    """scores = keys · queries, plus the mask; −∞ for keys that pad the tile and, if causal, for later ones."""
    fill(scores, 0)
    add_product(scores, keys, q_columns)
    mask_start = b * mask_strides[0] + h * mask_strides[1] + first * mask_strides[2]
    for i in range(scores.shape[0]):
        row, s = scores[i], key + i
        n_hidden = len(row) if s >= S else (s - first if is_causal else 0)
        for j in range(min(n_hidden, len(row))):
            row[j] = -np.inf
        if mask.size > 0 and s < S:
            for j in range(min(T - first, len(row))):
                row[j] += mask[mask_start + j * mask_strides[2] + s * mask_strides[3]]


@kernel
def softmax_step(scores, out, largest, total, shrink):
    """Scores become e^(score − largest so far); `out` and `total` of earlier tiles are brought to that maximum.

    The online softmax: e^(s − new) = e^(s − old) · e^(old − new), so a larger maximum only rescales earlier sums.
    """
    K, T = scores.shape
    rows = scores.reshape(K // 4, 4, T)
    for j in range(T):
        shrink[j] = largest[j]
    for i in range(K // 4):
        for j in range(T):
            largest[j] = max(largest[j], max(rows[i, 0, j], rows[i, 1, j]), max(rows[i, 2, j], rows[i, 3, j]))
    for j in range(T):
        shrink[j] = fast_exp(shrink[j] - largest[j])
        total[j] *= shrink[j]
    for i in range(K):
        for j in range(T):
            scores[i, j] = fast_exp(scores[i, j] - largest[j])
    for i in range(K // 4):
        for j in range(T):
            total[j] += (rows[i, 0, j] + rows[i, 1, j]) + (rows[i, 2, j] + rows[i, 3, j])
    for d in range(out.shape[0]):
        for j in range(T):
            out[d, j] *= shrink[j]


@kernel
def finish_softmax(out, lse, largest, total):
    """out / total, and lse = log Σ e^score. A query that may see no key gets zeros, and e^(score − lse) = 0 later."""
    for j in range(out.shape[1]):
        lse[j] = largest[j] + np.log(total[j]) if total[j] != 0 else np.inf
        total[j] = total.dtype.type(1) / total[j] if total[j] != 0 else total[j]
    for d in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[d, j] *= total[j]


@kernel
def hash_bits(x):
    """32 bits that look random, from a number below 2³² (the multipliers: Wellons' hash-prospector, public domain)."""
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return x ^ (x >> 15)


@kernel
def drop_weights(weights, key, query, dropout, keep_scale):
    """Zero each weight with probability p, scale up the others by 1/(1 − p).

    Which ones stay depends on the seed and their place alone, so that backward finds the same ones again.
    """
    threshold, seed = dropout
    for i in range(weights.shape[0]):
        key_bits = hash_bits(key + i) ^ seed
        for j in range(weights.shape[1]):
            bits = hash_bits(hash_bits((query + j) & 0xFFFFFFFF) ^ key_bits)
            weights[i, j] *= keep_scale if bits >= threshold else weights.dtype.type(0)


@kernel
def query_tile_width(T):
    """T queries in tiles of equal width, at most QUERY_TILE and a multiple of 16, the floats in a vector register."""
    n_tiles = (T + QUERY_TILE - 1) // QUERY_TILE
    return round_up((T + n_tiles - 1) // n_tiles, 16)


@kernel(parallel=True)
def attention_forward(out, lse, q, k, v, mask, strides, mask_strides, sizes, scale, is_causal, dropout, keep_scale):
    """out = softmax(scale · q kᵀ + mask) v, and lse (B·H, T) = log Σ e^score, which is all that backward needs.

    A task is every n_parts-th query tile of one head: that divides causal work evenly.
    """
    B, H, G, T, S, n_parts = sizes
    out_strides, q_strides, k_strides, v_strides = strides
    D, Dv, width = round_up(q.shape[1], 4), round_up(v.shape[1], 4), query_tile_width(T)
    dtype, one = out.dtype, out.dtype.type(1)
    for task in prange(B * H * n_parts):
        b, h, part = task // n_parts // H, task // n_parts % H, task % n_parts
        keys, values = np.empty((round_up(S, 4), D), dtype), np.empty((round_up(S, 4), Dv), dtype)
        q_rows, q_columns = np.empty((width, D), dtype), np.empty((D, width), dtype)
        out_rows, out_columns = np.empty((width, Dv), dtype), np.empty((Dv, width), dtype)
        tile, tile_lse = np.empty((KEY_TILE, width), dtype), np.empty(width, dtype)
        largest, total, shrink = np.empty(width, dtype), np.empty(width, dtype), np.empty(width, dtype)
        load_rows(keys, k, k_strides, b, h // G, 0, S, one)
        load_rows(values, v, v_strides, b, h // G, 0, S, one)

        for first in range(part * width, T, n_parts * width):
            n_queries = min(width, T - first)
            load_rows(q_rows, q, q_strides, b, h, first, n_queries, scale)
            transpose(q_columns, q_rows)
            fill(out_columns, 0)
            for j in range(width):
                largest[j], total[j] = LOWEST, 0

            n_keys = min(S, first + n_queries) if is_causal else S
            for key in range(0, n_keys, KEY_TILE):
                end = min(key + KEY_TILE, round_up(n_keys, 4))
                weights = tile[: end - key]
                compute_scores(
                    weights, keys[key:end], q_columns, mask, mask_strides, b, h, key, first, T, S, is_causal
                )
                softmax_step(weights, out_columns, largest, total, shrink)
                if dropout[0] > 0:
                    drop_weights(weights, key, (b * H + h) * T + first, dropout, keep_scale)
                add_transposed_product(out_columns, values[key:end], weights)

            finish_softmax(out_columns, tile_lse, largest, total)
            transpose(out_rows, out_columns)
            store_rows(out, out_strides, b, h, first, n_queries, out_rows, one)
            for j in range(n_queries):
                lse[b * H + h, first + j] = tile_lse[j]


@kernel
def row_products(inner, a, b):
    for j in range(a.shape[0]):
        total = a.dtype.type(0)
        for d in range(a.shape[1]):
            total += a[j, d] * b[j, d]
        inner[j] = total


@kernel
def exp_minus(scores, lse):
    """Forward was weight = e^score / Σ e^score; with lse = log Σ e^score that is e^(score − lse)."""
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            scores[i, j] = fast_exp(scores[i, j] - lse[j])


@kernel
def softmax_gradient(dscores, weights, inner):
    """dscore = weight · (dweight − Σ dweight · weight); summed over all keys that is ⟨dout, out⟩, known in advance."""
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            dscores[i, j] = weights[i, j] * (dscores[i, j] - inner[j])


@kernel(parallel=True)
def attention_backward(
    dq, dk, dv, dmask, dout, q, k, v, out, lse, mask, strides, mask_strides, sizes, scale, is_causal, dropout, keep_scale
):  # fmt: skip
    """Forward was out = softmax(scale · q kᵀ + mask) v. The weights are computed again, tile by tile, from lse.

    A task is every n_parts-th query tile of the G query heads that share one key head. Nobody else adds to its dk and
    dv, which are part · B + b in the first axis of those: the caller sums the parts. dmask (B·H·T, S) may be empty.
    """
    B, H, G, T, S, n_parts = sizes
    dq_strides, dk_strides, dv_strides, dout_strides, q_strides, k_strides, v_strides, out_strides = strides
    D, Dv, width = round_up(q.shape[1], 4), round_up(v.shape[1], 4), query_tile_width(T)
    dtype, one = out.dtype, out.dtype.type(1)
    for task in prange(B * (H // G) * n_parts):
        b, key_head, part = task // n_parts // (H // G), task // n_parts % (H // G), task % n_parts
        keys, values = np.empty((round_up(S, 4), D), dtype), np.empty((round_up(S, 4), Dv), dtype)
        dkeys, dvalues = np.zeros((round_up(S, 4), D), dtype), np.zeros((round_up(S, 4), Dv), dtype)
        q_rows, q_columns, dq_columns = np.empty((width, D), dtype), np.empty((D, width), dtype), np.empty((D, width), dtype)
        out_rows, dout_rows, dout_columns = np.empty((width, Dv), dtype), np.empty((width, Dv), dtype), np.empty((Dv, width), dtype)
        tile, dtile = np.empty((KEY_TILE, width), dtype), np.empty((KEY_TILE, width), dtype)
        tile_lse, inner = np.empty(width, dtype), np.empty(width, dtype)
        load_rows(keys, k, k_strides, b, key_head, 0, S, one)
        load_rows(values, v, v_strides, b, key_head, 0, S, one)

        n_tiles = (T + width - 1) // width
        for item in range(part, G * n_tiles, n_parts):
            h, first = key_head * G + item // n_tiles, item % n_tiles * width
            n_queries = min(width, T - first)
            load_rows(q_rows, q, q_strides, b, h, first, n_queries, scale)
            load_rows(out_rows, out, out_strides, b, h, first, n_queries, one)
            load_rows(dout_rows, dout, dout_strides, b, h, first, n_queries, one)
            transpose(q_columns, q_rows)
            transpose(dout_columns, dout_rows)
            row_products(inner, out_rows, dout_rows)
            for j in range(width):
                tile_lse[j] = lse[b * H + h, first + j] if j < n_queries else 0
            fill(dq_columns, 0)

            n_keys = min(S, first + n_queries) if is_causal else S
            for key in range(0, n_keys, KEY_TILE):
                end = min(key + KEY_TILE, round_up(n_keys, 4))
                weights, dscores = tile[: end - key], dtile[: end - key]
                compute_scores(
                    weights, keys[key:end], q_columns, mask, mask_strides, b, h, key, first, T, S, is_causal
                )
                exp_minus(weights, tile_lse)
                fill(dscores, 0)
                add_product(dscores, values[key:end], dout_columns)
                if dropout[0] > 0:
                    drop_weights(dscores, key, (b * H + h) * T + first, dropout, keep_scale)
                softmax_gradient(dscores, weights, inner)
                if dropout[0] > 0:
                    drop_weights(weights, key, (b * H + h) * T + first, dropout, keep_scale)
                add_product(dvalues[key:end], weights, dout_rows)
                add_product(dkeys[key:end], dscores, q_rows)
                add_transposed_product(dq_columns, keys[key:end], dscores)
                if dmask.size > 0:
                    for i in range(min(end, S) - key):
                        for j in range(n_queries):
                            dmask[(b * H + h) * T + first + j, key + i] = dscores[i, j]

            transpose(q_rows, dq_columns)
            store_rows(dq, dq_strides, b, h, first, n_queries, q_rows, scale)
        store_rows(dk, dk_strides, part * B + b, key_head, 0, S, dkeys, one)
        store_rows(dv, dv_strides, part * B + b, key_head, 0, S, dvalues, one)
