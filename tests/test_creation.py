"""New tensors: dtypes by PyTorch's rules, explicit randomness, shared memory where it is promised."""

import re

import numpy as np
import pytest

import tinygrad_llm as tg


def rng(seed=0):
    return np.random.default_rng(seed)


def test_constants():
    assert tg.zeros(2, 3).data.tolist() == tg.zeros((2, 3)).data.tolist() == [[0, 0, 0]] * 2
    assert tg.ones(2).dtype == tg.eye(2).dtype == tg.linspace(0, 1, 2).dtype == np.float32
    assert tg.zeros().shape == tg.ones(()).shape == tg.full((), 7).shape == ()
    assert tg.full((2,), 0.5).dtype == np.float32
    assert tg.full(2, 3).dtype == np.int64
    assert tg.full((2, 1), True).dtype == bool
    assert tg.full((2,), 3, dtype="float64").tolist() == [3.0, 3.0]
    assert tg.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert tg.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert tg.linspace(2, 3, 1).tolist() == [2]


def test_arange():
    assert tg.arange(3).tolist() == [0, 1, 2]
    assert tg.arange(3).dtype == np.int64
    assert tg.arange(3.0).dtype == tg.arange(0, 1, 0.25).dtype == np.float32
    assert tg.arange(5, 1, -2).tolist() == [5, 3]
    assert tg.arange(2, 2).shape == (0,)
    np.testing.assert_allclose(tg.arange(0, 1, 0.3).data, [0, 0.3, 0.6, 0.9], rtol=1e-6)
    assert tg.arange(3, dtype=np.float64, requires_grad=True).requires_grad


def test_like():
    x = tg.tensor([[1, 2]])
    assert tg.zeros_like(x).dtype == tg.ones_like(x).dtype == tg.full_like(x, 7).dtype == np.int64
    assert tg.full_like(x, 7).tolist() == [[7, 7]]
    leaf = tg.ones_like(tg.ones(2, requires_grad=True), dtype="float64")
    assert (leaf.dtype, leaf.requires_grad) == (np.float64, False)


def test_requires_grad_makes_leaves():
    for x in (tg.zeros(2, requires_grad=True), tg.randn(2, rng=rng(), requires_grad=True)):
        assert x.requires_grad
        assert x.is_leaf
    with pytest.raises(TypeError, match="Only floating-point tensors can require grad"):
        tg.arange(3, requires_grad=True)


def test_random_numbers_come_from_the_given_generator():
    assert tg.randn(2, 3, rng=rng(1)).tolist() == tg.randn((2, 3), rng=rng(1)).tolist()
    assert tg.randn(4, rng=rng(1)).tolist() != tg.randn(4, rng=rng(2)).tolist()
    one = rng()
    assert tg.rand(4, rng=one).tolist() != tg.rand(4, rng=one).tolist()
    assert tg.randn(4, rng=rng(), dtype="float64").dtype == np.float64
    assert tg.randint(0, 3, (4,), rng=rng()).dtype == np.int64
    assert tg.randint(0, 3, 4, rng=rng(), dtype=np.int32).dtype == np.int32


def test_distributions():
    n = 20_000
    normal, even = tg.randn(n, rng=rng()).data, tg.rand(n, rng=rng()).data
    assert abs(normal.mean()) < 4 / np.sqrt(n)
    assert abs(normal.std() - 1) < 4 / np.sqrt(2 * n)
    assert 0 <= even.min() < 0.001
    assert 0.999 < even.max() < 1
    assert abs(even.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)
    assert set(tg.randint(-1, 2, (100,), rng=rng()).tolist()) == {-1, 0, 1}


def test_from_numpy_shares_and_tensor_copies():
    array = np.zeros(3)
    shared, copied = tg.from_numpy(array), tg.tensor(array)
    array[0] = 5
    assert shared.tolist() == [5, 0, 0]
    assert copied.tolist() == [0, 0, 0]
    with tg.no_grad():
        shared[1] = 7
    assert array.tolist() == [5, 7, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.randn(2), TypeError,
         "randn: needs rng=, a np.random.Generator such as np.random.default_rng(0), got None."),
        (lambda: tg.rand(2, rng=7), TypeError, "rand: needs rng="),
        (lambda: tg.randint(0, 2, 3), TypeError, "randint: needs rng="),
        (lambda: tg.randn(2, rng=rng(), dtype=int), TypeError, "randn: dtype must be float32 or float64, got int64"),
        (lambda: tg.randint(2, 2, 3, rng=rng()), ValueError, "randint: low must be below high, got low=2 and high=2."),
        (lambda: tg.zeros(-1), ValueError, "zeros: sizes must be 0 or more, got (-1,)."),
        (lambda: tg.ones(2.0), TypeError, "ones: expected ints, got 2.0"),
        (lambda: tg.zeros(2, dtype="float16"), TypeError, "zeros: 'float16' is no supported dtype; use one of float32"),
        (lambda: tg.zeros(2, dtype="cpu"), TypeError, "zeros: 'cpu' is no supported dtype"),
        (lambda: tg.arange(5, 1), ValueError, "arange: no steps of 1 lead from 5 to 1."),
        (lambda: tg.arange(1, 5, 0), ValueError, "arange: no steps of 0"),
        (lambda: tg.linspace(0, 1, -1), ValueError, "linspace: sizes must be 0 or more"),
        (lambda: tg.from_numpy([1.0]), TypeError, "from_numpy: needs an ndarray, not list; use tensor()."),
        (lambda: tg.from_numpy(np.zeros(2, complex)), TypeError, "is no supported dtype"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
