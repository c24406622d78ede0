"""dropout: while training, set each element to 0 with probability p, and scale up the rest.

Forward    out = x · keep / (1 − p),  keep ∈ {0, 1},  P(keep = 0) = p
Backward   dx = dout · keep / (1 − p)
Shapes     any
Saved      keep, a byte per element
Lesson     12_transformer_block

The mean stays what it was, so that nothing has to change when dropout is switched off.
Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Function, Tensor
from .common import require_float


def dropout_ref(x: np.ndarray, keep: np.ndarray, p: float) -> np.ndarray:
    return np.where(keep, x, 0) / (1 - p) if p < 1 else np.zeros_like(x)


class Dropout(Function):
    @staticmethod
    def forward(x, keep, p):
        scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
        out = x * scale
        out *= keep
        return out, (keep, scale)

    @staticmethod
    def backward(dout, saved):
        keep, scale = saved
        dx = dout * scale
        dx *= keep
        return (dx,)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None) -> Tensor:
    """Each element set to 0 with probability `p`, else divided by 1 - p; `input` itself when not training.

    `rng` draws which: the same state gives the same elements. p is rounded to a multiple of 2^-16.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be a probability from 0 to 1, got {p}.")
    if not training or p == 0:
        return input
    require_float("dropout", input)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            "dropout: while training it needs rng=, a np.random.Generator such as "
            f"np.random.default_rng(0), got {rng!r}."
        )
    out, saved = Dropout.forward(input.data, random_keep(input.shape, p, rng), p)
    return Dropout.record(out, saved, input)


def random_keep(shape: tuple[int, ...], p: float, rng: np.random.Generator) -> np.ndarray:
    """A boolean array, False with probability p. Four elements share one 64-bit draw: three times as fast."""
    n = math.prod(shape)
    draws = rng.integers(0, 2**64 - 1, (n + 3) // 4, dtype=np.uint64, endpoint=True).view(np.uint16)
    return (draws[:n] >= round(p * 2**16)).reshape(shape)
