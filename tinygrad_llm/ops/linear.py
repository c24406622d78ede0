"""linear: y = x Wᵀ + b, the workhorse of every layer.

Forward    y = x Wᵀ + b
Backward   dx = dy W,   dW = dyᵀ x,   db = Σ_rows dy
Shapes     x (…, C_in), W (C_out, C_in), b (C_out,) → (…, C_out); the leading dims are rows of one product
Saved      x if W needs a gradient, W if x does
Lesson     06_modules_and_optimizers

One op instead of matmul, transpose and add: the bias is where the kernel starts its sums, so it costs no pass.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from .common import as_matrix, require_tensor
from .matmul import multiply


def linear_ref(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    y = x @ weight.T
    return y if bias is None else y + bias


class Linear(Function):
    @staticmethod
    def forward(x, weight, bias=None, needs=(True, True)):
        rows = as_matrix(x)
        y = multiply(rows, weight.T, bias)
        saved = (rows if needs[1] else None, weight if needs[0] else None, x.shape, bias is not None)
        return y.reshape(*x.shape[:-1], weight.shape[0]), saved

    @staticmethod
    def backward(dout, saved):
        rows, weight, x_shape, has_bias = saved
        drows = as_matrix(np.ascontiguousarray(dout))
        dx = None if weight is None else multiply(drows, weight).reshape(x_shape)
        dweight = None if rows is None else multiply(drows.T, rows)
        return (dx, dweight, drows.sum(axis=0)) if has_bias else (dx, dweight)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input (…, C_in) · weight (C_out, C_in)ᵀ + bias (C_out,) → (…, C_out).

    Raises ValueError where shapes do not fit, TypeError where dtypes differ.
    """
    require_tensor("linear", input)
    require_tensor("linear", weight)
    if weight.ndim != 2 or input.ndim < 1 or input.shape[-1] != weight.shape[1]:
        shapes = f"input {input.shape} and weight {weight.shape}"
        raise ValueError(f"linear: {shapes} do not fit: expected (…, C_in) and (C_out, C_in).")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} does not fit weight {weight.shape}: expected {weight.shape[:1]}.")
    dtypes = {tensor.dtype for tensor in (input, weight, bias) if tensor is not None}
    if len(dtypes) > 1:
        raise TypeError(f"linear: input, weight and bias differ in dtype ({', '.join(sorted(map(str, dtypes)))}).")
    needs = (input.requires_grad, weight.requires_grad)
    if bias is None:
        out, saved = Linear.forward(input.data, weight.data, None, needs)
        return Linear.record(out, saved, input, weight)
    out, saved = Linear.forward(input.data, weight.data, bias.data, needs)
    return Linear.record(out, saved, input, weight, bias)
