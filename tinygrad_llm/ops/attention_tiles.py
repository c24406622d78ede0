"""What `attention_kernels.py` does with one tile of scores: products, mask, softmax, dropout.

A tile is the scores of up to WIDTH keys (its rows) with up to WIDTH queries (its columns). Columns are contiguous, so
with queries as columns the softmax never sums along a row: maximum, exp and total are loops over all queries at once,
which become vector instructions. The last query comes first: the ones that may see a key are then the first columns of
its row, and causal attention computes no others.

Why it is fast: whatever an inner loop writes is a flat array with WIDTH numbers per row, a constant. So LLVM knows how
its rows lie to each other and need not compare all of their addresses at each start of a loop. `columns` is always a
multiple of VECTOR, and `// VECTOR * VECTOR` lets LLVM see it: no loop then has a remainder.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel
from .fast_math import fast_exp

WIDTH = 64
VECTOR = 16  # the floats in a vector register of AVX-512; two or four registers elsewhere


@kernel
def round_up(n, multiple):
    return (n + multiple - 1) // multiple * multiple


@kernel
def add_product(c, a, b, columns):
    """c (M · WIDTH,) += a (M, K) · b (K · WIDTH,) in the first `columns` of each row. M and K are multiples of 4.

    Four rows of c and four steps of k at once: 16 multiplications for each 4 elements of b that are read. All of `a`
    that they need are 16 numbers read beforehand, so it may lie in memory as it likes: a transposed view, for example.
    """
    for i in range(0, a.shape[0], 4):
        c_rows = c[i * WIDTH : (i + 4) * WIDTH]
        for k in range(0, a.shape[1], 4):
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            b_rows = b[k * WIDTH : (k + 4) * WIDTH]
            for j in range(columns // VECTOR * VECTOR):
                b0, b1, b2, b3 = b_rows[j], b_rows[j + WIDTH], b_rows[j + 2 * WIDTH], b_rows[j + 3 * WIDTH]
                c_rows[j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c_rows[j + WIDTH] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c_rows[j + 2 * WIDTH] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c_rows[j + 3 * WIDTH] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def fill(x, value):
    for i in range(x.shape[0]):
        x[i] = value


@kernel
def new_rows(n_rows, n_columns, like):
    return np.zeros((n_rows, n_columns), like.dtype)


@kernel
def flat(rows):
    """The same memory with one index."""
    return rows.reshape(-1)


@kernel
def row_at(strides, b, h, t):
    return b * strides[0] + h * strides[1] + t * strides[2]


@kernel
def load_rows(rows, x, start, step, n_rows, first_feature, factor):
    """rows[i] = factor · x[start + i · step, first_feature : …]; what is beyond the last feature stays as it is."""
    n_features = min(rows.shape[1], x.shape[1] - first_feature)
    for i in range(n_rows):
        row, source = rows[i], x[start + i * step, first_feature:]
        for d in range(n_features):
            row[d] = source[d] * factor


@kernel
def load_queries(columns, panels, x, start, step, n_queries, factor):
    """Both as rows in panels of WIDTH features, (n_panels · WIDTH, WIDTH), and as columns (D · WIDTH,).

    Rows first: writing a column is slow, and while it waits for x to come from memory nothing else would be fetched.
    """
    rows = flat(panels)
    if n_queries < WIDTH:  # nothing of the tile before must remain
        fill(rows, x.dtype.type(0))
    for panel in range(panels.shape[0] // WIDTH):
        load_rows(panels[panel * WIDTH :], x, start, step, n_queries, panel * WIDTH, factor)
    for d in range(columns.shape[0] // WIDTH):
        row, source = columns[d * WIDTH : (d + 1) * WIDTH], rows[d // WIDTH * WIDTH * WIDTH + d % WIDTH :]
        for j in range(WIDTH):
            row[j] = source[j * WIDTH]


@kernel
def store_column(row, column, factor):
    """row (D,) = factor · a column that begins with the first number of `column`."""
    for d in range(row.shape[0]):
        row[d] = column[d * WIDTH] * factor


@kernel
def store_panels(x, start, step, n_rows, panels):
    """x[start + i · step] = row i of (n_panels · M, WIDTH), whose panels have M rows and WIDTH features of each."""
    n_panels = (x.shape[1] + WIDTH - 1) // WIDTH
    for panel in range(n_panels):
        rows = panels[panel * (panels.shape[0] // n_panels) :]
        n_features = min(WIDTH, x.shape[1] - panel * WIDTH)
        for i in range(n_rows):
            row, source = x[start + i * step, panel * WIDTH :], rows[i]
            for d in range(n_features):
                row[d] = source[d]


@kernel
def add_to_panels(panels, key, a, rows, n_features):
    """Rows key … of each panel += a · rows, which has its features in as many panels of WIDTH rows."""
    n_panels = rows.shape[0] // WIDTH
    for panel in range(n_panels):
        c, b = panels[panel * (panels.shape[0] // n_panels) + key :], rows[panel * WIDTH :]
        add_product(flat(c), a, flat(b), min(WIDTH, round_up(n_features - panel * WIDTH, VECTOR)))


@kernel
def set_product(c, a, b, columns):
    """c = a · b, as far as add_product goes."""
    for i in range(a.shape[0]):
        fill(c[i * WIDTH : i * WIDTH + columns], c.dtype.type(0))
    add_product(c, a, b, columns)


@kernel
def hide_scores(scores, n_keys, n_rows, columns, edge):
    """−∞ where row i ≥ n_keys or column j ≥ edge − i: there is no such key, or that query must not see it."""
    for i in range(n_rows):
        n_visible = max(0, min(columns, edge - i)) if i < n_keys else 0
        fill(scores[i * WIDTH + n_visible : i * WIDTH + columns], scores.dtype.type(-np.inf))


@kernel
def add_mask(scores, n_keys, n_queries, mask, start, strides):
    """Add mask[start], the mask of the first key and the last query, and so on."""
    for i in range(n_keys):
        for j in range(n_queries):
            scores[i * WIDTH + j] += mask[start + i * strides[3] - j * strides[2]]


@kernel
def softmax_step(scores, n_rows, columns, out, largest, total, shrink):
    """Scores become e^(score − largest so far); `out` and `total` of earlier tiles are brought to that maximum.

    The online softmax: e^(s − new) = e^(s − old) · e^(old − new), so a larger maximum only rescales earlier sums.
    """
    for j in range(columns // VECTOR * VECTOR):
        shrink[j] = largest[j]
    for i in range(0, n_rows, 4):
        rows = scores[i * WIDTH : (i + 4) * WIDTH]
        for j in range(columns // VECTOR * VECTOR):
            a, b = max(rows[j], rows[j + WIDTH]), max(rows[j + 2 * WIDTH], rows[j + 3 * WIDTH])
            largest[j] = max(largest[j], max(a, b))
    for j in range(columns // VECTOR * VECTOR):
        shrink[j] = fast_exp(shrink[j] - largest[j])
        total[j] *= shrink[j]
    for i in range(n_rows):
        row = scores[i * WIDTH : (i + 1) * WIDTH]
        for j in range(columns // VECTOR * VECTOR):
            row[j] = fast_exp(row[j] - largest[j])
            total[j] += row[j]
    for d in range(out.shape[0] // WIDTH):
        row = out[d * WIDTH : (d + 1) * WIDTH]
        for j in range(columns // VECTOR * VECTOR):
            row[j] *= shrink[j]


@kernel
def softmax_gradient(weights, dweights, n_rows, columns, lse, inner):
    """Scores become weights e^(score − lse), and their gradient weight · (dweight − Σ dweight · weight).

    That sum over all keys is ⟨dout, out⟩: known in advance.
    """
    for i in range(n_rows):
        row, drow = weights[i * WIDTH : (i + 1) * WIDTH], dweights[i * WIDTH : (i + 1) * WIDTH]
        for j in range(columns // VECTOR * VECTOR):
            row[j] = fast_exp(row[j] - lse[j])
            drow[j] = row[j] * (drow[j] - inner[j])


@kernel
def row_products(inner, a, a_start, a_step, b, b_start, b_step, n):
    """inner[j] = ⟨row j of a, row j of b⟩."""
    for j in range(n):
        a_row, b_row, total = a[a_start + j * a_step], b[b_start + j * b_step], a.dtype.type(0)
        for d in range(a.shape[1]):
            total += a_row[d] * b_row[d]
        inner[j] = total


@kernel
def hash_bits(x):
    """32 bits that look random, from a number below 2³² (multipliers: Wellons' hash-prospector, public domain)."""
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return x ^ (x >> 15)


@kernel
def drop_weights(weights, n_rows, columns, key, last_query, dropout, keep_scale):
    """Zero each weight with probability p, scale up the others by 1/(1 − p).

    Which ones stay depends on the seed and their place alone, so that backward finds the same ones again.
    """
    threshold, seed = dropout
    for i in range(n_rows):
        row, key_bits = weights[i * WIDTH : (i + 1) * WIDTH], hash_bits(key + i) ^ seed
        for j in range(columns // VECTOR * VECTOR):
            bits = hash_bits(hash_bits((last_query - j) & 0xFFFFFFFF) ^ key_bits)
            row[j] *= keep_scale if bits >= threshold else row.dtype.type(0)
