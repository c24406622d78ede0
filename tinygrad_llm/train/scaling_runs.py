"""The runs that a scaling law is fitted to: each a training of its own from nothing, with a schedule of its own length.

Branches off one long run would be cheaper (Hägele et al. 2024); but so each run is what `tinygrad-llm pretrain` would
make of the same settings, and whatever is finished when the time is up can be used.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import RandomBatches
from ..files import write_text
from .build import build_model, build_optimizer, build_schedule
from .loop import StepInfo, train_steps
from .metrics import evaluate
from .objectives import language_modelling
from .recipes import PretrainConfig
from .scaling_plan import Speed, n_tokens, tokens_per_step

Clock = Callable[[], float]

UNTIMED_STEPS = 2  # the first ones find memory and caches cold
TIMED_STEPS, TIMED_SECONDS = 5, 1.0  # of a size: at least so many, and at least so long


@dataclass(frozen=True)
class Text:
    """What all runs learn from and are measured on."""

    train: np.ndarray  # (N,) token ids
    validation: np.ndarray  # (M,)
    validation_bytes: int  # of the same text in UTF-8
    vocab_size: int


@dataclass(frozen=True)
class FinishedRun:
    """What a law needs to know of a run."""

    n_layers: int
    n_heads: int
    d_model: int
    n_parameters: int
    steps: int
    n_tokens: int
    loss: float  # held-out, nats per token
    bits_per_byte: float
    training_loss: float  # mean over the last tenth of the steps
    seconds: float
    seconds_per_token: float  # the median step's
    is_check: bool = False

    def is_of(self, config: PretrainConfig) -> bool:
        return all(getattr(self, name) == getattr(config, name) for name in ("n_layers", "n_heads", "d_model", "steps"))


def processor_seconds() -> float:
    """A clock that stands still while other programs have the processor: this process's time, shared by its threads."""
    import numba

    return time.process_time() / numba.get_num_threads()


def measure_seconds_per_token(config: PretrainConfig, text: Text, clock: Clock = time.perf_counter) -> float:
    """By training a new model for some steps; they leave nothing behind."""
    enough = dataclasses.replace(config, steps=10_000)
    times = [clock()]
    for info in _steps(enough, build_model(config, text.vocab_size), text):
        times.append(clock())
        if info.step >= UNTIMED_STEPS + TIMED_STEPS and times[-1] - times[0] >= TIMED_SECONDS:
            return _median_seconds(times) / info.tokens
    raise AssertionError("so many steps take longer")


def make_run(
    config: PretrainConfig,
    text: Text,
    on_step: Callable[[StepInfo], bool] = lambda info: True,
    is_check: bool = False,
    clock: Clock = time.perf_counter,
) -> FinishedRun | None:
    """Train and measure, by `clock` in seconds. `on_step` is told of each step; where it returns False the run is given
    up, and None returned.

    Raises ValueError where the text is shorter than the context, FloatingPointError where the loss is no number.
    """
    model, losses, times = build_model(config, text.vocab_size), [], [clock()]
    for info in _steps(config, model, text):
        losses.append(info.loss)
        times.append(clock())
        if not on_step(info):
            return None
    result = evaluate(
        model, text.validation, text.validation_bytes, config.batch_size, config.max_seq_len, config.evaluation_tokens
    )
    return FinishedRun(
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        n_parameters=model.num_parameters(),
        steps=config.steps,
        n_tokens=n_tokens(config),
        loss=result.loss,
        bits_per_byte=result.bits_per_byte,
        training_loss=statistics.fmean(losses[-max(len(losses) // 10, 1) :]),
        seconds=clock() - times[0],
        seconds_per_token=_median_seconds(times) / tokens_per_step(config),
        is_check=is_check,
    )


def _median_seconds(times: list[float]) -> float:
    """Of a step: another program may have had the processor for a while."""
    seconds = np.diff(times)
    return float(np.median(seconds[UNTIMED_STEPS:] if len(seconds) > UNTIMED_STEPS else seconds))


def _steps(config: PretrainConfig, model, text: Text) -> Iterable[StepInfo]:
    return train_steps(
        model,
        RandomBatches(text.train, config.batch_size, config.max_seq_len, config.seed),
        language_modelling,
        build_optimizer(config, model),
        build_schedule(config),
        n_steps=config.steps,
        accumulate=config.accumulate,
        clip=config.clip or None,
    )


def measured_speed(runs: Iterable[FinishedRun]) -> Speed:
    """Of each size, by its longest run."""
    longest = {run.n_parameters: run for run in sorted(runs, key=lambda run: run.n_tokens)}
    sizes = sorted(longest)
    return Speed(tuple(sizes), tuple(longest[size].seconds_per_token for size in sizes))


def save_runs(path: Path, runs: Iterable[FinishedRun]) -> None:
    """A JSON object a line; the file is replaced when the new one is safe on the disk."""
    write_text(path, "".join(json.dumps(dataclasses.asdict(run)) + "\n" for run in runs))


def load_runs(path: Path) -> list[FinishedRun]:
    """Empty where there is no file. Raises ValueError, naming the line, where it is damaged."""
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], start=1):
        try:
            runs.append(FinishedRun(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"line {number} of {str(path)!r} is damaged ({error}): delete the line, and the run is made again"
            ) from None
    return runs
