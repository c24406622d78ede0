"""mse_loss, binary_cross_entropy_with_logits, kl_div: extreme values and error messages."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor, detect_anomaly
from tinygrad_llm.ops.losses import binary_cross_entropy_with_logits, kl_div, mse_loss, nll_loss

ELEMENTWISE = [mse_loss, binary_cross_entropy_with_logits, kl_div]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce_of_huge_logits_is_finite(dtype):
    x = Tensor(np.array([1e4, -1e4, 1e4, -1e4], dtype), requires_grad=True)
    losses = binary_cross_entropy_with_logits(x, Tensor(np.array([1, 0, 0, 1], dtype)), reduction="none")
    assert losses.dtype == dtype
    assert losses.tolist() == [0, 0, 1e4, 1e4]
    losses.backward(np.ones(4))
    assert x.grad.tolist() == [0, 0, 1, -1]


def test_bce_keeps_the_digits_of_a_small_loss():
    loss = binary_cross_entropy_with_logits(Tensor([50.0]), Tensor([1.0]))
    assert loss.item() == pytest.approx(np.exp(-50.0), rel=1e-5)


def test_bce_pos_weight_counts_the_yes_part_only():
    x, yes, no = Tensor([[0.3]]), Tensor([[1.0]]), Tensor([[0.0]])
    three = Tensor([3.0])
    loss = binary_cross_entropy_with_logits
    assert loss(x, yes, pos_weight=three).item() == pytest.approx(3 * loss(x, yes).item(), rel=1e-6)
    assert loss(x, no, pos_weight=three).item() == loss(x, no).item()


def test_kl_of_equal_distributions_is_zero():
    log_p = Tensor(np.log([[0.25, 0.75], [0.5, 0.5]]))
    assert kl_div(log_p, Tensor(np.exp(log_p.data)), reduction="batchmean").item() == pytest.approx(0)
    assert kl_div(log_p, log_p, log_target=True, reduction="sum").item() == 0


def test_kl_takes_0_log_0_as_0():
    x = Tensor(np.log([0.5, 0.5]), requires_grad=True)
    with detect_anomaly():
        loss = kl_div(x, Tensor(np.array([1.0, 0.0])), reduction="sum")
        loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    assert x.grad.tolist() == [-1, 0]


def test_kl_reductions():
    x, t = np.log([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.2, 0.8], [0.3, 0.7]])
    total = (t * (np.log(t) - x)).sum()
    for reduction, expected in (("sum", total), ("batchmean", total / 2), ("mean", total / 4)):
        assert kl_div(Tensor(x), Tensor(t), reduction=reduction).item() == pytest.approx(expected)


def test_nll_of_a_class_without_probability():
    x = Tensor([[0.0, -np.inf], [-np.inf, 0.0]], requires_grad=True)
    losses = nll_loss(x, Tensor([1, -100]), reduction="none")
    assert losses.tolist() == [np.inf, 0]
    losses.backward(np.ones(2))
    assert x.grad.tolist() == [[0, -1], [0, 0]]


@pytest.mark.parametrize("loss_fn", ELEMENTWISE)
def test_the_mean_of_nothing_is_nan_and_the_sum_zero(loss_fn):
    empty = Tensor(np.zeros((0, 3)), requires_grad=True)
    loss = loss_fn(empty, Tensor(np.zeros((0, 3))))
    assert np.isnan(loss.item())
    loss.backward()
    assert empty.grad.shape == (0, 3)
    assert loss_fn(empty, Tensor(np.zeros((0, 3))), reduction="sum").item() == 0


@pytest.mark.parametrize("loss_fn", ELEMENTWISE)
def test_targets_take_the_dtype_of_the_input(loss_fn):
    assert loss_fn(Tensor([0.5, 0.25]), Tensor([1, 0])).dtype == "float32"


@pytest.mark.parametrize("loss_fn", ELEMENTWISE)
def test_errors(loss_fn):
    x, name = Tensor(np.zeros((3, 1))), loss_fn.__name__
    with pytest.raises(ValueError, match=rf"{name}: target has shape \(3,\), expected input's shape \(3, 1\)"):
        loss_fn(x, Tensor(np.zeros(3)))
    with pytest.raises(ValueError, match=f"{name}: reduction must be one of mean, sum, none.*, not 'total'"):
        loss_fn(x, x, reduction="total")
    with pytest.raises(TypeError, match=f"{name}: needs a floating-point tensor, got int64"):
        loss_fn(Tensor([1]), Tensor([1]))


def test_batchmean_is_for_kl_div_only():
    with pytest.raises(ValueError, match="not 'batchmean'"):
        mse_loss(Tensor([1.0]), Tensor([1.0]), reduction="batchmean")


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
def test_bce_weights_that_do_not_fit(name):
    x = Tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=rf"{name} of shape \(4,\) does not broadcast to input's shape \(2, 3\)"):
        binary_cross_entropy_with_logits(x, x, **{name: Tensor(np.ones(4))})
    with pytest.raises(ValueError, match=rf"{name} of shape \(1, 2, 3\) does not broadcast"):
        binary_cross_entropy_with_logits(x, x, **{name: Tensor(np.ones((1, 2, 3)))})
    with pytest.raises(ValueError, match=rf"pass {name}.detach\(\)"):
        binary_cross_entropy_with_logits(x, x, **{name: Tensor(np.ones(3), requires_grad=True)})
