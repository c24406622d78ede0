"""Cases for `x[…]`, gather and index_select: views, repeated indices, masks, and keys that mix them."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.indexing import Gather, Index, Slice, gather, getitem, index_select
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase


def one(shape):
    return st.tuples(float_arrays(shape))


def example(*dims):
    return lambda rng: (rng.standard_normal(dims),)


def repeated(n, count=5):
    """Indices of a dim of size n, counted from either end, with repetitions where count > n."""
    return np.arange(count) * 2 % n - np.arange(count) % 2 * n if n else np.arange(0)


def chequered(shape):
    """A mask that is True at every second place."""
    return np.indices(shape).sum(axis=0) % 2 == 0


def picks(shape, dim):
    """An index for gather, smaller than x in all dims but `dim`, larger in `dim`."""
    index_shape = [max(n - 1, 0) for n in shape]
    index_shape[dim] = 5 if shape[dim] else 0
    return np.arange(np.prod(index_shape, dtype=int)).reshape(index_shape) * 7 % max(shape[dim], 1)


def gather_ref(x, dim, index):
    out = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[dim] = index[place]
        out[place] = x[tuple(source)]
    return out


def indexed(name, key_of, shape, example_shape):
    """A case of `x[key_of(x.shape)]`, where NumPy means by the key what PyTorch means by it."""

    def in_torch(torch, x):
        key = key_of(tuple(x.shape))
        return x[tuple(torch.tensor(part) if isinstance(part, np.ndarray) else part for part in key)]

    return OpCase(
        f"index-{name}", Index,
        lambda x: getitem(x, key_of(x.shape)), lambda x: x[key_of(x.shape)],
        one(shape), example(*example_shape), in_torch, kernels=True,
    )  # fmt: skip


def mask_and_ids(shape):
    mask = chequered(shape[:1])
    return mask, ..., repeated(shape[-1], count=int(mask.sum()))


AT_LEAST_1D = shapes(min_dims=1)
AT_LEAST_2D = shapes(min_dims=2)
EXACTLY_2D = shapes(min_dims=2, max_dims=2)
EXACTLY_3D = shapes(min_dims=3)
NOT_EMPTY_3D = shapes(min_dims=3, min_side=1)

CASES = [
    OpCase(
        "index-integer", Slice, lambda x: getitem(x, -1), lambda x: x[-1],
        one(shapes(min_dims=1, min_side=1)), example(2, 3), lambda torch, x: x[-1],
    ),
    OpCase(
        "index-all-integers", Slice,
        lambda x: getitem(x, (0,) * x.ndim), lambda x: np.asarray(x[(0,) * x.ndim]),
        one(shapes(min_side=1)), example(2, 3), lambda torch, x: x[0, 0],
    ),
    OpCase(
        "index-basic", Slice,
        lambda x: getitem(x, (slice(-2, None), None, ..., slice(None, None, 2))),
        lambda x: x[-2:, None, ..., ::2],
        one(AT_LEAST_2D), example(3, 4), lambda torch, x: x[-2:, None, ..., ::2],
    ),
    OpCase(
        "index-integer-beside-array", Index,
        lambda x: getitem(x, (0, slice(None), repeated(x.shape[2]))),
        lambda x: x[0][:, repeated(x.shape[2])],
        one(NOT_EMPTY_3D), example(2, 3, 4),
        lambda torch, x: x[0, :, torch.tensor(repeated(4))], kernels=True,
    ),
    indexed("rows", lambda shape: (repeated(shape[0]),), AT_LEAST_1D, (3, 4)),
    indexed("elements", lambda shape: (repeated(shape[0]), repeated(shape[1])[:, None]), EXACTLY_2D, (3, 4)),
    indexed("last-dim", lambda shape: (..., repeated(shape[-1])[:, None]), AT_LEAST_1D, (3, 4)),
    indexed(
        "adjacent-arrays",
        lambda shape: (slice(None), repeated(shape[1])[:, None], repeated(shape[2], 3)),
        EXACTLY_3D, (2, 3, 4),
    ),
    indexed(
        "arrays-apart",
        lambda shape: (repeated(shape[0]), slice(1, None), repeated(shape[2])[:, None]),
        EXACTLY_3D, (2, 3, 4),
    ),
    indexed(
        "none-between-arrays",
        lambda shape: (repeated(shape[0]), None, repeated(shape[1])[:, None]), EXACTLY_3D, (2, 3, 4),
    ),
    indexed("mask", lambda shape: (chequered(shape),), AT_LEAST_1D, (3, 4)),
    indexed(
        "mask-of-rows",
        lambda shape: (chequered(shape[:1]), ..., slice(None, None, 2)), AT_LEAST_2D, (3, 4),
    ),
    indexed("mask-of-last-dims", lambda shape: (slice(None), chequered(shape[1:])), EXACTLY_3D, (2, 3, 4)),
    indexed("mask-and-ids", mask_and_ids, NOT_EMPTY_3D, (3, 2, 4)),
    OpCase(
        "index_select", Index,
        lambda x: index_select(x, -1, repeated(x.shape[-1]) % max(x.shape[-1], 1)),
        lambda x: x.take(repeated(x.shape[-1]) % max(x.shape[-1], 1), -1),
        one(AT_LEAST_1D), example(2, 3),
        lambda torch, x: x.index_select(-1, torch.tensor(repeated(3) % 3)), kernels=True,
    ),
    OpCase(
        "gather-last", Gather,
        lambda x: gather(x, -1, picks(x.shape, -1)), lambda x: gather_ref(x, -1, picks(x.shape, -1)),
        one(AT_LEAST_1D), example(3, 4), lambda torch, x: x.gather(-1, torch.tensor(picks(x.shape, -1))),
    ),
    OpCase(
        "gather-first", Gather,
        lambda x: gather(x, 0, picks(x.shape, 0)), lambda x: gather_ref(x, 0, picks(x.shape, 0)),
        one(AT_LEAST_1D), example(3, 2, 3), lambda torch, x: x.gather(0, torch.tensor(picks(x.shape, 0))),
    ),
]  # fmt: skip
