"""Shape ops: the same elements under other dims.

Forward    out[j] = x[i], where i is a re-numbering of j
Backward   dx[i] = dout[j]; where one element of x was used several times (expand), the sum over its uses
Shapes     stated by each function
Saved      x's shape, or the order of the dims; never x itself
Lesson     02_tensor

Reshape, permute and expand move no data where they need not: they give views, which share memory with x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..autograd import Function, Tensor
from .common import canonical_dim, canonical_dims, require_tensor, unbroadcast


class Reshape(Function):
    @staticmethod
    def forward(x, shape):
        return x.reshape(shape), (x.shape,)

    @staticmethod
    def backward(dout, saved):
        return (dout.reshape(saved[0]),)


class Permute(Function):
    @staticmethod
    def forward(x, dims):
        return x.transpose(dims), (dims,)

    @staticmethod
    def backward(dout, saved):
        return (dout.transpose(np.argsort(saved[0])),)


class Expand(Function):
    @staticmethod
    def forward(x, shape):
        return np.broadcast_to(x, shape), (x.shape,)

    @staticmethod
    def backward(dout, saved):
        return (unbroadcast(dout, saved[0]),)


class Clone(Function):
    @staticmethod
    def forward(x):
        return x.copy(), ()

    @staticmethod
    def backward(dout, saved):
        return (dout,)


def reshape(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """The elements of `x`, in order, under another shape: `reshape(x, 2, 3)` or `reshape(x, (2, 3))`.

    One size may be -1: what is left. A view where the memory's layout allows it, else a copy.
    """
    out, saved = Reshape.forward(x.data, _full_shape("reshape", x, shape))
    return Reshape.record(out, saved, x)


def view(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """`reshape` that never copies: raises ValueError where the result cannot share memory with `x`."""
    out, saved = Reshape.forward(x.data, _full_shape("view", x, shape))
    if x.data.size and not np.may_share_memory(out, x.data):
        raise ValueError(
            f"view: shape {x.shape} with strides {x.data.strides} cannot be seen as {out.shape} "
            "without a copy; use reshape() instead."
        )
    return Reshape.record(out, saved, x)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dims from `start_dim` to `end_dim`, both included, merged into one. A 0-d tensor becomes 1-d."""
    start, end = (canonical_dim("flatten", dim, x.ndim) for dim in (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {x.shape}.")
    shape = x.shape or (1,)
    merged = math.prod(shape[start : end + 1])
    out, saved = Reshape.forward(x.data, (*shape[:start], merged, *shape[end + 1 :]))
    return Reshape.record(out, saved, x)


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the dims of size 1, or without those of them that `dim` names; other dims stay."""
    dims = canonical_dims("squeeze", dim, x.ndim)
    shape = tuple(n for d, n in enumerate(x.shape) if n != 1 or d not in dims)
    out, saved = Reshape.forward(x.data, shape)
    return Reshape.record(out, saved, x)


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """With a dim of size 1 put at `dim` of the result."""
    dim = canonical_dim("unsqueeze", dim, x.ndim + 1)
    out, saved = Reshape.forward(x.data, (*x.shape[:dim], 1, *x.shape[dim:]))
    return Reshape.record(out, saved, x)


def permute(x: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """Dim i of the result is dim `dims[i]` of `x`: `permute(x, 0, 2, 1)` or `permute(x, (0, 2, 1))`."""
    order = canonical_dims("permute", sizes("permute", dims), x.ndim)
    if len(order) != x.ndim:
        raise ValueError(f"permute: dims must name each dim of shape {x.shape} once, got {order}.")
    out, saved = Permute.forward(x.data, order)
    return Permute.record(out, saved, x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """With the two dims swapped."""
    a, b = (canonical_dim("transpose", dim, x.ndim) for dim in (dim0, dim1))
    order = list(range(x.ndim))
    if order:
        order[a], order[b] = b, a
    out, saved = Permute.forward(x.data, tuple(order))
    return Permute.record(out, saved, x)


def matrix_transpose(x: Tensor) -> Tensor:
    """`x.mT`: the last two dims swapped."""
    if x.ndim < 2:
        raise ValueError(f"mT: needs at least 2 dims, got shape {x.shape}.")
    return transpose(x, -2, -1)


def transposed(x: Tensor) -> Tensor:
    """`x.T`: a matrix with its dims swapped."""
    if x.ndim != 2:
        raise ValueError(f"T: needs a matrix, got shape {x.shape}; use mT, transpose() or permute().")
    return transpose(x, 0, 1)


def expand(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """Dims of size 1 stretched to `shape` without a copy; new dims may come in front. -1 keeps a size."""
    wanted = sizes("expand", shape)
    added = len(wanted) - x.ndim
    current = (-1,) * added + x.shape  # -1: a new dim, which has no size to keep
    fits = added >= 0 and all(
        old in (-1, 1, new) if new >= 0 else new == -1 and old >= 0 for old, new in zip(current, wanted, strict=True)
    )
    if not fits:
        raise ValueError(
            f"expand: shape {x.shape} cannot become {wanted}: only dims of size 1 stretch, "
            "and new dims come in front with a size of their own."
        )
    full = tuple(old if new == -1 else new for old, new in zip(current, wanted, strict=True))
    out, saved = Expand.forward(x.data, full)
    return Expand.record(out, saved, x)


def clone(x: Tensor) -> Tensor:
    """A copy with memory of its own, through which gradients flow."""
    require_tensor("clone", x)
    out, saved = Clone.forward(x.data)
    return Clone.record(out, saved, x)


def contiguous(x: Tensor) -> Tensor:
    """`x` itself if its elements lie in memory in order, else a copy whose elements do."""
    return x if x.data.flags.c_contiguous else clone(x)


def sizes(op: str, given: tuple) -> tuple[int, ...]:
    """Several ints, written one by one or as one sequence."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    for size in given:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise TypeError(f"{op}: expected ints, got {size!r} of type {type(size).__name__}.")
    return tuple(int(size) for size in given)


def _full_shape(op: str, x: Tensor, given: tuple) -> tuple[int, ...]:
    """The sizes of a new shape for the elements of `x`, with -1 worked out."""
    shape = sizes(op, given)
    known = math.prod(size for size in shape if size != -1)
    if shape.count(-1) > 1 or any(size < -1 for size in shape):
        raise ValueError(f"{op}: sizes must be positive or 0, and one of them may be -1, got {shape}.")
    if -1 in shape:
        if known == 0 or x.data.size % known:
            raise ValueError(f"{op}: no size for -1 in {shape} fits the {x.data.size} elements of {x.shape}.")
        return tuple(x.data.size // known if size == -1 else size for size in shape)
    if known != x.data.size:
        raise ValueError(f"{op}: shape {x.shape} has {x.data.size} elements, {shape} would have {known}.")
    return shape
