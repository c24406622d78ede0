"""Plausible wrong answers to the exercises of lesson 26: each must fail its check."""

import numpy as np


def joules_used__takes_the_first_and_the_last(readings, ranges):
    """A counter that starts again in between is not seen."""
    steps = readings[-1] - readings[0]
    return float((steps + ranges * (steps < 0)).sum() / 1e6)


def joules_used__forgets_the_range(readings, ranges):
    """Negative joules where a counter started again."""
    return float(np.diff(readings, axis=0).sum() / 1e6)


def joules_used__takes_absolute_values(readings, ranges):
    """As if the counter went backwards."""
    return float(np.abs(np.diff(readings, axis=0)).sum() / 1e6)


def joules_used__drops_steps_below_0(readings, ranges):
    """What was used in a step with a new start is lost."""
    return float(np.maximum(np.diff(readings, axis=0), 0).sum() / 1e6)


def joules_used__takes_the_reading_after_a_start(readings, ranges):
    """Forgets what came between the reading before and the end."""
    steps = np.diff(readings, axis=0)
    return float(np.where(steps < 0, readings[1:], steps).sum() / 1e6)


def joules_used__adds_the_range_where_nothing_changed(readings, ranges):
    """≤ for <."""
    steps = np.diff(readings, axis=0)
    return float((steps + ranges * (steps <= 0)).sum() / 1e6)


def joules_used__has_one_range_for_all(readings, ranges):
    """That of the first counter."""
    steps = np.diff(readings, axis=0)
    return float((steps + ranges[0] * (steps < 0)).sum() / 1e6)


def joules_used__looks_at_one_counter(readings, ranges):
    """A machine may have several processors."""
    steps = np.diff(readings[:, 0])
    return float((steps + ranges[0] * (steps < 0)).sum() / 1e6)


def joules_used__says_microjoules(readings, ranges):
    """The wrong unit."""
    steps = np.diff(readings, axis=0)
    return float((steps + ranges * (steps < 0)).sum())


def joules_used__counts_in_float32(readings, ranges):
    """24 bits are too few for microjoules."""
    steps = np.diff(readings.astype(np.float32), axis=0)
    return float((steps + ranges * (steps < 0)).sum() / 1e6)


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _effect(x, y, a, b, unit=_unit, mean=np.mean, deviation=lambda x, y: np.concatenate([x, y]).std(ddof=1)):
    x, y, a, b = map(unit, (x, y, a, b))
    of_x, of_y = (mean(targets @ a.T, axis=1) - mean(targets @ b.T, axis=1) for targets in (x, y))
    return float((of_x.mean() - of_y.mean()) / deviation(of_x, of_y))


def weat_effect__takes_products_for_cosines(x, y, a, b):
    """Long vectors count more."""
    return _effect(x, y, a, b, unit=lambda vectors: vectors)


def weat_effect__divides_by_n(x, y, a, b):
    """The deviation of a whole population."""
    return _effect(x, y, a, b, deviation=lambda x, y: np.concatenate([x, y]).std())


def weat_effect__takes_deviations_within_groups(x, y, a, b):
    """Another effect size: Cohen's d with pooled variances."""
    with np.errstate(all="ignore"):
        return _effect(x, y, a, b, deviation=lambda x, y: np.sqrt((x.var() + y.var()) / 2))


def weat_effect__does_not_divide(x, y, a, b):
    """A difference, no effect size."""
    return _effect(x, y, a, b, deviation=lambda x, y: 1)


def weat_effect__sums_cosines(x, y, a, b):
    """The longer list of attributes wins."""
    return _effect(x, y, a, b, mean=np.sum)


def weat_effect__takes_the_cosine_with_the_mean(x, y, a, b):
    """A mean of cosines is not the cosine with a mean vector."""
    return _effect(x, y, a.mean(axis=0, keepdims=True), b.mean(axis=0, keepdims=True))


def weat_effect__exchanges_the_attributes(x, y, a, b):
    """The other sign."""
    return _effect(x, y, b, a)


def weat_effect__is_never_below_0(x, y, a, b):
    """Which way round it is, is lost."""
    return abs(_effect(x, y, a, b))


def weat_effect__scales_columns(x, y, a, b):
    """The wrong axis."""
    with np.errstate(all="ignore"):
        return _effect(x, y, a, b, unit=lambda vectors: vectors / np.linalg.norm(vectors, axis=0))


def weat_effect__scales_in_place(x, y, a, b):
    """The vectors of the caller are changed."""
    for vectors in (x, y, a, b):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return _effect(x, y, a, b)


def _differences(x, y, orders, middle=np.mean):
    dealt = np.concatenate([x, y])[orders]
    return middle(dealt[:, : len(x)], axis=1) - middle(dealt[:, len(x) :], axis=1)


def permutation_p__is_the_share(x, y, orders):
    """It may become 0."""
    return float((_differences(x, y, orders) >= x.mean() - y.mean() - 1e-9).mean())


def permutation_p__adds_1_above_only(x, y, orders):
    """It may become larger than 1."""
    return float((1 + (_differences(x, y, orders) >= x.mean() - y.mean() - 1e-9).sum()) / len(orders))


def permutation_p__asks_for_more(x, y, orders):
    """What is as large does not count."""
    return float((1 + (_differences(x, y, orders) > x.mean() - y.mean() + 1e-9).sum()) / (1 + len(orders)))


