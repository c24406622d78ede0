"""Matrix multiplication as fast as a BLAS, in loops that can be read.

The product of (M, K) and (K, N) is cut so that each piece of data is used many times while it is near the core:

    panels   B is copied once into panels of DEPTH × WIDTH, which stay in the L2 cache, ...
    block    ... each thread copies a block of A's rows, and walks it against all panels, ...
    tile     ... 4 rows at a time against one panel: 4 × 4 elements of A are held in registers while the inner loop
             runs over WIDTH contiguous columns. It does 16 multiply-adds for 4 loads of B and 4 of C.

Why it is fast: WIDTH is a constant, so LLVM makes the inner loop straight-line vector code without remainder; copying
gives unit strides whatever the operands' layout, so A·B, A·Bᵀ and Aᵀ·B are the same loops; edges are padded with
zeros, so no tile is special. Each element of the result is summed over k in the same order however the rows
are shared out, so the result does not depend on the number of threads.

Lesson     04_matmul_kernel
Source     Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008)
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange

ROWS = 4  # rows of a tile; also the steps of k that it takes at once
WIDTH = 128  # columns of a panel: 4 rows of C and of B together fit the L1 cache
DEPTH = 256  # rows of a panel: 128 KB of float32, within the L2 cache
BLOCK = 128  # rows of A that a thread takes at once, at most


def matmul_ref(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """out[i, j] = Σ_k a[i, k] b[k, j], as the definition says it. a: (M, K), b: (K, N)."""
    return (a[:, :, None] * b[None, :, :]).sum(axis=1, dtype=a.dtype)


@kernel
def multiply_tile(c, a, b, depth):
    """c (4, WIDTH) += a (4, depth) @ b (depth, WIDTH)."""
    for k in range(0, depth, 4):
        a00, a01, a02, a03 = a[0, k], a[0, k + 1], a[0, k + 2], a[0, k + 3]
        a10, a11, a12, a13 = a[1, k], a[1, k + 1], a[1, k + 2], a[1, k + 3]
        a20, a21, a22, a23 = a[2, k], a[2, k + 1], a[2, k + 2], a[2, k + 3]
        a30, a31, a32, a33 = a[3, k], a[3, k + 1], a[3, k + 2], a[3, k + 3]
        for j in range(WIDTH):
            b0, b1, b2, b3 = b[k, j], b[k + 1, j], b[k + 2, j], b[k + 3, j]
            c[0, j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
            c[1, j] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
            c[2, j] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
            c[3, j] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def copy_block(block, source):
    """block[i, k] = source[i, k], and zeros around it up to whole tiles."""
    m, depth = source.shape
    for i in range(m):
        to = block[i]
        row = source[i]
        for k in range(depth):
            to[k] = row[k]
    pad_with_zeros(block, m, depth)


@kernel
def copy_block_transposed(block, source):
    """block[i, k] = source[k, i], and zeros around it. Four rows at once, to write whole pieces of cache lines."""
    depth, m = source.shape
    whole = depth // 4 * 4
    for k in range(0, whole, 4):
        row0, row1, row2, row3 = source[k], source[k + 1], source[k + 2], source[k + 3]
        for i in range(m):
            block[i, k] = row0[i]
            block[i, k + 1] = row1[i]
            block[i, k + 2] = row2[i]
            block[i, k + 3] = row3[i]
    for k in range(whole, depth):
        row = source[k]
        for i in range(m):
            block[i, k] = row[i]
    pad_with_zeros(block, m, depth)


@kernel
def pad_with_zeros(block, m, n):
    """Zeros right of column n and below row m, so that what tiles read beyond the edge adds nothing."""
    for i in range(m):
        rest = block[i, n:]
        for k in range(rest.shape[0]):
            rest[k] = 0
    for i in range(m, block.shape[0]):
        row = block[i]
        for k in range(row.shape[0]):
            row[k] = 0


@kernel
def copy_panel(panel, b, k0, p, transpose_b):
    """The part of B (or of Bᵀ) from row k0 and column p · WIDTH on, as a panel (depth, WIDTH)."""
    depth, j0 = panel.shape[0], p * WIDTH
    if transpose_b:
        copy_block_transposed(panel, b[j0 : j0 + WIDTH, k0 : k0 + depth])
    else:
        copy_block(panel, b[k0 : k0 + depth, j0 : j0 + WIDTH])


@kernel
def start_tile(c, bias):
    """c (4, WIDTH): the bias in each row, and zeros."""
    n = bias.shape[0]
    for r in range(ROWS):
        for j in range(WIDTH):
            c[r, j] = 0
        for j in range(n):
            c[r, j] = bias[j]


@kernel
def multiply_rows(out, a, panels, bias, i0, i1, k0, transpose_a, accumulate):
    """out[i0:i1] (+)= a[i0:i1, k0 : k0 + depth] @ panels: what one thread does."""
    depth, N = panels.shape[1], out.shape[1]
    block = np.empty(((i1 - i0 + 3) // 4 * 4, depth), a.dtype)
    c = np.empty((ROWS, WIDTH), a.dtype)
    if transpose_a:
        copy_block_transposed(block, a[k0 : k0 + depth, i0:i1])
    else:
        copy_block(block, a[i0:i1, k0 : k0 + depth])
    for p in range(panels.shape[0]):
        j0 = p * WIDTH
        n = min(WIDTH, N - j0)
        for i in range(0, i1 - i0, ROWS):
            start_tile(c, bias[j0 : j0 + n] if k0 == 0 else bias[:0])
            multiply_tile(c, block[i : i + ROWS], panels[p], depth)
            for r in range(min(ROWS, i1 - i0 - i)):
                row = out[i0 + i + r, j0 : j0 + n]
                if accumulate or k0 > 0:
                    for j in range(n):
                        row[j] += c[r, j]
                else:
                    for j in range(n):
                        row[j] = c[r, j]


@kernel(parallel=True)
def matmul_kernel(out, a, b, bias, transpose_a, transpose_b, accumulate, block_rows):
    """out (M, N) = a (M, K) @ b (K, N) + bias (N,), added to what is in `out` if `accumulate`.

    With transpose_a, a is stored as (K, M); with transpose_b, b as (N, K). No bias: an array of size 0.
    """
    M, N = out.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    n_panels = (N + WIDTH - 1) // WIDTH
    for k0 in range(0, K, DEPTH):
        depth = (min(DEPTH, K - k0) + 3) // 4 * 4
        panels = np.empty((n_panels, depth, WIDTH), a.dtype)
        for p in prange(n_panels):
            copy_panel(panels[p], b, k0, p, transpose_b)
        for t in prange((M + block_rows - 1) // block_rows):
            i0 = t * block_rows
            multiply_rows(out, a, panels, bias, i0, min(i0 + block_rows, M), k0, transpose_a, accumulate)


@kernel(parallel=True)
def batched_matmul_kernel(out, a, b, transpose_a, transpose_b):
    """out[n] (M, N) = a[n] @ b[n] for each n: many small products, each done by one thread."""
    batch, M, N = out.shape
    K = a.shape[1] if transpose_a else a.shape[2]
    n_panels = (N + WIDTH - 1) // WIDTH
    for n in prange(batch):
        no_bias = np.empty(0, a.dtype)
        for k0 in range(0, K, DEPTH):
            depth = (min(DEPTH, K - k0) + 3) // 4 * 4
            panels = np.empty((n_panels, depth, WIDTH), a.dtype)
            for p in range(n_panels):
                copy_panel(panels[p], b[n], k0, p, transpose_b)
            for i0 in range(0, M, BLOCK):
                i1 = min(i0 + BLOCK, M)
                multiply_rows(out[n], a[n], panels, no_bias, i0, i1, k0, transpose_a, False)
