"""amax, amin, max, min: the largest and smallest elements; argmax, argmin: where they are; all, any.

Forward    out = max_i x_i                       out = x_k, k the first index of the largest
Backward   amax, and max over all: dx_i = dout [x_i = out] / (number of such i), shared evenly by ties
           max along one dim: dx_k = dout, the others 0
Shapes     any; `dim` is one dim, several (amax, amin, all, any) or None for all
Saved      the input and the output
Lesson     09_bigram_language_model

NaN counts as larger and as smaller than all numbers, so that it shows in the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..autograd import Function, Tensor
from .common import as_tensor, canonical_dim
from .indexing import gather
from .reduce import drop_dims, reduced_dims, with_kept_dims
from .shape import squeeze


class Extremum(NamedTuple):
    """What `max` and `min` along a dim return."""

    values: Tensor
    indices: Tensor


class Amax(Function):
    @staticmethod
    def forward(x, dims, keepdim):
        kept = np.max(x, axis=dims, keepdims=True)
        return drop_dims(kept, dims, keepdim), (x, kept, dims)

    @staticmethod
    def backward(dout, saved):
        x, kept, dims = saved
        chosen = (x == kept) | np.isnan(x)  # NaN is the largest, where there is one
        ties = np.sum(chosen, axis=dims, keepdims=True, dtype=x.dtype)
        share = with_kept_dims(dout, x.shape, dims) / ties
        return (np.where(chosen, share, dout.dtype.type(0)),)


class Amin(Function):
    @staticmethod
    def forward(x, dims, keepdim):
        kept = np.min(x, axis=dims, keepdims=True)
        return drop_dims(kept, dims, keepdim), (x, kept, dims)

    @staticmethod
    def backward(dout, saved):
        return Amax.backward(dout, saved)


def amax(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim` (an int, several, or None for all). Ties share the gradient evenly.

    Raises ValueError where there is no element to choose from.

    >>> amax(tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1).tolist()
    [5.0, 3.0]
    """
    x, dims = _check_not_empty("amax", x, dim)
    out, saved = Amax.forward(x.data, dims, keepdim)
    return Amax.record(out, saved, x)


def amin(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; see `amax`."""
    x, dims = _check_not_empty("amin", x, dim)
    out, saved = Amin.forward(x.data, dims, keepdim)
    return Amin.record(out, saved, x)


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | Extremum:
    """Without `dim` the largest element, as `amax`; with it `(values, indices)` along that one dim.

    Along a dim the gradient goes to the first of several largest elements.

    >>> values, indices = max(tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1)
    >>> indices.tolist()
    [1, 0]
    """
    if dim is None:
        _check_not_empty("max", x, None)
        return amax(x, keepdim=keepdim)
    return _values_at(x, _first_index("max", np.argmax, x, dim), dim, keepdim)


def min(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | Extremum:
    """Without `dim` the smallest element, as `amin`; with it `(values, indices)`; see `max`."""
    if dim is None:
        _check_not_empty("min", x, None)
        return amin(x, keepdim=keepdim)
    return _values_at(x, _first_index("min", np.argmin, x, dim), dim, keepdim)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the first largest element along `dim`; without `dim`, in the flattened x."""
    indices = _first_index("argmax", np.argmax, x, dim)
    return indices if keepdim else squeeze(indices, dim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the first smallest element along `dim`; without `dim`, in the flattened x."""
    indices = _first_index("argmin", np.argmin, x, dim)
    return indices if keepdim else squeeze(indices, dim)


def all(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Whether all elements over `dim` are true (not 0): a bool tensor, True where there are none."""
    x = as_tensor("all", x)
    return Tensor._from_array(np.all(x.data, axis=reduced_dims("all", dim, x.ndim), keepdims=keepdim))


def any(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Whether any element over `dim` is true (not 0): a bool tensor, False where there are none."""
    x = as_tensor("any", x)
    return Tensor._from_array(np.any(x.data, axis=reduced_dims("any", dim, x.ndim), keepdims=keepdim))


def _check_not_empty(op: str, x, dim) -> tuple[Tensor, tuple[int, ...]]:
    x = as_tensor(op, x)
    dims = reduced_dims(op, dim, x.ndim)
    for d in dims:
        if x.shape[d] == 0:
            raise ValueError(f"{op}: dim {d} of shape {x.shape} is empty, so it has no {op}.")
    return x, dims


def _first_index(op: str, find, x, dim: int | None) -> Tensor:
    """Indices with the reduced dims kept; NumPy's `find` is argmax or argmin."""
    if dim is not None:
        dim = canonical_dim(op, dim, as_tensor(op, x).ndim)
    x, _ = _check_not_empty(op, x, dim)
    indices = find(x.data, axis=dim if x.ndim else None, keepdims=True)
    return Tensor._from_array(np.asarray(indices, np.int64))


def _values_at(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> Extremum:
    values = gather(x, dim, indices)
    return Extremum(values, indices) if keepdim else Extremum(squeeze(values, dim), squeeze(indices, dim))
