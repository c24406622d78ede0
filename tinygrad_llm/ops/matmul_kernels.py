"""Matrix multiplication as fast as a BLAS, in loops that can be read.

The product of (M, K) and (K, N) is cut so that each piece of data is used many times while it is near the core:

    panels   B is copied once into panels of DEPTH × WIDTH, which stay in the L2 cache, ...
    block    ... each thread copies a block of A's rows, and walks it against all panels, ...
    tile     ... ROWS rows at a time: four rows of the panel come into the L1 cache and meet all rows of the tile, ...
    inner    ... by fours: 4 × 4 elements of A stay in registers while the inner loop runs over WIDTH columns. It does
             16 multiply-adds for 4 loads of B and 4 of C.

Why it is fast: tile and panel are flat arrays and WIDTH is a constant. So LLVM sees that the four rows of each are
strides of known length in one piece of memory, asks once whether the two overlap, and makes straight-line vector code
without a remainder; as 2-D arrays they would cost a comparison for each pair of rows, as much time as the
arithmetic. Copying gives unit strides whatever the operands' layout, so A·B, A·Bᵀ and Aᵀ·B are the same loops; edges
are padded with zeros, so no tile is special. Each element of the result is summed over k in the same order however
the rows are shared out, so the result does not depend on the number of threads.

Lesson     04_matmul_kernel
Source     Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008)
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange

ROWS = 16  # rows of a tile of C, at most
WIDTH = 128  # columns of a tile and of a panel: 16 rows of C and 4 of B fit the L1 cache
DEPTH = 512  # rows of a panel: 256 KB of float32, within the L2 cache
SLICE = 64  # rows of a panel that a thread copies at once
BLOCK = 128  # rows of A that a thread takes at once, at most


def matmul_ref(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """out[i, j] = Σ_k a[i, k] b[k, j], as the definition says it. a: (M, K), b: (K, N)."""
    return (a[:, :, None] * b[None, :, :]).sum(axis=1, dtype=a.dtype)


@kernel
def multiply_tile(c, a, b):
    """c (ROWS · WIDTH,) += a (m, depth) @ b (depth · WIDTH,), where m and depth are multiples of 4."""
    for k in range(0, a.shape[1], 4):
        b_rows = b[k * WIDTH : (k + 4) * WIDTH]
        for i in range(0, a.shape[0], 4):
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            c_rows = c[i * WIDTH : (i + 4) * WIDTH]
            for j in range(WIDTH):
                b0, b1, b2, b3 = b_rows[j], b_rows[j + WIDTH], b_rows[j + 2 * WIDTH], b_rows[j + 3 * WIDTH]
                c_rows[j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c_rows[j + WIDTH] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c_rows[j + 2 * WIDTH] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c_rows[j + 3 * WIDTH] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def copy_block(block, source, i0, k0):
    """block[i, k] = source[i0 + i, k0 + k] where that exists, and zeros elsewhere."""
    m = min(block.shape[0], source.shape[0] - i0)
    n = min(block.shape[1], source.shape[1] - k0)
    for i in range(m):
        to = block[i]
        row = source[i0 + i, k0 : k0 + n]  # of one axis only: a slice of both would hide that rows are contiguous
        for k in range(n):
            to[k] = row[k]
    pad_with_zeros(block, m, n)


@kernel
def copy_block_transposed(block, source, i0, k0):
    """block[i, k] = source[k0 + k, i0 + i]. Four rows at once, so that whole pieces of cache lines are written."""
    m = min(block.shape[0], source.shape[1] - i0)
    n = min(block.shape[1], source.shape[0] - k0)
    whole = n // 4 * 4
    for k in range(0, whole, 4):
        row0, row1 = source[k0 + k, i0 : i0 + m], source[k0 + k + 1, i0 : i0 + m]
        row2, row3 = source[k0 + k + 2, i0 : i0 + m], source[k0 + k + 3, i0 : i0 + m]
        for i in range(m):
            block[i, k] = row0[i]
            block[i, k + 1] = row1[i]
            block[i, k + 2] = row2[i]
            block[i, k + 3] = row3[i]
    for k in range(whole, n):
        row = source[k0 + k, i0 : i0 + m]
        for i in range(m):
            block[i, k] = row[i]
    pad_with_zeros(block, m, n)


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
def copy_panel_slice(panel, b, k0, j0, slice_start, transpose_b):
    """SLICE rows, from slice_start on, of the panel (depth · WIDTH,) that begins in B (or Bᵀ) at row k0, column j0."""
    rows = panel.reshape(panel.shape[0] // WIDTH, WIDTH)[slice_start : slice_start + SLICE]
    if transpose_b:
        copy_block_transposed(rows, b, k0 + slice_start, j0)
    else:
        copy_block(rows, b, k0 + slice_start, j0)


@kernel
def start_tile(c, bias):
    """c (ROWS · WIDTH,): the bias in each row, and zeros."""
    for i in range(c.shape[0]):
        c[i] = 0
    for r in range(ROWS):
        row = c[r * WIDTH : (r + 1) * WIDTH]
        for j in range(bias.shape[0]):
            row[j] = bias[j]


@kernel
def store_tile(out, c, i0, i1, j0, j1, add):
    """out[i0:i1, j0:j1] = c, or += c, without the padding."""
    for i in range(i0, i1):
        row = out[i, j0:j1]
        tile_row = c[(i - i0) * WIDTH : (i - i0) * WIDTH + j1 - j0]
        if add:
            for j in range(row.shape[0]):
                row[j] += tile_row[j]
        else:
            for j in range(row.shape[0]):
                row[j] = tile_row[j]


@kernel
def multiply_rows(out, a, panels, bias, i0, i1, k0, transpose_a, accumulate):
    """out[i0:i1] (+)= a[i0:i1, k0 : k0 + depth] @ panels: what one thread does."""
    depth, N = panels.shape[1] // WIDTH, out.shape[1]
    block = np.empty(((i1 - i0 + 3) // 4 * 4, depth), a.dtype)
    c = np.empty(ROWS * WIDTH, a.dtype)
    if transpose_a:
        copy_block_transposed(block, a, i0, k0)
    else:
        copy_block(block, a, i0, k0)
    for p in range(panels.shape[0]):
        j0 = p * WIDTH
        j1 = min(j0 + WIDTH, N)
        for i in range(0, i1 - i0, ROWS):
            start_tile(c, bias[j0:j1] if k0 == 0 else bias[:0])
            multiply_tile(c, block[i : i + ROWS], panels[p])
            store_tile(out, c, i0 + i, min(i0 + i + ROWS, i1), j0, j1, accumulate or k0 > 0)


@kernel(parallel=True)
def matmul_kernel(out, a, b, bias, transpose_a, transpose_b, accumulate, block_rows):
    """out (M, N) = a (M, K) @ b (K, N) + bias (N,), added to what is in `out` if `accumulate`.

    With transpose_a, a is stored as (K, M); with transpose_b, b as (N, K). No bias: an array of size 0.
    """
    M, N = out.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    n_panels = (N + WIDTH - 1) // WIDTH
    for k0 in range(0, K, DEPTH):
        depth = padded_depth(K - k0)
        panels = np.empty((n_panels, depth * WIDTH), a.dtype)
        n_slices = (depth + SLICE - 1) // SLICE
        for s in prange(n_panels * n_slices):
            p = s // n_slices
            copy_panel_slice(panels[p], b, k0, p * WIDTH, s % n_slices * SLICE, transpose_b)
        for t in prange((M + block_rows - 1) // block_rows):
            i0 = t * block_rows
            multiply_rows(out, a, panels, bias, i0, min(i0 + block_rows, M), k0, transpose_a, accumulate)


@kernel
def padded_depth(rest):
    """The rows of the next panel, of `rest` that are left, as a multiple of 4."""
    return (min(DEPTH, rest) + 3) // 4 * 4


@kernel(parallel=True)
def batched_matmul_kernel(out, a, b, transpose_a, transpose_b):
    """out[n] (M, N) = a[n] @ b[n] for each n: many small products, each done by one thread."""
    batch, M, N = out.shape
    K = a.shape[1] if transpose_a else a.shape[2]
    n_panels = (N + WIDTH - 1) // WIDTH
    for n in prange(batch):
        no_bias = np.empty(0, a.dtype)
        for k0 in range(0, K, DEPTH):
            depth = padded_depth(K - k0)
            panels = np.empty((n_panels, depth * WIDTH), a.dtype)
            for p in range(n_panels):
                for start in range(0, depth, SLICE):
                    copy_panel_slice(panels[p], b[n], k0, p * WIDTH, start, transpose_b)
            for i0 in range(0, M, BLOCK):
                i1 = min(i0 + BLOCK, M)
                multiply_rows(out[n], a[n], panels, no_bias, i0, i1, k0, transpose_a, False)
