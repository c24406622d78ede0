"""rms_norm: every feature vector to root mean square 1, then scaled by a learned weight.

Forward    x̂ = x · r,  r = 1 / √(mean_c x_c² + eps)                out = x̂ · w
Backward   g = dout · w       dx = r (g − x̂ · mean_c (g_c x̂_c))       dw = Σ_n dout · x̂
Shapes     x (…, *normalized_shape), which the kernels get as rows (N, C); w has normalized_shape
Saved      x, w, and per row r
Lesson     16_modern_blocks
Source     Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019), equation 4

It is layer_norm without the mean: one statistic less in forward, so one term less in backward.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .layer_norm import check_normalized_shape, n_chunks


def rms_norm_ref(x, normalized_shape, weight=None, eps=None):
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    eps = np.finfo(x.dtype).eps if eps is None else eps
    return x / np.sqrt((x**2).mean(axis=axes, keepdims=True) + eps) * (1 if weight is None else weight)


@kernel(parallel=True)
def rms_norm_forward(out, rstd, x, weight, eps):
    N, C = x.shape
    one, count = x.dtype.type(1.0), x.dtype.type(C)
    for n in prange(N):
        squares = x.dtype.type(0.0)
        for c in range(C):
            squares += x[n, c] * x[n, c]
        r = one / np.sqrt(squares / count + eps)
        for c in range(C):
            out[n, c] = x[n, c] * r * weight[c]
        rstd[n] = r


@kernel(parallel=True)
def rms_norm_backward(dx, dweight, dout, x, rstd, weight):
    """Forward was out = x̂·w; dweight (chunks, C) gets a sum over each chunk of the rows, as in layer_norm."""
    N, C = x.shape
    chunks, count = dweight.shape[0], x.dtype.type(C)
    for chunk in prange(chunks):
        for c in range(C):
            dweight[chunk, c] = x.dtype.type(0.0)
        for n in range(chunk * N // chunks, (chunk + 1) * N // chunks):
            r = rstd[n]
            mean_gx = x.dtype.type(0.0)
            for c in range(C):
                x_hat = x[n, c] * r
                dweight[chunk, c] += dout[n, c] * x_hat
                mean_gx += dout[n, c] * weight[c] * x_hat
            mean_gx /= count
            for c in range(C):
                dx[n, c] = r * (dout[n, c] * weight[c] - x[n, c] * r * mean_gx)


class RMSNorm(Function):
    @staticmethod
    def forward(x, weight, eps):
        rows = np.ascontiguousarray(x).reshape(-1, weight.size) if x.size else np.empty((0, weight.size), x.dtype)
        weight_row = np.ascontiguousarray(weight).reshape(-1)
        out = np.empty_like(rows)
        rstd = np.empty(len(rows), x.dtype)
        if len(rows):
            rms_norm_forward(out, rstd, rows, weight_row, x.dtype.type(eps))
        return out.reshape(x.shape), (rows, rstd, weight_row, weight.shape)

    @staticmethod
    def backward(dout, saved):
        rows, rstd, weight, normalized_shape = saved
        dx = np.empty(dout.shape, rows.dtype)
        dweight = np.empty((n_chunks(len(rows)), weight.size), rows.dtype)
        if len(rows):
            dout_rows = np.ascontiguousarray(dout).reshape(rows.shape)
            rms_norm_backward(dx.reshape(rows.shape), dweight, dout_rows, rows, rstd, weight)
        return dx, dweight.sum(axis=0).reshape(normalized_shape)


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide `input` (…, *normalized_shape) by its root mean square over the last dims; then scale by `weight`.

    `weight` has shape normalized_shape; left out it is 1. `eps` None means the spacing of floats at 1 in its
    dtype (1.2e-7 in float32). Raises ValueError where the shapes do not fit.

    >>> rms_norm(tensor([[3.0, 3.0], [-5.0, 5.0]]), 2, eps=0.0).tolist()
    [[1.0, 1.0], [-1.0, 1.0]]
    """
    shape = check_normalized_shape("rms_norm", input, normalized_shape, weight=weight)
    weight = Tensor._from_array(np.ones(shape, input.dtype)) if weight is None else weight
    eps = np.finfo(input.dtype).eps if eps is None else eps
    out, saved = RMSNorm.forward(input.data, weight.data, eps)
    return RMSNorm.record(out, saved, input, weight)
