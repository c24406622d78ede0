"""How far a score may be trusted: bootstrap intervals, and whether one system is better than another on the same test.

A test set is a sample. Another one of the same size would have given another score, and the bootstrap asks how far
another: it draws N examples from the N with replacement, again and again, and looks at how the score spreads. It
tells of the chance in the choice of test examples alone, not of that in training: other seeds show that.

Sources: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), sections 13.3 and 16.4; T. Berg-Kirkpatrick
and others, "An Empirical Investigation of Statistical Significance in NLP" (2012), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .inputs import Labels, as_array, classes_of, codes_of, rows, same_length

Metric = Callable[..., float]
Column = Sequence | np.ndarray


@dataclass(frozen=True)
class Interval:
    """A score, and the range that holds most scores of the resamples.

    >>> print(Interval(0.91, 0.885, 0.9325, 0.95, np.zeros(1000)))
    0.910 (95 % interval 0.885 to 0.932)
    """

    value: float  # on the examples themselves
    low: float
    high: float
    confidence: float
    resampled: np.ndarray = field(repr=False)  # the score of each resample

    def as_dict(self) -> dict[str, float]:
        """For JSON: all but the resamples."""
        return {name: getattr(self, name) for name in ("value", "low", "high", "confidence")}

    @property
    def standard_error(self) -> float:
        return float(self.resampled.std(ddof=1)) if len(self.resampled) > 1 else math.nan

    def __str__(self) -> str:
        return f"{self.value:.3f} ({100 * self.confidence:g} % interval {self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class PairedDifference:
    """How much higher system A scores than system B, and how probable at least such a difference is by chance."""

    interval: Interval
    p_value: float

    def __str__(self) -> str:
        return f"difference {self.interval}, p = {self.p_value:.3g}"


def bootstrap_interval(
    metric: Metric,
    *columns: Column,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    strata: Labels | None = None,
) -> Interval:
    """The metric of all examples, and its percentile interval over resamples of them.

    `metric(*columns)` gets the same examples of each column, as arrays where arrays were given and lists otherwise.
    For scores that are means, pass the scores: `bootstrap_interval(np.mean, f1s, rng=rng)`. With `strata` (N,), such
    as the true classes, each resample has as many examples of each stratum as the test set.

    Percentile intervals of small samples are a little narrow: below some 50 examples, one said to hold 95 % holds less.

    >>> bootstrap_interval(np.mean, np.ones(8), rng=np.random.default_rng(0)).low
    1.0

    Raises ValueError for no examples, columns of unequal length, a confidence outside 0 to 1, n_resamples below 1, and
    where the metric fails or is nan on a resample; TypeError without a generator.
    """
    columns = tuple(as_array(column) for column in columns)
    n = _checked("bootstrap_interval", rng, n_resamples, confidence, columns)
    value = float(metric(*columns))
    scores = [
        _score(metric, [_take(column, chosen) for column in columns])
        for chosen in _resamples(n, n_resamples, strata, rng)
    ]
    return _interval(value, np.array(scores), confidence)


def paired_bootstrap(
    metric: Metric,
    y_true: Column,
    y_pred_a: Column,
    y_pred_b: Column,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    strata: Labels | None = None,
) -> PairedDifference:
    """metric(y_true, y_pred_a) − metric(y_true, y_pred_b), its percentile interval, and a two-sided p-value.

    Both systems meet the same resampled examples, so that what is hard for both does not blur the difference. If the
    two were equally good, differences δ* would spread around 0 as they now spread around the measured δ, so

        p = (1 + number of resamples with |δ* − δ| ≥ |δ|) / (1 + n_resamples)

    It is at least 1 / (1 + n_resamples). Raises as `bootstrap_interval`.
    """
    columns = y_true, y_pred_a, y_pred_b = [as_array(column) for column in (y_true, y_pred_a, y_pred_b)]
    n = _checked("paired_bootstrap", rng, n_resamples, confidence, columns)
    value = float(metric(y_true, y_pred_a)) - float(metric(y_true, y_pred_b))
    differences = np.empty(n_resamples)
    for i, chosen in enumerate(_resamples(n, n_resamples, strata, rng)):
        true, a, b = (_take(column, chosen) for column in columns)
        differences[i] = _score(metric, [true, a]) - _score(metric, [true, b])
    rounding = 1e-12 * max(1.0, abs(value))  # equal differences may differ in the last bit
    n_as_large = int((np.abs(differences - value) >= abs(value) - rounding).sum())
    return PairedDifference(_interval(value, differences, confidence), (1 + n_as_large) / (1 + n_resamples))


def _resamples(n: int, n_resamples: int, strata: Labels | None, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Positions (N,) of the examples of each resample."""
    groups = [np.arange(n)] if strata is None else _members(n, strata)
    for _ in range(n_resamples):
        yield np.concatenate([group[rng.integers(0, len(group), len(group))] for group in groups])


def _members(n: int, strata: Labels) -> list[np.ndarray]:
    strata = rows("strata", "strata", strata)
    same_length("bootstrap", strata=strata, examples=range(n))
    classes = classes_of("strata", strata)
    codes = codes_of(strata, classes)
    return [np.flatnonzero(codes == k) for k in range(len(classes))]


def _take(column: Column, chosen: np.ndarray) -> Column:
    return column[chosen] if isinstance(column, np.ndarray) else [column[i] for i in chosen]


def _score(metric: Metric, columns: list[Column]) -> float:
    try:
        score = float(metric(*columns))
    except ValueError as error:
        raise ValueError(f"the metric failed on a resample: strata=y_true keeps each class in it ({error})") from error
    if math.isnan(score):
        raise ValueError("the metric is nan on a resample: give more examples, or strata=y_true to keep each class in")
    return score


def _interval(value: float, scores: np.ndarray, confidence: float) -> Interval:
    low, high = np.quantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), confidence, scores)


def _checked(function: str, rng, n_resamples: int, confidence: float, columns: Sequence[Column]) -> int:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{function}: needs rng=, a np.random.Generator such as np.random.default_rng(0), got {rng!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"{function}: confidence must lie between 0 and 1, such as 0.95, got {confidence}")
    if n_resamples < 1:
        raise ValueError(f"{function}: n_resamples must be at least 1, got {n_resamples}")
    if not columns:
        raise ValueError(f"{function}: give the metric's columns, such as y_true and y_pred")
    return same_length(function, **{f"column {i + 1}": column for i, column in enumerate(columns)})
