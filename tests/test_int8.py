"""int8_linear beyond its op cases: rounding to bytes, each of the three ways to multiply, and what is refused."""

import re

import numba
import numpy as np
import pytest
from dirty_memory import plain_python
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops import int8_linear as module
from tinygrad_llm.ops.int8_linear import DIRECT_ROWS, FEW, FEW_ROWS, dequantize, int8_linear_ref, quantize_rows
from tinygrad_llm.ops.matmul import matmul_backend

FLOATS = st.floats(-(2.0**90), 2.0**90, width=32)
MATRICES = arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(0, 6)), elements=FLOATS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small arrays: where other programs run, a second thread would be waited for at each kernel."""
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def random_layer(N: int, K: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (N, K), dtype=np.int8)
    return weight, rng.uniform(0.001, 0.02, N).astype(np.float32), rng.standard_normal(N).astype(np.float32)


def random_rows(M: int, K: int):
    return np.random.default_rng(1).standard_normal((M, K)).astype(np.float32)


def multiplied(x, weight, scale, bias=None):
    tensors = (Tensor(each) for each in (x, weight, scale))
    return F.int8_linear(*tensors, None if bias is None else Tensor(bias)).data


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@given(weight=MATRICES)
def test_rounding_errs_by_half_a_step_at_most(weight):
    quantized, scale = quantize_rows(weight)
    assert (quantized.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, weight.shape[:1])
    error = np.abs(weight.astype(np.float64) - quantized * scale.astype(np.float64)[:, None])
    assert (error <= scale[:, None] * (0.5 + 127e-7)).all()  # the division before the rounding rounds too
    assert (np.abs(quantized.astype(int)) <= 127).all()
    for row, numbers in zip(weight, quantized, strict=True):
        if row.size and np.abs(row).max() > 1e-30:
            assert np.abs(numbers).max() == 127  # the whole range is used


def test_rounding_of_rows_by_hand():
    weight = np.array([[1.27, -0.01, 0.016, -1.27], [0, 0, 0, 0], [-5, 0, 0, 0]], np.float32)
    quantized, scale = quantize_rows(weight)
    np.testing.assert_array_equal(quantized, [[127, -1, 2, -127], [0, 0, 0, 0], [-127, 0, 0, 0]])
    np.testing.assert_allclose(scale[[0, 2]], [0.01, 5 / 127], rtol=1e-6)
    np.testing.assert_array_equal(dequantize(quantized, scale)[1], 0)
    assert quantize_rows(np.array([[-0.3]], np.float32))[0].item() == -127  # a single value is met exactly


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
def test_infinity_and_nan_are_refused(wrong):
    with pytest.raises(ValueError, match="the weight holds NaN or infinity, which no scale can reach"):
        quantize_rows(np.array([[1.0, wrong]], np.float32))
    with pytest.raises(ValueError, match=r"weight must have shape \(N, K\), not \(3,\)"):
        quantize_rows(np.ones(3, np.float32))


@pytest.mark.parametrize("M", [1, 3, DIRECT_ROWS, DIRECT_ROWS + 1, 13, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize(("N", "K"), [(67, 33), (130, 257)])
def test_each_way_to_multiply_gives_the_same(M, N, K):
    weight, scale, bias = random_layer(N, K)
    x = random_rows(M, K)
    exact = int8_linear_ref(x.astype(np.float64), weight, scale, bias)
    assert_close(multiplied(x, weight, scale, bias), exact)
    assert_close(multiplied(x, weight, scale), exact - bias)
    with plain_python():
        assert_close(multiplied(x, weight, scale, bias), exact)


def test_a_wide_layer_has_panels_of_fewer_columns():
    weight, scale, bias = random_layer(70, 4096)
    assert module.columns_at_once(4096) < 70
    x = random_rows(6, 4096)
    assert_close(multiplied(x, weight, scale, bias), int8_linear_ref(x.astype(np.float64), weight, scale, bias))


def test_the_kernels_can_be_stepped_through():
    """As plain Python, and asked for by name: otherwise BLAS multiplies where nothing is compiled."""
    for N, M in ((9, 2), (9, DIRECT_ROWS + 1), (1, 2)):
        weight, scale, bias = random_layer(N, 11)
        x = random_rows(M, 11)
        compiled = multiplied(x, weight, scale, bias)
        with plain_python(), matmul_backend("kernel"):
            assert_close(multiplied(x, weight, scale, bias), compiled)


def test_number_of_threads_changes_no_bit():
    N, K = 1200, 500
    assert N * K > FEW
    weight, scale, bias = random_layer(N, K)
    for M in (1, 8):
        x = random_rows(M, K)
        alone = multiplied(x, weight, scale, bias)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        several = multiplied(x, weight, scale, bias)
        numba.set_num_threads(1)
        np.testing.assert_array_equal(several, alone)
        assert_close(alone, int8_linear_ref(x.astype(np.float64), weight, scale, bias))


@pytest.mark.parametrize("size", [7 * 20, 19])
def test_a_matrix_that_is_made_floats_by_the_chunk(monkeypatch, size):
    """Rows of W at a time: 7, 7 and 6; or one, where a chunk is smaller than that."""
    monkeypatch.setattr(module, "CHUNK", size)
    weight, scale, bias = random_layer(20, 20)
    x, b = Tensor(random_rows(FEW_ROWS + 3, 20), requires_grad=True), Tensor(bias, requires_grad=True)
    out = F.int8_linear(x, Tensor(weight), Tensor(scale), b)
    assert_close(out.data, int8_linear_ref(x.data.astype(np.float64), weight, scale, bias))
    dout = random_rows(FEW_ROWS + 3, 20)[::-1].copy()
    out.backward(dout)
    assert_close(x.grad.data, dout @ dequantize(weight, scale))
    assert_close(b.grad.data, dout.sum(axis=0))


def test_leading_dims_and_empty_inputs():
    weight, scale, bias = random_layer(5, 4)
    x = random_rows(6, 4)
    np.testing.assert_array_equal(
        multiplied(x.reshape(2, 3, 4), weight, scale, bias), multiplied(x, weight, scale, bias).reshape(2, 3, 5)
    )
    assert multiplied(x[0], weight, scale).shape == (5,)
    assert multiplied(x[:0], weight, scale, bias).shape == (0, 5)
    np.testing.assert_array_equal(multiplied(np.ones((2, 0), np.float32), weight[:, :0], scale, bias), [bias, bias])
    assert multiplied(x, weight[:0], scale[:0]).shape == (6, 0)


REFUSED = {
    "weight must be int8, not float32; quantise it, or use linear": {"weight": np.ones((5, 4), np.float32)},
    "input (2, 3) and weight (5, 4) do not fit: expected (…, K) and (N, K)": {"input": np.ones((2, 3), np.float32)},
    "scale (4,) does not fit weight (5, 4): expected (5,)": {"scale": np.ones(4, np.float32)},
    "bias (4,) does not fit weight (5, 4): expected (5,)": {"bias": np.ones(4, np.float32)},
    "input is float32, bias float64; convert one with .to(dtype)": {"bias": np.ones(5)},
    "needs a floating-point tensor, got int64 of shape (2, 4)": {"input": np.ones((2, 4), np.int64)},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message):
    weight, scale, bias = random_layer(5, 4)
    given = {"input": random_rows(2, 4), "weight": weight, "scale": scale, "bias": bias} | REFUSED[message]
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        F.int8_linear(*(Tensor(each) for each in given.values()))


@pytest.mark.parametrize("M", [DIRECT_ROWS, DIRECT_ROWS + 1, FEW_ROWS + 1])
@pytest.mark.parametrize("limit", [FEW, 0])
def test_blocks_of_few_columns_are_the_whole(monkeypatch, M, limit):
    """In plain Python, where the sizes of blocks can be set: 4, 4 and 2 columns of the result at a time.

    A limit of 0 sends them to the loop for several threads.
    """
    monkeypatch.setattr(module, "PANEL", 1)
    monkeypatch.setattr(module, "FEW", limit)
    weight, scale, bias = random_layer(10, 7)
    x = random_rows(M, 7)
    expected = int8_linear_ref(x.astype(np.float64), weight, scale, bias)
    with plain_python(), matmul_backend("kernel"):
        assert module.columns_at_once(7) == 4
        out = F.int8_linear(*(Tensor(each) for each in (x, weight, scale, bias)))
    np.testing.assert_allclose(out.data, expected, rtol=1e-4, atol=1e-5)


def test_scales_get_no_gradient():
    weight, scale, _ = random_layer(5, 4)
    with pytest.raises(ValueError, match="scale cannot get a gradient: it is frozen like the weight"):
        F.int8_linear(Tensor(random_rows(2, 4)), Tensor(weight), Tensor(scale, requires_grad=True))
