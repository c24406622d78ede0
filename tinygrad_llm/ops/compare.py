"""maximum, minimum, clamp, and the comparisons eq, ne, lt, le, gt, ge.

Forward    max(x, y)                     min(x, y)                     min(max(x, lower), upper)
Backward   dx = dout [x > y], and half each where x = y (both are right)
           clamp: dx = dout [lower ≤ x ≤ upper]
Shapes     any two that broadcast
Saved      the inputs
Lesson     02_tensor

Comparisons give bool tensors and have no gradient.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from .common import as_tensor, cast, promote, result_dtype, unbroadcast


class Maximum(Function):
    @staticmethod
    def forward(x, y):
        return np.maximum(x, y), (x, y)

    @staticmethod
    def backward(dout, saved):
        x, y = saved
        shared, zero = np.where(x == y, dout / 2, dout), dout.dtype.type(0)
        dx = unbroadcast(np.where(x < y, zero, shared), x.shape)
        dy = unbroadcast(np.where(x > y, zero, shared), y.shape)
        return dx, dy


class Minimum(Function):
    @staticmethod
    def forward(x, y):
        return np.minimum(x, y), (x, y)

    @staticmethod
    def backward(dout, saved):
        x, y = saved
        shared, zero = np.where(x == y, dout / 2, dout), dout.dtype.type(0)
        dx = unbroadcast(np.where(x > y, zero, shared), x.shape)
        dy = unbroadcast(np.where(x < y, zero, shared), y.shape)
        return dx, dy


class Clamp(Function):
    @staticmethod
    def forward(x, lower, upper):
        return np.clip(x, lower, upper), (x, lower, upper)

    @staticmethod
    def backward(dout, saved):
        x, lower, upper = saved
        inside = np.ones(x.shape, bool)
        if lower is not None:
            inside &= x >= lower
        if upper is not None:
            inside &= x <= upper
        return (np.where(inside, dout, dout.dtype.type(0)),)


def maximum(x, other) -> Tensor:
    """The larger of each pair; NaN where one is NaN. Equals get half of the gradient each."""
    x, other = promote("maximum", x, other)
    out, saved = Maximum.forward(x.data, other.data)
    return Maximum.record(out, saved, x, other)


def minimum(x, other) -> Tensor:
    """The smaller of each pair; NaN where one is NaN. Equals get half of the gradient each."""
    x, other = promote("minimum", x, other)
    out, saved = Minimum.forward(x.data, other.data)
    return Minimum.record(out, saved, x, other)


def clamp(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """x, but not below `min` and not above `max` (numbers; None is no bound); all `max` where min > max.

    The gradient flows where x is within the bounds, the bounds included.
    Raises ValueError where both are None, TypeError where one is a tensor.

    >>> clamp(tensor([-2.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        raise ValueError("clamp: at least one of min and max must be given.")
    for bound in bounds:
        if not isinstance(bound, (int, float, np.number)):
            raise TypeError(
                f"clamp: min and max must be numbers, not {type(bound).__name__}; "
                "use maximum() and minimum() with tensors."
            )
    x = as_tensor("clamp", x)
    x = cast(x, result_dtype(x, *bounds))
    out, saved = Clamp.forward(x.data, *(None if b is None else x.dtype.type(b) for b in (min, max)))
    return Clamp.record(out, saved, x)


def eq(x, other) -> Tensor:
    """x == other, a bool tensor. Comparisons broadcast, and are False where one is NaN (but `ne` True)."""
    x, other = promote("eq", x, other)
    return Tensor._from_array(x.data == other.data)


def ne(x, other) -> Tensor:
    """x != other, a bool tensor; see `eq`."""
    x, other = promote("ne", x, other)
    return Tensor._from_array(x.data != other.data)


def lt(x, other) -> Tensor:
    """x < other, a bool tensor; see `eq`."""
    x, other = promote("lt", x, other)
    return Tensor._from_array(x.data < other.data)


def le(x, other) -> Tensor:
    """x <= other, a bool tensor; see `eq`."""
    x, other = promote("le", x, other)
    return Tensor._from_array(x.data <= other.data)


def gt(x, other) -> Tensor:
    """x > other, a bool tensor; see `eq`."""
    x, other = promote("gt", x, other)
    return Tensor._from_array(x.data > other.data)


def ge(x, other) -> Tensor:
    """x >= other, a bool tensor; see `eq`."""
    x, other = promote("ge", x, other)
    return Tensor._from_array(x.data >= other.data)
