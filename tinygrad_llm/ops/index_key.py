"""What is written between the brackets of `x[…]`: checked, and split into its basic and its advanced half.

For x of shape (5, 6, 7), the key `0, :, [1, 2]` becomes the basic half `0, :, :`, which leaves the shape
(6, 7), and the advanced half: the array [1, 2] at axis 1 of that.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor


def parse_key(shape: tuple[int, ...], key) -> tuple[tuple, tuple[int, ...], tuple[np.ndarray, ...]]:
    """The basic half of a key, and the axes of its result at which index arrays act, with these arrays.

    The arrays are int64 and counted from the front; a mask has become the arrays of the places of its Trues.
    Raises IndexError where an index is out of range, TypeError for what is no index.
    """
    parts = _without_ellipsis(shape, [_part(part) for part in (key if isinstance(key, tuple) else (key,))])
    basic, axes, indices = [], [], []
    dim = axis = 0  # of x, and of the result of the basic half
    for part in parts:
        if isinstance(part, int):
            basic.append(_in_range(part, shape, dim))
        elif isinstance(part, np.ndarray):
            arrays = _places(part, shape, dim) if part.dtype == bool else (_all_in_range(part, shape, dim),)
            basic.extend([slice(None)] * len(arrays))
            axes.extend(range(axis, axis + len(arrays)))
            indices.extend(arrays)
            axis += len(arrays)
        else:
            basic.append(part)
            axis += 1
        dim += _dims_taken(part)
    _check_broadcast(indices)
    return tuple(basic), tuple(axes), tuple(indices)


def _part(part):
    """One part of a key as None, Ellipsis, a slice, an int or an array."""
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        if part.step is not None and int(part.step) <= 0:
            raise ValueError(f"index: the step of a slice must be positive, got {part.step}; use flip() to reverse.")
        return part
    if isinstance(part, (str, bytes, bool, float)):
        raise TypeError(f"index: {part!r} is no index; use an int, a slice, None, ..., an index array or a mask.")
    array = np.asarray(part.data if isinstance(part, Tensor) else part)
    if array.size == 0 and isinstance(part, (list, tuple)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub" or (array.dtype == bool and array.ndim == 0):
        raise TypeError(f"index: an array of {array.dtype} and shape {array.shape} is no index; use ints or a mask.")
    if array.dtype == np.uint8:
        raise TypeError("index: uint8 could mean a mask or indices; use bool or int64.")
    return int(array) if array.ndim == 0 else array


def _dims_taken(part) -> int:
    if isinstance(part, np.ndarray) and part.dtype == bool:
        return part.ndim
    return 0 if part is None or part is Ellipsis else 1


def _without_ellipsis(shape: tuple[int, ...], parts: list) -> list:
    """The parts with `...`, which may also be left out at the end, written as full slices."""
    places = [i for i, part in enumerate(parts) if part is Ellipsis] or [len(parts)]
    taken = sum(_dims_taken(part) for part in parts)
    if taken > len(shape) or len(places) > 1:
        found = "more than one ..." if len(places) > 1 else f"{taken} indices"
        raise IndexError(f"index: {found} for a {len(shape)}-d tensor of shape {shape}.")
    return [*parts[: places[0]], *[slice(None)] * (len(shape) - taken), *parts[places[0] + 1 :]]


def _in_range(index: int, shape: tuple[int, ...], dim: int) -> int:
    size = shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index: {index} is out of range for dim {dim} of size {size} (shape {shape}).")
    return index


def _all_in_range(array: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    array = array.astype(np.int64)
    if array.size:
        lowest = _in_range(int(array.min()), shape, dim)
        _in_range(int(array.max()), shape, dim)
        if lowest < 0:
            array = np.where(array < 0, array + shape[dim], array)
    return array


def _places(mask: np.ndarray, shape: tuple[int, ...], dim: int) -> tuple[np.ndarray, ...]:
    """For each dim of the mask, the indices of its True elements."""
    if mask.shape != shape[dim : dim + mask.ndim]:
        raise IndexError(
            f"index: a mask of shape {mask.shape} does not match a tensor of shape {shape} from dim {dim} on."
        )
    return mask.nonzero()


def _check_broadcast(arrays: list[np.ndarray]) -> None:
    try:
        np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        listed = " and ".join(str(array.shape) for array in arrays)
        raise IndexError(f"index: index arrays of shapes {listed} do not broadcast.") from None
