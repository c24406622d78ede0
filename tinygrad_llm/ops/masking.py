"""where, masked_fill, tril, triu: choosing elements by a mask or by their place.

Forward    where(c, x, y) = x where c, else y          masked_fill(x, m, v) = v where m, else x
           tril(x, k) keeps the elements x_ij with j ≤ i + k, triu(x, k) those with j ≥ i + k; others become 0
Backward   each element's gradient goes to where it was taken from; what was left out gets 0
Shapes     any that broadcast; tril and triu (…, N, M)
Saved      the mask, an input without a gradient; nothing but the diagonal's number for tril and triu
Lesson     10_attention

The causal mask of attention is `masked_fill(scores, triu(ones, 1), -inf)`. Choosing is not multiplying:
0 · inf would be NaN.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from .common import as_tensor, broadcast_shape, cast, promote, require_tensor, unbroadcast


class Where(Function):
    @staticmethod
    def forward(condition, x, y, needs=(True, True)):
        return np.where(condition, x, y), (condition, x.shape, y.shape, needs)

    @staticmethod
    def backward(dout, saved):
        condition, x_shape, y_shape, needs = saved
        zero = dout.dtype.type(0)
        dx = unbroadcast(np.where(condition, dout, zero), x_shape) if needs[0] else None
        dy = unbroadcast(np.where(condition, zero, dout), y_shape) if needs[1] else None
        return None, dx, dy


class MaskedFill(Function):
    may_be_infinite = True

    @staticmethod
    def forward(x, mask, value):
        return np.where(mask, value, x), (mask, x.shape)

    @staticmethod
    def backward(dout, saved):
        mask, shape = saved
        return unbroadcast(np.where(mask, dout.dtype.type(0), dout), shape), None


class Tril(Function):
    @staticmethod
    def forward(x, diagonal):
        return np.tril(x, diagonal), (diagonal,)

    @staticmethod
    def backward(dout, saved):
        return (np.tril(dout, saved[0]),)


class Triu(Function):
    @staticmethod
    def forward(x, diagonal):
        return np.triu(x, diagonal), (diagonal,)

    @staticmethod
    def backward(dout, saved):
        return (np.triu(dout, saved[0]),)


def where(condition: Tensor, x, other) -> Tensor:
    """`x` where `condition` holds, `other` elsewhere. All three broadcast; x and other are promoted.

    Raises TypeError where `condition` is not bool, ValueError where the shapes do not broadcast.
    """
    condition = _as_mask("where", "condition", condition)
    x, other = promote("where", x, other)
    broadcast_shape("where", condition.shape, x.shape, other.shape)
    out, saved = Where.forward(condition.data, x.data, other.data, (x.requires_grad, other.requires_grad))
    return Where.record(out, saved, condition, x, other)


def masked_fill(x: Tensor, mask: Tensor, value) -> Tensor:
    """`value` (a number or a 0-d tensor) where `mask` is True, `x` elsewhere; in x's dtype. They broadcast.

    Raises TypeError where `mask` is not bool, ValueError where `value` has dims or does not fit x's dtype.

    >>> masked_fill(tensor([1.0, 2.0]), tensor([False, True]), -float("inf")).tolist()
    [1.0, -inf]
    """
    mask = _as_mask("masked_fill", "mask", mask)
    require_tensor("masked_fill", x)
    broadcast_shape("masked_fill", x.shape, mask.shape)
    if isinstance(value, Tensor):
        if value.ndim:
            raise ValueError(f"masked_fill: value must be a number or a 0-d tensor, not {value.shape}.")
        return where(mask, cast(value, x.dtype), x)
    if not isinstance(value, (bool, int, float, np.generic)):
        raise TypeError(f"masked_fill: value must be a number or a 0-d tensor, not {value!r}.")
    if x.dtype.kind in "iu" and not np.isfinite(value):
        raise ValueError(f"masked_fill: {value} is no {x.dtype}; call .float() on the tensor first.")
    out, saved = MaskedFill.forward(x.data, mask.data, np.asarray(value).astype(x.dtype))
    return MaskedFill.record(out, saved, x, mask)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of x (…, N, M): elements above the diagonal become 0; `diagonal=1` keeps one more.

    Raises ValueError where `x` has fewer than 2 dims.
    """
    diagonal = _check_matrix("tril", x, diagonal)
    out, saved = Tril.forward(x.data, diagonal)
    return Tril.record(out, saved, x)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of x (…, N, M): elements below the diagonal become 0; `diagonal=1` drops one more.

    >>> triu(tensor([[1, 2], [3, 4]])).tolist()
    [[1, 2], [0, 4]]
    """
    diagonal = _check_matrix("triu", x, diagonal)
    out, saved = Triu.forward(x.data, diagonal)
    return Triu.record(out, saved, x)


def _as_mask(op: str, name: str, mask) -> Tensor:
    mask = as_tensor(op, mask)
    if mask.dtype.kind != "b":
        raise TypeError(f"{op}: {name} must be a bool tensor, not {mask.dtype}; e.g. write `{name} != 0`.")
    return mask


def _check_matrix(op: str, x: Tensor, diagonal: int) -> int:
    require_tensor(op, x)
    if not isinstance(diagonal, (int, np.integer)):
        raise TypeError(f"{op}: diagonal must be an int, not {diagonal!r}.")
    if x.ndim < 2:
        raise ValueError(f"{op}: needs a tensor of at least 2 dims, got shape {x.shape}.")
    return int(diagonal)
