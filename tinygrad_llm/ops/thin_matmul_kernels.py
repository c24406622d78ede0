"""Products with few rows of A: what generation does, a token at a time for each text of a batch.

With one row each element of B is used once, so there is nothing to gain from copying B into panels: the time is that
of reading B from memory, once. With more rows B must still be read only once, and arithmetic begins to count.

Why it is fast for B stored as (N, K), the weight of a linear layer: a tile of 4 rows of A and 4 of B makes 16 sums of
products, which all stay in registers; each number that is loaded is used four times. The four rows of B are a quarter
of the block apart rather than neighbours: from one tile to the next each then goes on where it ended, and the
processor, which sees four long runs through memory, fetches them ahead. With neighbours it takes twice the time.

Threads share out the columns of the result in blocks; small products are done by one thread, sooner than others
wake up. A sum is over k in the same order either way.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange

COLUMNS = 64  # of the result that a thread computes at once
FEW = 1 << 18  # elements of B, 1 MB of float32, that one thread has read before another is awake


def thin_matmul_ref(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.einsum("ik,kj->ij", a, b) + bias


@kernel
def start_columns(out, bias, j0, j1, accumulate):
    """out[:, j0:j1] = bias, or += bias if `accumulate`; no bias: size 0."""
    for i in range(out.shape[0]):
        row = out[i, j0:j1]
        if not accumulate:
            for j in range(row.shape[0]):
                row[j] = 0
        if bias.size > 0:
            start = bias[j0:j1]
            for j in range(row.shape[0]):
                row[j] += start[j]


@kernel(parallel=True)
def thin_matmul_kernel(out, a, b, bias, accumulate):
    """out (M, N) = a (M, K) @ b (K, N) + bias (N,), added to what is in `out` if `accumulate`; no bias: size 0."""
    M, N = out.shape
    K = a.shape[1]
    for block in prange((N + COLUMNS - 1) // COLUMNS):
        j0 = block * COLUMNS
        j1 = min(j0 + COLUMNS, N)
        start_columns(out, bias, j0, j1, accumulate)
        for i in range(M):
            row = out[i, j0:j1]
            for k in range(K):
                a_ik = a[i, k]
                b_row = b[k, j0:j1]
                for j in range(row.shape[0]):
                    row[j] += a_ik * b_row[j]


@kernel
def add_product(out, a, b, i, j):
    """out[i, j] += the product of two rows."""
    a_row, b_row, total = a[i], b[j], a.dtype.type(0.0)
    for k in range(a.shape[1]):
        total += a_row[k] * b_row[k]
    out[i, j] += total


@kernel
def add_16_products(out, a, b, i, j, step):
    """out[i + r, j + c · step] += the product of two rows, for r and c from 0 to 3."""
    a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
    b0, b1, b2, b3 = b[j], b[j + step], b[j + 2 * step], b[j + 3 * step]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = a.dtype.type(0.0)
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = a.dtype.type(0.0)
    for k in range(a.shape[1]):
        p, q, r, s = b0[k], b1[k], b2[k], b3[k]
        s00, s01, s02, s03 = s00 + a0[k] * p, s01 + a0[k] * q, s02 + a0[k] * r, s03 + a0[k] * s
        s10, s11, s12, s13 = s10 + a1[k] * p, s11 + a1[k] * q, s12 + a1[k] * r, s13 + a1[k] * s
        s20, s21, s22, s23 = s20 + a2[k] * p, s21 + a2[k] * q, s22 + a2[k] * r, s23 + a2[k] * s
        s30, s31, s32, s33 = s30 + a3[k] * p, s31 + a3[k] * q, s32 + a3[k] * r, s33 + a3[k] * s
    add_4(out, i, j, step, s00, s01, s02, s03)
    add_4(out, i + 1, j, step, s10, s11, s12, s13)
    add_4(out, i + 2, j, step, s20, s21, s22, s23)
    add_4(out, i + 3, j, step, s30, s31, s32, s33)


@kernel
def add_4(out, i, j, step, s0, s1, s2, s3):
    row = out[i]
    row[j] += s0
    row[j + step] += s1
    row[j + 2 * step] += s2
    row[j + 3 * step] += s3


@kernel
def multiply_columns(out, a, b, bias, accumulate, block):
    """One block of the columns of out, all rows."""
    M = out.shape[0]
    j0 = block * COLUMNS
    j1 = min(j0 + COLUMNS, out.shape[1])
    start_columns(out, bias, j0, j1, accumulate)
    quarter = (j1 - j0) // 4
    tiled_rows, tiled_columns = M // 4 * 4, 4 * quarter if M >= 4 else 0
    for j in range(j0, j0 + quarter):
        for i in range(0, tiled_rows, 4):
            add_16_products(out, a, b, i, j, quarter)
    for j in range(j0, j1):
        for i in range(tiled_rows if j < j0 + tiled_columns else 0, M):
            add_product(out, a, b, i, j)


@kernel(parallel=True)
def thin_matmul_transposed_kernel(out, a, b, bias, accumulate):
    """The same for b stored as (N, K): each element of the result is a product of two contiguous rows."""
    n_blocks = (out.shape[1] + COLUMNS - 1) // COLUMNS
    if b.size < FEW:
        for block in range(n_blocks):
            multiply_columns(out, a, b, bias, accumulate, block)
    else:
        for block in prange(n_blocks):
            multiply_columns(out, a, b, bias, accumulate, np.int64(block))
