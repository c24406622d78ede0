"""`clip_grad_norm_`: a limit to the length of the gradient, so that one bad batch cannot throw the model off.

All gradients together are one long vector. If its norm is above the limit, it is scaled down to it, direction kept
(Pascanu et al. 2013).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..autograd import Tensor
from ..kernel import kernel

CHUNK = 4096


def squares_by_chunk_ref(x: np.ndarray, chunk: int) -> np.ndarray:
    return np.add.reduceat(x.astype(np.float64) ** 2, np.arange(0, len(x), chunk))


@kernel
def squares_by_chunk(out, x, chunk):
    """out[c] = Σ x² over chunk c of x (N,). Short sums, added up in float64: a long one in float32 loses digits.

    One thread: reading a parameter's gradient takes less than it takes to wake a second, for all but huge ones.
    """
    for c in range(out.shape[0]):
        piece = x[c * chunk : min((c + 1) * chunk, x.shape[0])]
        total = x.dtype.type(0.0)
        for i in range(piece.shape[0]):
            total += piece[i] * piece[i]
        out[c] = total


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, *, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients in place so that their joint 2-norm is at most `max_norm`; returns the norm before.

    Raises ValueError for a norm that is NaN or infinite if `error_if_nonfinite`; else the gradients become NaN or
    0, as in PyTorch, and the returned norm tells it.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be at least 0, not {max_norm!r}.")
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(_sum_of_squares(gradient.data) for gradient in gradients))
    if error_if_nonfinite and not math.isfinite(norm):
        raise ValueError(f"clip_grad_norm_: the gradients' total norm is {norm}; the loss is not finite either?")
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1:
        for gradient in gradients:
            gradient.data *= gradient.dtype.type(scale)
            gradient._version.count += 1
    return norm


def _sum_of_squares(x: np.ndarray) -> float:
    flat = np.ascontiguousarray(x).reshape(-1)
    sums = np.empty(-(-flat.size // CHUNK), np.float64)
    squares_by_chunk(sums, flat, CHUNK)
    return float(sums.sum())
