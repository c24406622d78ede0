"""repeat, flip, roll: the elements in another order, or several times. The results are copies, as in PyTorch.

Forward    repeat: out = x, x, x …      flip: out[i] = x[n − 1 − i]      roll: out[(i + shift) mod n] = x[i]
Backward   repeat: the sum over the copies      flip: flip      roll: roll back
Shapes     repeat: each dim n becomes n · repeats; flip and roll keep x's shape
Saved      x's shape, the dims, the shifts
Lesson     02_tensor
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd import Function, Tensor
from .common import canonical_dim, canonical_dims
from .shape import reshape, sizes


class Repeat(Function):
    @staticmethod
    def forward(x, repeats):
        return np.tile(x, repeats), (x.shape, repeats)

    @staticmethod
    def backward(dout, saved):
        shape, repeats = saved
        aligned = (1,) * (len(repeats) - len(shape)) + shape
        # (r0·n0, r1·n1) seen as (r0, n0, r1, n1): forward was a copy along each r, so now a sum over it.
        split = tuple(size for pair in zip(repeats, aligned, strict=True) for size in pair)
        return (dout.reshape(split).sum(axis=tuple(range(0, len(split), 2))).reshape(shape),)


class Flip(Function):
    @staticmethod
    def forward(x, dims):
        return np.flip(x, dims).copy(), (dims,)

    @staticmethod
    def backward(dout, saved):
        return (np.flip(dout, saved[0]).copy(),)


class Roll(Function):
    @staticmethod
    def forward(x, shifts, dims):
        return np.roll(x, shifts, dims), (shifts, dims)

    @staticmethod
    def backward(dout, saved):
        shifts, dims = saved
        return (np.roll(dout, tuple(-shift for shift in shifts), dims),)


def repeat(x: Tensor, *repeats: int | Sequence[int]) -> Tensor:
    """`x` laid side by side `repeats[d]` times along each dim d; more numbers than dims add dims in front."""
    counts = sizes("repeat", repeats)
    if len(counts) < x.ndim or any(count < 0 for count in counts):
        raise ValueError(f"repeat: needs a count of 0 or more for each dim of shape {x.shape}, got {counts}.")
    out, saved = Repeat.forward(x.data, counts)
    return Repeat.record(out, saved, x)


def flip(x: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """With the order along each of `dims` reversed."""
    dims = canonical_dims("flip", sizes("flip", dims), x.ndim)
    out, saved = Flip.forward(x.data, dims)
    return Flip.record(out, saved, x)


def roll(x: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Shifted by `shifts` along `dims`; what leaves at the end comes in at the start.

    Without `dims` the elements are shifted in the order of memory, as if `x` had one dim.
    """
    shifts = sizes("roll", (shifts,))
    if dims is None:
        if len(shifts) != 1:
            raise ValueError(f"roll: without dims there is one shift, got {shifts}.")
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    dims = sizes("roll", (dims,))
    if len(shifts) != len(dims):
        raise ValueError(f"roll: needs as many shifts as dims, got shifts {shifts} and dims {dims}.")
    if x.ndim == 0:
        raise IndexError(f"roll: a 0-d tensor has no dim to roll along, got dims {dims}.")
    dims = tuple(canonical_dim("roll", dim, x.ndim) for dim in dims)  # the same dim may come twice
    out, saved = Roll.forward(x.data, shifts, dims)
    return Roll.record(out, saved, x)
