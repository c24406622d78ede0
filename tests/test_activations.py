"""Activations far out, at their kinks and in float32; expected values are what PyTorch 2.13 gives."""

from math import inf, nan

import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm.autograd import Tensor, tensor
from tinygrad_llm.ops import activations, gelu

# f(x) and df/dx at these x, from PyTorch in float64.
FAR_OUT = [inf, nan, 0.0, 30.0, -30.0, 100.0, -100.0, 1000.0, -1000.0]
EXPECTED = {
    "relu": ([inf, nan, 0, 30, 0, 100, 0, 1000, 0], [1, 1, 0, 1, 0, 1, 0, 1, 0]),
    "leaky_relu": (
        [inf, nan, 0, 30, -0.3, 100, -1, 1000, -10],
        [1, 0.01, 0.01, 1, 0.01, 1, 0.01, 1, 0.01],
    ),
    "sigmoid": ([1, nan, 0.5, 1, 9.357622968840e-14, 1, 0, 1, 0], [0, nan, 0.25, 0, 9.357622968839e-14, 0, 0, 0, 0]),
    "softplus": ([inf, nan, np.log(2), 30, 9.357622968840e-14, 100, 0, 1000, 0], [1, nan, 0.5, 1, 0, 1, 0, 1, 0]),
    "silu": ([inf, nan, 0, 30, -2.807286890652e-12, 100, 0, 1000, 0], [nan, nan, 0.5, 1, -2.71371e-12, 1, 0, 1, 0]),
    "gelu": ([inf, nan, 0, 30, 0, 100, 0, 1000, 0], [nan, nan, 0.5, 1, 0, 1, 0, 1, 0]),
    "gelu_tanh": ([inf, nan, 0, 30, 0, 100, 0, 1000, 0], [nan, nan, 0.5, 1, 0, 1, 0, 1, 0]),
}


def function(name):
    if name == "gelu_tanh":
        return lambda x: gelu.gelu(x, approximate="tanh")
    return getattr(activations, name, None) or gelu.gelu


def value_and_slope(fn, x, dtype):
    x = tensor(x, dtype=dtype, requires_grad=True)
    out = fn(x)
    out.backward(np.ones(out.shape))
    return out.data, x.grad.data


@pytest.mark.parametrize("jit", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXPECTED)
def test_far_out_and_at_zero(name, dtype, jit):
    if jit:
        got = value_and_slope(function(name), FAR_OUT, dtype)
    else:
        with plain_python(), np.errstate(all="ignore"):  # plain Python scalars warn where compiled ones do not
            got = value_and_slope(function(name), FAR_OUT, dtype)
    for array, expected in zip(got, EXPECTED[name], strict=True):
        assert array.dtype == dtype
        np.testing.assert_allclose(array, expected, rtol=2e-6, atol=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_float32_is_as_exact_as_float64_to_rounding(name):
    """All kernels' polynomials, over the range where the functions bend."""
    x = np.linspace(-12, 12, 100_001).astype(np.float32)
    out, slope = value_and_slope(function(name), x, "float32")
    exact_out, exact_slope = value_and_slope(function(name), x.astype(np.float64), "float64")
    np.testing.assert_allclose(out, exact_out, rtol=1e-6, atol=3e-7)
    np.testing.assert_allclose(slope, exact_slope, rtol=1e-6, atol=3e-6)


def test_small_tails_of_gelu_keep_their_digits():
    """1 + erf(x) would have none left at −6: x·Φ(−6) is −5.9e-9."""
    x = np.linspace(-10, -1, 1001).astype(np.float32)
    exact = np.array([float(v) * 0.5 * gelu.math.erfc(-float(v) / 2**0.5) for v in x])
    np.testing.assert_allclose(gelu.gelu(Tensor(x)).data, exact, rtol=1e-5)


@pytest.mark.parametrize("size", [0, 1, 3, 17, 4099])
@pytest.mark.parametrize("name", ["sigmoid", "silu", "gelu", "gelu_tanh"])
def test_any_number_of_elements(name, size):
    """Vectorised loops have a remainder, threads a last share."""
    x = np.random.default_rng(size).standard_normal(size)
    out, slope = value_and_slope(function(name), x, "float64")
    ref = {"gelu": gelu.gelu_ref, "gelu_tanh": gelu.gelu_tanh_ref}.get(name) or getattr(activations, f"{name}_ref")
    np.testing.assert_allclose(out, ref(x), rtol=1e-10)
    np.testing.assert_allclose(slope, (ref(x + 1e-6) - ref(x - 1e-6)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_slopes_at_the_kink():
    assert value_and_slope(activations.relu, [0.0, -0.0], "float32")[1].tolist() == [0.0, 0.0]
    slopes = value_and_slope(lambda x: activations.leaky_relu(x, 0.5), [0.0, -1.0, 1.0], "float32")[1]
    assert slopes.tolist() == [0.5, 0.5, 1.0]


def test_softplus_is_linear_above_its_threshold():
    out, slope = value_and_slope(lambda x: activations.softplus(x, beta=2, threshold=3), [1.5, 1.51, 1.4], "float64")
    np.testing.assert_allclose(out, [1.5242936757, 1.51, 1.4295164381])
    np.testing.assert_allclose(slope, [0.9525741268, 1.0, 0.9426758241])


def test_integers():
    assert activations.relu(tensor([-1, 2])).tolist() == [0, 2]
    assert activations.sigmoid(tensor([0, 100])).tolist() == [0.5, 1.0]
    assert activations.sigmoid(tensor([True])).dtype == np.float32
    for fn in (activations.silu, activations.softplus, activations.leaky_relu, gelu.gelu):
        with pytest.raises(TypeError, match=rf"^{fn.__name__}: needs a floating-point tensor, got int64"):
            fn(tensor([1, 2]))


def test_errors():
    x = tensor([1.0])
    with pytest.raises(ValueError, match=r"gelu: approximate must be 'none' or 'tanh', not 'erf'"):
        gelu.gelu(x, approximate="erf")
    with pytest.raises(ValueError, match=r"softplus: beta must not be 0"):
        activations.softplus(x, beta=0)
    with pytest.raises(TypeError, match=r"relu: needs numbers, got a bool tensor"):
        activations.relu(tensor([True]))
