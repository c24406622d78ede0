"""layer_norm: every feature vector to mean 0 and variance 1, then scaled and shifted by learned weights.

Forward    x̂ = (x − μ) · r,  μ = mean_c x_c,  r = 1 / √(mean_c (x_c − μ)² + eps)      out = x̂ · w + b
Backward   g = dout · w       dx = r (g − mean_c g_c − x̂ · mean_c (g_c x̂_c))
           dw = Σ_n dout · x̂                 db = Σ_n dout
Shapes     x (…, *normalized_shape), which the kernels get as rows (N, C); w and b have normalized_shape
Saved      x, w, and per row μ and r: x̂ is cheaper to compute again than to keep
Lesson     12_transformer_block
Source     Ba, Kiros and Hinton, "Layer Normalization" (2016), equations 3 and 4

Both statistics depend on the whole row: the two means subtracted in dx are what flows back through them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import require_float
from .shape import sizes

FEW = 1 << 14  # numbers that one thread has normalised before another is awake


def layer_norm_ref(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True)
    normalized = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    return normalized * (1 if weight is None else weight) + (0 if bias is None else bias)


@kernel(inline=True)
def layer_norm_row(out_row, row, weight, bias, eps):
    """Fill one row of the result; returns its μ and r."""
    C, count = row.shape[0], row.dtype.type(row.shape[0])
    total = row.dtype.type(0.0)
    for c in range(C):
        total += row[c]
    mu = total / count
    squares = row.dtype.type(0.0)  # of differences from the mean: Σx² − Nμ² would cancel for a large mean
    for c in range(C):
        squares += (row[c] - mu) * (row[c] - mu)
    r = row.dtype.type(1.0) / np.sqrt(squares / count + eps)
    for c in range(C):
        out_row[c] = (row[c] - mu) * r * weight[c] + bias[c]
    return mu, r


@kernel(parallel=True)
def layer_norm_forward(out, mean, rstd, x, weight, bias, eps):
    if x.size < FEW:
        for n in range(x.shape[0]):
            mean[n], rstd[n] = layer_norm_row(out[n], x[n], weight, bias, eps)
    else:
        for n in prange(x.shape[0]):
            mean[n], rstd[n] = layer_norm_row(out[n], x[n], weight, bias, eps)


@kernel(parallel=True)
def layer_norm_backward(dx, dweight, dbias, dout, x, mean, rstd, weight):
    """Forward was out = x̂·w + b; a row of dweight and of dbias (chunks, C) gets the sum over a chunk of x's rows.

    Threads never add to the same element, and the chunks depend on N alone: so the result is the same, bit for
    bit, for any number of threads.
    """
    N, C = x.shape
    chunks, count = dweight.shape[0], x.dtype.type(C)
    for chunk in prange(chunks):
        for c in range(C):
            dweight[chunk, c] = x.dtype.type(0.0)
            dbias[chunk, c] = x.dtype.type(0.0)
        for n in range(chunk * N // chunks, (chunk + 1) * N // chunks):
            mu, r = mean[n], rstd[n]
            mean_g = mean_gx = x.dtype.type(0.0)
            for c in range(C):
                x_hat = (x[n, c] - mu) * r
                g = dout[n, c] * weight[c]
                dweight[chunk, c] += dout[n, c] * x_hat
                dbias[chunk, c] += dout[n, c]
                mean_g += g
                mean_gx += g * x_hat
            mean_g /= count
            mean_gx /= count
            for c in range(C):
                dx[n, c] = r * (dout[n, c] * weight[c] - mean_g - (x[n, c] - mu) * r * mean_gx)


def n_chunks(n_rows: int) -> int:
    """In how many chunks to sum over rows: enough work for each, enough of them for many threads."""
    return min(64, -(-n_rows // 16))


class LayerNorm(Function):
    @staticmethod
    def forward(x, weight, bias, eps):
        rows = np.ascontiguousarray(x).reshape(-1, weight.size) if x.size else np.empty((0, weight.size), x.dtype)
        weight_row = np.ascontiguousarray(weight).reshape(-1)
        out = np.empty_like(rows)
        mean, rstd = np.empty(len(rows), x.dtype), np.empty(len(rows), x.dtype)
        if len(rows):
            bias_row = np.ascontiguousarray(bias).reshape(-1)
            layer_norm_forward(out, mean, rstd, rows, weight_row, bias_row, x.dtype.type(eps))
        return out.reshape(x.shape), (rows, mean, rstd, weight_row, weight.shape)

    @staticmethod
    def backward(dout, saved):
        rows, mean, rstd, weight, normalized_shape = saved
        dx = np.empty(dout.shape, rows.dtype)
        parts = n_chunks(len(rows))
        dweight, dbias = np.empty((2, parts, weight.size), rows.dtype)
        if len(rows):
            dout_rows = np.ascontiguousarray(dout).reshape(rows.shape)
            layer_norm_backward(dx.reshape(rows.shape), dweight, dbias, dout_rows, rows, mean, rstd, weight)
        return (
            dx,
            dweight.sum(axis=0).reshape(normalized_shape),
            dbias.sum(axis=0).reshape(normalized_shape),
        )


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise `input` (…, *normalized_shape) over its last dims; then scale by `weight` and shift by `bias`.

    Both have shape normalized_shape; left out they are 1 and 0. Raises ValueError where shapes do not fit.

    >>> layer_norm(tensor([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0.0).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    shape = check_normalized_shape("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    weight = Tensor._from_array(np.ones(shape, input.dtype)) if weight is None else weight
    bias = Tensor._from_array(np.zeros(shape, input.dtype)) if bias is None else bias
    out, saved = LayerNorm.forward(input.data, weight.data, bias.data, eps)
    return LayerNorm.record(out, saved, input, weight, bias)


def check_normalized_shape(op: str, x: Tensor, normalized_shape, **parameters: Tensor | None) -> tuple[int, ...]:
    """`normalized_shape` as a tuple. Raises unless it is the end of the input's shape and the parameters fit it."""
    require_float(op, x)
    shape = sizes(f"{op}: normalized_shape", (normalized_shape,))
    if not shape:
        raise ValueError(f"{op}: normalized_shape is empty, expected at least one dim of the input's shape {x.shape}.")
    if x.shape[-len(shape) :] != shape:
        raise ValueError(f"{op}: normalized_shape {shape} is not the end of the input's shape {x.shape}.")
    for name, parameter in parameters.items():
        if parameter is not None and parameter.shape != shape:
            raise ValueError(f"{op}: {name} has shape {parameter.shape}, expected normalized_shape {shape}.")
        if parameter is not None and parameter.dtype != x.dtype:
            raise TypeError(f"{op}: {name} is {parameter.dtype}, expected the input's dtype {x.dtype}: convert one.")
    return shape
