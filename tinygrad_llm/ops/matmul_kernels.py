"""Matrix multiplication as fast as a BLAS, in loops that can be read.

The product of (M, K) and (K, N) is cut so that each piece of data is used many times while it is near the core:

    panels   B is copied once into panels of at most DEPTH × WIDTH, which stay in the L2 cache, ...
    block    ... each thread copies a block of A's rows, and walks it against all panels, ...
    tile     ... ROWS rows at a time: four rows of the panel come into the L1 cache and meet all rows of the tile, ...
    inner    ... by fours: 4 × 4 elements of A stay in registers while the inner loop runs over WIDTH columns. It does
             16 multiply-adds for 4 loads of B and 4 of C.

What fits the L2 cache at once, one deep panel or several shallow ones, meets a tile before the next tile comes, so that
long pieces of C's rows are written at a time.

Why it is fast: tile and panel are flat arrays and WIDTH is a constant. So LLVM sees that the four rows of each are
strides of known length in one piece of memory, asks once whether the two overlap, and makes straight-line vector code
without a remainder; as 2-D arrays they would cost a comparison for each pair of rows, and with a width that is only
known at run time a third of the speed. Copying gives the inner loop the same order whatever the operands' layout, so
A·B, A·Bᵀ and Aᵀ·B are one; edges are padded with zeros, so no tile is special. Each element of the result is summed
over k in the same order however the rows are shared out, so the result does not depend on the number of threads.

Lesson     04_matmul_kernel
Source     Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008)
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel, prange
from .matmul_layout import (
    NARROW,
    PAD,
    SLICE,
    WIDTH,
    copy_left_columns,
    copy_panels,
    copy_panels_transposed,
    copy_rows,
    copy_rows_transposed,
    n_left_columns,
    n_panel_columns,
    panel_width,
)

ROWS = 32  # rows of a tile of C, at most
DEPTH = 512  # rows of a panel: 256 KB of float32, within the L2 cache
PANELS_SIZE = 1 << 19  # elements of B that are copied at once, at most: 2 MB of float32
BLOCK = 128  # rows of A that a thread takes at once, at most


@kernel(inline=True)
def multiply_tile(c, a, b, m, row_step, quad_step, width):
    """c (m · width,) += A (m, depth) · b (depth · width,); m and depth are multiples of 4, `width` is a constant.

    A[i, k] … A[i, k + 3] are a[i · row_step + k / 4 · quad_step] and the three after it.
    """
    for k in range(b.shape[0] // (4 * width)):
        b_rows = b[4 * k * width : 4 * (k + 1) * width]
        for i in range(0, m, 4):
            start = i * row_step + k * quad_step
            a0 = a[start : start + 4]
            a1 = a[start + row_step : start + row_step + 4]
            a2 = a[start + 2 * row_step : start + 2 * row_step + 4]
            a3 = a[start + 3 * row_step : start + 3 * row_step + 4]
            a00, a01, a02, a03 = a0[0], a0[1], a0[2], a0[3]
            a10, a11, a12, a13 = a1[0], a1[1], a1[2], a1[3]
            a20, a21, a22, a23 = a2[0], a2[1], a2[2], a2[3]
            a30, a31, a32, a33 = a3[0], a3[1], a3[2], a3[3]
            c_rows = c[i * width : (i + 4) * width]
            for j in range(width):
                b0, b1, b2, b3 = b_rows[j], b_rows[j + width], b_rows[j + 2 * width], b_rows[j + 3 * width]
                c_rows[j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c_rows[j + width] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c_rows[j + 2 * width] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c_rows[j + 3 * width] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def add_product(c, a, b, m, row_step, quad_step, width):
    """The two widths a panel can have, as constants: each gets an inner loop of its own."""
    if width == WIDTH:
        multiply_tile(c, a, b, m, row_step, quad_step, WIDTH)
    else:
        multiply_tile(c, a, b, m, row_step, quad_step, NARROW)


@kernel
def start_tile(c, bias, width):
    """c (ROWS · width,): the bias in each row, and zeros."""
    for i in range(c.shape[0]):
        c[i] = 0
    if bias.shape[0] > 0:
        for r in range(ROWS):
            row = c[r * width : (r + 1) * width]
            for j in range(bias.shape[0]):
                row[j] = bias[j]


@kernel
def store_tile(out, c, i0, i1, j0, j1, width, add):
    """out[i0:i1, j0:j1] = c, or += c, without the padding."""
    for i in range(i0, i1):
        row = out[i, j0:j1]
        tile_row = c[(i - i0) * width : (i - i0 + 1) * width]
        if add:
            for j in range(row.shape[0]):
                row[j] += tile_row[j]
        else:
            for j in range(row.shape[0]):
                row[j] = tile_row[j]


@kernel
def multiply_columns(out, block, columns, bias, i0, i1, j0, row_step, quad_step, add):
    """out[i0:i1, j0:] (+)= block · columnsᵀ (n, depth): one element after the other."""
    for i in range(i0, i1):
        for c in range(columns.shape[0]):
            column = columns[c]
            total = out[i, j0 + c] if add else column.dtype.type(0)
            if bias.shape[0] > 0:
                total += bias[j0 + c]
            for k in range(column.shape[0] // 4):
                start = (i - i0) * row_step + k * quad_step
                a, b = block[start : start + 4], column[4 * k : 4 * k + 4]
                total += (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3])
            out[i, j0 + c] = total


@kernel
def multiply_rows(out, a, panels, columns, bias, i0, i1, j0, j1, k0, transpose_a, add):
    """out[i0:i1, j0:j1] (+)= A[i0:i1, k0 : k0 + depth] · B[k0 : k0 + depth, j0:j1]: what one thread does."""
    depth, n_rows = columns.shape[1], (i1 - i0 + 3) // 4 * 4
    n_columns, end_of_panels = n_panel_columns(j1 - j0), j1 - columns.shape[0]
    block, c = np.empty(n_rows * (depth + PAD), a.dtype), np.empty(ROWS * WIDTH, a.dtype)
    row_step, quad_step = depth + PAD, 4
    if transpose_a:
        row_step, quad_step = 4, 4 * n_rows
        copy_rows_transposed(block, a, i0, i1, k0, depth)
    else:
        copy_rows(block, a, i0, i1, k0, depth)
    group = max(DEPTH // depth, 1) * WIDTH  # columns of the panels that fit the L2 cache together
    for first in range(0, n_columns, group):
        for i in range(i0, i1, ROWS):
            rows, i_end = block[(i - i0) * row_step :], min(i + ROWS, i1)
            for j in range(first, min(first + group, n_columns), WIDTH):
                width, j_end = panel_width(n_columns, j), min(j0 + j + WIDTH, end_of_panels)
                tile, panel = c[: ROWS * width], panels[j * depth : (j + width) * depth]
                start_tile(tile, bias[j0 + j : j_end], width)
                add_product(tile, rows, panel, (i_end - i + 3) // 4 * 4, row_step, quad_step, width)
                store_tile(out, tile, i, i_end, j0 + j, j_end, width, add)
    multiply_columns(out, block, columns, bias, i0, i1, end_of_panels, row_step, quad_step, add)


@kernel(parallel=True)
def matmul_kernel(out, a, b, bias, transpose_a, transpose_b, accumulate, block_rows):
    """out (M, N) = a (M, K) @ b (K, N) + bias (N,), added to what is in `out` if `accumulate`.

    With transpose_a, a is stored as (K, M); with transpose_b, b as (N, K). No bias: an array of size 0.
    """
    M, N = out.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    for k0 in range(0, K, DEPTH):
        depth, to_add = padded_depth(K - k0), bias if k0 == 0 else bias[:0]
        stride = columns_at_once(depth)
        for j0 in range(0, N, stride):
            j1 = min(j0 + stride, N)
            n_columns, n_left = n_panel_columns(j1 - j0), n_left_columns(j1 - j0)
            panels, columns = np.empty(n_columns * depth, a.dtype), np.empty((n_left, depth), a.dtype)
            copy_left_columns(columns, b, k0, j1 - n_left, transpose_b)
            for s in prange(((n_columns if transpose_b else depth) + SLICE - 1) // SLICE):
                if transpose_b:
                    copy_panels_transposed(panels, n_columns, b, j0, k0, s * SLICE)
                else:
                    copy_panels(panels, n_columns, b, j0, k0, s * SLICE, min((s + 1) * SLICE, depth))
            for t in prange((M + block_rows - 1) // block_rows):
                i0, i1 = t * block_rows, min((t + 1) * block_rows, M)
                add = accumulate or k0 > 0
                multiply_rows(out, a, panels, columns, to_add, i0, i1, j0, j1, k0, transpose_a, add)


@kernel
def padded_depth(rest):
    """The rows of the next panels, of `rest` that are left, as a multiple of 4."""
    return (min(DEPTH, rest) + 3) // 4 * 4


@kernel
def columns_at_once(depth):
    """Columns of B that are copied and used before the next: not all, since memory that was just used is faster."""
    return max(PANELS_SIZE // depth // WIDTH, 1) * WIDTH


@kernel(parallel=True)
def batched_matmul_kernel(out, a, b, transpose_a, transpose_b):
    """out[n] (M, N) = a[n] @ b[n] for each n: many small products, each done by one thread."""
    batch, M, N = out.shape
    K = a.shape[1] if transpose_a else a.shape[2]
    n_columns, n_left = n_panel_columns(N), n_left_columns(N)
    for n in prange(batch):
        no_bias = np.empty(0, a.dtype)
        for k0 in range(0, K, DEPTH):
            depth = padded_depth(K - k0)
            panels, columns = np.empty(n_columns * depth, a.dtype), np.empty((n_left, depth), a.dtype)
            copy_left_columns(columns, b[n], k0, N - n_left, transpose_b)
            if transpose_b:
                for j in range(0, n_columns, SLICE):
                    copy_panels_transposed(panels, n_columns, b[n], 0, k0, j)
            else:
                copy_panels(panels, n_columns, b[n], 0, k0, 0, depth)
            for i0 in range(0, M, BLOCK):
                i1 = min(i0 + BLOCK, M)
                multiply_rows(out[n], a[n], panels, columns, no_bias, i0, i1, 0, N, k0, transpose_a, k0 > 0)
