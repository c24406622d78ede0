"""Cases for cast, reshape, permute, expand, clone, repeat, flip, roll, cat, stack, split and their kin."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.combine import Cat, Stack, cat, chunk, narrow, split, stack, unbind
from tinygrad_llm.ops.common import Cast
from tinygrad_llm.ops.indexing import Slice
from tinygrad_llm.ops.rearrange import Flip, Repeat, Roll, flip, repeat, roll
from tinygrad_llm.ops.shape import (
    Clone,
    Expand,
    Permute,
    Reshape,
    clone,
    expand,
    flatten,
    matrix_transpose,
    permute,
    reshape,
    squeeze,
    transpose,
    unsqueeze,
    view,
)
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase


def one(shape):
    return st.tuples(float_arrays(shape))


def example(*dims):
    return lambda rng: (rng.standard_normal(dims),)


def several(same_shape):
    """Three arrays that differ in the size of dim 1 at most: not at all with `same_shape`."""
    sizes = st.lists(st.integers(0, 3), min_size=3, max_size=3)

    def arrays(drawn):
        rows, columns = drawn
        return st.tuples(*(float_arrays((rows, columns[0] if same_shape else n)) for n in columns))

    return st.tuples(st.integers(0, 3), sizes).flatmap(arrays)


def three(*shapes_of_three):
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes_of_three)


ANY = shapes()
AT_LEAST_1D = shapes(min_dims=1)
AT_LEAST_2D = shapes(min_dims=2)
EVEN_LAST = shapes(max_dims=2).map(lambda shape: (*shape, 2))

CASES = [
    OpCase(
        "reshape-flat", Reshape,
        lambda x: reshape(x, x.data.size), np.ravel, one(ANY), example(2, 3),
        lambda torch, x: x.reshape(6),
    ),
    OpCase(
        "reshape-of-transposed", Reshape,
        lambda x: reshape(matrix_transpose(x), -1, 2), lambda x: np.swapaxes(x, -2, -1).reshape(-1, 2),
        one(st.tuples(st.integers(0, 3), st.sampled_from((2, 4)))), example(3, 4),
        lambda torch, x: x.mT.reshape(-1, 2),
    ),
    OpCase(
        "view-split-last", Reshape,
        lambda x: view(x, (*x.shape[:-1], 1, 2)), lambda x: x.reshape(*x.shape[:-1], 1, 2),
        one(EVEN_LAST), example(3, 2), lambda torch, x: x.view(3, 1, 2),
    ),
    OpCase(
        "flatten-from-1", Reshape,
        lambda x: flatten(x, 1), lambda x: x.reshape(x.shape[0], int(np.prod(x.shape[1:]))),
        one(AT_LEAST_2D), example(2, 3, 2), lambda torch, x: x.flatten(1),
    ),
    OpCase(
        "squeeze", Reshape, squeeze, np.squeeze, one(shapes(min_side=0, max_side=2)), example(1, 3, 1),
        lambda torch, x: x.squeeze(),
    ),
    OpCase(
        "unsqueeze-last", Reshape,
        lambda x: unsqueeze(x, -1), lambda x: x[..., None], one(ANY), example(2, 3),
        lambda torch, x: x.unsqueeze(-1),
    ),
    OpCase(
        "permute-rotated", Permute,
        lambda x: permute(x, *range(1, x.ndim), 0), lambda x: np.moveaxis(x, 0, -1),
        one(AT_LEAST_1D), example(2, 3, 4), lambda torch, x: x.permute(1, 2, 0),
    ),
    OpCase(
        "transpose-outer", Permute,
        lambda x: transpose(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), one(AT_LEAST_1D), example(2, 3, 4),
        lambda torch, x: x.transpose(0, -1),
    ),
    OpCase(
        "expand", Expand,
        lambda x: expand(x, 2, *[-1] * (x.ndim - 1), 3), lambda x: np.broadcast_to(x, (2, *x.shape[:-1], 3)),
        one(shapes(max_dims=2).map(lambda shape: (*shape, 1))), example(2, 1),
        lambda torch, x: x.expand(2, 2, 3),
    ),
    OpCase(  # to another dtype is in tests/test_operators.py: a float32 is too coarse for differences
        "cast", Cast,
        lambda x: Cast.record(*Cast.forward(x.data, x.dtype), x), np.copy, one(ANY), example(2, 3),
        lambda torch, x: x.to(x.dtype, copy=True),
    ),
    OpCase("clone", Clone, clone, np.copy, one(ANY), example(2, 3), lambda torch, x: x.clone()),
    OpCase(
        "repeat", Repeat,
        lambda x: repeat(x, 2, *[3] * x.ndim), lambda x: np.tile(x, (2, *[3] * x.ndim)),
        one(shapes(max_dims=2, max_side=3)), example(2, 2), lambda torch, x: x.repeat(2, 3, 3),
    ),
    OpCase(
        "repeat-0", Repeat, lambda x: repeat(x, 0, 2), lambda x: np.tile(x, (0, 2)),
        one(shapes(max_dims=2)), example(2, 2), lambda torch, x: x.repeat(0, 2),
    ),
    OpCase(
        "flip-last", Flip, lambda x: flip(x, -1), lambda x: x[..., ::-1], one(AT_LEAST_1D), example(2, 3),
        lambda torch, x: x.flip(-1),
    ),
    OpCase(
        "roll-two-dims", Roll,
        lambda x: roll(x, (1, -2), (0, -1)), lambda x: np.roll(x, (1, -2), (0, -1)),
        one(AT_LEAST_2D), example(3, 4), lambda torch, x: x.roll((1, -2), (0, -1)),
    ),
    OpCase(
        "roll-flat", Roll, lambda x: roll(x, 2), lambda x: np.roll(x, 2), one(ANY), example(2, 3),
        lambda torch, x: x.roll(2),
    ),
    OpCase(
        "cat-last", Cat,
        lambda *xs: cat(xs, -1), lambda *xs: np.concatenate(xs, -1),
        several(same_shape=False), three((2, 1), (2, 0), (2, 3)), lambda torch, *xs: torch.cat(xs, -1),
    ),
    OpCase(
        "stack-between", Stack,
        lambda *xs: stack(xs, 1), lambda *xs: np.stack(xs, 1),
        several(same_shape=True), three((2, 3), (2, 3), (2, 3)), lambda torch, *xs: torch.stack(xs, 1),
    ),
    OpCase(
        "narrow", Slice,
        lambda x: narrow(x, 0, -2, 1), lambda x: x[-2:-1],
        one(shapes(max_dims=2).map(lambda shape: (3, *shape))), example(3, 2),
        lambda torch, x: x.narrow(0, -2, 1),
    ),
    OpCase(
        "split-with-one-left-over", Slice,
        lambda x: split(x, 2, -1)[-1], lambda x: x[..., 2:],
        one(shapes(max_dims=2).map(lambda shape: (*shape, 3))), example(2, 3),
        lambda torch, x: x.split(2, -1)[-1],
    ),
    OpCase(
        "chunk-and-join", Cat,
        lambda x: cat(chunk(x, 2)[::-1], 0), lambda x: np.concatenate((x[2:], x[:2])),
        one(shapes(max_dims=2).map(lambda shape: (4, *shape))), example(4, 2),
        lambda torch, x: torch.cat(x.chunk(2)[::-1]),
    ),
    OpCase(
        "unbind-and-stack", Stack,
        lambda x: stack(unbind(x, -1)), lambda x: np.moveaxis(x, -1, 0),
        one(shapes(min_dims=1, min_side=1)), example(2, 3), lambda torch, x: torch.stack(x.unbind(-1)),
    ),
]  # fmt: skip