def permutation_p__has_no_room_for_rounding(x, y, orders):
    """The same groups in another order may come out 1e-17 smaller."""
    return float((1 + (_differences(x, y, orders) >= x.mean() - y.mean()).sum()) / (1 + len(orders)))


def permutation_p__has_two_sides(x, y, orders):
    """Differences the other way round count as well."""
    found = abs(x.mean() - y.mean()) - 1e-9
    return float((1 + (np.abs(_differences(x, y, orders)) >= found).sum()) / (1 + len(orders)))


def permutation_p__asks_the_other_way(x, y, orders):
    """p of y having the larger mean."""
    return float((1 + (_differences(x, y, orders) <= x.mean() - y.mean() + 1e-9).sum()) / (1 + len(orders)))


def permutation_p__takes_medians(x, y, orders):
    """Another test."""
    found = np.median(x) - np.median(y) - 1e-9
    return float((1 + (_differences(x, y, orders, np.median) >= found).sum()) / (1 + len(orders)))


def _p(x, y, orders):
    return float((1 + (_differences(x, y, orders) >= x.mean() - y.mean() - 1e-9).sum()) / (1 + len(orders)))


def permutation_p__takes_the_last_places(x, y, orders):
    """The first group from the end."""
    return _p(x, y, orders[:, ::-1])


def permutation_p__inverts_the_orders(x, y, orders):
    """Where each number goes, not which comes."""
    return _p(x, y, np.argsort(orders, axis=1))


def permutation_p__gives_each_group_half(x, y, orders):
    """Groups of equal sizes, also where they were not."""
    dealt, half = np.concatenate([x, y])[orders], (len(x) + len(y)) // 2
    differences = dealt[:, :half].mean(axis=1) - dealt[:, half:].mean(axis=1)
    return float((1 + (differences >= x.mean() - y.mean() - 1e-9).sum()) / (1 + len(orders)))


def _wilson(p, m, z):
    scale = 1 + z * z / m
    centre, half = (p + z * z / (2 * m)) / scale, z / scale * (p * (1 - p) / m + z * z / (4 * m * m)) ** 0.5
    return float(p), max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def _places(prompts, wanted):
    return np.unique(np.concatenate([prompts, wanted], axis=1), axis=0, return_index=True)[1]


def extraction_rate__counts_tokens(prompts, written, wanted, z=1.96):
    """Half a continuation counts half."""
    first = _places(prompts, wanted)
    return _wilson((written[first] == wanted[first]).mean(), len(first), z)


def extraction_rate__is_content_with_one_token(prompts, written, wanted, z=1.96):
    """any for all."""
    first = _places(prompts, wanted)
    return _wilson((written[first] == wanted[first]).any(axis=1).mean(), len(first), z)


def extraction_rate__ignores_the_order_of_tokens(prompts, written, wanted, z=1.96):
    """A bag of tokens."""
    first = _places(prompts, wanted)
    return _wilson((np.sort(written[first]) == np.sort(wanted[first])).all(axis=1).mean(), len(first), z)


def extraction_rate__counts_places_again(prompts, written, wanted, z=1.96):
    """Twice the same place as two witnesses."""
    return _wilson((written == wanted).all(axis=1).mean(), len(wanted), z)


def extraction_rate__takes_each_prompt_once(prompts, written, wanted, z=1.96):
    """A prompt may stand in two places of the text."""
    first = np.unique(prompts, axis=0, return_index=True)[1]
    return _wilson((written[first] == wanted[first]).all(axis=1).mean(), len(first), z)


def extraction_rate__takes_each_continuation_once(prompts, written, wanted, z=1.96):
    """A continuation may come after two prompts."""
    first = np.unique(wanted, axis=0, return_index=True)[1]
    return _wilson((written[first] == wanted[first]).all(axis=1).mean(), len(first), z)


def extraction_rate__skips_neighbours_only(prompts, written, wanted, z=1.96):
    """The same place drawn again later still counts twice."""
    rows = np.concatenate([prompts, wanted], axis=1)
    first = [i for i in range(len(rows)) if not i or (rows[i] != rows[i - 1]).any()]
    return _wilson((written[first] == wanted[first]).all(axis=1).mean(), len(first), z)


def extraction_rate__keeps_m_of_all_rows(prompts, written, wanted, z=1.96):
    """The share is of different places, the interval of all."""
    first = _places(prompts, wanted)
    return _wilson((written[first] == wanted[first]).all(axis=1).mean(), len(wanted), z)


def extraction_rate__has_the_textbook_interval(prompts, written, wanted, z=1.96):
    """p ± z √(p (1 − p) / m): no width at 0 and at 1."""
    first = _places(prompts, wanted)
    p = float((written[first] == wanted[first]).all(axis=1).mean())
    half = z * (p * (1 - p) / len(first)) ** 0.5
    return p, max(p - half, 0.0), min(p + half, 1.0)


def extraction_rate__centres_at_the_share(prompts, written, wanted, z=1.96):
    """Wilson's width around p."""
    first = _places(prompts, wanted)
    p = float((written[first] == wanted[first]).all(axis=1).mean())
    _, low, high = _wilson(p, len(first), z)
    return p, max(p - (high - low) / 2, 0.0), min(p + (high - low) / 2, 1.0)


def extraction_rate__has_a_fixed_z(prompts, written, wanted, z=1.96):
    """1.96 whatever was asked."""
    first = _places(prompts, wanted)
    return _wilson((written[first] == wanted[first]).all(axis=1).mean(), len(first), 1.96)
