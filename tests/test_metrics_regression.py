"""Errors of numbers, correlations and kappa: by hand, and equal to scikit-learn's and SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from tinygrad_llm.evaluate import (
    cohen_kappa_score,
    mean_absolute_error,
    pearson_correlation,
    r2_score,
    root_mean_squared_error,
    spearman_correlation,
)

METRICS = (mean_absolute_error, root_mean_squared_error, r2_score, pearson_correlation, spearman_correlation)
NUMBERS = st.one_of(st.integers(-3, 3), st.floats(-100, 100).map(lambda x: round(x, 3)))  # with many ties
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30)
GRADES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=30)


def columns(pairs):
    return np.array([true for true, _ in pairs], float), np.array([predicted for _, predicted in pairs], float)


def test_errors_by_hand():
    assert mean_absolute_error([0, 0, 0, 0], [1, -1, 2, 0]) == 1
    assert root_mean_squared_error([0, 0, 0, 0], [1, -1, 1, -1]) == 1
    assert r2_score([0, 2, 4], [0, 2, 2]) == 0.5  # 4 of 8 are left


@given(PAIRS)
def test_errors_equal_scikit_learn(pairs):
    y_true, y_pred = columns(pairs)
    assert mean_absolute_error(y_true, y_pred) == pytest.approx(reference.mean_absolute_error(y_true, y_pred))
    assert root_mean_squared_error(y_true, y_pred) == pytest.approx(reference.root_mean_squared_error(y_true, y_pred))
    assert r2_score(y_true, y_pred) == pytest.approx(reference.r2_score(y_true, y_pred), abs=1e-9)


@given(PAIRS)
def test_correlations_equal_scipy(pairs):
    y_true, y_pred = columns(pairs)
    assume(len(set(y_true)) > 1 and len(set(y_pred)) > 1)
    assert pearson_correlation(y_true, y_pred) == pytest.approx(stats.pearsonr(y_true, y_pred).statistic, abs=1e-9)
    assert spearman_correlation(y_true, y_pred) == pytest.approx(stats.spearmanr(y_true, y_pred).statistic, abs=1e-9)


def test_spearman_shares_ranks_among_ties():
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: Σ of products of deviations 4.5, of squares 4.5 and 5
    assert spearman_correlation([10, 20, 20, 30], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_pearson_of_numbers_at_both_ends_of_the_range():
    assert pearson_correlation([1e-200, 2e-200, 4e-200], [1e200, 2e200, 4e200]) == pytest.approx(1)
    assert pearson_correlation([1, 2, 3], [3e-9, 2e-9, 1e-9]) == pytest.approx(-1)


def test_constants():
    assert math.isnan(pearson_correlation([1, 2, 3], [5, 5, 5]))
    assert math.isnan(spearman_correlation([0.1, 0.1, 0.1], [1, 2, 3]))
    assert r2_score([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]) == 1
    assert r2_score([0.1, 0.1, 0.1], [0.1, 0.1, 0.2]) == 0
    assert math.isnan(r2_score([1], [2]))


@given(GRADES, st.sampled_from([None, "linear", "quadratic"]), st.booleans())
def test_kappa_equals_scikit_learn(pairs, weights, whole_scale):
    y_true, y_pred = [true for true, _ in pairs], [predicted for _, predicted in pairs]
    assume(len({*y_true, *y_pred}) > 1)
    options = {"weights": weights, "labels": list(range(1, 6)) if whole_scale else None}
    expected = reference.cohen_kappa_score(y_true, y_pred, **options)
    assert cohen_kappa_score(y_true, y_pred, **options) == pytest.approx(expected, abs=1e-12)


def test_kappa_by_hand():
    # agreement 3/4; by chance 1/2 · 1/4 + 1/2 · 3/4 = 1/2
    assert cohen_kappa_score(["a", "a", "b", "b"], ["a", "b", "b", "b"]) == pytest.approx((0.75 - 0.5) / 0.5)
    assert cohen_kappa_score([1, 2, 3], [1, 2, 3], weights="quadratic") == 1
    assert cohen_kappa_score([1, 3], [3, 1], weights="quadratic") == -1


def test_kappa_needs_the_whole_scale_to_know_how_far_grades_are_apart():
    y_true, y_pred = [1, 2, 5, 1], [1, 2, 5, 2]
    seen, whole = (cohen_kappa_score(y_true, y_pred, weights="quadratic", labels=s) for s in (None, range(1, 6)))
    assert whole > seen  # the one slip, from 1 to 2, is small on a scale where 5 is far


def test_kappa_errors():
    assert math.isnan(cohen_kappa_score([3, 3], [3, 3], weights="quadratic"))
    with pytest.raises(ValueError, match="weights must be"):
        cohen_kappa_score([1, 2], [1, 2], weights="square")
    with pytest.raises(ValueError, match="1 of 2 examples have a grade that is not in labels"):
        cohen_kappa_score([1, 5], [1, 7], labels=range(1, 6))


@pytest.mark.parametrize("metric", METRICS)
def test_errors_of_the_input(metric):
    with pytest.raises(ValueError, match="no examples"):
        metric([], [])
    with pytest.raises(ValueError, match="1 of y_true and 2 of y_pred"):
        metric([1], [1, 2])
    with pytest.raises(ValueError, match="y_pred holds nan"):
        metric([1, 2], [1, math.nan])
    with pytest.raises(TypeError, match="row of numbers"):
        metric(["a", "b"], [1, 2])
    with pytest.raises(TypeError, match=r"shape \(2, 1\)"):
        metric([1, 2], np.zeros((2, 1)))
