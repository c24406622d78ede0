"""cat and stack, and their inverses split, chunk, unbind and narrow.

Forward    cat: out = x₁ | x₂ | … along a dim that is there      stack: along a new one
Backward   each input gets its own part of dout
Shapes     cat: equal but for the size of `dim`      stack: all equal
Saved      the sizes along `dim`
Lesson     10_attention

The inverses are slices, so they give views; see `ops/indexing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd import Function, Tensor
from .common import as_tensor, canonical_dim, cast, result_dtype
from .indexing import Slice
from .shape import sizes


class Cat(Function):
    @staticmethod
    def forward(arrays, dim):
        return np.concatenate(arrays, dim), (np.cumsum([x.shape[dim] for x in arrays]), dim)

    @staticmethod
    def backward(dout, saved):
        ends, dim = saved
        return tuple(np.split(dout, ends[:-1], dim))


class Stack(Function):
    @staticmethod
    def forward(arrays, dim):
        return np.stack(arrays, dim), (dim,)

    @staticmethod
    def backward(dout, saved):
        return tuple(np.moveaxis(dout, saved[0], 0))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their other dims must be equal."""
    tensors = _common_dtype("cat", tensors)
    if tensors[0].ndim == 0:
        raise ValueError("cat: 0-d tensors have no dim to be joined along; use stack().")
    dim = canonical_dim("cat", dim, tensors[0].ndim)
    _check_equal("cat", tensors, [x.shape[:dim] + x.shape[dim + 1 :] for x in tensors], f" except in dim {dim}")
    out, saved = Cat.forward([x.data for x in tensors], dim)
    return Cat.record(out, saved, *tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors side by side along a new dim, which is `dim` of the result; their shapes must be equal."""
    tensors = _common_dtype("stack", tensors)
    dim = canonical_dim("stack", dim, tensors[0].ndim + 1)
    _check_equal("stack", tensors, [x.shape for x in tensors], "")
    out, saved = Stack.forward([x.data for x in tensors], dim)
    return Stack.record(out, saved, *tensors)


def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` elements along `dim` from `start` on; a negative start counts from the end."""
    dim = _dim_of_tensor("narrow", dim, x)
    size = x.shape[dim]
    first = start + size if start < 0 else start
    if length < 0 or not 0 <= first <= first + length <= size:
        raise IndexError(f"narrow: {length} elements from {start} on do not lie in dim {dim} of size {size}.")
    return _part(x, dim, first, first + length)


def split(x: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `x` cut along `dim`: pieces of one size, the last perhaps smaller, or of the sizes in a list."""
    dim = _dim_of_tensor("split", dim, x)
    size = x.shape[dim]
    if isinstance(split_size_or_sections, (tuple, list)):
        lengths = sizes("split", tuple(split_size_or_sections))
        if sum(lengths) != size or min(lengths, default=0) < 0:
            raise ValueError(f"split: sections {lengths} do not add up to dim {dim} of size {size}.")
    else:
        (piece,) = sizes("split", (split_size_or_sections,))
        if piece < 0 or (piece == 0 and size):
            raise ValueError(f"split: the size of a piece must be positive, got {piece} for dim {dim} of size {size}.")
        lengths = [min(piece, size - start) for start in range(0, size, piece or 1)] or [0]
    ends = np.cumsum(lengths).tolist()
    return tuple(_part(x, dim, end - length, end) for length, end in zip(lengths, ends, strict=True))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunks` views of one size along `dim`; where that does not divide evenly, the last are smaller or fewer."""
    dim = _dim_of_tensor("chunk", dim, x)
    if chunks < 1:
        raise ValueError(f"chunk: needs at least 1 chunk, got {chunks}.")
    if x.shape[dim] == 0:
        return split(x, [0] * chunks, dim)
    return split(x, -(-x.shape[dim] // chunks), dim)


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `x` at 0, 1, 2 … of `dim`, without that dim."""
    dim = _dim_of_tensor("unbind", dim, x)
    return tuple(_record_slice(x, (*[slice(None)] * dim, i)) for i in range(x.shape[dim]))


def _part(x: Tensor, dim: int, start: int, end: int) -> Tensor:
    return _record_slice(x, (*[slice(None)] * dim, slice(start, end)))


def _record_slice(x: Tensor, key: tuple) -> Tensor:
    out, saved = Slice.forward(x.data, key)
    return Slice.record(out, saved, x)


def _dim_of_tensor(op: str, dim: int, x: Tensor) -> int:
    if x.ndim == 0:
        raise ValueError(f"{op}: a 0-d tensor has no dims to cut along.")
    return canonical_dim(op, dim, x.ndim)


def _common_dtype(op: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(f"{op}: needs a list or tuple of tensors, not {type(tensors).__name__}.")
    if not tensors:
        raise ValueError(f"{op}: needs at least one tensor.")
    tensors = [as_tensor(op, x) for x in tensors]
    dtype = result_dtype(*tensors)
    return [cast(x, dtype) for x in tensors]


def _check_equal(op: str, tensors: list[Tensor], shapes: list[tuple[int, ...]], but: str) -> None:
    if any(x.ndim != tensors[0].ndim for x in tensors) or len(set(shapes)) > 1:
        listed = ", ".join(str(x.shape) for x in tensors)
        raise ValueError(f"{op}: the shapes must be equal{but}, got {listed}.")
