"""add, sub, mul, div, neg, pow, element by element, with broadcasting.

Forward    x + y        x − y        x y          x / y              −x       x^y
Backward   dx = dout    dx = dout    dx = dout y  dx = dout / y      −dout    dx = dout y x^(y−1)
           dy = dout    dy = −dout   dy = dout x  dy = −dout out/y            dy = dout out log x
Shapes     any two that broadcast; a stretched operand's gradient is summed over its copies
Saved      only what the gradients that are asked for need: `needs` says which of the two are
Lesson     02_tensor

Numbers beyond the largest float become inf and 0/0 becomes NaN without a warning, as in PyTorch: attention
masks are made of −inf. `detect_anomaly()` finds the op that made a NaN.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from .common import promote, require_tensor, unbroadcast


class Add(Function):
    @staticmethod
    def forward(x, y, needs=(True, True)):
        with np.errstate(all="ignore"):
            return x + y, (x.shape, y.shape, needs)

    @staticmethod
    def backward(dout, saved):
        x_shape, y_shape, needs = saved
        dx = unbroadcast(dout, x_shape) if needs[0] else None
        dy = unbroadcast(dout, y_shape) if needs[1] else None
        return dx, dy


class Sub(Function):
    @staticmethod
    def forward(x, y, needs=(True, True)):
        with np.errstate(all="ignore"):
            return x - y, (x.shape, y.shape, needs)

    @staticmethod
    def backward(dout, saved):
        x_shape, y_shape, needs = saved
        dx = unbroadcast(dout, x_shape) if needs[0] else None
        dy = -unbroadcast(dout, y_shape) if needs[1] else None
        return dx, dy


class Mul(Function):
    @staticmethod
    def forward(x, y, needs=(True, True)):
        with np.errstate(all="ignore"):
            out = x * y
        return out, (x if needs[1] else None, y if needs[0] else None, x.shape, y.shape)

    @staticmethod
    def backward(dout, saved):
        x, y, x_shape, y_shape = saved
        dx = unbroadcast(dout * y, x_shape) if y is not None else None
        dy = unbroadcast(dout * x, y_shape) if x is not None else None
        return dx, dy


class Div(Function):
    @staticmethod
    def forward(x, y, needs=(True, True)):
        with np.errstate(all="ignore"):
            out = x / y
        return out, (out if needs[1] else None, y, x.shape, needs)

    @staticmethod
    def backward(dout, saved):
        out, y, x_shape, needs = saved
        dx = dout / y
        dy = unbroadcast(-dx * out, y.shape) if needs[1] else None
        return unbroadcast(dx, x_shape) if needs[0] else None, dy


class Neg(Function):
    @staticmethod
    def forward(x):
        return -x, ()

    @staticmethod
    def backward(dout, saved):
        return (-dout,)


class Pow(Function):
    @staticmethod
    def forward(x, y, needs=(True, True)):
        with np.errstate(all="ignore"):
            out = x ** (y.item() if y.ndim == 0 else y)  # NumPy squares where the exponent is a Python 2
        return out, (x, y, out if needs[1] else None, needs)

    @staticmethod
    def backward(dout, saved):
        x, y, out, needs = saved
        dx = unbroadcast(dout * _slope_in_base(x, y), x.shape) if needs[0] else None
        dy = unbroadcast(dout * _slope_in_exponent(x, y, out), y.shape) if needs[1] else None
        return dx, dy


def _slope_in_base(x, y):
    """y x^(y−1), and 0 for y = 0 (not 0 · x^(−1), which is NaN at x = 0)."""
    if y.ndim == 0:
        exponent = y.item()
        return exponent * x ** (exponent - 1) if exponent != 0 else np.zeros_like(x)
    return np.where(y == 0, x.dtype.type(0), y * x ** (y - 1))


def _slope_in_exponent(x, y, out):
    """x^y log x, and 0 for 0^y with y ≥ 0 (the function is constant there; log 0 would make it NaN)."""
    constant = (x == 0) & (y >= 0)
    return np.where(constant, x.dtype.type(0), out * np.log(x))


def add(x, other) -> Tensor:
    """x + other. Both broadcast and are promoted to a common dtype; numbers are welcome on either side.

    >>> add(tensor([[1.0], [2.0]]), tensor([10.0, 20.0])).tolist()
    [[11.0, 21.0], [12.0, 22.0]]
    """
    x, other = promote("add", x, other)
    out, saved = Add.forward(x.data, other.data, (x.requires_grad, other.requires_grad))
    return Add.record(out, saved, x, other)


def sub(x, other) -> Tensor:
    """x − other, with broadcasting and promotion. Raises TypeError for booleans."""
    _forbid_bool("sub", x, other)
    x, other = promote("sub", x, other)
    out, saved = Sub.forward(x.data, other.data, (x.requires_grad, other.requires_grad))
    return Sub.record(out, saved, x, other)


def mul(x, other) -> Tensor:
    """x · other, element by element, with broadcasting and promotion."""
    x, other = promote("mul", x, other)
    out, saved = Mul.forward(x.data, other.data, (x.requires_grad, other.requires_grad))
    return Mul.record(out, saved, x, other)


def div(x, other) -> Tensor:
    """x / other, true division: integers give float32. x/0 is inf or NaN, without a warning."""
    x, other = promote("div", x, other, to_float=True)
    out, saved = Div.forward(x.data, other.data, (x.requires_grad, other.requires_grad))
    return Div.record(out, saved, x, other)


def neg(x: Tensor) -> Tensor:
    """−x. Raises TypeError for booleans."""
    require_tensor("neg", x)
    _forbid_bool("neg", x)
    out, saved = Neg.forward(x.data)
    return Neg.record(out, saved, x)


def pow(x, exponent) -> Tensor:
    """x to the power of `exponent`, each a tensor or a number. x^0 is 1 also at x = 0, with slope 0.

    Raises TypeError for booleans to boolean powers, ValueError for integers to negative integer powers.
    """
    x, exponent = promote("pow", x, exponent)
    if x.dtype.kind == "b":
        raise TypeError("pow: base and exponent are both bool; make one a number, e.g. x.float() ** 2.")
    if x.dtype.kind in "iu" and (exponent.data < 0).any():
        raise ValueError("pow: integers to negative powers are no integers; use x.float() ** exponent.")
    out, saved = Pow.forward(x.data, exponent.data, (x.requires_grad, exponent.requires_grad))
    return Pow.record(out, saved, x, exponent)


def _forbid_bool(op: str, *operands) -> None:
    for operand in operands:
        if isinstance(operand, bool) or (isinstance(operand, Tensor) and operand.dtype.kind == "b"):
            raise TypeError(f"{op}: not defined for bool; to invert a mask write `mask == False`.")
