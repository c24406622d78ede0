"""How good predicted probabilities are: the AUROC (are they in the right order?), calibration and the Brier score.

Scores and probabilities come in one of two shapes:

    (N,)     two classes: of the positive one, which is the second of `labels`
    (N, K)   one column for each class, in the order of `labels`

`labels` is by default [0, 1], [False, True] or [-1, 1] where y_true holds nothing else, else the labels of y_true in
ascending order. Give it where a class may be missing from y_true.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .inputs import Labels, chosen_classes, classes_of, codes_of, rows, same_length
from .ranks import average_ranks


class ReliabilityBins(NamedTuple):
    """Examples by how sure the model was: a calibrated one has accuracy = confidence in each bin. Each but the first is
    (M,), with nan for the means of an empty bin."""

    edges: np.ndarray  # (M + 1,), from 0 to 1
    n_examples: np.ndarray
    confidence: np.ndarray  # the mean predicted probability
    accuracy: np.ndarray  # the share that it came true for


def roc_auc_score(y_true: Labels, y_score: np.ndarray, *, labels: Labels | None = None) -> float:
    """The probability that a random positive example scores above a random negative one, a tie counting a half.

    It is the area under the curve of true against false positive rate, computed from ranks (Mann and Whitney's U):

        (R₊ − n₊ (n₊ + 1) / 2) / (n₊ n₋)          R₊ = sum of the ranks of the positive examples

    Any increasing scores will do; 0.5 is chance. Scores (N, K) give the mean over the classes, each against the rest.

    >>> roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75

    Raises ValueError if a class has no example or all of them, as then there is no pair to compare, for scores of
    another shape, nan, and labels outside `labels`.
    Source: J. Hanley, B. McNeil, "The meaning and use of the area under a ROC curve" (1982).
    """
    codes, scores, classes = _scored("roc_auc_score", y_true, y_score, labels)
    if scores.ndim == 1:
        return _binary_auc(codes == 1, scores, classes[1])
    return float(np.mean([_binary_auc(codes == k, scores[:, k], label) for k, label in enumerate(classes)]))


def brier_score_loss(y_true: Labels, y_prob: np.ndarray, *, labels: Labels | None = None) -> float:
    """The squared error of the probabilities: 0 is best. It asks for the right order and for calibration at once.

        (N,)     mean over the examples of (p − [positive])²                      from 0 to 1
        (N, K)   mean over the examples of Σₖ (pₖ − [class k])²                   from 0 to 2; halved for K = 2,
                                                                                  to agree with one column

    >>> brier_score_loss([0, 1], [0.5, 1.0])
    0.125

    Raises ValueError for probabilities outside 0 to 1 or rows that do not add up to 1, and as `roc_auc_score` for
    shapes and labels. Source: G. Brier, "Verification of forecasts expressed in terms of probability" (1950).
    """
    codes, probabilities, classes = _with_probabilities("brier_score_loss", y_true, y_prob, labels)
    if probabilities.ndim == 1:
        return float(np.mean((probabilities - codes) ** 2))
    squares = (probabilities - np.eye(len(classes))[codes]) ** 2  # (N, K)
    return float(squares.sum(1).mean() / (2 if len(classes) == 2 else 1))


def reliability_bins(
    y_true: Labels, y_prob: np.ndarray, *, n_bins: int = 10, labels: Labels | None = None
) -> ReliabilityBins:
    """Sort the examples into bins of equal width by confidence, and compare it with what came true.

        (N,)     confidence = probability of the positive class,      accuracy = share of positive examples
        (N, K)   confidence = probability of the most probable class, accuracy = share where that one is right

    Bin m holds the confidences in ((m − 1) / M, m / M], the first one 0 as well. Raises as `brier_score_loss`, and
    ValueError for n_bins below 1. Source: C. Guo and others, "On Calibration of Modern Neural Networks" (2017), sec. 2.
    """
    codes, probabilities, _ = _with_probabilities("reliability_bins", y_true, y_prob, labels)
    if n_bins < 1:
        raise ValueError(f"reliability_bins: n_bins must be at least 1, got {n_bins}")
    if probabilities.ndim == 1:
        confidence, came_true = probabilities, codes == 1
    else:
        confidence, came_true = probabilities.max(1), probabilities.argmax(1) == codes
    edges = np.linspace(0, 1, n_bins + 1)
    which = np.searchsorted(edges[1:-1], confidence, side="left")  # (N,)
    count = np.bincount(which, minlength=n_bins)
    empty_is_nan = np.where(count > 0, count, np.nan)
    sums = (np.bincount(which, weights=column, minlength=n_bins) for column in (confidence, came_true))
    return ReliabilityBins(edges, count, *(total / empty_is_nan for total in sums))


def expected_calibration_error(
    y_true: Labels, y_prob: np.ndarray, *, n_bins: int = 10, labels: Labels | None = None
) -> float:
    """How far confidence and accuracy are apart, on average over the examples: Σ over bins of n_m / N · |acc − conf|.

    0 is best, but a model that gives each example the frequency of the classes reaches it too: read it beside the
    accuracy. It depends on `n_bins`, so compare only equal ones.

    >>> round(expected_calibration_error([1, 0, 1, 1], [0.9, 0.9, 0.9, 0.9]), 12)      # sure of 90 %, right in 75 %
    0.15

    Raises as `reliability_bins`. Source: C. Guo and others (2017), equation 3.
    """
    bins = reliability_bins(y_true, y_prob, n_bins=n_bins, labels=labels)
    gaps = bins.n_examples * np.abs(bins.accuracy - bins.confidence)
    return float(np.nansum(gaps) / bins.n_examples.sum())


def _binary_auc(positive: np.ndarray, scores: np.ndarray, label) -> float:
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        raise ValueError(
            f"roc_auc_score: of {len(positive)} examples {n_positive} are of class {label!r}, but it compares examples "
            "of the class with others: give both, or leave the class out"
        )
    rank_sum = average_ranks(scores)[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _scored(function: str, y_true: Labels, scores, labels: Labels | None) -> tuple[np.ndarray, np.ndarray, list]:
    """The codes of y_true (N,), the scores (N,) or (N, K) as float64, and the K classes."""
    y_true, scores = rows(function, "y_true", y_true), np.asarray(scores, dtype=np.float64)
    if scores.ndim not in (1, 2):
        raise ValueError(f"{function}: scores must be of shape (N,) or (N, K), got {scores.shape}")
    n = same_length(function, y_true=y_true, scores=scores)
    classes = _default_classes(function, y_true) if labels is None else chosen_classes(function, labels)
    n_columns = 2 if scores.ndim == 1 else scores.shape[1]
    if len(classes) != n_columns:
        raise ValueError(
            f"{function}: scores of shape {scores.shape} are for {n_columns} classes, but there are {len(classes)}, "
            f"{classes}: name all in their order as labels=[...]"
        )
    codes = codes_of(y_true, classes)
    if (codes < 0).any():
        raise ValueError(f"{function}: y_true holds {y_true[int(codes.argmin())]!r}, which is not in labels={classes}")
    if np.isnan(scores).any():
        raise ValueError(f"{function}: {int(np.isnan(scores).sum())} of the scores of {n:,} examples are nan")
    return codes, scores, classes


def _default_classes(function: str, y_true: list) -> list:
    found = classes_of(function, y_true)
    return next((usual for usual in ([0, 1], [-1, 1]) if set(found) <= set(usual)), found)


def _with_probabilities(function: str, y_true: Labels, y_prob, labels) -> tuple[np.ndarray, np.ndarray, list]:
    codes, probabilities, classes = _scored(function, y_true, y_prob, labels)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            f"{function}: probabilities lie between 0 and 1, got {probabilities.min():g} to {probabilities.max():g}: "
            "softmax turns logits into them"
        )
    if probabilities.ndim == 2 and np.abs(probabilities.sum(1) - 1).max() > 1e-3:
        sums = probabilities.sum(1)
        raise ValueError(f"{function}: each row must add up to 1, got {sums[np.abs(sums - 1).argmax()]:g}")
    return codes, probabilities, classes
