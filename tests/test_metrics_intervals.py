"""Bootstrap intervals hold the truth as often as they say, and the paired test cries wolf as rarely as it says."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import tensor
from tinygrad_llm.evaluate import (
    accuracy_score,
    bootstrap_interval,
    brier_score_loss,
    f1_score,
    paired_bootstrap,
    pearson_correlation,
    roc_auc_score,
    token_f1,
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = generator(1)
    hits = []
    for _ in range(250):
        interval = bootstrap_interval(np.mean, rng.normal(3, 2, 60), rng=rng, n_resamples=200, confidence=0.8)
        hits.append(interval.low <= 3 <= interval.high)
    assert 0.73 < np.mean(hits) < 0.87  # of 250 draws at 80 %, the standard deviation is 0.025


def test_the_spread_of_resampled_means_is_the_standard_error():
    sample = generator(2).normal(0, 5, 400)
    interval = bootstrap_interval(np.mean, sample, rng=generator(), n_resamples=2000)
    assert interval.value == sample.mean()
    assert interval.standard_error == pytest.approx(sample.std() / 20, rel=0.06)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.1)


def test_four_times_the_examples_halve_the_interval():
    widths = []
    for n in (100, 400):
        correct = np.arange(n) % 4 > 0  # 75 % right
        interval = bootstrap_interval(np.mean, correct, rng=generator(), n_resamples=1500)
        widths.append(interval.high - interval.low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_more_confidence_is_a_wider_interval():
    sample = generator(3).random(50)
    narrow, wide = (bootstrap_interval(np.mean, sample, rng=generator(), confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < sample.mean() < narrow.high < wide.high


def test_the_seed_decides():
    sample = generator(4).random(30)
    first, again, other = (bootstrap_interval(np.median, sample, rng=generator(seed)) for seed in (0, 0, 1))
    assert first.resampled.tolist() == again.resampled.tolist() != other.resampled.tolist()
    assert (first.low, first.high) == (again.low, again.high)


def test_columns_stay_together_and_keep_their_type():
    x = np.arange(40)
    seen = []

    def metric(numbers, words):
        assert isinstance(numbers, np.ndarray)
        assert isinstance(words, list)
        assert [str(number) for number in numbers] == words
        seen.append(numbers)
        return float(numbers.mean())

    bootstrap_interval(metric, x, [str(number) for number in x], rng=generator(), n_resamples=20)
    assert len(seen) == 21
    assert all(len(numbers) == 40 and len(set(numbers.tolist())) < 40 for numbers in seen[1:])  # with replacement


def test_strata_keep_the_size_of_each_class():
    y_true = np.array([1] * 3 + [0] * 47)
    scores = np.linspace(0, 1, 50)
    n_positive = []

    def metric(labels, scores):
        n_positive.append(int(labels.sum()))
        return roc_auc_score(labels, scores)

    bootstrap_interval(metric, y_true, scores, rng=generator(), n_resamples=100, strata=y_true)
    assert set(n_positive) == {3}
    with pytest.raises(ValueError, match="strata=y_true keeps each class"):
        bootstrap_interval(metric, y_true, scores, rng=generator(), n_resamples=1000)


def test_metrics_of_labels_and_of_answers():
    y_true, y_pred = [0, 1] * 20, [0, 1, 0, 0] * 10
    interval = bootstrap_interval(f1_score, y_true, y_pred, rng=generator(), n_resamples=200)
    assert interval.low < interval.value == f1_score(y_true, y_pred) < interval.high
    f1s = [token_f1(answer, gold) for answer, gold in [("a cat", ["cat"]), ("dog", ["cat"])] * 10]
    assert bootstrap_interval(np.mean, f1s, rng=generator()).value == 0.5


def test_rows_of_probabilities_are_resampled_whole():
    y_true, probabilities = np.arange(30) % 3, generator(7).dirichlet(np.ones(3), 30)
    interval = bootstrap_interval(brier_score_loss, y_true, probabilities, rng=generator(), strata=y_true)
    assert interval.low < brier_score_loss(y_true, probabilities) < interval.high


def test_tensors_are_resampled_as_their_arrays():
    y_true, y_pred = np.arange(20) % 2, np.arange(20) % 3 % 2
    of_arrays, of_tensors = (
        paired_bootstrap(f1_score, as_type(y_true), as_type(y_pred), as_type(y_true), rng=generator(), n_resamples=50)
        for as_type in (np.array, tensor)
    )
    assert of_tensors.p_value == of_arrays.p_value
    assert of_tensors.interval.resampled.tolist() == of_arrays.interval.resampled.tolist()


def test_the_p_value_is_small_for_a_better_system_and_not_for_an_equal_one():
    y_true = np.zeros(200, int)
    a, b, c = y_true.copy(), y_true.copy(), y_true.copy()
    a[:20] = b[:60] = c[180:] = 1  # 90 %, 70 %, and 90 % right again, at other places
    better = paired_bootstrap(accuracy_score, y_true, a, b, rng=generator(), n_resamples=300)
    assert better.interval.value == pytest.approx(0.2)
    assert 0 < better.interval.low < 0.2 < better.interval.high
    assert better.p_value == pytest.approx(1 / 301)
    assert str(better) == f"difference {better.interval}, p = 0.00332"
    worse = paired_bootstrap(accuracy_score, y_true, b, a, rng=generator(), n_resamples=300)
    assert worse.interval.value == pytest.approx(-0.2)
    assert worse.p_value == better.p_value
    assert paired_bootstrap(accuracy_score, y_true, a, c, rng=generator(), n_resamples=300).p_value == 1
    assert paired_bootstrap(accuracy_score, y_true, a, a, rng=generator(), n_resamples=50).p_value == 1


def test_equal_systems_are_told_apart_as_rarely_as_the_p_value_says():
    rng = generator(5)
    p_values = []
    for _ in range(250):
        truth, a, b = np.zeros(80), *rng.normal(0, 1, (2, 80))
        found = paired_bootstrap(lambda true, pred: np.mean(pred - true), truth, a, b, rng=rng, n_resamples=150)
        p_values.append(found.p_value)
    assert 0.12 < np.mean(np.array(p_values) <= 0.2) < 0.28  # 20 %, with a standard deviation of 2.5 %
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)


def test_pairing_sees_what_separate_intervals_do_not():
    hard = generator(6).random(150) < 0.5  # both systems fail on the same examples, A on a few less
    a, b = (~hard).astype(int), (~hard).astype(int)
    a[np.flatnonzero(hard)[:8]] = 1
    ones = np.ones(150, int)
    one, other = (bootstrap_interval(accuracy_score, ones, each, rng=generator(), n_resamples=300) for each in (a, b))
    assert one.low < other.high  # the intervals overlap
    assert paired_bootstrap(accuracy_score, ones, a, b, rng=generator(), n_resamples=300).p_value < 0.05


def test_errors():
    ones = np.ones(5)
    with pytest.raises(TypeError, match=r"needs rng=, a np.random.Generator"):
        bootstrap_interval(np.mean, ones, rng=0)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        bootstrap_interval(np.mean, ones, rng=generator(), confidence=95)
    with pytest.raises(ValueError, match="n_resamples must be at least 1"):
        bootstrap_interval(np.mean, ones, rng=generator(), n_resamples=0)
    with pytest.raises(ValueError, match="no examples"):
        bootstrap_interval(np.mean, [], rng=generator())
    with pytest.raises(ValueError, match="give the metric's columns"):
        bootstrap_interval(np.mean, rng=generator())
    with pytest.raises(ValueError, match="5 of column 1 and 4 of column 2"):
        bootstrap_interval(accuracy_score, ones, ones[:4], rng=generator())
    with pytest.raises(ValueError, match="4 of strata and 5 of examples"):
        bootstrap_interval(np.mean, ones, rng=generator(), strata=[0, 0, 1, 1])
    with pytest.raises(ValueError, match="nan on a resample"):
        bootstrap_interval(pearson_correlation, [1, 2], [1, 2], rng=generator())
