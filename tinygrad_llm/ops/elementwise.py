"""Functions of one number, element by element: exp, log, sqrt, sin and the like.

           out =                         dx = dout ·
           exp         e^x               out
           log         log x             1 / x
           log1p       log(1 + x)        1 / (1 + x)
           sqrt        √x                1 / (2 out)
           rsqrt       1 / √x            −out³ / 2
           square      x²                2 x
           reciprocal  1 / x             −out²
           abs         |x|               sign x, 0 at 0
           sin         sin x             cos x
           cos         cos x             −sin x
           tanh        tanh x            1 − out²
Shapes     any
Saved      the output where the slope is a function of it, else the input
Lesson     02_tensor

Outside a function's domain the result is NaN or ±inf, without a warning, as in PyTorch.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from .common import as_float, as_tensor, cast


class Exp(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            out = np.exp(x)
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        return (dout * out,)


class Log(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            return np.log(x), (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (dout / x,)


class Log1p(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            return np.log1p(x), (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (dout / (1 + x),)


class Sqrt(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            out = np.sqrt(x)
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        return (dout / (2 * out),)


class Rsqrt(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            out = 1 / np.sqrt(x)
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        return (dout * (-0.5 * out * out * out),)


class Square(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            return x * x, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (2 * x * dout,)


class Reciprocal(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            out = 1 / x
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        return (-dout * out * out,)


class Abs(Function):
    @staticmethod
    def forward(x):
        return np.abs(x), (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (dout * np.sign(x),)


class Sin(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            return np.sin(x), (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (dout * np.cos(x),)


class Cos(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            return np.cos(x), (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (-dout * np.sin(x),)


class Tanh(Function):
    @staticmethod
    def forward(x):
        out = np.tanh(x)
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        return (dout * (1 - out * out),)


def exp(x: Tensor) -> Tensor:
    """e^x; inf where that is too large for the dtype. Integers become float32."""
    x = as_float("exp", x)
    out, saved = Exp.forward(x.data)
    return Exp.record(out, saved, x)


def log(x: Tensor) -> Tensor:
    """The natural logarithm; −inf at 0, NaN below. Integers become float32."""
    x = as_float("log", x)
    out, saved = Log.forward(x.data)
    return Log.record(out, saved, x)


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact also for x so small that 1 + x rounds to 1."""
    x = as_float("log1p", x)
    out, saved = Log1p.forward(x.data)
    return Log1p.record(out, saved, x)


def sqrt(x: Tensor) -> Tensor:
    """√x; NaN below 0. The slope at 0 is inf."""
    x = as_float("sqrt", x)
    out, saved = Sqrt.forward(x.data)
    return Sqrt.record(out, saved, x)


def rsqrt(x: Tensor) -> Tensor:
    """1/√x, as normalisations need it; inf at 0."""
    x = as_float("rsqrt", x)
    out, saved = Rsqrt.forward(x.data)
    return Rsqrt.record(out, saved, x)


def square(x: Tensor) -> Tensor:
    """x². Integers stay integers, booleans become int64."""
    x = as_tensor("square", x)
    x = cast(x, np.int64) if x.dtype.kind == "b" else x
    out, saved = Square.forward(x.data)
    return Square.record(out, saved, x)


def reciprocal(x: Tensor) -> Tensor:
    """1/x; inf at 0. Integers become float32."""
    x = as_float("reciprocal", x)
    out, saved = Reciprocal.forward(x.data)
    return Reciprocal.record(out, saved, x)


def abs(x: Tensor) -> Tensor:
    """|x|, with slope 0 at 0. Integers stay integers."""
    x = as_tensor("abs", x)
    if x.dtype.kind == "b":
        raise TypeError("abs: needs numbers, got a bool tensor; call .float() first.")
    out, saved = Abs.forward(x.data)
    return Abs.record(out, saved, x)


def sin(x: Tensor) -> Tensor:
    """The sine of x in radians. Integers become float32."""
    x = as_float("sin", x)
    out, saved = Sin.forward(x.data)
    return Sin.record(out, saved, x)


def cos(x: Tensor) -> Tensor:
    """The cosine of x in radians. Integers become float32."""
    x = as_float("cos", x)
    out, saved = Cos.forward(x.data)
    return Cos.record(out, saved, x)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent: any number to (−1, 1). Integers become float32."""
    input = as_float("tanh", input)
    out, saved = Tanh.forward(input.data)
    return Tanh.record(out, saved, input)
