"""cross_entropy: what the op cases do not cover: extreme values, ignored rows, memory, and error messages."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from dirty_memory import plain_python
from op_cases.cross_entropy import classes

from tinygrad_llm.autograd import Tensor, no_grad
from tinygrad_llm.ops import fast_math
from tinygrad_llm.ops.class_targets import reduce_losses
from tinygrad_llm.ops.cross_entropy import cross_entropy, cross_entropy_ref, largest_of
from tinygrad_llm.ops.losses import nll_loss
from tinygrad_llm.ops.softmax import log_softmax

RNG = np.random.default_rng(0)


def logits(shape, dtype="float32", scale=3.0) -> Tensor:
    values = scale * np.random.default_rng(1).standard_normal(shape)
    return Tensor(values.astype(dtype), requires_grad=True)


@pytest.mark.parametrize("n_classes", [1, 7, 8, 65, 1000])
def test_a_uniform_guess_costs_the_log_of_the_number_of_classes(n_classes):
    loss = cross_entropy(Tensor(np.zeros((3, n_classes))), Tensor(np.zeros(3, int)))
    assert loss.item() == pytest.approx(np.log(n_classes), abs=1e-12)


@pytest.mark.parametrize("vocabulary", [65, 4099])
def test_float32_is_as_exact_as_float32_can_be(vocabulary):
    x = logits((16, vocabulary))
    targets = RNG.integers(0, vocabulary, 16)
    loss = cross_entropy(x, Tensor(targets), label_smoothing=0.1)
    loss.backward()
    exact = Tensor(x.data.astype("float64"), requires_grad=True)
    expected = cross_entropy_ref(exact.data, targets, label_smoothing=0.1)
    cross_entropy(exact, Tensor(targets), label_smoothing=0.1).backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(x.grad.data, exact.grad.data, rtol=5e-6, atol=1e-8)


def test_the_same_as_nll_loss_of_log_softmax():
    fused, composed = logits((5, 7, 3), "float64"), logits((5, 7, 3), "float64")
    options = {"target": Tensor(classes((5, 7, 3))), "weight": Tensor(np.linspace(1.0, 3.0, 7))}
    a = cross_entropy(fused, **options)
    b = nll_loss(log_softmax(composed, dim=1), **options)
    a.backward()
    b.backward()
    assert a.item() == pytest.approx(b.item(), rel=1e-14)
    np.testing.assert_allclose(fused.grad.data, composed.grad.data, rtol=1e-12, atol=1e-15)


def test_huge_logits_do_not_overflow():
    x = Tensor([[3e38, -3e38, 0.0], [-3e38, -3e38, -3e38]], requires_grad=True)
    losses = cross_entropy(x, Tensor([0, 1]), reduction="none")
    np.testing.assert_allclose(losses.data, [0.0, np.log(3)], rtol=1e-6)
    losses.backward(np.ones(2))
    np.testing.assert_allclose(x.grad.data, [[0, 0, 0], [1 / 3, -2 / 3, 1 / 3]], atol=1e-6)


def test_masked_classes_have_no_probability_and_no_gradient():
    x = Tensor([[1.0, -np.inf, 1.0, -np.inf]], requires_grad=True)
    cross_entropy(x, Tensor([2])).backward()
    np.testing.assert_allclose(x.grad.data, [[0.5, 0, -0.5, 0]], rtol=1e-6)
    assert cross_entropy(x, Tensor([1])).item() == np.inf


@pytest.mark.parametrize("place", [0, 3, 8, 16])
def test_nan_reaches_the_loss_of_its_row_only(place):
    x = logits((2, 17))
    x.data[0, place] = np.nan
    losses = cross_entropy(x, Tensor([5, 5]), reduction="none")
    losses.backward(np.ones(2))
    assert np.isnan(losses.data).tolist() == [True, False]
    assert np.isnan(x.grad.data).all(axis=1).tolist() == [True, False]
    assert np.isfinite(x.grad.data[1]).all()


def test_exp_of_float64_is_infinite_before_the_library_raises():
    with plain_python():
        assert fast_math.exp_float64(709.78) == np.inf
        assert fast_math.exp_float64(709.77) < np.inf


def test_a_single_score_has_nothing_to_learn():
    """One row of one class: the smallest gradient that there is has one element, and it is 0."""
    x = Tensor(np.full((1, 1), 3.0), requires_grad=True)
    cross_entropy(x, Tensor(np.zeros(1, int))).backward()
    np.testing.assert_array_equal(x.grad.data, [[0.0]])


def test_weights_that_cancel_leave_an_infinite_mean():
    """2 of loss over a divisor of 0: +inf, as in PyTorch, and not −inf."""
    assert reduce_losses(np.array([2.0]), "mean", 0.0) == np.inf


@pytest.mark.parametrize("n", [*range(1, 20), 64])
def test_largest_of_finds_it_at_every_place(n):
    for place in range(n):
        row = np.linspace(-5.0, -4.0, n)
        row[place] = -1.0
        assert largest_of(row) == -1.0
        with plain_python():
            assert largest_of(row) == -1.0


def test_ignored_rows_cost_nothing_and_get_no_gradient():
    x = logits((4, 6))
    x.data[1] = np.nan  # what an ignored row holds does not matter either
    loss = cross_entropy(x, Tensor([3, -100, 0, -100]), label_smoothing=0.1)
    loss.backward()
    kept = cross_entropy(Tensor(x.data[[0, 2]]), Tensor([3, 0]), label_smoothing=0.1)
    assert loss.item() == pytest.approx(kept.item(), rel=1e-6)
    assert not x.grad.data[[1, 3]].any()
    assert x.grad.data[[0, 2]].all()


def test_an_ignore_index_among_the_classes():
    x = logits((3, 4))
    loss = cross_entropy(x, Tensor([1, 2, 1]), ignore_index=1)
    assert loss.item() == pytest.approx(cross_entropy(Tensor(x.data[1:2]), Tensor([2])).item(), rel=1e-6)


@pytest.mark.parametrize("loss_fn", [cross_entropy, nll_loss])
def test_the_mean_of_nothing_is_nan_and_its_gradient_zero(loss_fn):
    x = logits((2, 3))
    loss = loss_fn(x, Tensor([-100, -100]))
    loss.backward()
    assert np.isnan(loss.item())
    assert not x.grad.data.any()
    assert loss_fn(x, Tensor([-100, -100]), reduction="sum").item() == 0
    assert np.isnan(loss_fn(Tensor(np.zeros((0, 3))), Tensor(np.zeros(0, int))).item())


def test_a_batch_may_be_overwritten_before_backward():
    first, second = logits((3, 4)), logits((3, 4))
    targets, weight = Tensor([0, 1, 2]), Tensor([1.0, 2.0, 3.0, 4.0])
    cross_entropy(first, targets, weight).backward()
    loss = cross_entropy(second, targets, weight)
    targets.zero_()
    weight.zero_()
    loss.backward()
    np.testing.assert_array_equal(first.grad.data, second.grad.data)


def test_no_array_of_the_size_of_the_logits_is_kept_but_their_gradient():
    x = logits((64, 4096))
    targets = Tensor(np.arange(64))
    cross_entropy(x, targets).backward()  # compiles
    x.grad = None
    tracemalloc.start()
    try:
        with no_grad():
            cross_entropy(x, targets)
        evaluation_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        loss = cross_entropy(x + 0, targets)
        forward_peak, forward_kept = tracemalloc.get_traced_memory()[::-1]
        loss.backward()
        backward_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert evaluation_peak < 0.1 * x.data.nbytes
    assert forward_peak < 2.1 * x.data.nbytes  # the logits x + 0 and their gradient
    assert forward_kept < 1.1 * x.data.nbytes
    assert backward_peak < 2.1 * x.data.nbytes  # their gradient and x.grad


def test_the_graph_can_be_walked_twice_and_its_gradient_changed_in_between():
    """The gradient was computed in forward; x.grad is not that array."""
    x, target = logits((3, 4)), Tensor([0, 1, 2])
    loss = cross_entropy(x, target)
    loss.backward(retain_graph=True)
    first = x.grad.data.copy()
    x.grad.data[:] = np.nan
    x.grad = None
    loss.backward(np.float32(3.0))
    np.testing.assert_allclose(x.grad.data, 3 * first, rtol=1e-6)


def test_one_hot_probabilities_equal_classes():
    a, b = logits((4, 5), "float64"), logits((4, 5), "float64")
    targets = np.array([0, 3, 3, 1])
    by_class = cross_entropy(a, Tensor(targets), label_smoothing=0.3)
    by_probability = cross_entropy(b, Tensor(np.eye(5)[targets]), label_smoothing=0.3)
    by_class.backward()
    by_probability.backward()
    assert by_class.item() == pytest.approx(by_probability.item(), rel=1e-14)
    np.testing.assert_allclose(a.grad.data, b.grad.data, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_any_integer_dtype_holds_targets(dtype):
    x = logits((3, 4))
    expected = cross_entropy(x, Tensor([0, 3, 2])).item()
    assert cross_entropy(x, Tensor(np.array([0, 3, 2], dtype))).item() == expected


@pytest.mark.parametrize("loss_fn", [cross_entropy, nll_loss])
@pytest.mark.parametrize(
    ("x", "target", "options", "error", "message"),
    [
        ((3, 4), [0, 4, 1], {}, IndexError, "target 4 is no class: expected 0 to 3, or ignore_index=-100"),
        ((3, 4), [0, -1, 1], {}, IndexError, "target -1 is no class: expected 0 to 3, or ignore_index=-100"),
        ((3, 4), [0, -100, 1], {"ignore_index": -1}, IndexError, "target -100 is no class"),
        ((3, 4), [0, 1], {}, ValueError, r"target has shape \(2,\), expected \(3,\) for input of shape \(3, 4\)"),
        ((3, 4, 2), [0, 1, 2], {}, ValueError, r"target has shape \(3,\), expected \(3, 2\)"),
        ((4,), [0], {}, ValueError, r"target has shape \(1,\), expected \(\) .* along dim 0"),
        ((3, 4), [0.0, 1.0, 2.0], {}, TypeError, "target classes must be integers, got float32"),
        ((3, 4), [True, False, True], {}, TypeError, "target classes must be integers, got bool"),
        ((), 0, {}, ValueError, "input is 0-d"),
        ((3, 0), [0, 0, 0], {}, ValueError, r"input of shape \(3, 0\) has no classes"),
        ((3, 4), [0, 1, 2], {"reduction": "avg"}, ValueError, "one of mean, sum, none, not 'avg'"),
        ((3, 4), [0, 1, 2], {"weight": Tensor([1.0])}, ValueError, r"weight has shape \(1,\), expected \(4,\)"),
        (
            (3, 4),
            [0, 1, 2],
            {"weight": Tensor([1.0] * 4, requires_grad=True)},
            ValueError,
            r"pass weight.detach\(\)",
        ),
    ],
)
def test_errors(loss_fn, x, target, options, error, message):
    with pytest.raises(error, match=f"^{loss_fn.__name__}: .*{message}"):
        loss_fn(Tensor(np.zeros(x)), Tensor(target), **options)


def test_errors_of_cross_entropy_alone():
    x = Tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\], not 1.5"):
        cross_entropy(x, Tensor([0, 1]), label_smoothing=1.5)
    with pytest.raises(TypeError, match="needs a floating-point tensor, got int64"):
        cross_entropy(Tensor([[0, 1]]), Tensor([0]))
    with pytest.raises(TypeError, match="expected a Tensor"):
        cross_entropy(x, None)
