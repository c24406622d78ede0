"""block_linear: y = x Wᵀ where W is kept in 4 or 8 bits, each 32 weights of a row with their own scale and offset.

Forward    y = x Wᵀ,   W_nk = s_nb Q_nk + o_nb,   b = k // 32
           y_n = Σ_b (s_nb Σ_k∈b x_k Q_nk + o_nb Σ_k∈b x_k)
Backward   dx = dy W; Q, s and o are frozen
Shapes     x (…, K) → (…, N)
Saved      the weight
Lesson     24_quantization
Source     blocks with their own scale, so that one outlier spoils 32 weights only: Dettmers et al., "8-bit Optimizers
           via Block-wise Quantization" (2022), section 2.1; the formats are those of GGUF files, see hub/gguf.py

A model that writes reads each weight once for a token. Half a byte is read in an eighth of the time of a float32, so
now it counts how many instructions turn it into a float. They are few where one instruction does it for many weights:
so weights are kept in tiles of 64 rows, and within a tile column after column. All 64 rows take the next x_k at once,
and their sums stand side by side:

    tile[k // 2, n]     Q_nk below, Q_n(k+16) above      4 bits: byte j of a block of 32 has weights j and j + 16
    tile[k, n]          Q_nk                             8 bits
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import as_matrix, require_float
from .matmul import multiply, use_kernel

BLOCK = 32  # weights of a row that share a scale
TILE = 64  # rows that are multiplied at once
DIRECT_ROWS = 16  # of x; with more it pays to make floats of W and use the matrix product
FEW = 1 << 17  # bytes of weights that one thread has read before another is awake
CHUNK = 1 << 22  # weights that are floats at a time where there are many rows: 16 MB of float32


@dataclass(frozen=True)
class BlockWeight:
    """A matrix (N, K) in tiles, the last of them filled up with rows of zeros. Made by `pack_blocks`."""

    shape: tuple[int, int]  # (N, K)
    tiles: np.ndarray  # uint8 (tiles, K / 2, 64), or with 8 bits (tiles, K, 64)
    scale: np.ndarray  # float32 (tiles, K / 32, 64)
    offset: np.ndarray  # the same; (tiles, 0, 64) where there is none

    @property
    def bits(self) -> int:
        return 8 * self.tiles.shape[1] // self.shape[1]

    @property
    def nbytes(self) -> int:
        return self.tiles.nbytes + self.scale.nbytes + self.offset.nbytes

    def rows(self, ids: np.ndarray, dtype=np.float32) -> np.ndarray:
        """Rows of W (len(ids), K)."""
        tile, column = np.divmod(ids, TILE)
        return unpacked(*(array[tile, :, column] for array in (self.tiles, self.scale, self.offset)), dtype)


def pack_blocks(packed: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None) -> BlockWeight:
    """Rows of blocks as tiles: packed (N, K) int8, or uint8 (N, K / 2) of which byte j of a block of 16 has weight j in
    its lower half and j + 16 in the upper one; scale and offset (N, K / 32).

    Raises ValueError where the shapes do not fit together.
    """
    N, n_blocks = scale.shape
    columns = n_blocks * (BLOCK if packed.dtype == np.int8 else BLOCK // 2)
    if packed.shape != (N, columns) or (offset is not None and offset.shape != scale.shape):
        shapes = f"packed {packed.shape}, scale {scale.shape}" + ("" if offset is None else f", offset {offset.shape}")
        raise ValueError(f"pack_blocks: {shapes} do not fit: expected {(N, columns)} and {scale.shape} twice.")
    offset = np.empty((N, 0)) if offset is None else offset
    scale, offset = (_tiled(array.astype(np.float32, copy=False)) for array in (scale, offset))
    return BlockWeight((N, n_blocks * BLOCK), _tiled(packed.view(np.uint8)), scale, offset)


def _tiled(rows: np.ndarray) -> np.ndarray:
    """(N, columns) → (tiles, columns, 64)."""
    N, columns = rows.shape
    n_tiles = -(-N // TILE)
    if N % TILE:
        rows = np.concatenate([rows, np.zeros((n_tiles * TILE - N, columns), rows.dtype)])
    return np.ascontiguousarray(rows.reshape(n_tiles, TILE, columns).transpose(0, 2, 1))


def unpacked(packed: np.ndarray, scale: np.ndarray, offset: np.ndarray, dtype=np.float32) -> np.ndarray:
    """Rows of W (n, K) of their bytes (n, K / 2 or K), scales and offsets (n, K / 32) or (n, 0), in plain NumPy."""
    n, n_blocks = scale.shape
    w, scale = np.empty((n, n_blocks, BLOCK), dtype), scale[..., None].astype(dtype, copy=False)
    if packed.shape[1] == n_blocks * BLOCK:
        np.multiply(packed.view(np.int8).reshape(w.shape), scale, out=w)
    else:
        q = packed.reshape(n, n_blocks, BLOCK // 2)
        np.multiply(q & 15, scale, out=w[..., : BLOCK // 2])
        np.multiply(q >> 4, scale, out=w[..., BLOCK // 2 :])
    if offset.shape[1]:
        w += offset[..., None]
    return w.reshape(n, n_blocks * BLOCK)


def block_linear_ref(x: np.ndarray, weight: BlockWeight) -> np.ndarray:
    """x (…, K) → (…, N), in the dtype of x."""
    return x @ weight.rows(np.arange(weight.shape[0]), x.dtype).T


@kernel
def add_4bit_tile(out, x, tile, scale, offset, sums):
    """out (64,) = W x for the 64 rows of a tile; sums (K / 32,) are those of x over each block."""
    part = np.empty(out.shape[0], x.dtype)
    for b in range(scale.shape[0]):
        part[:] = 0
        for j in range(16 * b, 16 * b + 16, 4):
            q, k = tile[j : j + 4], j + 16 * b
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            y0, y1, y2, y3 = x[k + 16], x[k + 17], x[k + 18], x[k + 19]
            for n in range(part.shape[0]):
                q0, q1, q2, q3 = q[0, n], q[1, n], q[2, n], q[3, n]
                low = (x0 * x.dtype.type(q0 & 15) + x1 * x.dtype.type(q1 & 15)) + (
                    x2 * x.dtype.type(q2 & 15) + x3 * x.dtype.type(q3 & 15)
                )
                high = (y0 * x.dtype.type(q0 >> 4) + y1 * x.dtype.type(q1 >> 4)) + (
                    y2 * x.dtype.type(q2 >> 4) + y3 * x.dtype.type(q3 >> 4)
                )
                part[n] += low + high
        add_block(out, part, scale, offset, sums, b)


@kernel
def add_8bit_tile(out, x, tile, scale, offset, sums):
    """The same for bytes."""
    part = np.empty(out.shape[0], x.dtype)
    for b in range(scale.shape[0]):
        part[:] = 0
        for k in range(32 * b, 32 * b + 32, 4):
            q = tile[k : k + 4]
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            for n in range(part.shape[0]):
                q0, q1, q2, q3 = np.int8(q[0, n]), np.int8(q[1, n]), np.int8(q[2, n]), np.int8(q[3, n])
                part[n] += (x0 * x.dtype.type(q0) + x1 * x.dtype.type(q1)) + (
                    x2 * x.dtype.type(q2) + x3 * x.dtype.type(q3)
                )
        add_block(out, part, scale, offset, sums, b)


@kernel
def add_block(out, part, scale, offset, sums, b):
    """out += scale · part + offset · sum, of block b."""
    row_scale = scale[b]
    if offset.shape[0] > 0:
        row_offset, total = offset[b], sums[b]
        for n in range(out.shape[0]):
            out[n] += row_scale[n] * part[n] + row_offset[n] * total
    else:
        for n in range(out.shape[0]):
            out[n] += row_scale[n] * part[n]


@kernel
def multiply_tile(out, x, sums, tile, scale, offset):
    """out (M, 64) = x (M, K) · tileᵀ."""
    for i in range(x.shape[0]):
        row = out[i]
        row[:] = 0
        if tile.shape[0] < x.shape[1]:
            add_4bit_tile(row, x[i], tile, scale, offset, sums[i])
        else:
            add_8bit_tile(row, x[i], tile, scale, offset, sums[i])


@kernel
def sums_of_blocks(x):
    """(M, K / 32) of x (M, K): of each row over each block."""
    sums = np.zeros((x.shape[0], x.shape[1] // 32), x.dtype)
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            sums[i, k // 32] += x[i, k]
    return sums


@kernel(parallel=True)
def block_linear_kernel(out, x, tiles, scale, offset):
    """out (tiles, M, 64) = x (M, K) · Wᵀ, tile by tile."""
    sums = sums_of_blocks(x)
    if tiles.size < FEW:
        for t in range(tiles.shape[0]):
            multiply_tile(out[t], x, sums, tiles[t], scale[t], offset[t])
    else:
        for t in prange(tiles.shape[0]):
            multiply_tile(out[t], x, sums, tiles[t], scale[t], offset[t])


@kernel
def floats_of_tile(out, tile, scale, offset):
    """out (K, 64) = Wᵀ of the rows of a tile."""
    is_4bit = tile.shape[0] < out.shape[0]
    for k in range(out.shape[0]):
        b = k // 32
        place = 16 * b + k % 16 if is_4bit else k
        row, q, row_scale = out[k], tile[place], scale[b]
        if not is_4bit:
            for n in range(q.shape[0]):
                row[n] = out.dtype.type(row_scale[n]) * out.dtype.type(np.int8(q[n]))
        elif k % 32 < 16:
            for n in range(q.shape[0]):
                row[n] = out.dtype.type(row_scale[n]) * out.dtype.type(q[n] & 15)
        else:
            for n in range(q.shape[0]):
                row[n] = out.dtype.type(row_scale[n]) * out.dtype.type(q[n] >> 4)
        if offset.shape[0] > 0:
            row_offset = offset[b]
            for n in range(q.shape[0]):
                row[n] += row_offset[n]


@kernel(parallel=True)
def floats_kernel(out, tiles, scale, offset):
    """out (K, 64 · tiles) = Wᵀ, with the rows that fill up the last tile."""
    for t in prange(tiles.shape[0]):
        floats_of_tile(out[:, 64 * t : 64 * t + 64], tiles[t], scale[t], offset[t])


def transposed_chunks(weight: BlockWeight, dtype) -> Iterator[tuple[slice, np.ndarray]]:
    """Wᵀ (K, N) piece by piece: which columns, and these as floats."""
    (N, K), at_once = weight.shape, max(CHUNK // (weight.shape[1] * TILE), 1)
    for t in range(0, len(weight.tiles), at_once):
        columns = slice(t * TILE, min((t + at_once) * TILE, N))
        if use_kernel(np.dtype(dtype)):
            parts = [array[t : t + at_once] for array in (weight.tiles, weight.scale, weight.offset)]
            floats = np.empty((K, len(parts[0]) * TILE), dtype)
            floats_kernel(floats, *parts)
            yield columns, floats[:, : columns.stop - columns.start]
        else:
            yield columns, weight.rows(np.arange(columns.start, columns.stop), dtype).T


class BlockLinear(Function):
    @staticmethod
    def forward(x, *, weight):
        rows, N = np.ascontiguousarray(as_matrix(x)), weight.shape[0]
        if len(rows) <= DIRECT_ROWS and use_kernel(x.dtype):
            tiled = np.empty((len(weight.tiles), len(rows), TILE), x.dtype)
            block_linear_kernel(tiled, rows, weight.tiles, weight.scale, weight.offset)
            out = tiled.transpose(1, 0, 2).reshape(len(rows), len(tiled) * TILE)[:, :N]
        else:
            out = np.empty((len(rows), N), x.dtype)
            for columns, floats in transposed_chunks(weight, x.dtype):
                out[:, columns] = multiply(rows, floats)
        return out.reshape(*x.shape[:-1], N), (weight, x.shape)

    @staticmethod
    def backward(dout, saved):
        weight, x_shape = saved
        drows = as_matrix(np.ascontiguousarray(dout))
        dx = np.zeros((len(drows), weight.shape[1]), dout.dtype)
        for columns, floats in transposed_chunks(weight, dout.dtype):
            multiply(drows[:, columns], floats.T, out=dx, accumulate=True)
        return (dx.reshape(x_shape),)


def block_linear(input: Tensor, weight: BlockWeight) -> Tensor:
    """input (…, K) · Wᵀ → (…, N), with W (N, K) as `pack_blocks` makes it. Gradients flow to input alone.

    Raises ValueError where the shapes do not fit.
    """
    require_float("block_linear", input)
    if input.ndim < 1 or input.shape[-1] != weight.shape[1]:
        shapes = f"input {input.shape} and weight {weight.shape}"
        raise ValueError(f"block_linear: {shapes} do not fit: expected (…, K) and (N, K).")
    out, saved = BlockLinear.forward(input.data, weight=weight)
    return BlockLinear.record(out, saved, input)
