"""relu, leaky_relu, sigmoid, silu, softplus: what bends a network's lines (gelu has its own file).

Forward    relu(x) = max(x, 0)              leaky_relu(x) = x where x > 0, else a x
           sigmoid(x) = σ(x) = 1 / (1 + e^(−x))
           silu(x) = x σ(x)                 softplus(x) = log(1 + e^(β x)) / β
Backward   dx = dout [x > 0]                dx = dout where x > 0, else a dout
           dx = dout σ (1 − σ)
           dx = dout σ (1 + x (1 − σ))      dx = dout σ(β x)
Shapes     any; the kernels get all elements in one row
Saved      relu and sigmoid their output, the others their input
Lesson     06_modules_and_optimizers
Source     Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", 2017 (silu)
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import as_float, require_float, require_tensor
from .fast_math import fast_exp


def relu_ref(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def leaky_relu_ref(x: np.ndarray, negative_slope: float = 0.01) -> np.ndarray:
    return np.where(x > 0, x, negative_slope * x)


def sigmoid_ref(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu_ref(x: np.ndarray) -> np.ndarray:
    return x * sigmoid_ref(x)


def softplus_ref(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    return np.where(beta * x > threshold, x, np.log1p(np.exp(np.minimum(beta * x, threshold))) / beta)


@kernel(parallel=True)
def relu_forward(out, x):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        out[i] = zero if x[i] < zero else x[i]


@kernel(parallel=True)
def relu_backward(dx, dout, out):
    """Forward was out = max(x, 0); where the result is 0, it does not depend on x."""
    zero = out.dtype.type(0)
    for i in prange(out.size):
        dx[i] = zero if out[i] <= zero else dout[i]


@kernel(parallel=True)
def leaky_relu_forward(out, x, negative_slope):
    for i in prange(x.size):
        out[i] = x[i] if x[i] > x.dtype.type(0) else negative_slope * x[i]


@kernel(parallel=True)
def leaky_relu_backward(dx, dout, x, negative_slope):
    for i in prange(x.size):
        dx[i] = dout[i] if x[i] > x.dtype.type(0) else negative_slope * dout[i]


@kernel
def sigmoid_scalar(x):
    one = type(x)(1.0)
    return one / (one + fast_exp(-x))


@kernel(parallel=True)
def sigmoid_forward(out, x):
    for i in prange(x.size):
        out[i] = sigmoid_scalar(x[i])


@kernel(parallel=True)
def sigmoid_backward(dx, dout, out):
    """Forward was out = σ(x), whose slope can be told from the result alone: dx = dout · out (1 − out)."""
    for i in prange(out.size):
        dx[i] = dout[i] * out[i] * (out.dtype.type(1.0) - out[i])


@kernel(parallel=True)
def silu_forward(out, x):
    for i in prange(x.size):
        out[i] = x[i] * sigmoid_scalar(x[i])


@kernel(parallel=True)
def silu_backward(dx, dout, x):
    """Forward was out = x σ(x), and σ' = σ (1 − σ); so now dx = dout · σ (1 + x (1 − σ))."""
    one = x.dtype.type(1.0)
    for i in prange(x.size):
        sigma = sigmoid_scalar(x[i])
        dx[i] = dout[i] * sigma * (one + x[i] * (one - sigma))


class Relu(Function):
    @staticmethod
    def forward(x):
        out = np.empty(x.shape, x.dtype)
        relu_forward(out.reshape(-1), x.ravel())
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        dx = np.empty(out.shape, out.dtype)
        relu_backward(dx.reshape(-1), dout.ravel(), out.reshape(-1))
        return (dx,)


class LeakyRelu(Function):
    @staticmethod
    def forward(x, negative_slope):
        out = np.empty(x.shape, x.dtype)
        leaky_relu_forward(out.reshape(-1), x.ravel(), x.dtype.type(negative_slope))
        return out, (x, negative_slope)

    @staticmethod
    def backward(dout, saved):
        x, negative_slope = saved
        dx = np.empty(x.shape, x.dtype)
        leaky_relu_backward(dx.reshape(-1), dout.ravel(), x.ravel(), x.dtype.type(negative_slope))
        return (dx,)


class Sigmoid(Function):
    @staticmethod
    def forward(x):
        out = np.empty(x.shape, x.dtype)
        sigmoid_forward(out.reshape(-1), x.ravel())
        return out, (out,)

    @staticmethod
    def backward(dout, saved):
        (out,) = saved
        dx = np.empty(out.shape, out.dtype)
        sigmoid_backward(dx.reshape(-1), dout.ravel(), out.reshape(-1))
        return (dx,)


class Silu(Function):
    @staticmethod
    def forward(x):
        out = np.empty(x.shape, x.dtype)
        silu_forward(out.reshape(-1), x.ravel())
        return out, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        dx = np.empty(x.shape, x.dtype)
        silu_backward(dx.reshape(-1), dout.ravel(), x.ravel())
        return (dx,)


class Softplus(Function):
    @staticmethod
    def forward(x, beta, threshold):
        z = beta * x
        smooth = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))  # e^z alone would overflow
        return np.where(z > threshold, x, smooth / beta), (x, beta, threshold)

    @staticmethod
    def backward(dout, saved):
        x, beta, threshold = saved
        z = beta * x
        return (np.where(z > threshold, dout, dout / (1 + np.exp(-z))),)


def relu(input: Tensor) -> Tensor:
    """max(x, 0) for each element x, with slope 0 at 0. Raises TypeError for booleans."""
    require_tensor("relu", input)
    if input.dtype.kind == "b":
        raise TypeError("relu: needs numbers, got a bool tensor; call .float() first.")
    out, saved = Relu.forward(input.data)
    return Relu.record(out, saved, input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else `negative_slope` x, for each element x; the slope at 0 is `negative_slope`."""
    require_float("leaky_relu", input)
    out, saved = LeakyRelu.forward(input.data, negative_slope)
    return LeakyRelu.record(out, saved, input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^(−x)) for each element x: any number to (0, 1). Integers become float32.

    >>> sigmoid(tensor([0.0])).tolist()
    [0.5]
    """
    input = as_float("sigmoid", input)
    out, saved = Sigmoid.forward(input.data)
    return Sigmoid.record(out, saved, input)


def silu(input: Tensor) -> Tensor:
    """x σ(x) for each element x: the gate of SwiGLU. Raises TypeError where `input` is not floating point."""
    require_float("silu", input)
    out, saved = Silu.forward(input.data)
    return Silu.record(out, saved, input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta for each element x, a smooth relu; x itself where beta x > threshold.

    Raises TypeError where `input` is not floating point, ValueError for beta = 0.
    """
    require_float("softplus", input)
    if beta == 0:
        raise ValueError("softplus: beta must not be 0; the default is 1.")
    out, saved = Softplus.forward(input.data, float(beta), float(threshold))
    return Softplus.record(out, saved, input)
