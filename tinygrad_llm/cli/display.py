"""What one sees while a model trains: a live line in a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ..train import StepInfo

PLAIN_SECONDS = 10  # between two plain lines
RECENT_STEPS = 20  # what the shown loss and speed are means of


class Display:
    """Used in a `with` block: `update` after each step, `say` and `sample` for text that stays above.

    `shown` makes of a loss what is to be seen of it.
    """

    def __init__(self, console: Console, n_steps: int, shown: Callable[[float], str]):
        self.console = console
        self.n_steps = n_steps
        self.shown = shown
        self.live = console.is_terminal and not os.environ.get("CI")
        self.recent: deque[StepInfo] = deque(maxlen=RECENT_STEPS)
        self._last_line = -float("inf")

    def __enter__(self) -> Display:
        if self.live:
            columns = ("step {task.completed}/{task.total}", "{task.fields[numbers]}")
            self.progress = Progress(
                TextColumn(columns[0]), BarColumn(bar_width=20), TextColumn(columns[1]), console=self.console
            )
            self.task = self.progress.add_task("", total=self.n_steps, numbers="")
            self.progress.start()
        return self

    def __exit__(self, *error) -> None:
        if self.live:
            self.progress.stop()

    def update(self, info: StepInfo) -> None:
        self.recent.append(info)
        if self.live:
            self.progress.update(self.task, completed=info.step, numbers=self._numbers())
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS or info.step == self.n_steps:
            self._last_line = time.monotonic()
            self.say(f"step {info.step}/{self.n_steps}  {self._numbers()}")

    def _numbers(self) -> str:
        recent = list(self.recent)[1:] or list(self.recent)  # the first step of a run may have compiled kernels
        seconds = sum(info.seconds for info in recent)
        speed = sum(info.tokens for info in recent) / seconds
        left = duration((self.n_steps - self.recent[-1].step) * seconds / len(recent))
        loss = sum(info.loss for info in self.recent) / len(self.recent)
        return f"{self.shown(loss)}  {speed:,.0f} tokens/s  {left} left"

    def say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def sample(self, step: int, text: str) -> None:
        if self.live:
            self.console.print(Panel(Text(text), title=f"sample at step {step}", title_align="left"))
        else:
            self.say(f"--- sample at step {step}\n{text}\n---")


def duration(seconds: float) -> str:
    """
    >>> duration(75), duration(4000)
    ('1:15', '1:06:40')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
