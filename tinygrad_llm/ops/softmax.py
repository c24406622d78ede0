"""softmax and log_softmax: scores to probabilities.

Forward    p_i = e^(x_i − m) / Σ_j e^(x_j − m),  m = max_j x_j       log p_i = x_i − m − log Σ_j e^(x_j − m)
Backward   dx_i = p_i (dp_i − Σ_j dp_j p_j)                          dx_i = dlogp_i − p_i Σ_j dlogp_j
Shapes     any; normalised along `dim`, which the kernels get as the last of two: (N, V)
Saved      the output
Lesson     05_softmax_cross_entropy

Subtracting m changes nothing in the result and keeps e^x from overflowing. A row whose scores are all −inf has no
probabilities: as in PyTorch it gives NaN.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import canonical_dim, require_float
from .fast_math import fast_exp, largest_of


def softmax_ref(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax_ref(x: np.ndarray) -> np.ndarray:
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


@kernel(parallel=True)
def softmax_forward(out, x):
    """Each row of x (N, V) to probabilities."""
    N, V = x.shape
    for n in prange(N):
        row = x[n]
        out_row = out[n]
        largest = largest_of(row)
        total = x.dtype.type(0.0)
        for v in range(V):
            e = fast_exp(row[v] - largest)
            out_row[v] = e
            total += e
        scale = x.dtype.type(1.0) / total
        for v in range(V):
            out_row[v] *= scale


@kernel(parallel=True)
def softmax_backward(dx, dout, out):
    """Forward was out = softmax(x); so now, per row, dx = out · (dout − ⟨dout, out⟩)."""
    N, V = out.shape
    for n in prange(N):
        inner = out.dtype.type(0.0)
        for v in range(V):
            inner += dout[n, v] * out[n, v]
        for v in range(V):
            dx[n, v] = out[n, v] * (dout[n, v] - inner)


@kernel(parallel=True)
def log_softmax_forward(out, x):
    N, V = x.shape
    for n in prange(N):
        largest = largest_of(x[n])
        total = x.dtype.type(0.0)
        for v in range(V):
            total += fast_exp(x[n, v] - largest)
        log_total = np.log(total)
        # largest − x is never negative. abs keeps a compiler that may regroup sums from adding log_total to
        # largest first, which would cost the digits of a small result for large scores.
        for v in range(V):
            out[n, v] = -(abs(largest - x[n, v]) + log_total)


@kernel(parallel=True)
def log_softmax_backward(dx, dout, out):
    """Forward was out = x − log Σ e^x; the second term spreads Σ dout over the row as softmax(x) = e^out does."""
    N, V = out.shape
    for n in prange(N):
        total = out.dtype.type(0.0)
        for v in range(V):
            total += dout[n, v]
        for v in range(V):
            dx[n, v] = dout[n, v] - fast_exp(out[n, v]) * total


def as_rows(x: np.ndarray, dim: int) -> np.ndarray:
    """(…, n, …) with n at `dim` → a contiguous (N, n)."""
    last = x if 0 <= dim == x.ndim - 1 else np.moveaxis(x, dim, -1) if x.ndim else x.reshape(1)
    return np.ascontiguousarray(last).reshape(-1, last.shape[-1]) if x.size else np.empty((0, 1), x.dtype)


def from_rows(rows: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """Undo `as_rows`, to an array of `shape`."""
    if not shape or not rows.size or dim == len(shape) - 1:
        return rows if rows.shape == shape else rows.reshape(shape)
    moved = (*(n for d, n in enumerate(shape) if d != dim), shape[dim])
    return np.moveaxis(rows.reshape(moved), -1, dim)


class Softmax(Function):
    @staticmethod
    def forward(x, dim):
        rows = as_rows(x, dim)
        out = np.empty_like(rows)
        softmax_forward(out, rows)
        return from_rows(out, x.shape, dim), (out, x.shape, dim)

    @staticmethod
    def backward(dout, saved):
        out, shape, dim = saved
        dx = np.empty_like(out)
        softmax_backward(dx, as_rows(dout, dim), out)
        return (from_rows(dx, shape, dim),)


class LogSoftmax(Function):
    @staticmethod
    def forward(x, dim):
        rows = as_rows(x, dim)
        out = np.empty_like(rows)
        log_softmax_forward(out, rows)
        return from_rows(out, x.shape, dim), (out, x.shape, dim)

    @staticmethod
    def backward(dout, saved):
        out, shape, dim = saved
        dx = np.empty_like(out)
        log_softmax_backward(dx, as_rows(dout, dim), out)
        return (from_rows(dx, shape, dim),)


def softmax(input: Tensor, dim: int = -1) -> Tensor:
    """Probabilities along `dim`: positive, summing to 1. Same shape as `input`, which must be floating point.

    >>> softmax(tensor([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    require_float("softmax", input)
    dim = canonical_dim("softmax", dim, input.ndim)
    out, saved = Softmax.forward(input.data, dim)
    return Softmax.record(out, saved, input)


def log_softmax(input: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(input)), exact also where a probability underflows. Same shape as `input`."""
    require_float("log_softmax", input)
    dim = canonical_dim("log_softmax", dim, input.ndim)
    out, saved = LogSoftmax.forward(input.data, dim)
    return LogSoftmax.record(out, saved, input)
