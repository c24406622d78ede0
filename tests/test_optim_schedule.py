"""Learning-rate schedules: their formulas, ends, and what they refuse."""

import math
from functools import partial

import numpy as np
import pytest

from tinygrad_llm.optim import cosine, linear, wsd

SCHEDULES = {
    "cosine": partial(cosine, n_steps=100, warmup_steps=10, final_factor=0.1),
    "linear": partial(linear, n_steps=100, warmup_steps=10, final_factor=0.1),
    "wsd": partial(wsd, n_steps=100, decay_steps=30, warmup_steps=10, final_factor=0.1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_shape(name):
    factors = np.array([SCHEDULES[name](step) for step in range(120)])
    np.testing.assert_allclose(factors[:11], np.arange(1, 12) / 11)
    assert (np.diff(factors[10:]) <= 0).all()
    np.testing.assert_allclose(factors[100:], 0.1)
    assert factors[99] > 0.1


def nanogpt_learning_rate(it, learning_rate, warmup_iters, lr_decay_iters, min_lr):
    """nanoGPT's get_lr, train.py."""
    if it < warmup_iters:
        return learning_rate * (it + 1) / (warmup_iters + 1)
    if it > lr_decay_iters:
        return min_lr
    decay_ratio = (it - warmup_iters) / (lr_decay_iters - warmup_iters)
    return min_lr + 0.5 * (1.0 + math.cos(math.pi * decay_ratio)) * (learning_rate - min_lr)


def test_cosine_is_nanogpts():
    for step in range(120):
        expected = nanogpt_learning_rate(step, 6e-4, 10, 100, 6e-5)
        assert 6e-4 * SCHEDULES["cosine"](step) == pytest.approx(expected, rel=1e-12)


def test_known_values():
    assert linear(30, 40, warmup_steps=20, final_factor=0.5) == pytest.approx(0.75)
    assert cosine(50, 100, final_factor=0.0) == pytest.approx(0.5)
    assert [wsd(step, 100, 40) for step in (0, 60, 70)] == pytest.approx([1.0, 1.0, 0.5])
    assert linear(0, 1) == 1.0
    assert cosine(5, 5, warmup_steps=5) == 1.0  # all of it warm-up: never falls before the end


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosine(-1, 10), "step must be at least 0"),
        (lambda: linear(0, 0), "n_steps at least 1"),
        (lambda: cosine(0, 10, warmup_steps=11), "warm-up and decay take 11 of 10 steps"),
        (lambda: wsd(0, 10, decay_steps=6, warmup_steps=5), "wsd: warm-up and decay take 11 of 10"),
        (lambda: linear(0, 10, final_factor=2), "final_factor must be between 0 and 1, not 2"),
    ],
)
def test_impossible_schedules(call, message):
    with pytest.raises(ValueError, match=message):
        call()
