"""sum, mean, var, std, prod, logsumexp along some dims or all; cumsum along one.

Forward    sum Σ x,  mean Σ x / N,  var Σ (x − mean)² / (N − correction),  std √var,
           prod Π x,  logsumexp log Σ e^x,  cumsum out_i = Σ_{j ≤ i} x_j
Backward   each element gets dout ·  1,  1 / N,  2 (x − mean) / (N − correction),  that / (2 std),
           Π_{j ≠ i} x_j,  e^(x − out);  cumsum dx_i = Σ_{j ≥ i} dout_j
Shapes     any; `dim` is one dim, several or None for all; `keepdim` leaves each as a dim of size 1
Saved      shapes; what the slope is a function of
Lesson     02_tensor

Sums of no elements are 0, products 1, means NaN. Integers and booleans add up as int64.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..autograd import Function, Tensor
from .common import as_float, as_tensor, canonical_dim, canonical_dims, cast, require_float


def reduced_dims(op: str, dim, ndim: int) -> tuple[int, ...]:
    """The dims to reduce, counted from the front: all for None and, as in PyTorch, for ()."""
    return canonical_dims(op, None if dim in ((), []) else dim, ndim)


def with_kept_dims(reduced: np.ndarray, shape: tuple[int, ...], dims: tuple[int, ...]) -> np.ndarray:
    """What `shape` was reduced to along `dims`, with these as dims of size 1, so that it broadcasts."""
    return reduced.reshape(tuple(1 if d in dims else n for d, n in enumerate(shape)))


def drop_dims(kept: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    return kept if keepdim else kept.squeeze(dims)


def _size(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    return math.prod(shape[d] for d in dims)


class Sum(Function):
    @staticmethod
    def forward(x, dims, keepdim):
        with np.errstate(all="ignore"):
            return np.sum(x, axis=dims, keepdims=keepdim), (x.shape, dims)

    @staticmethod
    def backward(dout, saved):
        shape, dims = saved
        return (np.broadcast_to(with_kept_dims(dout, shape, dims), shape),)


class Mean(Function):
    @staticmethod
    def forward(x, dims, keepdim):
        with np.errstate(all="ignore"):
            out = np.sum(x, axis=dims, keepdims=keepdim) / x.dtype.type(_size(x.shape, dims))
        return out, (x.shape, dims)

    @staticmethod
    def backward(dout, saved):
        shape, dims = saved
        share = dout / dout.dtype.type(max(_size(shape, dims), 1))
        return (np.broadcast_to(with_kept_dims(share, shape, dims), shape),)


class Var(Function):
    @staticmethod
    def forward(x, dims, keepdim, correction):
        N = _size(x.shape, dims)
        with np.errstate(all="ignore"):
            mean = np.sum(x, axis=dims, keepdims=True) / x.dtype.type(N)
            squares = np.square(x - mean)
            degrees = x.dtype.type(max(N - correction, 0))
            return np.sum(squares, axis=dims, keepdims=keepdim) / degrees, (x, mean, dims, degrees)

    @staticmethod
    def backward(dout, saved):
        x, mean, dims, degrees = saved
        return ((x - mean) * with_kept_dims(2 * dout / degrees, x.shape, dims),)


class Std(Function):
    @staticmethod
    def forward(x, dims, keepdim, correction):
        var, saved = Var.forward(x, dims, keepdim, correction)
        out = np.sqrt(var)
        return out, (out, *saved)

    @staticmethod
    def backward(dout, saved):
        """Forward was out = √var, whose slope at 0 is infinite: there the gradient is set to 0."""
        out, *of_var = saved
        dvar = np.where(out == 0, dout.dtype.type(0), dout / (2 * out))
        return Var.backward(dvar, of_var)


class Prod(Function):
    @staticmethod
    def forward(x, dims, keepdim):
        with np.errstate(all="ignore"):
            return np.prod(x, axis=dims, keepdims=keepdim), (x, dims)

    @staticmethod
    def backward(dout, saved):
        """dx_i = dout · (product of all before i) · (product of all after i): right also where some are 0."""
        x, dims = saved
        order = (*(d for d in range(x.ndim) if d not in dims), *dims)
        moved = x.transpose(order)
        rows = moved.reshape(*moved.shape[: x.ndim - len(dims)], _size(x.shape, dims))
        before, after = np.ones_like(rows), np.ones_like(rows)
        before[..., 1:] = np.cumprod(rows[..., :-1], axis=-1)
        after[..., :-1] = np.cumprod(rows[..., :0:-1], axis=-1)[..., ::-1]
        others = (before * after).reshape(moved.shape).transpose(np.argsort(order))
        return (with_kept_dims(dout, x.shape, dims) * others,)


class LogSumExp(Function):
    @staticmethod
    def forward(x, dims, keepdim):
        largest = np.max(x, axis=dims, keepdims=True, initial=-np.inf)
        shift = np.where(np.isfinite(largest), largest, x.dtype.type(0))
        with np.errstate(all="ignore"):
            kept = np.log(np.sum(np.exp(x - shift), axis=dims, keepdims=True)) + shift
        return drop_dims(kept, dims, keepdim), (x, kept, dims)

    @staticmethod
    def backward(dout, saved):
        x, kept, dims = saved
        return (with_kept_dims(dout, x.shape, dims) * np.exp(x - kept),)


class CumSum(Function):
    @staticmethod
    def forward(x, dim):
        return _running_sum(x, dim), (dim,)

    @staticmethod
    def backward(dout, saved):
        (dim,) = saved
        return (np.flip(_running_sum(np.flip(dout, dim), dim), dim) if dout.ndim else dout,)


def _running_sum(x: np.ndarray, dim: int) -> np.ndarray:
    """Along `dim`, with a float64 running total, since its errors add up."""
    total_dtype = np.float64 if x.dtype.kind == "f" else x.dtype
    with np.errstate(all="ignore"):
        return np.cumsum(x, axis=dim, dtype=total_dtype).astype(x.dtype).reshape(x.shape)


def sum(x: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """The sum over `dim` (an int, several, or None for all). Integers and booleans give int64.

    `dtype` converts first: `(a == b).sum(dtype="float32")` counts in floats.

    >>> sum(tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0).tolist()
    [4.0, 6.0]
    """
    x = _to_add_up("sum", x, dtype)
    dims = reduced_dims("sum", dim, x.ndim)
    out, saved = Sum.forward(x.data, dims, keepdim)
    return Sum.record(out, saved, x)


def mean(x: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """The mean over `dim`; NaN over no elements. Raises TypeError for integers: `dtype` converts them."""
    x = as_tensor("mean", x)
    x = x if dtype is None else cast(x, dtype)
    require_float("mean", x)
    dims = reduced_dims("mean", dim, x.ndim)
    out, saved = Mean.forward(x.data, dims, keepdim)
    return Mean.record(out, saved, x)


def var(x: Tensor, dim=None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """The variance over `dim`: squared distances to the mean, summed and divided by N − correction.

    `correction=1` (Bessel's) estimates the variance of what x is a sample of, 0 is that of x itself.
    With N ≤ correction the result is NaN or inf, with a UserWarning.

    >>> var(tensor([1.0, 2.0, 3.0])).item()
    1.0
    """
    dims = _check_variance("var", x, dim, correction)
    out, saved = Var.forward(x.data, dims, keepdim, correction)
    return Var.record(out, saved, x)


def std(x: Tensor, dim=None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """The standard deviation over `dim`: the square root of `var`. Where it is 0, so is its gradient."""
    dims = _check_variance("std", x, dim, correction)
    out, saved = Std.forward(x.data, dims, keepdim, correction)
    return Std.record(out, saved, x)


def prod(x: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """The product over `dim`; its gradient is right also where factors are 0. Integers give int64."""
    x = _to_add_up("prod", x, dtype)
    dims = reduced_dims("prod", dim, x.ndim)
    out, saved = Prod.forward(x.data, dims, keepdim)
    return Prod.record(out, saved, x)


def logsumexp(x: Tensor, dim, keepdim: bool = False) -> Tensor:
    """log Σ e^x over `dim`, without overflow, since the largest x is taken out of the sum; −inf if all are.

    Source: Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.
    """
    x = as_float("logsumexp", x)
    dims = reduced_dims("logsumexp", dim, x.ndim)
    out, saved = LogSumExp.forward(x.data, dims, keepdim)
    return LogSumExp.record(out, saved, x)


def cumsum(x: Tensor, dim: int, *, dtype=None) -> Tensor:
    """Running sums along `dim`, in x's shape. Integers and booleans give int64.

    >>> cumsum(tensor([1, 2, 3]), 0).tolist()
    [1, 3, 6]
    """
    x = _to_add_up("cumsum", x, dtype)
    dim = canonical_dim("cumsum", dim, x.ndim)
    out, saved = CumSum.forward(x.data, dim if x.ndim else None)
    return CumSum.record(out, saved, x)


def _to_add_up(op: str, x, dtype) -> Tensor:
    x = as_tensor(op, x)
    if dtype is None:
        dtype = x.dtype if x.dtype.kind == "f" else np.int64
    return cast(x, dtype)


def _check_variance(op: str, x: Tensor, dim, correction: float) -> tuple[int, ...]:
    require_float(op, x)
    dims = reduced_dims(op, dim, x.ndim)
    N = _size(x.shape, dims)
    if N <= correction:
        warnings.warn(
            f"{op}: {N} element(s) of shape {x.shape} to reduce and correction={correction}: "
            "no degrees of freedom are left, so the result is NaN or inf.",
            UserWarning,
            stacklevel=3,
        )
    return dims
