"""`x[…]` beyond the op cases: random keys against what NumPy makes of them one step at a time, kinds, errors."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_llm as tg
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.indexing import Index, add_up

X = Tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4))


@st.composite
def arrays_and_keys(draw):
    """An array, a key, and the elements' numbers that PyTorch's rules pick with it."""
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    basic, advanced = [], []
    for size in shape:
        kind = draw(st.sampled_from(["integer", "slice", "array", "mask"]))
        if kind == "integer":
            basic.append(draw(st.integers(-size, size - 1)))
            continue
        if kind == "slice":
            basic.append(slice(*draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.integers(1, 2)))))
            advanced.append(slice(None))
            continue
        basic.append(slice(None))
        if kind == "array":
            count = draw(st.sampled_from([1, 2]))
            ids = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
            advanced.append(np.array(ids)[:, None] if draw(st.booleans()) else np.array(ids))
        else:
            advanced.append(np.arange(size) == draw(st.integers(0, size - 1)))
    arrays = iter([part for part in advanced if isinstance(part, np.ndarray)])
    key = []
    for part in basic:
        key.append(next(arrays) if isinstance(part, slice) and part == slice(None) else part)
    numbers = np.arange(np.prod(shape)).reshape(shape)
    try:
        expected = numbers[(*basic, ...)][tuple(advanced)]
    except IndexError:
        expected = None
    return numbers, tuple(key), expected


@given(arrays_and_keys())
def test_random_keys(drawn):
    numbers, key, expected = drawn
    x = tg.tensor(numbers.astype(np.float64), requires_grad=True)
    if expected is None:
        with pytest.raises(IndexError, match="do not broadcast"):
            x[key]
        return
    out = x[key]
    np.testing.assert_array_equal(out.data, expected)
    dout = np.random.default_rng(0).standard_normal(out.shape)
    out.backward(dout)
    expected_grad = np.bincount(expected.ravel(), dout.ravel(), numbers.size).reshape(numbers.shape)
    np.testing.assert_allclose(x.grad.data, expected_grad, rtol=1e-12, atol=1e-15)


def test_an_integer_beside_an_array_keeps_the_order_of_dims():
    assert X.data[0, :, [0, 1, 2]].shape == (3, 3)
    assert X[0, :, [0, 1]].shape == (3, 2)
    assert X[Tensor(0), :, [0, 1]].shape == (3, 2)
    assert X[0, :, [0, 1]].tolist() == X.data[0][:, [0, 1]].tolist()


def test_kinds_of_keys():
    assert X[()].shape == X[...].shape == X[:].shape == (2, 3, 4)
    assert X[Tensor(1)].tolist() == X[np.int32(1)].tolist() == X[np.array(1)].tolist() == X.data[1].tolist()
    assert X[Tensor(1) :].shape == (1, 3, 4)
    assert X[range(2)].tolist() == X[[0, 1]].tolist() == X.tolist()
    assert X[[]].shape == (0, 3, 4)
    assert X[(0, 1), (1, 2)].tolist() == X.data[[0, 1], [1, 2]].tolist()
    assert X[:, None, 1:2].shape == (2, 1, 1, 4)
    assert X[Tensor(np.array([1], np.int8))].shape == (1, 3, 4)
    assert X[X > 20].tolist() == [21, 22, 23]
    assert X[1, 2, 3].shape == ()
    assert X[1, 2, 3].item() == 23
    assert Tensor(1.0)[...].shape == ()
    assert Tensor(1.0)[None].shape == (1,)


def test_integer_tensors_are_indexed_too():
    ids = Tensor(np.array([[1, 2], [3, 4]]))
    assert ids[1].dtype == np.int64
    assert ids[:, [1, 0, 1]].tolist() == [[2, 1, 2], [4, 3, 4]]


def test_masks_of_nothing_and_everything():
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    assert x[np.zeros((2, 3), bool)].shape == (0,)
    assert x[np.ones(2, bool)].shape == (2, 3)
    x[np.zeros(2, bool)].sum().backward()
    assert x.grad.tolist() == [[0, 0, 0]] * 2


def test_repeated_indices_add_up_in_float32():
    x = tg.tensor(np.zeros((3, 200), np.float32), requires_grad=True)
    ids = np.array([2, 0, 2, 2])
    (x[ids] * tg.tensor([[1.0], [10.0], [100.0], [1000.0]])).sum().backward()
    assert x.grad.data[:, 199].tolist() == [10, 0, 1101]
    x = tg.tensor(np.zeros(3, np.float32), requires_grad=True)
    x[ids].backward(np.array([1, 10, 100, 1000], np.float32))
    assert x.grad.tolist() == [10, 0, 1101]


def test_later_changes_of_the_index_do_not_matter():
    ids = np.array([0, 1])
    for pick in (lambda x: x[ids], lambda x: x.index_select(0, ids), lambda x: x.gather(0, ids)):
        ids[:] = 0, 1
        x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        out = pick(x)
        ids[:] = 2
        out.sum().backward()
        assert x.grad.tolist() == [1, 1, 0]


def test_add_up_equals_numpy():
    rng = np.random.default_rng(0)
    for columns in (1, 3, 70):
        rows, ids = rng.standard_normal((50, columns)), rng.integers(0, 7, 50)
        expected = np.zeros((7, columns))
        np.add.at(expected, ids, rows)
        np.testing.assert_allclose(add_up((7, columns), rows, ids), expected, rtol=1e-12)


def test_a_key_of_both_halves_is_two_nodes():
    out = tg.tensor(X.data, requires_grad=True)[1:, [0, 0]]
    assert out.node.function is Index
    assert out.node.edges[0].function.__name__ == "Slice"


def test_gather_and_index_select_by_pytorchs_rules():
    assert X.index_select(1, Tensor(2)).shape == (2, 1, 4)
    assert Tensor(5.0).gather(0, Tensor([0, 0])).tolist() == [5, 5]
    assert Tensor(5.0).gather(0, Tensor(0)).shape == ()
    assert X.gather(-1, np.zeros((1, 2, 9), np.int32)).shape == (1, 2, 9)
    assert X.gather(1, np.zeros((0, 9, 0), int)).shape == (0, 9, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X[2], IndexError, "index: 2 is out of range for dim 0 of size 2 (shape (2, 3, 4))."),
        (lambda: X[:, -4], IndexError, "index: -4 is out of range for dim 1 of size 3"),
        (lambda: X[None, ..., 4], IndexError, "index: 4 is out of range for dim 2 of size 4"),
        (lambda: X[[0, 2]], IndexError, "index: 2 is out of range for dim 0 of size 2"),
        (lambda: X[:, Tensor([0, -4])], IndexError, "index: -4 is out of range for dim 1 of size 3"),
        (lambda: X[0, 0, 0, 0], IndexError, "index: 4 indices for a 3-d tensor of shape (2, 3, 4)."),
        (lambda: Tensor(1.0)[0], IndexError, "index: 1 indices for a 0-d tensor of shape ()."),
        (lambda: X[..., ...], IndexError, "index: more than one ..."),
        (lambda: X[::-1], ValueError, "step of a slice must be positive, got -1; use flip()"),
        (lambda: X[::0], ValueError, "step of a slice must be positive, got 0"),
        (lambda: X[1.0], TypeError, "index: 1.0 is no index"),
        (lambda: X["a"], TypeError, "index: 'a' is no index"),
        (lambda: X[True], TypeError, "index: True is no index"),
        (lambda: X[Tensor(True)], TypeError, "index: an array of bool and shape () is no index"),
        (lambda: X[Tensor([0.5])], TypeError, "index: an array of float32 and shape (1,) is no index"),
        (lambda: X[np.array([0, 1], np.uint8)], TypeError, "index: uint8 could mean a mask or indices"),
        (lambda: X[[True, False, True]], IndexError,
         "a mask of shape (3,) does not match a tensor of shape (2, 3, 4) from dim 0 on."),
        (lambda: X[0, np.ones((3, 3), bool)], IndexError, "from dim 1 on."),
        (lambda: X[[0, 1], [0, 1, 2]], IndexError, "index arrays of shapes (2,) and (3,) do not broadcast."),
        (lambda: X.index_select(0, [-1]), IndexError,
         "index_select: index -1 is out of range for size 2 (expected 0 to 1)."),
        (lambda: X.index_select(3, [0]), IndexError, "index_select: dim 3"),
        (lambda: X.index_select(0, [[0]]), ValueError, "index_select: needs a 1-d index"),
        (lambda: X.index_select(0, [0.5]), TypeError, "index_select: indices must be integers, got float32"),
        (lambda: X.gather(0, np.full((1, 1, 1), 2)), IndexError, "gather: index 2 is out of range for size 2"),
        (lambda: X.gather(0, [0]), ValueError, "gather: index of shape (1,) does not fit a tensor of shape (2, 3, 4)"),
        (lambda: X.gather(0, np.zeros((1, 4, 1), int)), ValueError, "none larger except dim 0."),
    ],
)  # fmt: skip
def test_errors_name_the_index_and_the_size(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
