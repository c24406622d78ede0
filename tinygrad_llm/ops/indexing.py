"""Indexing: `x[key]`, gather and index_select.

Forward    out[j] = x[where(j)]
Backward   dx[i] = Σ dout[j] over the j with where(j) = i: in a slice at most one, for an index perhaps many
Shapes     by PyTorch's rules: first integers, slices, None and ... act, then index arrays and masks
Saved      the key and x's shape; never x itself
Lesson     09_bigram_language_model

The two halves of a key are two ops. `Slice` gives a view, and its backward is one assignment. `Index` copies,
and its backward adds up rows as that of an embedding does. NumPy treats an integer beside an array as an array
too, so it would put the dims of `x[0, :, [1, 2]]` in another order than PyTorch does.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor
from .common import as_tensor, canonical_dim
from .embedding import checked_ids, sum_rows
from .index_key import parse_key
from .shape import reshape


class Slice(Function):
    @staticmethod
    def forward(x, key):
        return x[(*key, ...)], (key, x.shape)  # the ... makes a 0-d result an array too

    @staticmethod
    def backward(dout, saved):
        key, shape = saved
        dx = np.zeros(shape, dout.dtype)
        dx[(*key, ...)] = dout
        return (dx,)


class Index(Function):
    """Index arrays at some of the axes of x, broadcast against each other."""

    @staticmethod
    def forward(x, axes, indices):
        key = [slice(None)] * x.ndim
        for axis, index in zip(axes, indices, strict=True):
            key[axis] = index
        return x[tuple(key)], (axes, indices, x.shape)

    @staticmethod
    def backward(dout, saved):
        axes, indices, shape = saved
        # Seen as a table with a row for each place that the arrays can name, indexing was a lookup of rows.
        row_ids = 0
        for axis, index in zip(axes, indices, strict=True):
            row_ids = row_ids * shape[axis] + index
        if axes[-1] - axes[0] == len(axes) - 1:  # else NumPy put their dims in front
            dims = range(axes[0], axes[0] + row_ids.ndim)
            dout = np.moveaxis(dout, dims, range(row_ids.ndim))
        others = [axis for axis in range(len(shape)) if axis not in axes]
        order = [*axes, *others]
        n_rows = math.prod(shape[axis] for axis in axes)
        n_columns = math.prod(shape[axis] for axis in others)
        table = add_up((n_rows, n_columns), dout.reshape(row_ids.size, n_columns), row_ids)
        return (table.reshape([shape[axis] for axis in order]).transpose(np.argsort(order)),)


class Gather(Function):
    @staticmethod
    def forward(x, index, dim):
        return np.take_along_axis(x[_corner(index, dim)], index, dim), (index, dim, x.shape)

    @staticmethod
    def backward(dout, saved):
        index, dim, shape = saved
        rows = np.moveaxis(index, dim, -1)
        N, V = math.prod(rows.shape[:-1]), shape[dim]
        elements = np.arange(N).reshape(*rows.shape[:-1], 1) * V + rows
        flat = add_up((N * V, 1), np.moveaxis(dout, dim, -1).reshape(-1, 1), elements)
        dx = np.zeros(shape, dout.dtype)
        dx[_corner(index, dim)] = np.moveaxis(flat.reshape(*rows.shape[:-1], V), -1, dim)
        return (dx,)


def add_up(shape: tuple[int, int], rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """`sum_rows`, with NumPy's own loop where a row is one number."""
    if shape[1] != 1:
        return sum_rows(shape, rows, ids)
    table = np.zeros(shape, rows.dtype)
    np.add.at(table.reshape(-1), ids.reshape(-1), rows.reshape(-1))
    return table


def _corner(index: np.ndarray, dim: int) -> tuple[slice, ...]:
    """The part of x that `gather` can reach: in all dims but `dim`, index may be smaller than x."""
    return tuple(slice(None) if d == dim else slice(size) for d, size in enumerate(index.shape))


def getitem(x: Tensor, key) -> Tensor:
    """`x[key]` for integers, slices, None, `...`, index arrays, lists or tensors, masks, and tuples of these.

    Integers and slices give a view of `x`, arrays and masks a copy. Raises IndexError naming the index and
    the size where an index is out of range.
    """
    basic, axes, indices = parse_key(x.shape, key)
    if any(part != slice(None) for part in basic) or not axes:
        out, saved = Slice.forward(x.data, basic)
        x = Slice.record(out, saved, x)
    if axes:
        out, saved = Index.forward(x.data, axes, indices)
        x = Index.record(out, saved, x)
    return x


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of `x` along `dim` whose numbers are in the 1-d `index`, in that order."""
    dim = canonical_dim("index_select", dim, x.ndim)
    ids = as_tensor("index_select", index).data
    if ids.ndim > 1 or x.ndim == 0:
        raise ValueError(
            f"index_select: needs a 1-d index and a tensor with dims, got shapes {ids.shape} and {x.shape}."
        )
    ids = checked_ids("index_select", ids.reshape(-1), x.shape[dim])
    out, saved = Index.forward(x.data, (dim,), (ids,))
    return Index.record(out, saved, x)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Pick along `dim`: out[i, j] = x[i, index[i, j]] for dim=1. The result has index's shape.

    `index` has as many dims as `x`, none but `dim` larger than that of `x`.

    >>> gather(tensor([[1.0, 9.0], [7.0, 3.0]]), 1, tensor([[1], [0]])).tolist()  # each row's target
    [[9.0], [7.0]]
    """
    dim = canonical_dim("gather", dim, x.ndim)
    ids = as_tensor("gather", index).data
    if x.ndim == 0:
        return reshape(gather(reshape(x, 1), 0, ids.reshape(-1)), ids.shape)
    fits = ids.ndim == x.ndim and all(d == dim or ids.shape[d] <= x.shape[d] for d in range(x.ndim))
    if not fits:
        raise ValueError(
            f"gather: index of shape {ids.shape} does not fit a tensor of shape {x.shape}: "
            f"it needs as many dims, none larger except dim {dim}."
        )
    ids = checked_ids("gather", ids, x.shape[dim])
    out, saved = Gather.forward(x.data, ids, dim)
    return Gather.record(out, saved, x)
