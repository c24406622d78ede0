"""Solutions of lesson 02."""

import numpy as np

from tinygrad_llm.autograd import Function, Tensor


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum over the dims that were put in front, then over those that were stretched from 1."""
    added = gradient.ndim - len(shape)
    total = gradient.sum(axis=tuple(range(added)))
    stretched = tuple(dim for dim, n in enumerate(shape) if n == 1)
    return np.asarray(total.sum(axis=stretched, keepdims=True)).reshape(shape)


def mean_backward(dout: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """Each of the n numbers moves the mean by 1/n; the gradient is broadcast, as forward it was summed."""
    share = np.expand_dims(dout / shape[dim], dim)
    return np.broadcast_to(share, shape).copy()


class Hypot(Function):
    @staticmethod
    def forward(x, y):
        out = np.sqrt(x * x + y * y)
        return out, (x, y, out)

    @staticmethod
    def backward(dout, saved):
        x, y, out = saved
        return unbroadcast(dout * x / out, x.shape), unbroadcast(dout * y / out, y.shape)


def hypot(x: Tensor, y: Tensor) -> Tensor:
    """√(x² + y²) as one op."""
    out, saved = Hypot.forward(x.data, y.data)
    return Hypot.record(out, saved, x, y)


def run_backward(steps: list[tuple], dout: np.ndarray) -> dict[str, np.ndarray]:
    """Sums are new arrays: what an op returned may be dout itself, and belong to another name as well."""
    gradients = {steps[0][0]: dout}
    for out, op, saved, inputs in steps:
        for name, gradient in zip(inputs, op.backward(gradients[out], saved), strict=True):
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
    return gradients
