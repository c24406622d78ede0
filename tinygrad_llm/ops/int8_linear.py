"""int8_linear: y = x Wᵀ + b where W is kept as bytes, with one scale for each row.

Forward    y = x (s ⊙ Q)ᵀ + b,   W_nk = s_n Q_nk with whole numbers Q from −127 to 127
Backward   dx = dy (s ⊙ Q),   db = Σ_rows dy;   Q and s are frozen: training goes on in b, or in an adapter beside
Shapes     x (…, K), Q (N, K) int8, s (N,), b (N,) → (…, N)
Saved      Q and s
Lesson     24_quantization
Source     symmetric, one scale for each output channel: Nagel et al., "A White Paper on Neural Network Quantization"
           (2021), section 2.2

A model that writes reads all its weights for each token, so the time is that of reading memory, and a byte is read in a
quarter of the time of a float32. Turning it into a float costs two instructions for 16 numbers, less than the wait.

    up to DIRECT_ROWS   each number of Q is turned into a float where it is used
    up to FEW_ROWS      each thread turns a small panel of W into floats, which stay near the core for all rows
    more                arithmetic counts, not memory: W is made floats by the chunk, for the usual matrix product

The scale of a row is a factor of the whole sum, so with few rows it is multiplied once for each result.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import as_matrix, require_float, require_tensor
from .matmul import multiply, use_kernel
from .thin_matmul_kernels import multiply_columns

DIRECT_ROWS = 4  # of x; with more it pays to make the floats once for all rows
FEW_ROWS = 64  # with more the matrix product is faster
PANEL = 1 << 16  # numbers of W that a thread turns into floats at once: 256 KB of float32, within the L2 cache
MAX_COLUMNS = 64  # of the result that a thread computes at once: what one call of `multiply_columns` takes
FEW = 1 << 19  # numbers of W that one thread has read before another is awake
CHUNK = 1 << 22  # numbers of W that are floats at a time where there are many rows: 16 MB of float32


def int8_linear_ref(x, weight, scale, bias=None):
    """x (…, K), weight (N, K), scale (N,), bias (N,) → (…, N), in the dtype of x."""
    y = x @ (weight * scale[:, None].astype(x.dtype)).T
    return y if bias is None else y + bias


def quantize_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight (N, K) → whole numbers (N, K) int8 and scales (N,), whose product differs from weight by ≤ scale / 2.

    The largest number of a row becomes ±127. −128 is not used, so that the range is as wide on both sides of 0.
    Raises ValueError for a weight that is no matrix, or that holds NaN or infinity.
    """
    if weight.ndim != 2:
        raise ValueError(f"quantize_rows: weight must have shape (N, K), not {weight.shape}.")
    if not np.isfinite(weight).all():
        raise ValueError("quantize_rows: the weight holds NaN or infinity, which no scale can reach.")
    largest = np.abs(weight).max(axis=1, initial=0)
    # a row of zeros, or of numbers that float32 can hardly tell from them, would have the scale 0
    scale = np.maximum(largest / 127, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


@kernel
def dequantize_rows(out, weight, scale):
    """out (n, K) = scale (n,) ⊙ weight (n, K)."""
    for n in range(weight.shape[0]):
        row, quantized, factor = out[n], weight[n], out.dtype.type(scale[n])
        for k in range(weight.shape[1]):
            row[k] = factor * out.dtype.type(quantized[k])


@kernel(parallel=True)
def dequantize_kernel(out, weight, scale, rows):
    """The same by several threads, `rows` at a time."""
    N = weight.shape[0]
    for block in prange((N + rows - 1) // rows):
        n0, n1 = block * rows, min((block + 1) * rows, N)
        dequantize_rows(out[n0:n1], weight[n0:n1], scale[n0:n1])


@kernel
def int8_columns(out, x, weight, scale, bias, j0, j1):
    """Columns j0 to j1 of out (M, N) = x (M, K) (scale ⊙ weight)ᵀ + bias; no bias: size 0."""
    M, K = x.shape
    if M > DIRECT_ROWS:
        panel = np.empty((j1 - j0, K), x.dtype)
        dequantize_rows(panel, weight[j0:j1], scale[j0:j1])
        multiply_columns(out[:, j0:j1], x, panel, bias[j0:j1], False, 0)
        return
    for j in range(j0, j1):
        quantized = weight[j]
        for i in range(M):
            row, total = x[i], x.dtype.type(0)
            for k in range(K):
                total += row[k] * x.dtype.type(quantized[k])
            total *= x.dtype.type(scale[j])
            out[i, j] = total + bias[j] if bias.size > 0 else total


@kernel(parallel=True)
def int8_linear_kernel(out, x, weight, scale, bias, columns):
    """out (M, N), `columns` of it at a time: what each thread computes in one go."""
    N = weight.shape[0]
    n_blocks = (N + columns - 1) // columns
    if weight.size < FEW:
        for block in range(n_blocks):
            int8_columns(out, x, weight, scale, bias, block * columns, min((block + 1) * columns, N))
    else:
        for block in prange(n_blocks):
            int8_columns(out, x, weight, scale, bias, block * columns, min((block + 1) * columns, N))


def dequantize(weight: np.ndarray, scale: np.ndarray, dtype=np.float32) -> np.ndarray:
    """scale (N,) ⊙ weight (N, K), as floats."""
    if not use_kernel(np.dtype(dtype)) or not weight.size:
        return weight * scale[:, None].astype(dtype)
    out = np.empty(weight.shape, dtype)
    dequantize_kernel(out, weight, scale, columns_at_once(weight.shape[1]))
    return out


def columns_at_once(K: int) -> int:
    return min(max(PANEL // K // 4, 1) * 4, MAX_COLUMNS)


def dequantized_chunks(weight: np.ndarray, scale: np.ndarray, dtype) -> Iterator[tuple[slice, np.ndarray]]:
    """W (N, K) piece by piece: which rows, and these as floats."""
    rows = max(CHUNK // max(weight.shape[1], 1), 1)
    for n in range(0, len(weight), rows):
        chunk = slice(n, n + rows)
        yield chunk, dequantize(weight[chunk], scale[chunk], dtype)


class Int8Linear(Function):
    @staticmethod
    def forward(x, weight, scale, bias=None):
        rows, (N, K) = as_matrix(x), weight.shape
        out = np.empty((len(rows), N), x.dtype)
        if len(rows) <= FEW_ROWS and use_kernel(x.dtype) and rows.size and N:
            start = np.empty(0, x.dtype) if bias is None else np.ascontiguousarray(bias)
            int8_linear_kernel(out, np.ascontiguousarray(rows), weight, scale, start, columns_at_once(K))
        else:
            for chunk, floats in dequantized_chunks(weight, scale, x.dtype):
                out[:, chunk] = multiply(rows, floats.T, None if bias is None else bias[chunk])
        return out.reshape(*x.shape[:-1], N), (weight, scale, x.shape, bias is not None)

    @staticmethod
    def backward(dout, saved):
        weight, scale, x_shape, has_bias = saved
        drows = as_matrix(np.ascontiguousarray(dout))
        dx = np.zeros((len(drows), weight.shape[1]), dout.dtype)
        for chunk, floats in dequantized_chunks(weight, scale, dout.dtype):
            multiply(drows[:, chunk], floats, out=dx, accumulate=True)
        dx = dx.reshape(x_shape)
        return (dx, drows.sum(axis=0)) if has_bias else (dx,)


def int8_linear(input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """input (…, K) · (scale (N,) ⊙ weight (N, K))ᵀ + bias (N,) → (…, N); weight is int8, as `quantize_rows` makes it.

    Gradients flow to input and bias. Raises ValueError where shapes do not fit or `scale` asks for a gradient,
    TypeError for a weight that is not int8 and where input and bias differ in dtype.
    """
    require_float("int8_linear", input)
    require_tensor("int8_linear", weight)
    require_float("int8_linear", scale)
    if weight.dtype != np.int8:
        raise TypeError(f"int8_linear: weight must be int8, not {weight.dtype}; quantise it, or use linear().")
    if weight.ndim != 2 or input.ndim < 1 or input.shape[-1] != weight.shape[1]:
        shapes = f"input {input.shape} and weight {weight.shape}"
        raise ValueError(f"int8_linear: {shapes} do not fit: expected (…, K) and (N, K).")
    for name, tensor in (("scale", scale), ("bias", bias)):
        if tensor is not None and tensor.shape != weight.shape[:1]:
            shapes = f"{name} {tensor.shape} does not fit weight {weight.shape}"
            raise ValueError(f"int8_linear: {shapes}: expected {weight.shape[:1]}.")
    if scale.requires_grad:
        raise ValueError("int8_linear: scale cannot get a gradient: it is frozen like the weight; detach() it.")
    if bias is None:
        out, saved = Int8Linear.forward(input.data, weight.data, scale.data)
        return Int8Linear.record(out, saved, input)
    if bias.dtype != input.dtype:
        raise TypeError(f"int8_linear: input is {input.dtype}, bias {bias.dtype}; convert one with .to(dtype).")
    out, saved = Int8Linear.forward(input.data, weight.data, scale.data, bias.data)
    return Int8Linear.record(out, saved, input, bias)
