"""What `attention_kernels.py` does with one tile of scores: products, mask, softmax, dropout.

A tile is the scores of up to WIDTH keys (its rows) with up to WIDTH queries (its columns). Columns are contiguous, so
with queries as columns the softmax never sums along a row: maximum, exp and total are loops over all queries at once,
which become vector instructions. The last query comes first: the ones that may see a key are then the first columns of
its row, those before `edge` − i in row i. Causal attention computes no others, or rather no other blocks of 4 rows and
VECTOR columns; what stands there is never read.

Keys, values, queries and results are rows in panels of WIDTH features, so that each product but the scores adds rows to
rows; only for the scores the queries are needed as columns too.

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
def n_seen(columns, edge, i):
    """How many columns of the rows i … i + 3 count: those before `edge` − i, as whole vectors."""
    return min(columns, round_up(edge - i, VECTOR))


@kernel
def add_product(c, a, b, columns, edge, k_edge):
    """c (M · WIDTH,) += a (M, K) · b (K · WIDTH,) in the first `columns` of each row. M and K are multiples of 4.

    Row i needs only the columns before `edge` − i, and only the steps of k before `k_edge` − i.

    Four rows of c and four steps of k at once: 16 multiplications for each 4 elements of b that are read. All of `a`
    that they need are 16 numbers read beforehand, so it may lie in memory as it likes: a transposed view, for example.
    """
    for i in range(0, a.shape[0], 4):
        c_rows = c[i * WIDTH : (i + 4) * WIDTH]
        n_columns = n_seen(columns, edge, i)
        for k in range(0, min(a.shape[1], k_edge - i), 4):
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            b_rows = b[k * WIDTH : (k + 4) * WIDTH]
            for j in range(n_columns // VECTOR * VECTOR):
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
def new_rows(n_rows, like):
    """(n_rows, WIDTH), not yet filled."""
    return np.empty((n_rows, WIDTH), like.dtype)


@kernel
def flat(rows):
    """The same memory with one index."""
    return rows.reshape(-1)


@kernel
def row_at(strides, b, h, t):
    return b * strides[0] + h * strides[1] + t * strides[2]


@kernel
def load_panels(panels, x, start, step, n_rows, factor):
    """Row i of (n_panels · M, WIDTH) = factor · x[start + i · step]. A panel has M rows and WIDTH features of each.

    Rows from n_rows on become zeros, and so do features beyond the last, as far as a vector goes.
    """
    n_panels = (x.shape[1] + WIDTH - 1) // WIDTH
    M, zero = panels.shape[0] // n_panels, x.dtype.type(0)
    for panel in range(n_panels):
        rows, n_features = panels[panel * M : (panel + 1) * M], min(WIDTH, x.shape[1] - panel * WIDTH)
        for i in range(n_rows):
            row, source = rows[i], x[start + i * step, panel * WIDTH :]
            for d in range(n_features):
                row[d] = source[d] * factor
            for d in range(n_features, round_up(n_features, VECTOR)):
                row[d] = zero
        fill(flat(rows[n_rows:]), zero)


@kernel
def store_panels(x, start, step, n_rows, panels, factor):
    """x[start + i · step] = factor · row i of the panels."""
    n_panels = (x.shape[1] + WIDTH - 1) // WIDTH
    for panel in range(n_panels):
        rows = panels[panel * (panels.shape[0] // n_panels) :]
        n_features = min(WIDTH, x.shape[1] - panel * WIDTH)
        for i in range(n_rows):
            row, source = x[start + i * step, panel * WIDTH :], rows[i]
            for d in range(n_features):
                row[d] = source[d] * factor


@kernel
def load_queries(columns, panels, x, start, step, n_queries, factor, quads):
    """A tile of queries as rows in panels, (n_panels · WIDTH, WIDTH), and as columns (D · WIDTH,)."""
    load_panels(panels, x, start, step, n_queries, factor)
    for first in range(0, columns.shape[0], WIDTH * WIDTH):
        transpose_panel(columns[first : first + WIDTH * WIDTH], flat(panels)[first : first + WIDTH * WIDTH], quads)


@kernel
def transpose_panel(columns, rows, quads):
    """Row d of `columns` is column d of `rows`. Four rows are interleaved; of these, four numbers at once are moved."""
    for j in range(0, WIDTH, 4):
        four_rows, mixed = rows[j * WIDTH : (j + 4) * WIDTH], quads[j * WIDTH : (j + 4) * WIDTH]
        for d in range(WIDTH):
            mixed[4 * d] = four_rows[d]
            mixed[4 * d + 1] = four_rows[d + WIDTH]
            mixed[4 * d + 2] = four_rows[d + 2 * WIDTH]
            mixed[4 * d + 3] = four_rows[d + 3 * WIDTH]
    for d in range(columns.shape[0] // WIDTH):
        to, source = columns[d * WIDTH : (d + 1) * WIDTH], quads[4 * d :]
        for j in range(0, WIDTH, 4):
            s0, s1, s2, s3 = source[j * WIDTH], source[j * WIDTH + 1], source[j * WIDTH + 2], source[j * WIDTH + 3]
            to[j] = s0
            to[j + 1] = s1
            to[j + 2] = s2
            to[j + 3] = s3


@kernel
def set_product(c, panels, first, n_rows, b, columns, edge):
    """c = rows first … first + n_rows − 1 of the panels · b (D · WIDTH,), as far as add_product goes."""
    D = b.shape[0] // WIDTH
    n_panels = (D + WIDTH - 1) // WIDTH
    for i in range(n_rows):
        fill(c[i * WIDTH : i * WIDTH + n_seen(columns, edge, i // 4 * 4)], c.dtype.type(0))
    for panel in range(n_panels):
        rows = panels[panel * (panels.shape[0] // n_panels) + first :]
        d = panel * WIDTH
        add_product(c, rows[:n_rows, : min(WIDTH, D - d)], b[d * WIDTH :], columns, edge, n_rows + WIDTH)


@kernel
def add_to_panels(c, c_first, a, b, b_first, n_features, edge):
    """Rows c_first … of each panel of c += a · rows b_first … of that panel of b: row i of those before `edge` − i."""
    n_panels = (n_features + WIDTH - 1) // WIDTH
    for panel in range(n_panels):
        c_rows = c[panel * (c.shape[0] // n_panels) + c_first :]
        b_rows = b[panel * (b.shape[0] // n_panels) + b_first :]
        columns = min(WIDTH, round_up(n_features - panel * WIDTH, VECTOR))
        add_product(flat(c_rows), a, flat(b_rows), columns, a.shape[0] + WIDTH, edge)


@kernel
def scale_rows(panels, n_panels, factors, n_rows):
    """Row i of each panel *= factors[i]."""
    for panel in range(n_panels):
        rows = panels[panel * (panels.shape[0] // n_panels) :]
        for i in range(n_rows):
            row, factor = rows[i], factors[i]
            if factor != 1:
                for d in range(WIDTH):
                    row[d] *= factor


@kernel
def hide_scores(scores, n_keys, n_rows, columns, edge):
    """−∞ where row i ≥ n_keys or column j ≥ edge − i: there is no such key, or that query must not see it."""
    for i in range(n_rows):
        n_columns = n_seen(columns, edge, i // 4 * 4)
        n_visible = max(0, min(n_columns, edge - i)) if i < n_keys else 0
        fill(scores[i * WIDTH + n_visible : i * WIDTH + n_columns], scores.dtype.type(-np.inf))


@kernel
def add_mask(scores, n_keys, n_queries, edge, mask, start, strides):
    """Add mask[start], the mask of the first key and the last query, and so on."""
    for i in range(n_keys):
        for j in range(min(n_queries, edge - i)):
            scores[i * WIDTH + j] += mask[start + i * strides[3] - j * strides[2]]


@kernel
def softmax_step(scores, n_rows, columns, edge, largest, total, shrink):
    """Scores become e^(score − largest so far); `total` of earlier tiles is brought to that maximum by `shrink`.

    The online softmax: e^(s − new) = e^(s − old) · e^(old − new), so a larger maximum only rescales earlier sums.
    """
    for j in range(columns // VECTOR * VECTOR):
        shrink[j] = largest[j]
    for i in range(0, n_rows, 4):
        rows, n_columns = scores[i * WIDTH : (i + 4) * WIDTH], n_seen(columns, edge, i)
        for j in range(n_columns // VECTOR * VECTOR):
            a, b = max(rows[j], rows[j + WIDTH]), max(rows[j + 2 * WIDTH], rows[j + 3 * WIDTH])
            largest[j] = max(largest[j], max(a, b))
    for j in range(columns // VECTOR * VECTOR):
        shrink[j] = fast_exp(shrink[j] - largest[j])
        total[j] *= shrink[j]
    for i in range(n_rows):
        row, n_columns = scores[i * WIDTH : (i + 1) * WIDTH], n_seen(columns, edge, i // 4 * 4)
        for j in range(n_columns // VECTOR * VECTOR):
            row[j] = fast_exp(row[j] - largest[j])
            total[j] += row[j]


@kernel
def softmax_gradient(weights, dweights, n_rows, columns, edge, lse, inner):
    """Scores become weights e^(score − lse), and their gradient weight · (dweight − Σ dweight · weight).

    That sum over all keys is ⟨dout, out⟩: known in advance.
    """
    for i in range(n_rows):
        row, drow = weights[i * WIDTH : (i + 1) * WIDTH], dweights[i * WIDTH : (i + 1) * WIDTH]
        n_columns = n_seen(columns, edge, i // 4 * 4)
        for j in range(n_columns // VECTOR * VECTOR):
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
def drop_weights(weights, n_rows, columns, edge, key, last_query, dropout, keep_scale):
    """Zero each weight with probability p, scale up the others by 1/(1 − p).

    Which ones stay depends on the seed and their place alone, so that backward finds the same ones again.
    """
    threshold, seed = dropout
    for i in range(n_rows):
        row, key_bits = weights[i * WIDTH : (i + 1) * WIDTH], hash_bits(key + i) ^ seed
        for j in range(n_seen(columns, edge, i // 4 * 4) // VECTOR * VECTOR):
            bits = hash_bits(hash_bits((last_query - j) & 0xFFFFFFFF) ^ key_bits)
            row[j] *= keep_scale if bits >= threshold else row.dtype.type(0)
