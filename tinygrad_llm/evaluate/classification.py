"""How good predicted classes are: accuracy, precision, recall, F1, the confusion matrix and Matthews' correlation.

For one class, the examples fall into four heaps, and all of these count them:

                     predicted this class   predicted another
    is this class         TP (hit)              FN (missed)
    is another            FP (false alarm)      TN

    accuracy   share of all examples that are right          looks good where one class is most of them
    precision  TP / (TP + FP)       of the alarms, how many were right
    recall     TP / (TP + FN)       of what was there, how much was found
    F1         2 TP / (2 TP + FP + FN), the harmonic mean of the two

Arguments and names are scikit-learn's: y_true first, then y_pred, both (N,), with any hashable labels.

Sources: C. J. van Rijsbergen, "Information Retrieval", 2nd ed. (1979), chapter 7; J. Gorodkin, "Comparing two
K-category assignments by a K-category correlation coefficient" (2004).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from .inputs import Labels, chosen_classes, classes_of, codes_of, pairs

AVERAGES = ("binary", "micro", "macro", "weighted", None)


class PrecisionRecallF1(NamedTuple):
    """Each one number, or an array (K,) with one for each class; `support` counts the examples of each class."""

    precision: float | np.ndarray
    recall: float | np.ndarray
    f1: float | np.ndarray
    support: int | np.ndarray


def accuracy_score(y_true: Labels, y_pred: Labels) -> float:
    """The share of examples whose predicted label equals the true one.

    >>> accuracy_score(["spam", "ham", "ham", "ham"], ["ham", "ham", "ham", "ham"])
    0.75

    Raises ValueError for no examples or unequal lengths.
    """
    y_true, y_pred = pairs("accuracy_score", y_true, y_pred)
    return sum(true == predicted for true, predicted in zip(y_true, y_pred, strict=True)) / len(y_true)


def confusion_matrix(y_true: Labels, y_pred: Labels, *, labels: Labels | None = None) -> np.ndarray:
    """How often class i (row) was taken for class j (column): int64 (K, K); right ones stand on the diagonal.

    Rows and columns follow `labels`, by default all that occur, in ascending order. With `labels`, only examples
    count whose true and predicted label are both among them.

    >>> confusion_matrix(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    array([[1, 0],
           [1, 1]])

    Raises ValueError for no examples, unequal lengths or labels that repeat, TypeError for labels without an order.
    """
    y_true, y_pred = pairs("confusion_matrix", y_true, y_pred)
    classes = chosen_classes("confusion_matrix", labels, y_true, y_pred)
    true, predicted = codes_of(y_true, classes), codes_of(y_pred, classes)  # (N,)
    known = (true >= 0) & (predicted >= 0)
    k = len(classes)
    return np.bincount(true[known] * k + predicted[known], minlength=k * k).reshape(k, k)


def precision_recall_fscore_support(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: Hashable = 1,
    average: str | None = None,
    zero_division: float = 0.0,
) -> PrecisionRecallF1:
    """Precision, recall, F1 and the number of true examples: of each class, or averaged over the classes.

    average     result
    None        arrays (K,), one entry for each class in the order of `labels`, by default all that occur, ascending
    "binary"    those of `pos_label` alone; only where at most two classes occur
    "micro"     from TP, FP and FN summed over the classes; with all classes each of the three is the accuracy
    "macro"     the mean over classes: a rare class counts as much as a frequent one
    "weighted"  the mean weighted by how often each class is the true one

    Where a denominator is 0 the ratio is `zero_division`, 0 or 1: precision of a class that was never predicted, recall
    of one that never occurs, F1 only if neither. A class with TP = 0 and FP or FN above 0 has F1 = 0 in any case.

    >>> precision_recall_fscore_support(["a", "a", "b"], ["a", "b", "b"], average="macro").recall
    0.75

    Raises ValueError for an unknown average, zero_division or pos_label, more than two classes with "binary", and as
    `confusion_matrix`.
    """
    name = "precision_recall_fscore_support"
    if average not in AVERAGES:
        raise ValueError(f"{name}: average must be one of {AVERAGES}, got {average!r}")
    if zero_division not in (0, 1):
        raise ValueError(f"{name}: zero_division must be 0 or 1, got {zero_division!r}")
    y_true, y_pred = pairs(name, y_true, y_pred)
    if average == "binary":
        labels = [_checked_positive(y_true, y_pred, pos_label)]
    true_positives, predicted, actual = _counts(y_true, y_pred, chosen_classes(name, labels, y_true, y_pred))
    if average == "micro":
        true_positives, predicted, actual = (c.sum(keepdims=True) for c in (true_positives, predicted, actual))
    each = PrecisionRecallF1(
        _ratio(true_positives, predicted, zero_division),
        _ratio(true_positives, actual, zero_division),
        _ratio(2 * true_positives, predicted + actual, zero_division),
        actual,
    )
    if average is None:
        return each
    weights = actual if average == "weighted" else np.ones(len(actual))
    means = (float(_ratio(each_class @ weights, weights.sum(), zero_division)) for each_class in each[:3])
    return PrecisionRecallF1(*means, int(actual.sum()))


def precision_score(y_true: Labels, y_pred: Labels, *, average: str | None = "binary", **options) -> float | np.ndarray:
    """Of the examples that were given a class, the share that have it: TP / (TP + FP).

    Options and errors are those of `precision_recall_fscore_support`.
    """
    return precision_recall_fscore_support(y_true, y_pred, average=average, **options).precision


def recall_score(y_true: Labels, y_pred: Labels, *, average: str | None = "binary", **options) -> float | np.ndarray:
    """Of the examples that have a class, the share that were given it: TP / (TP + FN).

    Options and errors are those of `precision_recall_fscore_support`.
    """
    return precision_recall_fscore_support(y_true, y_pred, average=average, **options).recall


def f1_score(y_true: Labels, y_pred: Labels, *, average: str | None = "binary", **options) -> float | np.ndarray:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    >>> f1_score([1, 1, 0, 0], [1, 0, 1, 0])
    0.5

    Options and errors are those of `precision_recall_fscore_support`.
    """
    return precision_recall_fscore_support(y_true, y_pred, average=average, **options).f1


def matthews_corrcoef(y_true: Labels, y_pred: Labels) -> float:
    """The correlation of truth and prediction, from −1 to 1: 0 for any guess that does not look at the example.

    With c right ones of n, tₖ examples of class k and pₖ predictions of it (Gorodkin's R_K):

        (c · n − Σₖ tₖ pₖ) / √((n² − Σₖ pₖ²) · (n² − Σₖ tₖ²))

    0 where all true or all predicted labels are one class. It stays honest where one class is most of the examples.

    >>> matthews_corrcoef([1, 1, 1, 0], [1, 1, 1, 1])
    0.0

    Raises as `confusion_matrix`.
    """
    counts = confusion_matrix(y_true, y_pred)
    n, right = int(counts.sum()), int(np.trace(counts))
    actual, predicted = counts.sum(1).tolist(), counts.sum(0).tolist()  # Python's ints do not overflow in n⁴
    covariance = right * n - sum(t * p for t, p in zip(actual, predicted, strict=True))
    variances = (n * n - sum(p * p for p in predicted)) * (n * n - sum(t * t for t in actual))
    return covariance / variances**0.5 if variances else 0.0


def _counts(y_true: list, y_pred: list, classes: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """TP, TP + FP and TP + FN of each class, int64 (K,); an example with a label outside `classes` counts as well."""
    true, predicted = codes_of(y_true, classes), codes_of(y_pred, classes)
    of_each = (true[true == predicted], predicted, true)
    return tuple(np.bincount(codes[codes >= 0], minlength=len(classes)) for codes in of_each)


def _ratio(part: np.ndarray, whole: np.ndarray, zero_division: float) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), float(zero_division))


def _checked_positive(y_true: list, y_pred: list, pos_label: Hashable) -> Hashable:
    present = classes_of("average='binary'", y_true, y_pred)
    if len(present) > 2:
        raise ValueError(
            f"average='binary' is for two classes, got {len(present)}: choose 'macro', 'micro', 'weighted' or None"
        )
    if len(present) == 2 and pos_label not in present:
        raise ValueError(f"pos_label={pos_label!r} is none of the labels {present}: name the positive class")
    return pos_label
