"""Which runs to make for a scaling law within so many minutes, and which size is then the best for other minutes.

Sizes have one shape: heads of 32 features, and as many layers as heads, but two at least: one layer cannot copy what
followed the same token before (induction heads, Olsson et al. 2022), and gains less from more text. With it in the grid
larger runs were foretold 4 and 5 % too high. From two heads on a GPT's blocks have 12 · 32² · h³ parameters.

Each size gets the same time for its longest run, and then half of its tokens, a quarter, and so on. So small models
read much and large ones little, as on the line of equal compute in Hoffmann et al. (2022, section 3.2), but by the
clock: small models do fewer operations in a second, and it is the minutes that the user has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .memory import count_parameters
from .recipes import LAPTOP, PretrainConfig

if TYPE_CHECKING:
    from .scaling_law import ScalingLaw

HEAD_DIM, MIN_LAYERS = 32, 2
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)  # heads of the sizes in a grid; it begins with the smallest
MIN_SIZES, MIN_BUDGETS, MAX_BUDGETS = 3, 3, 5
MIN_STEPS = 125  # runs of 130 steps still lay on the law of longer ones, 0.4 % off at most
GRID_SHARE, CHECK_SHARE = 0.6, 0.3  # of the minutes; the rest is for reading text and timing
FORWARD_SHARE = 1 / 3  # of a training step's time: to evaluate a token takes so much of the time to train on it
MAX_EPOCHS = 4.0  # a text read so often teaches almost as much as new text (Muennighoff et al. 2023, section 6)
REACH = 4.0  # a size is recommended up to so many times the largest that was run

# All sizes learn alike: Muon's steps have one length at every width, so one rate suits all of them. It was found by
# trial on two sizes of the embedded corpus. It falls to 0, so that each run is the best of its length.
SCALING = LAPTOP


def sized(config: PretrainConfig, n_heads: int) -> PretrainConfig:
    """The settings with the model of so many heads."""
    return config.override(n_layers=max(n_heads, MIN_LAYERS), n_heads=n_heads, d_model=HEAD_DIM * n_heads)


def with_tokens(config: PretrainConfig, n_tokens: float) -> PretrainConfig:
    """The settings with as many steps as read about so many tokens."""
    return config.override(steps=max(round(n_tokens / tokens_per_step(config)), 1))


def tokens_per_step(config: PretrainConfig) -> int:
    return config.batch_size * config.accumulate * config.max_seq_len


def n_tokens(config: PretrainConfig) -> int:
    """All that a run reads, repeated text counted again."""
    return config.steps * tokens_per_step(config)


@dataclass(frozen=True)
class Speed:
    """Seconds per token trained on, measured at some sizes."""

    n_parameters: tuple[int, ...]  # rising
    seconds_per_token: tuple[float, ...]

    def at(self, n_parameters: float) -> float:
        """On a straight line through the two nearest sizes, both axes logarithmic; beyond all sizes it goes on."""
        n, seconds = np.log(self.n_parameters), np.log(self.seconds_per_token)
        if len(n) == 1:
            return float(np.exp(seconds[0]))
        i = int(np.clip(np.searchsorted(n, math.log(n_parameters)), 1, len(n) - 1))
        slope = (seconds[i] - seconds[i - 1]) / (n[i] - n[i - 1])
        return float(np.exp(seconds[i] + slope * (math.log(n_parameters) - n[i])))


@dataclass(frozen=True)
class Plan:
    """The runs of the grid, from short to long, and what they and the check should take."""

    runs: tuple[PretrainConfig, ...]
    speed: Speed
    grid_seconds: float
    check_seconds: float


def plan_grid(
    config: PretrainConfig,
    vocab_size: int,
    seconds: float,
    max_tokens: int,
    seconds_per_token: Callable[[PretrainConfig], float],
) -> Plan:
    """As many sizes as the time allows with `MIN_BUDGETS` numbers of tokens each, none above `max_tokens`.

    `seconds_per_token(config)` measures a size; it is asked for one after the other, up to the first that is too slow.
    Raises ValueError where the time, or the text, is too little for three sizes, and says what would do.
    """
    per_step, evaluated = tokens_per_step(config), FORWARD_SHARE * config.evaluation_tokens
    least = MIN_STEPS * 2 ** (MIN_BUDGETS - 1) * per_step
    if max_tokens < least:
        raise ValueError(
            f"a scaling law needs runs of {least:,} tokens, but with this text they may have {max_tokens:,}: give more "
            "text, a smaller --batch-size or a shorter --max-seq-len, or let it be repeated more often by --max-epochs"
        )

    def grid(longest: float) -> list[list[int]]:
        """The steps of each size's runs, where its longest run takes so many seconds of training."""
        return [_halved(min(longest / speed, max_tokens) / per_step) for speed in speeds]

    def seconds_of(grid: list[list[int]]) -> float:
        return sum(s * (n * per_step + evaluated) for s, steps in zip(speeds, grid, strict=False) for n in steps)

    sizes, speeds, best = [], [], None
    for n_heads in SIZES:
        sizes.append(sized(config, n_heads))
        speeds.append(seconds_per_token(sizes[-1]))
        if len(sizes) < MIN_SIZES:
            continue
        longest = _highest(lambda longest: seconds_of(grid(longest)) <= GRID_SHARE * seconds, seconds)
        if min(map(len, grid(longest))) < MIN_BUDGETS:
            break
        best = grid(longest)
    if best is None:
        needed = seconds_of(grid(least * max(speeds))) / GRID_SHARE / 60
        raise ValueError(
            f"{seconds / 60:.2g} minutes are too few: {MIN_SIZES} sizes with {MIN_BUDGETS} numbers of tokens each take "
            f"about {1.1 * needed:.2g} here; give --minutes as many, or a smaller --batch-size or --max-seq-len"
        )
    speed = Speed(tuple(count_parameters(size, vocab_size) for size in sizes), tuple(speeds))
    by_time = sorted((s * (n * per_step + evaluated), i, n) for i, s in enumerate(speeds[: len(best)]) for n in best[i])
    runs = tuple(sizes[i].override(steps=n) for _, i, n in by_time)
    return Plan(runs, speed, seconds_of(best), CHECK_SHARE * seconds)


