"""Products of matrices: our kernel in every layout and at every edge of its tiles, and the rules around it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from dirty_memory import plain_python
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import tensor
from tinygrad_llm.ops import linear_cross_entropy as lce
from tinygrad_llm.ops.linear import linear
from tinygrad_llm.ops.matmul import (
    bmm,
    matmul,
    matmul_backend,
    matmul_ref,
    multiply,
    multiply_batch,
    outer,
    set_matmul,
)
from tinygrad_llm.ops.matmul_kernels import DEPTH
from tinygrad_llm.ops.matmul_layout import NARROW, SLICE, WIDTH
from tinygrad_llm.ops.thin_matmul_kernels import thin_matmul_ref

# Around the edges of tiles (4, 32), slices (16), panels (64 and 128 wide, 512 deep) and blocks, and where more than
# PANELS_SIZE / 512 = 1,024 columns are multiplied in several rounds.
EDGES = st.sampled_from([1, 2, 3, 4, 5, 16, 31, 33, 63, 65, 68, 70, 127, 128, 129, 260, 511, 513, 520, 1030])


def random_matrix(rng, rows, columns, transposed, dtype):
    if transposed:
        return rng.standard_normal((columns, rows)).astype(dtype).T
    return rng.standard_normal((rows, columns)).astype(dtype)


@given(m=EDGES, k=EDGES, n=EDGES, layout=st.tuples(st.booleans(), st.booleans()), seed=st.integers(0, 99))
def test_the_kernel_multiplies_every_shape_and_layout(m, k, n, layout, seed):
    rng = np.random.default_rng(seed)
    a = random_matrix(rng, m, k, layout[0], np.float32)
    b = random_matrix(rng, k, n, layout[1], np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    with matmul_backend("kernel"):
        product = multiply(a, b)
        with_bias = multiply(a, b, bias)
        twice = multiply(a, b, out=product.copy(), accumulate=True)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    tolerance = 1e-6 * (np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)) + np.abs(bias))
    assert (np.abs(product - exact) <= tolerance).all()
    assert (np.abs(with_bias - exact - bias) <= tolerance).all()
    assert (np.abs(twice - 2 * exact) <= 2 * tolerance).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", [(False, False), (True, False), (False, True), (True, True)])
def test_jitted_plain_and_reference_agree(dtype, layout):
    rng = np.random.default_rng(0)
    a = random_matrix(rng, 66, 6, layout[0], dtype)  # more rows than the thin kernels take
    b = random_matrix(rng, 6, 65, layout[1], dtype)
    bias = rng.standard_normal(65).astype(dtype)
    with matmul_backend("kernel"):
        jitted = multiply(a, b, bias)
        with plain_python():
            plain = multiply(a, b, bias)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(jitted, plain, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(jitted, matmul_ref(a, b) + bias, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("transposed", [False, True])
def test_thin_products_are_the_references(transposed):
    rng = np.random.default_rng(5)
    a, b = random_matrix(rng, 3, 7, True, np.float32), random_matrix(rng, 7, 130, transposed, np.float32)
    bias = rng.standard_normal(130).astype(np.float32)
    expected = thin_matmul_ref(a, b, bias)
    for context in (contextlib.nullcontext, plain_python):
        with matmul_backend("kernel"), context():
            np.testing.assert_allclose(multiply(a, b, bias), expected, rtol=1e-5, atol=1e-6)
            added = multiply(a, b, bias, out=expected.copy(), accumulate=True)
            np.testing.assert_allclose(added, 2 * expected, rtol=1e-5, atol=1e-6)


def test_nan_reaches_only_its_own_row_and_column():
    a, b = np.ones((40, 300), np.float32), np.ones((300, 140), np.float32)
    a[7, 299] = np.nan
    with matmul_backend("kernel"):
        product = multiply(a, b)
    assert np.isnan(product[7]).all()
    assert not np.isnan(np.delete(product, 7, axis=0)).any()


def test_the_result_does_not_depend_on_how_rows_are_shared_out():
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((400, 400)).astype(np.float32) for _ in range(2))
    with matmul_backend("kernel"):
        whole, part = multiply(a, b), multiply(np.ascontiguousarray(a[100:117]), b)
    np.testing.assert_array_equal(whole[100:117], part)


@pytest.mark.parametrize("layout", [(False, False), (True, False), (False, True)])
def test_batches_of_transposed_views(layout):
    rng = np.random.default_rng(2)
    a = rng.standard_normal((2, 3, 5, 6) if not layout[0] else (2, 3, 6, 5)).astype(np.float32)
    b = rng.standard_normal((2, 3, 6, 4) if not layout[1] else (2, 3, 4, 6)).astype(np.float32)
    a, b = (x.swapaxes(-1, -2) if swap else x for x, swap in zip((a, b), layout, strict=True))
    with matmul_backend("kernel"):
        np.testing.assert_allclose(multiply_batch(a, b), a @ b, rtol=1e-5, atol=1e-5)


def test_panels_are_whole_numbers_of_tiles():
    assert WIDTH == 2 * NARROW
    assert NARROW % SLICE == 0
    assert DEPTH % 4 == 0


def test_gradients_that_nobody_wants_are_not_computed():
    x, weight = tensor(np.ones((3, 2))), tensor(np.ones((4, 2)), requires_grad=True)
    y = linear(x, weight)
    assert y.node.saved[1] is None  # the weight, which only dx would need
    y.sum().backward()
    assert weight.grad.shape == (4, 2)
    assert x.grad is None


@pytest.mark.parametrize("n_rows", [1, 7, 20])
def test_linear_cross_entropy_is_the_same_in_any_chunks(monkeypatch, n_rows):
    rng = np.random.default_rng(3)
    x, w = (tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((20, 4), (9, 4)))
    target = rng.integers(0, 9, 20)
    target[3] = -100
    whole = lce.linear_cross_entropy(x, w, target)
    whole.backward()
    expected = whole.item(), x.grad.numpy(), w.grad.numpy()
    x.grad = w.grad = None
    monkeypatch.setattr(lce, "CHUNK_BYTES", 0)
    monkeypatch.setattr(lce, "MIN_CHUNK_ROWS", n_rows)
    chunked = lce.linear_cross_entropy(x, w, target)
    chunked.backward()
    for got, want in zip((chunked.item(), x.grad.numpy(), w.grad.numpy()), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def test_linear_cross_entropy_of_no_rows_teaches_nothing():
    x, w = tensor(np.ones((0, 4)), requires_grad=True), tensor(np.ones((9, 4)), requires_grad=True)
    lce.linear_cross_entropy(x, w, np.zeros(0, int), reduction="sum").backward()
    assert x.grad.shape == (0, 4)
    np.testing.assert_array_equal(w.grad.numpy(), np.zeros((9, 4)))


def test_linear_cross_entropy_takes_any_leading_dims_and_no_grad():
    x, w = tensor(np.ones((2, 3, 4))), tensor(np.zeros((7, 4)))
    assert lce.linear_cross_entropy(x, w, np.zeros((2, 3), int)).item() == pytest.approx(np.log(7))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: matmul(tensor(np.ones((2, 3))), tensor(np.ones((4, 5)))), ValueError, r"matmul.*\(2, 3\).*\(4, 5\)"),
        (lambda: matmul(tensor(1.0), tensor([1.0])), ValueError, "at least one dim"),
        (lambda: matmul(tensor([1.0]), tensor(np.ones(1))), TypeError, "float32 and float64"),
        (lambda: matmul(tensor([1.0]), "text"), TypeError, "str"),
        (lambda: matmul(tensor(np.ones((2, 3, 4))), tensor(np.ones((5, 4, 3)))), ValueError, "leading dims"),
        (lambda: bmm(tensor(np.ones((2, 3, 4))), tensor(np.ones((4, 3)))), ValueError, "bmm"),
        (lambda: outer(tensor(np.ones((2, 3))), tensor(np.ones(3))), ValueError, "outer"),
        (lambda: linear(tensor(np.ones((2, 3))), tensor(np.ones((4, 2)))), ValueError, r"linear.*\(2, 3\).*\(4, 2\)"),
        (lambda: linear(tensor(np.ones((2, 3))), tensor(np.ones((4, 3))), tensor(np.ones(3))), ValueError, "bias"),
        (lambda: linear(tensor([[1.0]]), tensor(np.ones((4, 1)))), TypeError, "differ in dtype"),
        (lambda: set_matmul("cuda"), ValueError, "kernel"),
        (lambda: lce.linear_cross_entropy(tensor([[1.0]]), tensor([[1.0]]), np.array([1])), IndexError, "target 1"),
        (lambda: lce.linear_cross_entropy(tensor([[1.0]]), tensor([[1.0]]), np.array([[0]])), ValueError, "do not fit"),
        (
            lambda: lce.linear_cross_entropy(tensor([[1.0]]), tensor([[1.0]]), np.array([0]), reduction="none"),
            ValueError,
            "reduction",
        ),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
