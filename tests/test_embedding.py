"""Embedding: ids, padding, the kernel against its reference. Dropout: chances, scale, seeds."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.kernel import plain
from tinygrad_llm.ops import embedding as embedding_module
from tinygrad_llm.ops.dropout import random_keep

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.integers(1, 6), st.integers(1, 270), st.integers(1, 20), st.integers(-1, 3), st.booleans())
def test_kernel_equals_reference(V, C, N, padding_idx, jit):
    ids = rng(N).integers(0, V, N)
    dout = rng(C).standard_normal((N, C))
    got, expected = np.ones((2, V, C))
    kernel = embedding_module.embedding_backward
    (kernel if jit else plain(kernel))(got, dout, ids, padding_idx)
    embedding_module.embedding_backward_ref(expected, dout, ids, padding_idx)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_ids_of_any_integer_type_and_shape():
    weight = Tensor(TABLE)
    for dtype in ("uint8", "int16", "int32", "int64", "uint16"):
        assert F.embedding(np.array([[3, 0]], dtype), weight).tolist() == [TABLE[[3, 0]].tolist()]
    assert F.embedding(Tensor(2), weight).tolist() == TABLE[2].tolist()
    assert F.embedding(np.zeros((2, 0), int), weight).shape == (2, 0, 3)
    assert F.embedding([1, 1], weight).tolist() == TABLE[[1, 1]].tolist()


@pytest.mark.parametrize("padding_idx", [1, -3])
def test_padding_gets_no_gradient(padding_idx):
    weight = tg.tensor(TABLE, requires_grad=True)
    out = F.embedding([0, 1, 1, 3, 3], weight, padding_idx=padding_idx)
    assert out.tolist() == TABLE[[0, 1, 1, 3, 3]].tolist()
    out.sum().backward()
    assert weight.grad.tolist() == [[1] * 3, [0] * 3, [0] * 3, [2] * 3]


def test_later_changes_of_the_ids_do_not_matter():
    ids, weight = np.array([0, 1]), tg.tensor(TABLE, requires_grad=True)
    out = F.embedding(ids, weight)
    ids[:] = 3
    out.sum().backward()
    assert weight.grad.data[:, 0].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 4], IndexError, "embedding: index 4 is out of range for size 4 (expected 0 to 3)."),
        ([-1], IndexError, "embedding: index -1 is out of range for size 4 (expected 0 to 3)."),
        ([0.0], TypeError, "embedding: indices must be integers, got float64 of shape (1,); call .long() first."),
        ([True], TypeError, "embedding: indices must be integers, got bool"),
    ],
)
def test_bad_ids(ids, error, message):
    with pytest.raises(error, match=re.escape(message)):
        F.embedding(ids, Tensor(TABLE))


def test_bad_tables_and_paddings():
    with pytest.raises(ValueError, match=re.escape("must be a table of shape (V, C), got shape (3,)")):
        F.embedding([0], Tensor(TABLE[0]))
    for padding_idx in (4, -5):
        with pytest.raises(IndexError, match=f"padding_idx {padding_idx} is out of range for a table of 4 rows"):
            F.embedding([0], Tensor(TABLE), padding_idx=padding_idx)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p):
    n = 40_000
    out = F.dropout(tg.ones(n), p, rng=rng()).data
    assert set(np.unique(out)) == {0, np.float32(1 / (1 - p))}
    assert abs((out == 0).mean() - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_dropout_gradient_uses_the_same_mask():
    x = tg.ones(1_000, requires_grad=True)
    out = F.dropout(x, 0.3, rng=rng())
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.data, out.data)


def test_dropout_off_is_the_identity():
    x = tg.ones(3, requires_grad=True)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0, rng=rng()) is x
    assert F.dropout(x, 1.0, rng=rng()).tolist() == [0, 0, 0]


def test_dropout_draws_from_the_generator():
    x = tg.ones(64)
    first = F.dropout(x, 0.5, rng=rng(1)).tolist()
    assert first == F.dropout(x, 0.5, rng=rng(1)).tolist()
    assert first != F.dropout(x, 0.5, rng=rng(2)).tolist()
    one = rng(1)
    assert F.dropout(x, 0.5, rng=one).tolist() != F.dropout(x, 0.5, rng=one).tolist()


def test_masks_of_any_size_and_independent_elements():
    assert random_keep((0, 3), 0.5, rng()).shape == (0, 3)
    assert random_keep((), 0.5, rng()).shape == ()
    assert random_keep((3, 7), 0.0, rng()).all()
    assert not random_keep((3, 7), 1.0, rng()).any()
    keep = random_keep((40_000,), 0.5, rng()) - 0.5
    for lag in (1, 2, 3, 4, 5):  # neighbours come from one 64-bit number
        assert abs((keep[lag:] * keep[:-lag]).mean()) < 4 * 0.25 / np.sqrt(40_000)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_dropout_checks_p(p):
    with pytest.raises(ValueError, match=r"dropout: p must be a probability from 0 to 1, got"):
        F.dropout(tg.ones(3), p, rng=rng())


def test_dropout_needs_a_generator_and_floats():
    with pytest.raises(TypeError, match=r"dropout: while training it needs rng=.* got None\."):
        F.dropout(tg.ones(3), 0.5)
    with pytest.raises(TypeError, match=r"dropout: needs a floating-point tensor, got int64"):
        F.dropout(tg.arange(3), 0.5, rng=rng())
