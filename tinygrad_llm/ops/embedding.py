"""embedding: look up a row of a table for each id.

Forward    out[n] = weight[ids[n]]
Backward   dweight[v] = Σ dout[n] over the n with ids[n] = v: rows used twice get both gradients
Shapes     ids (…), weight (V, C) → out (…, C)
Saved      ids as int64, the table's shape; not the table
Lesson     09_bigram_language_model

It is a matmul with one-hot rows, without the multiplications by zero. Indexing with repeated indices has the
same backward, so `ops/indexing.py` uses this kernel.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import require_tensor

BLOCK = 64  # columns that one thread works on: their sums are in the order of the ids, whichever thread it is
PARTS = 16  # of the table, which threads fill with zeros


def embedding_backward_ref(dweight: np.ndarray, dout: np.ndarray, ids: np.ndarray, padding_idx: int = -1) -> None:
    """Row v of dweight (V, C) is the sum of the rows n of dout (N, C) with ids[n] = v, unless that is padding_idx."""
    kept = ids != padding_idx
    dweight[:] = 0
    np.add.at(dweight, ids[kept], dout[kept])


@kernel(parallel=True)
def embedding_backward(dweight, dout, ids, padding_idx):
    """Threads share out the columns, not the ids: two ids may name one row, two columns are never one."""
    C = dweight.shape[1]
    flat = dweight.reshape(-1)
    size = (flat.size + PARTS - 1) // PARTS
    for p in prange(PARTS):
        part = flat[p * size : (p + 1) * size]
        for i in range(part.size):
            part[i] = 0
    for block in prange((C + BLOCK - 1) // BLOCK):
        c0 = block * BLOCK
        c1 = min(C, c0 + BLOCK)
        for n in range(ids.size):
            if ids[n] != padding_idx:
                dw = dweight[ids[n], c0:c1]
                d = dout[n, c0:c1]
                for c in range(c1 - c0):
                    dw[c] += d[c]


class Embedding(Function):
    @staticmethod
    def forward(weight, ids, padding_idx):
        return weight.take(ids, axis=0), (ids, weight.shape, padding_idx)

    @staticmethod
    def backward(dout, saved):
        ids, (V, C), padding_idx = saved
        return (sum_rows((V, C), dout.reshape(ids.size, C), ids, padding_idx),)


def sum_rows(shape: tuple[int, int], rows: np.ndarray, ids: np.ndarray, padding_idx: int = -1) -> np.ndarray:
    """A table (V, C) whose row v is the sum of the rows (N, C) with the id v."""
    if not rows.size:
        return np.zeros(shape, rows.dtype)
    table = np.empty(shape, rows.dtype)
    embedding_backward(table, np.ascontiguousarray(rows), ids.reshape(-1), padding_idx)
    return table


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of `weight` (V, C) for the integer ids `input` (…): shape (…, C).

    The row `padding_idx`, if given, gets no gradient. Raises IndexError for ids (and a padding_idx) outside
    the table, ValueError for a weight that is no table.
    """
    ids = input.data if isinstance(input, Tensor) else np.asarray(input)
    require_tensor("embedding", weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight must be a table of shape (V, C), got shape {weight.shape}.")
    V = weight.shape[0]
    ids = checked_ids("embedding", ids, V)
    if padding_idx is None:
        padding_idx = -1
    elif not -V <= padding_idx < V:
        raise IndexError(f"embedding: padding_idx {padding_idx} is out of range for a table of {V} rows.")
    else:
        padding_idx %= V
    out, saved = Embedding.forward(weight.data, ids, padding_idx)
    return Embedding.record(out, saved, weight)


def checked_ids(op: str, ids: np.ndarray, V: int) -> np.ndarray:
    """A copy of `ids` as int64, if all are from 0 to V - 1. Kernels do not check their indices."""
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{op}: indices must be integers, got {ids.dtype} of shape {ids.shape}; call .long() first.")
    ids = np.array(ids, np.int64, order="C")  # a copy: backward needs them as they are now
    # Read as unsigned, a negative id is a huge one: one pass finds both kinds of mistake.
    if ids.size and ids.view(np.uint64).max() >= V:
        wrong = ids[(ids < 0) | (ids >= V)][0]
        raise IndexError(f"{op}: index {wrong} is out of range for size {V} (expected 0 to {V - 1}).")
    return ids