def run_seconds(config: PretrainConfig, seconds_per_token: float) -> float:
    """What a run takes with the evaluation at its end."""
    return seconds_per_token * (n_tokens(config) + FORWARD_SHARE * config.evaluation_tokens)


def _halved(steps: float) -> list[int]:
    """So many steps, half, a quarter …, as long as a run is not too short."""
    return [round(steps / 2**i) for i in range(MAX_BUDGETS) if steps / 2**i >= MIN_STEPS]


def _highest(is_allowed: Callable[[float], bool], limit: float) -> float:
    """By bisection: the highest number up to the limit that is allowed, where all lower ones are too."""
    low, high = 0.0, limit
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if is_allowed(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class Choice:
    """A run that a scaling law recommends."""

    config: PretrainConfig
    n_parameters: int
    n_tokens: int
    seconds: float  # what it should take
    loss: float  # what it should reach

    @property
    def compute(self) -> float:
        """Floating-point operations, 6 N D."""
        return 6.0 * self.n_parameters * self.n_tokens


def choose(
    law: ScalingLaw,
    speed: Speed,
    config: PretrainConfig,
    vocab_size: int,
    seconds: float,
    max_tokens: int,
    largest: float,
    least_compute: float = 0.0,
) -> Choice | None:
    """The size with the lowest loss that `seconds` allow, each read as many tokens as it has time for.

    Sizes have at most `REACH` times the parameters of the `largest` that was run, and runs at least `MIN_STEPS` steps,
    at most `max_tokens` tokens, and more than `least_compute`. None where there is no such run.
    """
    best, n_heads = None, 0
    while True:
        n_heads += 1
        size = sized(config, n_heads)
        n_parameters = count_parameters(size, vocab_size)
        if n_parameters > REACH * largest:
            return best
        per_token = speed.at(n_parameters)
        top = seconds / per_token - FORWARD_SHARE * config.evaluation_tokens
        run = with_tokens(size, min(top, max_tokens))
        tokens = n_tokens(run)
        choice = Choice(run, n_parameters, tokens, run_seconds(run, per_token), float(law.loss(n_parameters, tokens)))
        allowed = run.steps >= MIN_STEPS and choice.compute > least_compute
        if allowed and (best is None or choice.loss < best.loss):
            best = choice
