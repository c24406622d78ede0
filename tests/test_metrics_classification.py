"""Accuracy, precision, recall, F1, confusion matrix, Matthews: by hand, and equal to scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import tensor
from tinygrad_llm.evaluate import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

LABELS = st.sampled_from(["ant", "bee", "cat", "dog"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40)

# a spam filter: 3 hits, 1 missed, 2 false alarms, 4 rightly let through
TRUE = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
PREDICTED = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]


def columns(pairs):
    return [true for true, _ in pairs], [predicted for _, predicted in pairs]


def test_a_spam_filter_by_hand():
    assert accuracy_score(TRUE, PREDICTED) == 7 / 10
    assert precision_score(TRUE, PREDICTED) == 3 / 5
    assert recall_score(TRUE, PREDICTED) == 3 / 4
    assert f1_score(TRUE, PREDICTED) == pytest.approx(2 / 3)
    assert confusion_matrix(TRUE, PREDICTED).tolist() == [[4, 2], [1, 3]]
    assert matthews_corrcoef(TRUE, PREDICTED) == pytest.approx((3 * 4 - 2 * 1) / (5 * 4 * 6 * 5) ** 0.5)


def test_true_and_predicted_are_not_interchangeable():
    assert precision_score(PREDICTED, TRUE) == recall_score(TRUE, PREDICTED) != precision_score(TRUE, PREDICTED)
    assert confusion_matrix(PREDICTED, TRUE).tolist() == np.transpose(confusion_matrix(TRUE, PREDICTED)).tolist()


def test_the_class_that_counts_can_be_named():
    assert f1_score(TRUE, PREDICTED, pos_label=0) == pytest.approx(2 * 4 / (2 * 4 + 1 + 2))
    assert recall_score(["no", "yes", "yes"], ["no", "yes", "no"], pos_label="yes") == 0.5


@given(PAIRS)
def test_scores_equal_scikit_learn(pairs):
    y_true, y_pred = columns(pairs)
    assert accuracy_score(y_true, y_pred) == pytest.approx(reference.accuracy_score(y_true, y_pred))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one class alone
        matrix, matthews = reference.confusion_matrix(y_true, y_pred), reference.matthews_corrcoef(y_true, y_pred)
    np.testing.assert_array_equal(confusion_matrix(y_true, y_pred), matrix)
    assert matthews_corrcoef(y_true, y_pred) == pytest.approx(matthews, abs=1e-12)


@given(PAIRS, st.sampled_from([None, "micro", "macro", "weighted"]), st.sampled_from([0, 1]), st.booleans())
def test_averages_equal_scikit_learn(pairs, average, zero_division, subset):
    y_true, y_pred = columns(pairs)
    options = {"average": average, "zero_division": zero_division}
    if subset and average != "weighted":
        options["labels"] = ["dog", "ant"]
    ours = precision_recall_fscore_support(y_true, y_pred, **options)
    theirs = reference.precision_recall_fscore_support(y_true, y_pred, **options)
    for our, their in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(our, their, atol=1e-12)
    if average is None:
        np.testing.assert_array_equal(ours.support, theirs[3])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=20), st.sampled_from([0, 1]))
def test_binary_scores_equal_scikit_learn(pairs, zero_division):
    y_true, y_pred = columns(pairs)
    for name in ("precision_score", "recall_score", "f1_score"):
        ours = globals()[name](y_true, y_pred, zero_division=zero_division)
        assert ours == pytest.approx(getattr(reference, name)(y_true, y_pred, zero_division=zero_division))


@given(PAIRS)
def test_micro_averages_of_all_classes_are_the_accuracy(pairs):
    y_true, y_pred = columns(pairs)
    micro = precision_recall_fscore_support(y_true, y_pred, average="micro")
    assert micro[:3] == pytest.approx((accuracy_score(y_true, y_pred),) * 3)


@pytest.mark.parametrize("zero_division", [0, 1])
def test_what_is_undefined_is_zero_division(zero_division):
    options = {"labels": ["a", "b", "c"], "zero_division": zero_division}
    scores = precision_recall_fscore_support(["a", "b"], ["a", "a"], **options)
    assert scores.precision.tolist() == [0.5, zero_division, zero_division]  # b and c were never predicted
    assert scores.recall.tolist() == [1, 0, zero_division]  # c never occurs
    assert scores.f1.tolist() == [pytest.approx(2 / 3), 0, zero_division]
    weighted = precision_recall_fscore_support(["a"], ["a"], **options | {"labels": ["c"]}, average="weighted")
    assert weighted == (zero_division, zero_division, zero_division, 0)


def test_matthews_is_zero_for_a_constant_and_one_for_the_truth():
    assert matthews_corrcoef(["a", "b", "c"], ["a", "a", "a"]) == 0
    assert matthews_corrcoef(["a", "a"], ["a", "b"]) == 0
    assert matthews_corrcoef(["a", "b", "c"], ["a", "b", "c"]) == 1
    assert matthews_corrcoef([0, 1], [1, 0]) == -1


def test_matthews_does_not_overflow():
    y_true = np.arange(200_000) % 2
    assert matthews_corrcoef(y_true, y_true) == 1


def test_arrays_tensors_and_lists_are_the_same():
    assert f1_score(tensor(TRUE), tensor(PREDICTED)) == f1_score(TRUE, PREDICTED)
    assert f1_score(np.array(TRUE), np.array(PREDICTED)) == f1_score(TRUE, PREDICTED)
    assert accuracy_score(np.array(["a", "b"]), ["a", "c"]) == 0.5


def test_labels_without_an_order_need_one():
    labels = ["other", 1]
    assert confusion_matrix(labels, labels, labels=labels).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(TypeError, match=r"give it as labels="):
        confusion_matrix(labels, labels)


@pytest.mark.parametrize("metric", [accuracy_score, confusion_matrix, f1_score, matthews_corrcoef])
def test_errors_of_the_columns(metric):
    with pytest.raises(ValueError, match="no examples"):
        metric([], [])
    with pytest.raises(ValueError, match="2 of y_true and 3 of y_pred"):
        metric([0, 1], [0, 1, 1])
    with pytest.raises(TypeError, match="argmax"):
        metric([0, 1], np.zeros((2, 2)))
    with pytest.raises(TypeError, match="the str 'ab'"):
        metric("ab", [0, 1])
    with pytest.raises(TypeError, match="y_pred must be a list with one value for each example, got 1"):
        metric([0, 1], 1)


def test_errors_of_the_labels_and_options():
    with pytest.raises(ValueError, match=r"0.7 is no label"):
        f1_score([0, 1], [0.7, 1.0])
    with pytest.raises(TypeError, match="hashable"):
        confusion_matrix([[0], [1]], [0, 1])
    with pytest.raises(ValueError, match="each once"):
        confusion_matrix([0, 1], [0, 1], labels=[0, 0])
    with pytest.raises(ValueError, match="average must be one of"):
        f1_score([0, 1], [0, 1], average="mean")
    with pytest.raises(ValueError, match="zero_division must be 0 or 1"):
        f1_score([0, 1], [0, 1], zero_division=0.5)
    with pytest.raises(ValueError, match="two classes, got 3"):
        f1_score([0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match="name the positive class"):
        f1_score(["no", "yes"], ["no", "yes"])
