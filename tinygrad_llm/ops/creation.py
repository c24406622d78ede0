"""New tensors: constants, ranges and random numbers. Floating-point ones are float32 unless `dtype` says else.

Random numbers come from a generator that the caller owns, `rng=np.random.default_rng(seed)`: there is no
hidden global seed, so two runs, or two parts of one, cannot disturb each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd import Tensor
from ..autograd.tensor import DTYPES, default_dtype
from .shape import sizes

Size = int | Sequence[int]


def zeros(*size: Size, dtype=None, requires_grad: bool = False) -> Tensor:
    """`zeros(2, 3)` or `zeros((2, 3))`."""
    return _wrap(np.zeros(_size("zeros", size), checked_dtype("zeros", dtype)), requires_grad)


def ones(*size: Size, dtype=None, requires_grad: bool = False) -> Tensor:
    """`ones(2, 3)` or `ones((2, 3))`."""
    return _wrap(np.ones(_size("ones", size), checked_dtype("ones", dtype)), requires_grad)


def full(size: Size, fill_value: bool | int | float, dtype=None, requires_grad: bool = False) -> Tensor:
    """Every element `fill_value`, whose type decides the dtype: bool, int64 or float32."""
    array = np.full(_size("full", (size,)), fill_value, checked_dtype("full", dtype, fill_value))
    return _wrap(array, requires_grad)


def zeros_like(x: Tensor, dtype=None, requires_grad: bool = False) -> Tensor:
    """Zeros of x's shape, and of its dtype where none is given."""
    return zeros(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, dtype=None, requires_grad: bool = False) -> Tensor:
    """Ones of x's shape, and of its dtype where none is given."""
    return ones(x.shape, dtype=x.dtype if dtype is None else dtype, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: bool | int | float, dtype=None, requires_grad: bool = False) -> Tensor:
    """`full` of x's shape, and of its dtype where none is given."""
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype, requires_grad)


def arange(start: float, end: float | None = None, step: float = 1, dtype=None, requires_grad: bool = False) -> Tensor:
    """start, start + step, … up to `end`, which is left out; `arange(n)` counts from 0. Ints give int64."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: no steps of {step} lead from {start} to {end}.")
    array = np.arange(start, end, step).astype(checked_dtype("arange", dtype, start, end, step))
    return _wrap(array, requires_grad)


def linspace(start: float, end: float, steps: int, dtype=None, requires_grad: bool = False) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    (steps,) = _size("linspace", (steps,))
    return _wrap(np.linspace(start, end, steps, dtype=checked_dtype("linspace", dtype)), requires_grad)


def eye(n: int, m: int | None = None, dtype=None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix of zeros; m defaults to n."""
    n, m = _size("eye", (n, n if m is None else m))
    return _wrap(np.eye(n, m, dtype=checked_dtype("eye", dtype)), requires_grad)


def randn(*size: Size, rng: np.random.Generator | None = None, dtype=None, requires_grad: bool = False) -> Tensor:
    """Normally distributed with mean 0 and standard deviation 1, drawn from `rng`, which must be given."""
    shape, dtype = _size("randn", size), _random_dtype("randn", dtype)
    return _wrap(_checked("randn", rng).standard_normal(shape, dtype), requires_grad)


def rand(*size: Size, rng: np.random.Generator | None = None, dtype=None, requires_grad: bool = False) -> Tensor:
    """Evenly distributed in [0, 1), drawn from `rng`, which must be given."""
    shape, dtype = _size("rand", size), _random_dtype("rand", dtype)
    return _wrap(_checked("rand", rng).random(shape, dtype), requires_grad)


def randint(low: int, high: int, size: Size, *, rng: np.random.Generator | None = None, dtype=None) -> Tensor:
    """Integers from `low` up to, not including, `high`, drawn from `rng`, which must be given."""
    dtype = np.dtype(np.int64) if dtype is None else checked_dtype("randint", dtype)
    if not low < high:
        raise ValueError(f"randint: low must be below high, got low={low} and high={high}.")
    array = _checked("randint", rng).integers(low, high, _size("randint", (size,)))
    return _wrap(array.astype(dtype, copy=False), False)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares its memory with `array`: a change of one is a change of both. `tensor` copies."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: needs an ndarray, not {type(array).__name__}; use tensor().")
    checked_dtype("from_numpy", array.dtype)
    return Tensor._from_array(array.view(np.ndarray))


def _wrap(array: np.ndarray, requires_grad: bool) -> Tensor:
    result = Tensor._from_array(array)
    return result.requires_grad_() if requires_grad else result


def _size(op: str, given: tuple) -> tuple[int, ...]:
    shape = sizes(op, given)
    if any(size < 0 for size in shape):
        raise ValueError(f"{op}: sizes must be 0 or more, got {shape}.")
    return shape


def checked_dtype(op: str, dtype, *values) -> np.dtype:
    """The given dtype if it is a supported one; without one, that of the `values`, else the default."""
    if dtype is None:
        if any(isinstance(value, float) for value in values) or not values:
            return default_dtype
        return np.dtype(bool) if all(isinstance(value, bool) for value in values) else np.dtype(np.int64)
    try:
        known = DTYPES[DTYPES.index(np.dtype(dtype))]
    except (TypeError, ValueError):
        listed = ", ".join(map(str, DTYPES))
        raise TypeError(f"{op}: {dtype!r} is no supported dtype; use one of {listed}.") from None
    return known


def _random_dtype(op: str, dtype) -> np.dtype:
    dtype = checked_dtype(op, dtype)
    if dtype.kind != "f":
        raise TypeError(f"{op}: dtype must be float32 or float64, got {dtype}; for integers use randint().")
    return dtype


def _checked(op: str, rng) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{op}: needs rng=, a np.random.Generator such as np.random.default_rng(0), got {rng!r}.")
    return rng
