"""Plans by a clock that is made up: seconds per token are a formula."""

import numpy as np
import pytest

from tinygrad_llm.train.memory import count_parameters
from tinygrad_llm.train.scaling_law import ScalingLaw
from tinygrad_llm.train.scaling_plan import (
    CHECK_SHARE,
    GRID_SHARE,
    MIN_BUDGETS,
    MIN_STEPS,
    REACH,
    SCALING,
    Speed,
    choose,
    n_tokens,
    plan_grid,
    run_seconds,
    sized,
    with_tokens,
)

V, MANY = 2048, 10**9
LAW = ScalingLaw(E=2.0, A=300.0, alpha=0.45, B=800.0, beta=0.5)


def seconds_per_token(config):
    """Some overhead, and 100 Gflop/s."""
    return 3e-6 + 6 * count_parameters(config, V) / 1e11


def plan(minutes, max_tokens=MANY, asked=None):
    def measure(config):
        if asked is not None:
            asked.append(config.d_model)
        return seconds_per_token(config)

    return plan_grid(SCALING, V, 60 * minutes, max_tokens, measure)


def by_size(runs):
    return {d: [n_tokens(run) for run in runs if run.d_model == d] for d in sorted({run.d_model for run in runs})}


@pytest.mark.parametrize("minutes", [4, 10, 60])
def test_a_plan_fills_its_time(minutes):
    made = plan(minutes)
    seconds = sum(run_seconds(run, seconds_per_token(run)) for run in made.runs)
    assert made.grid_seconds == pytest.approx(seconds)
    assert 0.85 * GRID_SHARE * 60 * minutes < seconds <= GRID_SHARE * 60 * minutes
    assert made.check_seconds == pytest.approx(CHECK_SHARE * 60 * minutes)


def test_each_size_has_halved_budgets_and_the_same_longest_time():
    made = plan(10)
    budgets = by_size(made.runs)
    assert len(budgets) >= 4
    for d_model, tokens in budgets.items():
        assert len(tokens) >= MIN_BUDGETS
        assert np.allclose(np.divide(tokens[1:], tokens[:-1]), 2, rtol=0.01), d_model
    longest = [
        max(run_seconds(run, seconds_per_token(run)) for run in made.runs if run.d_model == d_model)
        for d_model in budgets
    ]
    assert max(longest) < 1.35 * min(longest)  # but for the evaluation at the end
    assert all(run.steps >= MIN_STEPS for run in made.runs)
    times = [run_seconds(run, seconds_per_token(run)) for run in made.runs]
    assert times == sorted(times)


def test_more_minutes_give_more_sizes():
    n_sizes = [len(by_size(plan(minutes).runs)) for minutes in (4, 10, 60)]
    assert n_sizes == sorted(n_sizes)
    assert n_sizes[0] < n_sizes[-1]


def test_no_run_reads_more_than_the_text_allows():
    assert max(map(n_tokens, plan(10, max_tokens=1_100_000).runs)) == pytest.approx(1_100_000, rel=0.01)


def test_sizes_are_timed_up_to_the_first_that_is_too_slow():
    asked = []
    made = plan(5, asked=asked)
    assert asked[: len(by_size(made.runs))] == list(by_size(made.runs))
    assert len(asked) == len(by_size(made.runs)) + 1


def test_too_little_time_is_told_and_how_much_would_do():
    with pytest.raises(
        ValueError, match=r"0.5 minutes are too few: 3 sizes with 3 .* take about ([\d.]+) here"
    ) as error:
        plan(0.5)
    wanted = float(str(error.value).split("take about ")[1].split()[0])
    assert len(by_size(plan(wanted).runs)) == 3
    with pytest.raises(ValueError, match="too few"):
        plan(0.8 * wanted)


def test_too_little_text_is_told():
    with pytest.raises(ValueError, match="tokens, but with this text they may have 9,999"):
        plan(60, max_tokens=9999)


def test_speed_is_interpolated_on_logarithmic_axes():
    speed = Speed((100, 10_000), (1e-6, 1e-5))
    assert speed.at(100) == pytest.approx(1e-6)
    assert speed.at(1000) == pytest.approx(10**-5.5)
    assert speed.at(1_000_000) == pytest.approx(1e-4)
    three = Speed((100, 1000, 10_000), (1e-6, 1e-6, 1e-5))
    assert [three.at(n) for n in (50, 500, 1000, 20_000)] == pytest.approx([1e-6, 1e-6, 1e-6, 2e-5])
    assert Speed((100,), (1e-6,)).at(7) == pytest.approx(1e-6)


def speed_of(heads):
    sizes = [sized(SCALING, n) for n in heads]
    return Speed(tuple(count_parameters(each, V) for each in sizes), tuple(map(seconds_per_token, sizes)))


def chosen(seconds, max_tokens=MANY, heads=range(1, 17), **more):
    speed = speed_of(heads)
    return choose(LAW, speed, SCALING, V, seconds, max_tokens, max(speed.n_parameters), **more)


def test_no_other_size_is_better_in_the_same_time():
    best = chosen(3600.0)
    assert best.seconds == pytest.approx(3600, rel=0.01)
    for heads in range(1, 20):
        size = sized(SCALING, heads)
        run = with_tokens(size, 3600 / seconds_per_token(size) - SCALING.evaluation_tokens / 3)
        assert LAW.loss(count_parameters(size, V), n_tokens(run)) > best.loss - 1e-9
    assert chosen(600).n_parameters < best.n_parameters < chosen(36_000).n_parameters


def test_a_choice_keeps_to_its_limits():
    few = chosen(36_000.0, max_tokens=2_000_000)
    assert few.n_tokens <= 2_001_000
    assert few.seconds < 36_000
    assert chosen(1e7, heads=(1, 2)).n_parameters <= REACH * max(speed_of((1, 2)).n_parameters)
    assert chosen(0.1) is None
    assert chosen(600.0, least_compute=1e30) is None
    speed = Speed((10_000, 10_000_000), (1e-5, 1e-4))  # large models compute faster
    limits = {"seconds": 600.0, "max_tokens": MANY, "largest": 1e7}
    best = choose(LAW, speed, SCALING, V, **limits)
    larger = choose(LAW, speed, SCALING, V, **limits, least_compute=1.2 * best.compute)
    assert larger.compute > 1.2 * best.compute
    assert larger.loss > best.loss
