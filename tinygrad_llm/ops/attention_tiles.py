"""What `attention_kernels.py` does with one tile of scores: products, mask, softmax, dropout.

A tile is the scores of up to 64 keys (its rows) with up to 64 queries (its columns). Columns are contiguous, so with
queries as columns the softmax never sums along a row: maximum, exp and total are loops over all queries at once, which
become vector instructions. The last query comes first: the ones that may see a key are then the first columns of its
row, and causal attention computes no others. `edge` says how many: row i sees edge − i columns.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel
from .fast_math import fast_exp

ALL = 1 << 30  # an edge that hides nothing


@kernel
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@kernel
def n_visible(edge, m, width):
    """How many columns of tile rows 4m … 4m + 3 matter: those that row 4m sees, in whole vectors of 16 numbers.

    The others are neither computed nor read; they stay zero.
    """
    return max(0, min(width, round_up(edge - 4 * m, 16)))


@kernel
def add_product(c, a, b, c_edge, a_edge):
    """c (M, N) += a (M, K) · b (K, N), as far as c and a are visible. M and K are multiples of 4.

    Four rows of c and four steps of k at once: 16 multiplications for each 4 elements of b that are read. Thanks to
    the reshapes all row numbers are constants, which spares the inner loop the test for negative indices.
    """
    M, K, N = a.shape[0], a.shape[1], b.shape[1]
    a, b, c = a.reshape(M // 4, 4, K // 4, 4), b.reshape(K // 4, 4, N), c.reshape(M // 4, 4, N)
    for m in range(M // 4):
        columns = n_visible(c_edge, m, N)
        for k in range(n_visible(a_edge, m, K) // 4):
            a00, a01, a02, a03 = a[m, 0, k, 0], a[m, 0, k, 1], a[m, 0, k, 2], a[m, 0, k, 3]
            a10, a11, a12, a13 = a[m, 1, k, 0], a[m, 1, k, 1], a[m, 1, k, 2], a[m, 1, k, 3]
            a20, a21, a22, a23 = a[m, 2, k, 0], a[m, 2, k, 1], a[m, 2, k, 2], a[m, 2, k, 3]
            a30, a31, a32, a33 = a[m, 3, k, 0], a[m, 3, k, 1], a[m, 3, k, 2], a[m, 3, k, 3]
            for n in range(columns):
                b0, b1, b2, b3 = b[k, 0, n], b[k, 1, n], b[k, 2, n], b[k, 3, n]
                c[m, 0, n] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c[m, 1, n] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c[m, 2, n] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c[m, 3, n] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def add_transposed_product(c, a, b):
    """c (M, N) += aᵀ · b for a (K, M) and b (K, N): the same, with a read down its columns.

    It multiplies the hidden parts of b too, which are zeros: a limit that depends on k would cost more than it spares.
    """
    K, M, N = a.shape[0], a.shape[1], b.shape[1]
    a, b, c = a.reshape(K // 4, 4, M // 4, 4), b.reshape(K // 4, 4, N), c.reshape(M // 4, 4, N)
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
def new_tile(n_rows, n_columns, like):
    return np.empty((n_rows, n_columns), like.dtype)


@kernel
def fill(tile, value):
    for i in range(tile.shape[0]):
        for j in range(tile.shape[1]):
            tile[i, j] = value


@kernel
def load_rows(tile, skip, x, start, step, n_rows, factor):
    """tile[skip + i] = factor · x[start + i · step] for n_rows rows, and zeros around them."""
    if n_rows < tile.shape[0] or x.shape[1] < tile.shape[1]:
        fill(tile, 0)
    for i in range(n_rows):
        row, tile_row = x[start + i * step], tile[skip + i]
        for d in range(x.shape[1]):
            tile_row[d] = row[d] * factor


@kernel
def store_rows(x, start, step, n_rows, tile, skip, factor):
    """The inverse: x[start + i · step] = factor · tile[skip + i]."""
    for i in range(n_rows):
        row, tile_row = x[start + i * step], tile[skip + i]
        for d in range(x.shape[1]):
            row[d] = tile_row[d] * factor


@kernel
def row_at(strides, b, h, t):
    return b * strides[0] + h * strides[1] + t * strides[2]


@kernel
def load_queries(tile, x, strides, b, h, first, end, factor):
    """Queries first … end − 1 of a head, last one first, into the last rows of tile: they may be fewer than it has."""
    load_rows(tile, first + tile.shape[0] - end, x, row_at(strides, b, h, end - 1), -strides[2], end - first, factor)


@kernel
def store_queries(x, strides, b, h, first, end, tile, factor):
    store_rows(x, row_at(strides, b, h, end - 1), -strides[2], end - first, tile, first + tile.shape[0] - end, factor)


@kernel
def transpose(out, x):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = x[j, i]


@kernel
def compute_scores(scores, keys, q_columns, edge, n_keys):
    """scores = keys · queries; −∞ where a query does not see a key, and in the rows after n_keys.

    Beyond the visible columns they are left 0, as then are the weights there.
    """
    fill(scores, 0)
    add_product(scores, keys, q_columns, edge, ALL)
    for i in range(len(scores)):
        row = scores[i, : n_visible(edge, i // 4, scores.shape[1])]
        hidden = row[max(0, edge - i) :] if i < n_keys else row
        for j in range(len(hidden)):
            hidden[j] = -np.inf


@kernel
def add_mask(scores, edge, n_keys, n_padding, mask, start, strides):
    """Add mask[start], the mask of the first key and the last query, and so on; not to columns that are no query."""
    for i in range(min(n_keys, len(scores))):
        row = scores[i, n_padding : n_visible(edge, i // 4, scores.shape[1])]
        for j in range(len(row)):
            row[j] += mask[start + i * strides[3] - j * strides[2]]


@kernel
def softmax_step(scores, edge, out, largest, total, shrink):
    """Scores become e^(score − largest so far); `out` and `total` of earlier tiles are brought to that maximum.

    The online softmax: e^(s − new) = e^(s − old) · e^(old − new), so a larger maximum only rescales earlier sums.
    """
    K, T = scores.shape
    rows = scores.reshape(K // 4, 4, T)
    for j in range(T):
        shrink[j] = largest[j]
    for m in range(K // 4):
        for j in range(n_visible(edge, m, T)):
            largest[j] = max(largest[j], max(rows[m, 0, j], rows[m, 1, j]), max(rows[m, 2, j], rows[m, 3, j]))
    for j in range(T):
        shrink[j] = fast_exp(shrink[j] - largest[j])
        total[j] *= shrink[j]
    exp_minus(scores, edge, largest)
    for m in range(K // 4):
        for j in range(n_visible(edge, m, T)):
            total[j] += (rows[m, 0, j] + rows[m, 1, j]) + (rows[m, 2, j] + rows[m, 3, j])
    for d in range(out.shape[0]):
        for j in range(T):
            out[d, j] *= shrink[j]


@kernel
def exp_minus(scores, edge, offset):
    """e^(score − offset). Where that is lse = log Σ e^score, it gives the weights e^score / Σ e^score."""
    for i in range(scores.shape[0]):
        for j in range(n_visible(edge, i // 4, scores.shape[1])):
            scores[i, j] = fast_exp(scores[i, j] - offset[j])


@kernel
def finish_softmax(out, lse, largest, total):
    """out / total, and lse = log Σ e^score. A query that sees no key gets zeros, and e^(score − lse) = 0 later."""
    for j in range(out.shape[1]):
        lse[j] = largest[j] + np.log(total[j]) if total[j] != 0 else np.inf
        total[j] = total.dtype.type(1) / total[j] if total[j] != 0 else total[j]
    for d in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[d, j] *= total[j]


@kernel
def softmax_gradient(dscores, weights, edge, inner):
    """dscore = weight · (dweight − Σ dweight · weight). That sum over all keys is ⟨dout, out⟩: known in advance."""
    for i in range(weights.shape[0]):
        for j in range(n_visible(edge, i // 4, weights.shape[1])):
            dscores[i, j] = weights[i, j] * (dscores[i, j] - inner[j])


@kernel
def hash_bits(x):
    """32 bits that look random, from a number below 2³² (multipliers: Wellons' hash-prospector, public domain)."""
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return x ^ (x >> 15)


@kernel
def drop_weights(weights, key, last_query, dropout, keep_scale):
    """Zero each weight with probability p, scale up the others by 1/(1 − p).

    Which ones stay depends on the seed and their place alone, so that backward finds the same ones again.
    """
    threshold, seed = dropout
    for i in range(weights.shape[0]):
        key_bits = hash_bits(key + i) ^ seed
        for j in range(weights.shape[1]):
            bits = hash_bits(hash_bits((last_query - j) & 0xFFFFFFFF) ^ key_bits)
            weights[i, j] *= keep_scale if bits >= threshold else weights.dtype.type(0)
