"""and, or, not: how masks are combined. Bool tensors in and out, with broadcasting, without gradients."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from .common import as_tensor, broadcast_shape


def logical_and(x: Tensor, other: Tensor) -> Tensor:
    """True where both are; also written `x & other`."""
    x, other = _masks("logical_and", x, other)
    return Tensor._from_array(x & other)


def logical_or(x: Tensor, other: Tensor) -> Tensor:
    """True where one of them is, or both; also written `x | other`."""
    x, other = _masks("logical_or", x, other)
    return Tensor._from_array(x | other)


def logical_not(x: Tensor) -> Tensor:
    """True where `x` is False; also written `~x`."""
    (x,) = _masks("logical_not", x)
    return Tensor._from_array(~x)


def _masks(op: str, *operands) -> list[np.ndarray]:
    arrays = [as_tensor(op, x).data for x in operands]
    for array in arrays:
        if array.dtype != bool:
            raise TypeError(f"{op}: needs bool tensors, got {array.dtype} of shape {array.shape}; call .bool() first.")
    broadcast_shape(op, *(array.shape for array in arrays))
    return arrays
