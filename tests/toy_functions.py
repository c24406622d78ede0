"""The smallest functions that show what the engine does, so that its tests depend on no op of the package."""

from __future__ import annotations

import numpy as np

from tinygrad_llm.autograd import Function, Tensor, tensor


class Square(Function):
    @staticmethod
    def forward(x):
        return x * x, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (2 * x * dout,)


def square(x: Tensor) -> Tensor:
    out, saved = Square.forward(x.data)
    return Square.record(out, saved, x)


class Plus(Function):
    """Hands one and the same array to both inputs."""

    @staticmethod
    def forward(a, b):
        return a + b, ()

    @staticmethod
    def backward(dout, saved):
        return dout, dout


def plus(a: Tensor, b: Tensor) -> Tensor:
    out, saved = Plus.forward(a.data, b.data)
    return Plus.record(out, saved, a, b)


class Times(Function):
    @staticmethod
    def forward(a, b):
        return a * b, (a, b)

    @staticmethod
    def backward(dout, saved):
        a, b = saved
        return dout * b, dout * a


def times(a: Tensor, b: Tensor) -> Tensor:
    out, saved = Times.forward(a.data, b.data)
    return Times.record(out, saved, a, b)


class Flip(Function):
    """Forward and backward give views."""

    @staticmethod
    def forward(x):
        return x[::-1], ()

    @staticmethod
    def backward(dout, saved):
        return (dout[::-1],)


def flip(x: Tensor) -> Tensor:
    out, saved = Flip.forward(x.data)
    return Flip.record(out, saved, x)


def leaf(*values, dtype="float64") -> Tensor:
    return tensor(np.array(values, dtype=dtype), requires_grad=True)


def apply(function: type[Function], x: Tensor) -> Tensor:
    return function.record(*function.forward(x.data), x)
