"""How `matmul_kernels.py` lays out copies of its operands, so that its inner loop reads both one after the other.

    panels   B, in panels of WIDTH columns; the last has NARROW where that is enough. Each is (depth, width), flat. The
             few columns that may be left over follow, each contiguous.
    block    rows of A; element [i, k] and the three after it in k stand at i · row_step + k / 4 · quad_step.
             From A: row by row. From Aᵀ: four rows of Aᵀ are four steps of k; they are interleaved, which is vector
             code, where a transposition would jump from row to row.

Panels and blocks are padded with zeros, in k and in A's rows to a multiple of 4, so that what a tile reads beyond an
edge adds nothing.
Reads go along the rows of the source as far as possible: on the way to memory what counts is not how much is read but
how often a new place is read.
"""

from __future__ import annotations

import numpy as np

from ..kernel import kernel

WIDTH = 128  # columns of a panel: a tile of 32 rows of C and 4 rows of B fit the L1 cache
NARROW = 64
SLICE = 16  # rows (or, of Bᵀ, columns) of the panels that a thread copies at once
CHUNK = 32  # steps of k that are transposed at once
PAD = 16  # between the rows of a block: at a distance of a power of two they would fall on the same lines of the cache
MAX_LEFT = 4  # so many columns are computed one by one rather than as a panel that is mostly zeros


@kernel
def n_left_columns(N):
    """Columns that are left over right of the panels."""
    left = N % NARROW
    return left if left <= MAX_LEFT < N else 0


@kernel
def n_panel_columns(N):
    """Columns of all panels, padding included."""
    return (N - n_left_columns(N) + NARROW - 1) // NARROW * NARROW


@kernel
def panel_width(n_columns, j):
    return min(WIDTH, n_columns - j // WIDTH * WIDTH)


@kernel
def copy_panels(panels, n_columns, b, j0, k0, start, end):
    """Rows start … end − 1 of all panels: from rows k0 + start … of B and columns j0 …"""
    depth = panels.shape[0] // n_columns
    for j in range(0, n_columns, WIDTH):
        width = panel_width(n_columns, j)
        for k in range(start, end):
            to = panels[j * depth + k * width : j * depth + (k + 1) * width]
            row = b[min(k0 + k, b.shape[0] - 1), j0 + j : j0 + j + width]
            n = row.shape[0] if k0 + k < b.shape[0] else 0
            for i in range(n):
                to[i] = row[i]
            for i in range(n, width):
                to[i] = 0


@kernel
def copy_panels_transposed(panels, n_columns, b, j0, k0, start):
    """Columns start … start + SLICE − 1 of the panels: from rows j0 + start … of Bᵀ and columns k0 …"""
    depth = panels.shape[0] // n_columns
    width, left = panel_width(n_columns, start), start % WIDTH
    panel = panels[(start - left) * depth : (start - left + width) * depth]
    quads = np.empty((SLICE // 4, 4 * CHUNK), b.dtype)
    whole = depth // CHUNK * CHUNK if j0 + start + SLICE <= b.shape[0] and k0 + depth <= b.shape[1] else 0
    for k in range(0, whole, CHUNK):
        for q in range(SLICE // 4):
            interleave(quads[q], b, j0 + start + 4 * q, k0 + k, CHUNK)
        for i in range(CHUNK):
            to = panel[(k + i) * width + left : (k + i) * width + left + SLICE]
            for q in range(SLICE // 4):
                for r in range(4):
                    to[4 * q + r] = quads[q, 4 * i + r]
    for k in range(whole, depth):
        to = panel[k * width + left : k * width + left + SLICE]
        for r in range(SLICE):
            inside = j0 + start + r < b.shape[0] and k0 + k < b.shape[1]
            to[r] = b[j0 + start + r, k0 + k] if inside else 0


@kernel
def interleave(quads, x, j, k, n):
    """quads (4 · n,): one element of each of the rows j … j + 3 of x, from column k on, in turn."""
    row0, row1, row2, row3 = x[j, k : k + n], x[j + 1, k : k + n], x[j + 2, k : k + n], x[j + 3, k : k + n]
    for i in range(n):
        quads[4 * i] = row0[i]
        quads[4 * i + 1] = row1[i]
        quads[4 * i + 2] = row2[i]
        quads[4 * i + 3] = row3[i]


@kernel
def copy_left_columns(columns, b, k0, j0, transpose_b):
    """columns (n, depth): columns j0 … of B, from row k0 on."""
    for c in range(columns.shape[0]):
        for k in range(columns.shape[1]):
            if k0 + k >= (b.shape[1] if transpose_b else b.shape[0]):
                columns[c, k] = 0
            else:
                columns[c, k] = b[j0 + c, k0 + k] if transpose_b else b[k0 + k, j0 + c]


@kernel
def copy_rows(block, a, i0, i1, k0, depth):
    """Rows i0 … i1 − 1 of A, depth steps of k from k0 on; row_step is depth + PAD and quad_step 4."""
    for i in range(i0, i1):
        row = a[i, k0 : k0 + depth]
        to = block[(i - i0) * (depth + PAD) : (i - i0 + 1) * (depth + PAD)]
        for k in range(row.shape[0]):
            to[k] = row[k]
        for k in range(row.shape[0], depth):
            to[k] = 0
    for k in range((i1 - i0) * (depth + PAD), block.shape[0]):
        block[k] = 0


@kernel
def copy_rows_transposed(block, a, i0, i1, k0, depth):
    """The same from Aᵀ: four of its rows become (rows, 4). row_step is 4 and quad_step 4 · (rows of the block)."""
    n_rows = block.shape[0] // (depth + PAD)
    for k in range(0, depth, 4):
        to = block[k * n_rows : (k + 4) * n_rows]
        if k0 + k + 4 <= a.shape[0]:
            interleave(to, a, k0 + k, i0, i1 - i0)
            for i in range(4 * (i1 - i0), to.shape[0]):
                to[i] = 0
        else:
            for i in range(to.shape[0]):
                to[i] = 0
            for r in range(a.shape[0] - k0 - k):
                row = a[k0 + k + r, i0:i1]
                for i in range(row.shape[0]):
                    to[4 * i + r] = row[i]
