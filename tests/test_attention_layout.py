"""Arrays of heads as rows and strides: read back, they are the same numbers, and no copy is made that need not be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided

from tinygrad_llm.ops.attention_layout import (
    Heads,
    Options,
    additive_mask,
    as_heads,
    new_heads,
    packed_heads,
    sum_parts,
    sum_to,
)

B, H, T, D = 2, 3, 4, 5


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


def read_only(x):
    x.flags.writeable = False
    return x


def read(heads: Heads, *shape):
    """(B, H, T, D) as a kernel reads it."""
    b, h, t = np.indices(shape)
    assert heads.rows.flags.c_contiguous
    assert heads.rows.min() >= 0, "only numbers that were there"
    return heads.rows[b * heads.strides[0] + h * heads.strides[1] + t * heads.strides[2]]


# Each with whether it is read where it is.
LAYOUTS = {
    "contiguous": (lambda: numbers(B, H, T, D), True),
    "joined heads": (lambda: numbers(B, T, H, D).transpose(0, 2, 1, 3), True),
    "time first": (lambda: numbers(T, B, H, D).transpose(1, 2, 0, 3), True),
    "part of the heads": (lambda: numbers(B, H + 2, T, D)[:, 1:-1], True),
    "part of a longer cache": (lambda: numbers(B, H, T + 3, D)[:, :, :T], True),
    "packed": (lambda: numbers(B, T, 3, H, D)[:, :, 1].transpose(0, 2, 1, 3), True),
    "one in place of many texts": (lambda: as_strided(numbers(H, T, D), (B, H, T, D), (0, T * D * 8, D * 8, 8)), True),
    "backwards": (lambda: numbers(B, H, T, D)[:, :, ::-1], False),
    "every other number": (lambda: numbers(B, H, T, 2 * D)[..., ::2], False),
    "columns": (lambda: numbers(B, H, D, T).swapaxes(2, 3), False),
    "rows of another length": (lambda: numbers(B, H, T, D + 1)[..., :D], False),
    "read-only": (lambda: read_only(numbers(B, H, T, D)), False),
    "read-only, joined": (lambda: read_only(numbers(B, T, H, D)).transpose(0, 2, 1, 3), False),
    "of float32": (lambda: numbers(B, H, T, D).astype("float32"), True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_read_as_it_is(layout):
    make, in_place = LAYOUTS[layout]
    x = make()
    heads = as_heads(x, Options((B, H), H, 1.0))
    np.testing.assert_array_equal(read(heads, B, H, T), x)
    assert np.shares_memory(heads.rows, x) == in_place
    if in_place:
        assert byte_bounds(heads.rows)[1] == byte_bounds(x)[1], "no row that belongs to others"
    assert heads.rows.flags.writeable
    assert heads.rows.dtype == x.dtype


@pytest.mark.parametrize("shape", [(B, 1, T, D), (1, H, T, D), (H, T, D), (T, D), (1, 1, T, D), (B, H, 1, D)])
@pytest.mark.parametrize("joined", [False, True])
def test_one_stands_for_all_of_a_dim(shape, joined):
    x = numbers(*shape)
    if joined and x.ndim > 2:
        x = x.swapaxes(-3, -2).copy().swapaxes(-3, -2)
    heads = as_heads(x, Options((B, H), H, 1.0))
    length = shape[-2]
    np.testing.assert_array_equal(read(heads, B, H, length), np.broadcast_to(x, (B, H, length, D)))
    assert np.shares_memory(heads.rows, x)


@pytest.mark.parametrize("shape", [(2, 3, H, T, D), (3, H, T, D), (2, 1, H, T, D), (1, 3, 1, T, D), (H, T, D), (T, D)])
def test_several_batch_dims_become_one(shape):
    x = numbers(*shape)
    heads = as_heads(x, Options((2, 3, H), H, 1.0))
    expected = np.broadcast_to(x, (2, 3, H, T, D)).reshape(6, H, T, D)
    np.testing.assert_array_equal(read(heads, 6, H, T), expected)
    assert np.shares_memory(heads.rows, x) == (shape in ((2, 3, H, T, D), (H, T, D), (T, D)))


def test_numbers_of_heads_and_texts():
    for leading, batch_size, n_heads in (((), 1, 1), ((3,), 1, 3), ((2, 3), 2, 3), ((4, 2, 3), 8, 3)):
        options = Options(leading, 1, 1.0)
        assert (options.batch_size, options.n_heads) == (batch_size, n_heads)


def test_new_heads_are_joined_in_memory():
    x, heads = new_heads(B, H, T, D, np.float32)
    assert x.shape == (B, H, T, D)
    assert x.dtype == np.float32
    assert x.transpose(0, 2, 1, 3).flags.c_contiguous
    x[:] = numbers(B, H, T, D)
    np.testing.assert_array_equal(read(heads, B, H, T), x)


@pytest.mark.parametrize("n_packed", [1, 3])
def test_packed_heads_stand_side_by_side(n_packed):
    x = numbers(B, T, n_packed * H * D)
    found = packed_heads(x, H, n_packed)
    assert len(found) == n_packed
    for i, heads in enumerate(found):
        expected = x.reshape(B, T, n_packed, H, D)[:, :, i].transpose(0, 2, 1, 3)
        np.testing.assert_array_equal(read(heads, B, H, T), expected)
        assert np.shares_memory(heads.rows, x)


MASKS = {
    "bool": lambda x: x > 0,
    "float32": lambda x: x.astype("float32"),
    "float64": lambda x: x,
    "columns": lambda x: x.T.copy().T,
    "read-only": read_only,
}


@pytest.mark.parametrize("shape", [(B, H, T, 6), (B, 1, T, 6), (1, H, T, 1), (B, 1, 1, 6), (H, T, 6), (T, 6), (6,), ()])
@pytest.mark.parametrize("kind", MASKS)
def test_masks_are_numbers_to_add(shape, kind):
    x = MASKS[kind](np.asarray(np.cos(numbers(*shape))))
    mask, strides = additive_mask(x, Options((B, H), H, 1.0), np.dtype("float64"))
    assert mask.dtype == np.float64
    assert mask.ndim == 1
    assert mask.flags.writeable
    got = mask[np.tensordot(strides, np.indices((B, H, T, 6)), 1)]
    expected = np.where(x, 0.0, -np.inf) if kind == "bool" else x
    np.testing.assert_array_equal(got, np.broadcast_to(expected, got.shape))


def test_no_mask_is_nothing_to_add():
    mask, strides = additive_mask(None, Options((B, H), H, 1.0), np.dtype("float32"))
    assert (mask.size, mask.dtype, strides.tolist()) == (0, np.float32, [0, 0, 0, 0])


@pytest.mark.parametrize("shape", [(2, 3, H, T, D), (3, H, T, D), (2, 1, H, T, D), (1, 3, 1, T, D), (T, D)])
def test_a_broadcast_input_gets_the_sum_of_the_gradients(shape):
    gradient = numbers(6, H, T, D)
    whole = gradient.reshape(2, 3, H, T, D)
    axes = tuple(i for i in range(5) if ((1,) * (5 - len(shape)) + shape)[i] == 1 != whole.shape[i])
    got = sum_to(shape, gradient, Options((2, 3, H), H, 1.0))
    np.testing.assert_array_equal(got, whole.sum(axis=axes).reshape(shape))


def test_parts_are_summed_text_by_text():
    whole = numbers(3 * B, H, T, D)
    np.testing.assert_array_equal(sum_parts(whole, 3), whole[:B] + whole[B : 2 * B] + whole[2 * B :])
    assert sum_parts(whole, 1) is whole
