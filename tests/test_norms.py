"""layer_norm and rms_norm: statistics of the results, hard values, empty inputs, and error messages."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.layer_norm import layer_norm, layer_norm_ref
from tinygrad_llm.ops.rms_norm import rms_norm, rms_norm_ref

BOTH = [layer_norm, rms_norm]


def features(shape, seed=0, mean=0.0, dtype="float32") -> Tensor:
    values = mean + 2 * np.random.default_rng(seed).standard_normal(shape)
    return Tensor(values.astype(dtype), requires_grad=True)


def test_layer_norm_gives_mean_0_and_variance_1():
    out = layer_norm(features((10, 200), mean=5.0), 200).data
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(out.var(axis=1), 1, rtol=1e-4)


def test_rms_norm_gives_root_mean_square_1():
    out = rms_norm(features((10, 200), mean=5.0), 200).data
    np.testing.assert_allclose((out**2).mean(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("norm", BOTH)
def test_the_scale_of_the_input_does_not_matter(norm):
    x = features((3, 8))
    np.testing.assert_allclose(norm(x, 8, eps=0.0).data, norm(Tensor(64 * x.data), 8, eps=0.0).data, rtol=1e-6)


def test_layer_norm_of_a_large_mean_keeps_its_digits():
    """Σx² − Nμ² would lose them all: 1e4² has nine digits before those of the variance."""
    x = features((4, 64), mean=1e4)
    expected = layer_norm_ref(x.data.astype("float64"), (64,))
    np.testing.assert_allclose(layer_norm(x, 64).data, expected, atol=2e-3)


def test_layer_norm_of_equal_features_is_zero():
    x = Tensor(np.full((2, 5), 7.0), requires_grad=True)
    out = layer_norm(x, 5)
    assert not out.data.any()
    out.backward(np.arange(10.0).reshape(2, 5))
    assert np.isfinite(x.grad.data).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rms_norm_default_eps_is_that_of_the_dtype(dtype):
    x = np.full((1, 4), 1e-4, dtype)
    assert np.finfo(dtype).eps == {"float32": 2.0**-23, "float64": 2.0**-52}[dtype]
    expected = rms_norm_ref(x.astype("float64"), (4,), eps=float(np.finfo(dtype).eps))
    np.testing.assert_allclose(rms_norm(Tensor(x), 4).data, expected, rtol=1e-6)


@pytest.mark.parametrize("norm", BOTH)
def test_weight_gradients_of_many_rows_are_exact(norm):
    """Also where the last chunk of rows is a short one, and where there are more rows than chunks × 16."""
    for n in (1, 15, 17, 1100):
        x, w = features((n, 3)), features(3, seed=1)
        exact_x, exact_w = (Tensor(t.data.astype("float64"), requires_grad=True) for t in (x, w))
        dout = np.random.default_rng(2).standard_normal((n, 3))
        norm(x, 3, w).backward(dout)
        norm(exact_x, 3, exact_w).backward(dout)
        x_hat = norm(Tensor(exact_x.data), 3).data
        np.testing.assert_allclose(exact_w.grad.data, (dout * x_hat).sum(axis=0), rtol=1e-10)
        np.testing.assert_allclose(w.grad.data, exact_w.grad.data, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(x.grad.data, exact_x.grad.data, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm", BOTH)
def test_nan_stays_in_its_row(norm):
    x = features((3, 9))
    x.data[1, 4] = np.nan
    out = norm(x, 9)
    out.backward(np.ones((3, 9)))
    for array in (out.data, x.grad.data):
        assert np.isnan(array).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("norm", BOTH)
@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4), (3, 0)])
def test_empty_inputs(norm, shape):
    x, w = features(shape), features(shape[-1:])
    out = norm(x, shape[-1], w)
    out.backward(np.zeros(shape))
    assert out.shape == x.grad.shape == shape
    assert w.grad.tolist() == [0.0] * shape[-1]


@pytest.mark.parametrize("norm", BOTH)
@pytest.mark.parametrize(
    ("x", "normalized_shape", "weight", "error", "message"),
    [
        ((2, 3), 4, None, ValueError, r"normalized_shape \(4,\) is not the end of the input's shape \(2, 3\)"),
        ((2, 3), (2,), None, ValueError, r"normalized_shape \(2,\) is not the end of the input's shape \(2, 3\)"),
        ((3,), (2, 3), None, ValueError, r"normalized_shape \(2, 3\) is not the end of the input's shape \(3,\)"),
        ((), 1, None, ValueError, r"normalized_shape \(1,\) is not the end of the input's shape \(\)"),
        ((2, 3), (), None, ValueError, "normalized_shape is empty"),
        ((2, 3), 3, np.ones(2), ValueError, r"weight has shape \(2,\), expected normalized_shape \(3,\)"),
        ((2, 3), 3, np.ones(3, "float32"), TypeError, "weight is float32, expected the input's dtype float64"),
    ],
)
def test_errors(norm, x, normalized_shape, weight, error, message):
    weight = None if weight is None else Tensor(weight)
    with pytest.raises(error, match=f"^{norm.__name__}: {message}"):
        norm(Tensor(np.zeros(x)), normalized_shape, weight)


@pytest.mark.parametrize("norm", BOTH)
def test_integers_are_refused(norm):
    with pytest.raises(TypeError, match=f"{norm.__name__}: needs a floating-point tensor, got int64"):
        norm(Tensor([[1, 2]]), 2)


def test_layer_norm_checks_the_bias_too():
    with pytest.raises(ValueError, match=r"layer_norm: bias has shape \(2,\), expected normalized_shape \(3,\)"):
        layer_norm(Tensor(np.zeros((2, 3))), 3, bias=Tensor(np.zeros(2)))
