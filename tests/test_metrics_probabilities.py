"""AUROC, Brier score and calibration: by hand, equal to scikit-learn's, and to their definitions in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from tinygrad_llm.evaluate import brier_score_loss, expected_calibration_error, reliability_bins, roc_auc_score

TIED = st.integers(0, 10).map(lambda tenths: tenths / 10)
BINARY = st.lists(st.tuples(st.integers(0, 1), TIED), min_size=2, max_size=40)


def of_classes(seed: int, n: int = 60, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,), each class among them, and probabilities (n, k) with ties."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, (n, k))
    return np.concatenate([np.arange(k), rng.integers(0, k, n - k)]), counts / counts.sum(1, keepdims=True)


def columns(pairs):
    return np.array([label for label, _ in pairs]), np.array([score for _, score in pairs])


def test_auc_is_the_share_of_pairs_in_the_right_order():
    assert roc_auc_score([0, 1], [0.2, 0.9]) == 1
    assert roc_auc_score([0, 1], [0.9, 0.2]) == 0
    assert roc_auc_score([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]) == 0.5
    assert roc_auc_score([0, 0, 1], [0.1, 0.5, 0.5]) == 0.75  # one pair right, one tied
    assert roc_auc_score(["no", "yes"], [-3.0, 8.0]) == 1


@given(BINARY)
def test_binary_auc_equals_scikit_learn_and_its_definition(pairs):
    labels, scores = columns(pairs)
    assume(0 < labels.sum() < len(labels))
    auc = roc_auc_score(labels, scores)
    differences = np.subtract.outer(scores[labels == 1], scores[labels == 0])
    assert auc == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)
    assert auc == pytest.approx(((differences > 0) + (differences == 0) / 2).mean(), abs=1e-12)


@given(st.integers(0, 10**6))
def test_auc_of_several_classes_equals_scikit_learn(seed):
    labels, probabilities = of_classes(seed)
    expected = reference.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert roc_auc_score(labels, probabilities) == pytest.approx(expected, abs=1e-12)


def test_auc_of_any_increasing_function_is_the_same():
    rng = np.random.default_rng(0)
    labels, logits = np.arange(50) % 2, rng.standard_normal(50)
    assert roc_auc_score(labels, logits) == roc_auc_score(labels, np.exp(3 * logits))


@given(BINARY)
def test_brier_score_of_two_classes_equals_scikit_learn(pairs):
    labels, scores = columns(pairs)
    expected = reference.brier_score_loss(labels, scores, pos_label=1)
    assert brier_score_loss(labels, scores) == pytest.approx(expected, abs=1e-12)
    both = np.stack([1 - scores, scores], axis=1)
    assert brier_score_loss(labels, both) == pytest.approx(expected, abs=1e-12)


def test_brier_score_of_three_classes_by_hand():
    rows = [[0.5, 0.3, 0.2], [0, 0, 1]]
    assert brier_score_loss(["a", "c"], rows, labels=["a", "b", "c"]) == pytest.approx((0.25 + 0.09 + 0.04) / 2)
    assert brier_score_loss(["a", "a"], [[0, 1, 0]] * 2, labels=["a", "b", "c"]) == 2  # the worst there is


def test_reliability_bins_by_hand():
    bins = reliability_bins([0, 0, 1, 1, 1], [0, 0.25, 0.5, 0.75, 1.0], n_bins=2)
    assert bins.edges.tolist() == [0, 0.5, 1]
    assert bins.n_examples.tolist() == [3, 2]  # an upper edge belongs to its bin
    assert bins.confidence.tolist() == [0.25, 0.875]
    assert bins.accuracy.tolist() == [pytest.approx(1 / 3), 1]
    error = expected_calibration_error([0, 0, 1, 1, 1], [0, 0.25, 0.5, 0.75, 1.0], n_bins=2)
    assert error == pytest.approx(3 / 5 * (1 / 3 - 0.25) + 2 / 5 * 0.125)


@given(BINARY, st.integers(1, 12))
def test_bins_equal_scikit_learn(pairs, n_bins):
    labels, scores = columns(pairs)
    assume(0 < labels.sum() < len(labels))
    bins = reliability_bins(labels, scores, n_bins=n_bins)
    filled = bins.n_examples > 0
    accuracy, confidence = calibration_curve(labels, scores, n_bins=n_bins)
    np.testing.assert_allclose(bins.accuracy[filled], accuracy)
    np.testing.assert_allclose(bins.confidence[filled], confidence)
    assert np.isnan(bins.accuracy[~filled]).all()


def test_several_classes_are_calibrated_by_the_most_probable_one():
    labels = ["a", "b", "c", "c"]
    rows = [[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.2, 0.2, 0.6]]
    assert expected_calibration_error(labels, rows) == pytest.approx((abs(0.5 - 0.8) + abs(1 - 0.6)) / 2)


def test_a_calibrated_model_has_a_small_error_and_a_sure_one_a_large():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    came_true = (rng.random(20_000) < p).astype(int)
    assert expected_calibration_error(came_true, p) < 0.02
    assert expected_calibration_error(came_true, (p > 0.5).astype(float)) > 0.2


def test_one_class_alone_has_a_brier_score_but_no_auc():
    assert brier_score_loss([1, 1], [1.0, 0.5]) == 0.125
    assert brier_score_loss(["yes"], [0.5], labels=["no", "yes"]) == 0.25
    with pytest.raises(ValueError, match="of 2 examples 2 are of class 1"):
        roc_auc_score([1, 1], [0.3, 0.4])
    with pytest.raises(ValueError, match="of 2 examples 0 are of class 2"):
        roc_auc_score([0, 1], np.full((2, 3), 1 / 3), labels=[0, 1, 2])


@pytest.mark.parametrize("metric", [roc_auc_score, brier_score_loss, expected_calibration_error])
def test_errors_of_the_input(metric):
    with pytest.raises(ValueError, match="no examples"):
        metric([], [])
    with pytest.raises(ValueError, match="2 of y_true and 3 of scores"):
        metric([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="of the scores of 2 examples are nan"):
        metric([0, 1], [0.1, np.nan])
    with pytest.raises(ValueError, match=r"name all in their order as labels="):
        metric(["a", "b"], np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"'c', which is not in labels"):
        metric(["a", "c"], [0.1, 0.2], labels=["a", "b"])
    with pytest.raises(ValueError, match=r"\(N, K\), got"):
        metric([0, 1], np.zeros((2, 2, 2)))


@pytest.mark.parametrize("metric", [brier_score_loss, expected_calibration_error])
def test_logits_are_no_probabilities(metric):
    with pytest.raises(ValueError, match=r"got -2 to 0\.5: softmax"):
        metric([0, 1], [-2.0, 0.5])
    with pytest.raises(ValueError, match=r"add up to 1, got 0\.9"):
        metric([0, 1], [[0.5, 0.5], [0.2, 0.7]])
    with pytest.raises(ValueError, match="n_bins must be at least 1"):
        expected_calibration_error([0, 1], [0.2, 0.7], n_bins=0)
