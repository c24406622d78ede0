"""Plausible wrong answers to the exercises of lesson 02."""

import numpy as np

from tinygrad_llm.autograd import Function
from tinygrad_llm.ops.common import unbroadcast as _unbroadcast


def unbroadcast__forgets_stretched_dims(gradient, shape):
    """Sums over the dims in front only."""
    return gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))


def unbroadcast__takes_one_use(gradient, shape):
    """The first use instead of the sum over all."""
    gradient = gradient[(0,) * (gradient.ndim - len(shape))]
    return np.asarray(gradient[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]).reshape(shape)


def unbroadcast__drops_dims_of_one(gradient, shape):
    """Sums over the right dims, but without keeping those of size 1."""
    added = gradient.ndim - len(shape)
    dims = (*range(added), *(added + i for i, n in enumerate(shape) if n == 1))
    return np.asarray(gradient.sum(axis=dims))


def mean_backward__forgets_to_divide(dout, shape, dim):
    """The gradient of a sum."""
    return np.broadcast_to(np.expand_dims(dout, dim), shape).copy()


def mean_backward__divides_by_all(dout, shape, dim):
    """By the number of all numbers, not of those along dim."""
    return np.broadcast_to(np.expand_dims(dout / np.prod(shape), dim), shape).copy()


def mean_backward__last_dim_only(dout, shape, dim):
    """As if dim were always the first, where NumPy broadcasts by itself."""
    return np.zeros(shape) + dout / shape[dim]


class _HypotAlone(Function):
    @staticmethod
    def forward(x, y):
        out = np.sqrt(x * x + y * y)
        return out, (x, y, out)

    @staticmethod
    def backward(dout, saved):
        x, y, out = saved
        return dout * x / out, dout * y / out


def hypot__forgets_unbroadcast(x, y):
    """Right until one input is broadcast."""
    out, saved = _HypotAlone.forward(x.data, y.data)
    return _HypotAlone.record(out, saved, x, y)


class _HypotWithoutDout(_HypotAlone):
    @staticmethod
    def backward(dout, saved):
        x, y, out = saved
        return _unbroadcast(x / out, x.shape), _unbroadcast(y / out, y.shape)


def hypot__forgets_dout(x, y):
    """Its own slope, not multiplied by what came from above."""
    out, saved = _HypotWithoutDout.forward(x.data, y.data)
    return _HypotWithoutDout.record(out, saved, x, y)


def hypot__is_composed(x, y):
    """Right numbers, but no op of one's own."""
    return (x * x + y * y).sqrt()


def hypot__records_one_input(x, y):
    """y is left out of the graph."""
    out, saved = _HypotAlone.forward(x.data, y.data)
    return _HypotAlone.record(out, saved, x)


def run_backward__last_use_wins(steps, dout):
    """Assigns where it should add."""
    gradients = {steps[0][0]: dout}
    for out, op, saved, inputs in steps:
        gradients.update(zip(inputs, op.backward(gradients[out], saved), strict=True))
    return gradients


def run_backward__adds_in_place(steps, dout):
    """Add hands the same array to both inputs; += on one of them changes the other."""
    gradients = {steps[0][0]: dout.copy()}
    for out, op, saved, inputs in steps:
        for name, gradient in zip(inputs, op.backward(gradients[out], saved), strict=True):
            if name in gradients:
                gradients[name] += gradient
            else:
                gradients[name] = gradient
    return gradients


def run_backward__leaves_only(steps, dout):
    """Drops the gradients of what was computed between."""
    gradients = {steps[0][0]: dout}
    for out, op, saved, inputs in steps:
        for name, gradient in zip(inputs, op.backward(gradients.pop(out), saved), strict=True):
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
    return gradients
