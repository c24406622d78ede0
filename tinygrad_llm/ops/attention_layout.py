"""How `attention.py` hands arrays of heads to its kernels: as rows and strides, so that views need no copy.

A head's q, k or v is T rows of D numbers, somewhere in memory: one after the other in (B, H, T, D), H rows apart in a
transposed (B, T, H, D), 3·H rows apart in the packed output of one projection. A kernel that gets the rows, and how
many of them lie between two batch elements, two heads and two positions, reads all of these in place.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .common import unbroadcast


class Heads(NamedTuple):
    """Head h of batch element b at position t is rows[b · strides[0] + h · strides[1] + t · strides[2]]."""

    rows: np.ndarray  # (n, D), contiguous
    strides: tuple[int, int, int]  # 0 where one element stands for all of a dim


class Options(NamedTuple):
    """How to attend: all that is known before any number is looked at."""

    leading: tuple[int, ...]  # the result's dims before (T, D): batch dims and, last of them, the heads
    n_key_heads: int  # fewer than n_heads where several query heads share a key head
    scale: float
    is_causal: bool = False
    dropout_p: float = 0.0
    seed: int = 0  # of the dropout
    mask_needs_grad: bool = False

    @property
    def batch_size(self) -> int:
        return math.prod(self.leading[:-1])

    @property
    def n_heads(self) -> int:
        return self.leading[-1] if self.leading else 1

    def n_parts(self, T: int) -> int:
        """Into how many tasks the work on one head is cut: more than 1 where there are not 8 heads for 8 threads.

        Not by the number of threads there are: sums are rounded part by part, and the result must not depend on it.
        """
        n_heads = max(self.batch_size * self.n_heads, 1)
        return max(min(-(-8 // n_heads), -(-T // 64)), 1)


def new_heads(B: int, H: int, T: int, D: int, dtype) -> tuple[np.ndarray, Heads]:
    """An empty (B, H, T, D), and the same as rows. Its memory is (B, T, H, D), so joining the heads is a free view."""
    memory = np.empty((B, T, H, D), dtype)
    return memory.transpose(0, 2, 1, 3), Heads(memory.reshape(B * T * H, D), (T * H, 1, H))


def packed_heads(x: np.ndarray, n_heads: int, n_packed: int = 3) -> list[Heads]:
    """The heads within a contiguous (B, T, n_packed · C): of q, k and v if it holds these three side by side."""
    _, T, width = x.shape
    n_in_row = n_packed * n_heads
    rows = x.reshape(-1, width // n_in_row)  # (B·T·n_packed·H, D)
    return [Heads(rows[i * n_heads :], (T * n_in_row, 1, n_in_row)) for i in range(n_packed)]


def as_heads(x: np.ndarray, options: Options) -> Heads:
    """The rows of x (…, H, T, D); batch dims and heads may be 1 or missing. Copies where D numbers are no row."""
    x = with_four_dims(x, options)
    B, H, T, D = x.shape
    row_size = D * x.itemsize
    if x.flags.writeable and x.transpose(0, 2, 1, 3).flags.c_contiguous:
        rows, strides = x.transpose(0, 2, 1, 3).reshape(B * T * H, D), (T * H, 1, H)
    elif x.flags.writeable and x.strides[3] == x.itemsize and all(s >= 0 and s % row_size == 0 for s in x.strides[:3]):
        strides = tuple(s // row_size for s in x.strides[:3])
        n_rows = 1 + sum(s * (n - 1) for s, n in zip(strides, x.shape[:3], strict=True))
        rows = as_strided(x, (n_rows, D), (row_size, x.itemsize))
    else:  # read-only arrays too: to Numba they are another type, for which all would be compiled once more
        rows, strides = np.array(x, order="C").reshape(B * H * T, D), (H * T, T, 1)
    return Heads(rows, (strides[0] if B > 1 else 0, strides[1] if H > 1 else 0, strides[2]))


def with_four_dims(x: np.ndarray, options: Options) -> np.ndarray:
    batch = options.leading[:-1]
    if len(batch) > 1 and x.ndim > 3:  # several batch dims become one
        x = (x if x.shape[:-3] == batch else np.broadcast_to(x, batch + x.shape[-3:])).reshape(-1, *x.shape[-3:])
    return x.reshape((1,) * (4 - x.ndim) + x.shape)


def additive_mask(mask: np.ndarray | None, options: Options, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """A mask as flat numbers to add to the scores (0 and −∞ for booleans), and its strides for B, H, T, S."""
    if mask is None:
        return np.empty(0, dtype), np.zeros(4, np.int64)
    if mask.dtype == bool:
        mask = np.where(mask, dtype.type(0), dtype.type(-np.inf))
    mask = np.require(with_four_dims(mask, options), dtype, ["C", "W"])
    strides = tuple(s // mask.itemsize if n > 1 else 0 for s, n in zip(mask.strides, mask.shape, strict=True))
    return mask.reshape(-1), np.array(strides)


def sum_to(shape: tuple[int, ...], gradient: np.ndarray, options: Options) -> np.ndarray:
    """(B, H, T, D) → the gradient of an input of `shape`, which may have been broadcast to that."""
    if gradient.size == math.prod(shape):
        return gradient.reshape(shape)
    return unbroadcast(gradient.reshape(*options.leading[:-1], *gradient.shape[1:]), shape)


def sum_parts(gradient: np.ndarray, n_parts: int) -> np.ndarray:
    """(n_parts · B, …) → (B, …), the parts added in their order."""
    return gradient if n_parts == 1 else gradient.reshape(n_parts, -1, *gradient.shape[1:]).sum(axis=0)
