"""Products with few rows of A: what generation does, one token at a time.

Each element of B is used only once for each row of A, so there is nothing to gain from copying B into tiles: the
time is that of reading B from memory. Threads share out the columns of the result.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange

COLUMNS = 64  # of the result that a thread computes at once


def thin_matmul_ref(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.einsum("ik,kj->ij", a, b) + bias


@kernel(parallel=True)
def thin_matmul_kernel(out, a, b, bias, accumulate):
    """out (M, N) = a (M, K) @ b (K, N) + bias (N,), added to what is in `out` if `accumulate`; no bias: size 0."""
    M, N = out.shape
    K = a.shape[1]
    for block in prange((N + COLUMNS - 1) // COLUMNS):
        j0 = block * COLUMNS
        j1 = min(j0 + COLUMNS, N)
        for i in range(M):
            row = out[i, j0:j1]
            if not accumulate:
                for j in range(row.shape[0]):
                    row[j] = 0
            if bias.size > 0:
                start = bias[j0:j1]
                for j in range(row.shape[0]):
                    row[j] += start[j]
            for k in range(K):
                a_ik = a[i, k]
                b_row = b[k, j0:j1]
                for j in range(row.shape[0]):
                    row[j] += a_ik * b_row[j]


@kernel(parallel=True)
def thin_matmul_transposed_kernel(out, a, b, bias, accumulate):
    """The same for b stored as (N, K): each element of the result is a product of two contiguous rows."""
    M, N = out.shape
    K = a.shape[1]
    for block in prange((N + COLUMNS - 1) // COLUMNS):
        for j in range(block * COLUMNS, min((block + 1) * COLUMNS, N)):
            b_row = b[j]
            for i in range(M):
                a_row = a[i]
                total = a.dtype.type(0.0)
                for k in range(K):
                    total += a_row[k] * b_row[k]
                if bias.size > 0:
                    total += bias[j]
                if accumulate:
                    total += out[i, j]
                out[i, j] = total
