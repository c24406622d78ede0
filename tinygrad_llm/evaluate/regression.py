"""How near predicted numbers come: errors, the share of variance explained, correlations; and kappa for grades.

y_true and y_pred are (N,), numbers without nan, N at least 1; all functions raise ValueError or TypeError otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from .classification import confusion_matrix
from .inputs import Labels, number_pairs, pairs
from .ranks import average_ranks


def mean_absolute_error(y_true: Iterable[float], y_pred: Iterable[float]) -> float:
    """Mean of |y_true − y_pred|, in the unit of y.

    >>> mean_absolute_error([1, 2, 3], [1, 2, 6])
    1.0
    """
    y_true, y_pred = number_pairs("mean_absolute_error", y_true, y_pred)
    return float(np.abs(y_true - y_pred).mean())


def root_mean_squared_error(y_true: Iterable[float], y_pred: Iterable[float]) -> float:
    """√ of the mean of (y_true − y_pred)²: as the mean absolute error, but few large errors weigh more than many small.

    >>> root_mean_squared_error([0, 0], [3, 4]) == 12.5**0.5
    True
    """
    y_true, y_pred = number_pairs("root_mean_squared_error", y_true, y_pred)
    return float(np.sqrt(((y_true - y_pred) ** 2).mean()))


def r2_score(y_true: Iterable[float], y_pred: Iterable[float]) -> float:
    """The share of the variance that is explained: 1 − Σ (y_true − y_pred)² / Σ (y_true − mean of y_true)².

    1 is best, 0 is what the mean as a constant answer gets, and worse answers are below. As in scikit-learn, a
    constant y_true has 1 if it is met exactly and 0 if not, and one example alone has nan.

    >>> r2_score([1, 2, 3], [2, 2, 2])
    0.0
    """
    y_true, y_pred = number_pairs("r2_score", y_true, y_pred)
    if len(y_true) < 2:
        return math.nan
    unexplained = float(((y_true - y_pred) ** 2).sum())
    if _is_constant(y_true):
        return 1.0 if unexplained == 0 else 0.0
    return 1 - unexplained / float(((y_true - y_true.mean()) ** 2).sum())


def pearson_correlation(y_true: Iterable[float], y_pred: Iterable[float]) -> float:
    """How nearly one is a straight line of the other, from −1 to 1: their covariance over their standard deviations.

    It ignores offset and scale: 2 · y_true + 5 has 1. nan where either is constant, as a line has no slope then.

    >>> round(pearson_correlation([1, 2, 3], [7, 9, 11]), 12)
    1.0
    """
    return _correlation(*number_pairs("pearson_correlation", y_true, y_pred))


def spearman_correlation(y_true: Iterable[float], y_pred: Iterable[float]) -> float:
    """How nearly one grows with the other: Pearson's correlation of their ranks, equal numbers sharing a mean rank.

    nan where either is constant. Source: C. Spearman, "The proof and measurement of association" (1904).

    >>> round(spearman_correlation([1, 2, 3], [1, 10, 100]), 12)
    1.0
    """
    y_true, y_pred = number_pairs("spearman_correlation", y_true, y_pred)
    return _correlation(average_ranks(y_true), average_ranks(y_pred))


def cohen_kappa_score(
    y_true: Labels, y_pred: Labels, *, labels: Labels | None = None, weights: str | None = None
) -> float:
    """Agreement of two graders beyond chance: 1 − (weighted disagreement) / (that of independent graders).

        κ = 1 − Σᵢⱼ wᵢⱼ Oᵢⱼ / Σᵢⱼ wᵢⱼ Eᵢⱼ      O the confusion matrix, E = (row sums)(column sums)ᵀ / N

    wᵢⱼ is 1 off the diagonal for weights=None, |i − j| for "linear" and (i − j)² for "quadratic", the usual one for
    grades: two grades off is four times as bad as one. i and j are places in `labels`, so give the whole scale, as in
    labels=range(1, 7): else a grade that never occurs brings its neighbours nearer to each other.

    1 is full agreement, 0 chance, below 0 worse than chance; nan where all the grades are one and the same.

    >>> round(cohen_kappa_score([1, 2, 3, 3], [1, 2, 2, 3], weights="quadratic"), 3)
    0.8

    Raises ValueError for unknown weights and a grade outside `labels`, and as `confusion_matrix`.
    Source: J. Cohen, "Weighted kappa: nominal scale agreement with provision for scaled disagreement" (1968).
    """
    if weights not in (None, "linear", "quadratic"):
        raise ValueError(f"cohen_kappa_score: weights must be None, 'linear' or 'quadratic', got {weights!r}")
    y_true, y_pred = pairs("cohen_kappa_score", y_true, y_pred)
    observed = confusion_matrix(y_true, y_pred, labels=labels)  # (K, K)
    if observed.sum() < len(y_true):
        raise ValueError(
            f"cohen_kappa_score: {len(y_true) - observed.sum()} of {len(y_true)} examples have a grade that is not in "
            "labels: clip the predictions to the scale first"
        )
    by_chance = np.outer(observed.sum(1), observed.sum(0)) / len(y_true)
    distance = np.abs(np.subtract.outer(np.arange(len(observed)), np.arange(len(observed))))
    weight = distance > 0 if weights is None else distance if weights == "linear" else distance**2
    expected = float((weight * by_chance).sum())
    return 1 - float((weight * observed).sum()) / expected if expected else math.nan


def _is_constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if _is_constant(x) or _is_constant(y):
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # so that squares of tiny or huge numbers stay in range
    return float(np.clip(x @ y / math.sqrt((x @ x) * (y @ y)), -1, 1))
