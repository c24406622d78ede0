"""What ops share: PyTorch's rules for dims and dtypes, and the undoing of broadcasting."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from ..autograd import Function, Tensor
from ..autograd.tensor import default_dtype

Scalar = bool | int | float | np.generic


def canonical_dim(op: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front. A 0-d tensor has, as in PyTorch, one dim to name: 0 or -1."""
    rank = max(ndim, 1)
    if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool):
        raise TypeError(f"{op}: dim must be an int, not {dim!r}.")
    if not -rank <= dim < rank:
        raise IndexError(f"{op}: dim {dim} is out of range for a {ndim}-d tensor (expected {-rank} to {rank - 1}).")
    return int(dim) % rank


def canonical_dims(op: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Several dims, counted from the front; None means all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(canonical_dim(op, d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))
    if len(set(dims)) != len(dims):
        raise ValueError(f"{op}: dim {dim} names the same dim twice.")
    return dims if ndim else ()


def as_tensor(op: str, value) -> Tensor:
    """`value` itself if it is a Tensor; an array or a list is wrapped."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (np.ndarray, np.generic, bool, int, float, list, tuple)):
        return Tensor(value)
    raise TypeError(f"{op}: expected a Tensor, an array or a number, not {type(value).__name__}.")


def result_dtype(*operands) -> np.dtype:
    """PyTorch's promotion: tensors with dims decide, then 0-d tensors, then Python numbers.

    A lower level changes the result only if its kind (bool < integer < float) is higher than the level above:
    `int64 tensor + 0.5` is float32, `float32 tensor + 0-d float64 tensor` stays float32.
    """
    levels: tuple[list, list, list] = ([], [], [])
    for operand in operands:
        if isinstance(operand, Tensor):
            levels[0 if operand.ndim else 1].append(operand.dtype)
        else:
            levels[2].append(_number_dtype(operand))
    result = None
    for level in levels:
        if level:
            dtype = functools.reduce(_promote_types, level)
            result = dtype if result is None or _kind(dtype) > _kind(result) else result
    return result


def _promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """Integers with floats give the float's dtype, where NumPy would widen it."""
    if _kind(a) != _kind(b):
        return max(a, b, key=_kind)
    return np.promote_types(a, b)


def _kind(dtype: np.dtype) -> int:
    return {"b": 0, "u": 1, "i": 1, "f": 2}[dtype.kind]


def _number_dtype(number: Scalar) -> np.dtype:
    return {"b": np.dtype("bool"), "f": default_dtype}.get(np.asarray(number).dtype.kind, np.dtype("int64"))


class Cast(Function):
    """Forward: the values in another dtype. Backward: the gradient in the input's dtype."""

    @staticmethod
    def forward(x, dtype):
        return x.astype(dtype), (x.dtype,)

    @staticmethod
    def backward(dout, saved):
        return (dout.astype(saved[0]),)


def cast(x: Tensor, dtype) -> Tensor:
    """`x` in `dtype`; itself if it has it already. Gradients flow between floating-point dtypes only."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    if dtype.kind != "f":
        return Tensor._from_array(x.data.astype(dtype))
    out, saved = Cast.forward(x.data, dtype)
    return Cast.record(out, saved, x)


def as_float(op: str, x) -> Tensor:
    """`x` as a floating-point tensor: integers and booleans become the default dtype, as in torch.exp."""
    x = as_tensor(op, x)
    return x if x.dtype.kind == "f" else cast(x, default_dtype)


def require_tensor(op: str, x) -> None:
    """Raise TypeError unless x is a Tensor: a layer's input may be the result of a step that lost the graph."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}: expected a Tensor, not {type(x).__name__}; make one with tensor(…).")


def require_float(op: str, x: Tensor) -> None:
    """Raise TypeError unless x is a floating-point Tensor."""
    require_tensor(op, x)
    if x.dtype.kind != "f":
        raise TypeError(f"{op}: needs a floating-point tensor, got {x.dtype} of shape {x.shape}; call .float() first.")


def promote(op: str, a, b, to_float: bool = False) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of their common dtype. Raises ValueError where their shapes do not broadcast."""
    if type(a) is Tensor and type(b) is Tensor and a.data.dtype == b.data.dtype and a.data.dtype.kind == "f":
        dtype = a.data.dtype  # nothing to promote: the case of nearly every call in a model
    else:
        a, b = (v if isinstance(v, (Tensor, bool, int, float)) else as_tensor(op, v) for v in (a, b))
        dtype = result_dtype(a, b)
        if to_float and dtype.kind != "f":
            dtype = default_dtype
        a, b = (cast(v, dtype) if isinstance(v, Tensor) else Tensor._from_array(np.asarray(v, dtype)) for v in (a, b))
    if a.data.shape != b.data.shape:
        broadcast_shape(op, a.data.shape, b.data.shape)
    return a, b


def broadcast_shape(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(shape) for shape in shapes)
        raise ValueError(
            f"{op}: shapes {listed} do not broadcast: aligned at the right, dims must be equal or 1."
        ) from None


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo broadcasting: an element that was used many times gets the sum of its uses' gradients."""
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    stretched = tuple(added + i for i, n in enumerate(shape) if n == 1 and gradient.shape[added + i] != 1)
    return gradient.sum(axis=(*range(added), *stretched)).reshape(shape)


def as_matrix(x: np.ndarray) -> np.ndarray:
    """(…, C) → (N, C): the leading dims as rows. Unlike reshape(-1, C) it also works where C is 0."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
