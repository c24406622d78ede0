"""What one sees while `tinygrad-llm scale` trains: a live line in a terminal, and a plain line after each run."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..train import PretrainConfig, StepInfo
from ..train.memory import count_parameters
from ..train.scaling_plan import Speed, run_seconds
from ..train.scaling_runs import FinishedRun
from .display import duration
from .train import say


class Runs:
    """Used in a `with` block: `begin` and `end` around each run, `step` after each of its steps."""

    def __init__(self, console: Console, runs: Sequence[PretrainConfig], speed: Speed, vocab_size: int):
        self.console = console
        self.expected = [run_seconds(run, speed.at(count_parameters(run, vocab_size))) for run in runs]
        self.runs = list(runs)
        self.live = console.is_terminal and not os.environ.get("CI")

    def __enter__(self) -> Runs:
        if self.live:
            columns = TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[numbers]}")
            self.progress = Progress(*columns, console=self.console)
            self.task = self.progress.add_task("", total=sum(self.expected), numbers="")
            self.progress.start()
        return self

    def __exit__(self, *error) -> None:
        if self.live:
            self.progress.stop()

    def begin(self, config: PretrainConfig) -> None:
        self.number, self.config = self.runs.index(config), config

    def step(self, info: StepInfo) -> bool:
        """Returns True, so that it can be part of a condition."""
        if self.live:
            done = sum(self.expected[: self.number]) + self.expected[self.number] * info.step / self.config.steps
            self.progress.update(
                self.task,
                description=f"run {self.number + 1}/{len(self.runs)}, width {self.config.d_model}",
                completed=done,
                numbers=f"step {info.step}/{self.config.steps}  loss {info.loss:.3f}  "
                f"about {duration(sum(self.expected) - done)} left",
            )
        return True

    def end(self, run: FinishedRun) -> None:
        say(
            self.console,
            f"run {self.number + 1}/{len(self.runs)}: width {run.d_model:3}, {run.n_tokens:>9,} tokens: held-out loss "
            f"{run.loss:.3f}, {run.bits_per_byte:.3f} bits per byte, {duration(run.seconds)}",
        )
