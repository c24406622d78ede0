"""Learning-rate schedules: plain functions from the step (0, 1, …) to a factor on the learning rate.

All rise to 1 over `warmup_steps`, when Adam's averages are still young, and differ in how they fall:

    cosine   half a cosine wave from 1 to `final_factor` (Loshchilov and Hutter 2017)
    linear   a straight line down to `final_factor`
    wsd      1 for most of the run, then down in the last `decay_steps`, as 1 − √x (Hu et al. 2024; Hägele et al. 2024):
             one can decide to train longer without starting again

Fix all but the step with functools.partial, and the optimizer takes the rest:

    schedule = partial(cosine, n_steps=2000, warmup_steps=100)
    optimizer.step(lr_factor=schedule(step))
"""

from __future__ import annotations

import math


def cosine(step: int, n_steps: int, warmup_steps: int = 0, final_factor: float = 0.1) -> float:
    """The factor is `final_factor` from step `n_steps` on.

    >>> [round(cosine(step, 4, final_factor=0.0), 2) for step in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """
    _check("cosine", step, n_steps, warmup_steps, final_factor)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    x = _share(step, warmup_steps, n_steps)
    return final_factor + (1 - final_factor) * (1 + math.cos(math.pi * x)) / 2


def linear(step: int, n_steps: int, warmup_steps: int = 0, final_factor: float = 0.0) -> float:
    """
    >>> [linear(step, 4, warmup_steps=1) for step in range(5)]
    [0.5, 1.0, 0.6666666666666667, 0.33333333333333337, 0.0]
    """
    _check("linear", step, n_steps, warmup_steps, final_factor)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    return 1 - (1 - final_factor) * _share(step, warmup_steps, n_steps)


def wsd(step: int, n_steps: int, decay_steps: int, warmup_steps: int = 0, final_factor: float = 0.0) -> float:
    """Warm-up, stable, decay. Raises ValueError where warm-up and decay take more than all steps.

    >>> [wsd(step, 6, decay_steps=4) for step in range(7)]
    [1.0, 1.0, 1.0, 0.5, 0.2928932188134524, 0.1339745962155614, 0.0]
    """
    _check("wsd", step, n_steps, warmup_steps + decay_steps, final_factor)
    if step < warmup_steps:
        return _warmup(step, warmup_steps)
    x = _share(step, n_steps - decay_steps, n_steps)
    return 1 - (1 - final_factor) * math.sqrt(x)


def _warmup(step: int, warmup_steps: int) -> float:
    """A straight line that is above 0 at step 0, which would be lost otherwise, and 1 at step `warmup_steps`."""
    return (step + 1) / (warmup_steps + 1)


def _share(step: int, start: int, end: int) -> float:
    """How much of the way from start to end is done, 0 to 1."""
    return min(max((step - start) / max(end - start, 1), 0.0), 1.0)


def _check(name: str, step: int, n_steps: int, reserved_steps: int, final_factor: float) -> None:
    if step < 0 or n_steps < 1:
        raise ValueError(f"{name}: step must be at least 0 and n_steps at least 1, not {step} and {n_steps}.")
    if not 0 <= reserved_steps <= n_steps:
        raise ValueError(f"{name}: warm-up and decay take {reserved_steps} of {n_steps} steps.")
    if not 0 <= final_factor <= 1:
        raise ValueError(f"{name}: final_factor must be between 0 and 1, not {final_factor}.")
