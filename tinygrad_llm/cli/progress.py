"""What a training run keeps count of, over all its sessions."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any

from ..train import StepInfo
from ..train.energy import EnergyMeter, Usage


@dataclass
class Progress:
    """It is part of each checkpoint, so that a resumed run goes on counting."""

    seconds: float = 0.0  # wall time of the sessions before this one
    tokens: int = 0  # trained on
    timed_tokens: int = 0  # the same without each session's first step, which may compile kernels,
    timed_seconds: float = 0.0  # and how long they took
    best_loss: float | None = None  # on the validation text
    best_step: int = 0
    began: float = field(default_factory=time.perf_counter)
    losses: list[float] = field(default_factory=list)  # since the last line in the log
    rapl_joules: float = 0.0  # used in the sessions before this one,
    cpu_seconds: float = 0.0  # and in those that could not read them
    meter: EnergyMeter = field(default_factory=EnergyMeter)

    def add(self, info: StepInfo, is_first: bool) -> None:
        self.meter.read()  # a counter must not start anew unseen
        self.tokens += info.tokens
        self.losses.append(info.loss)
        if not is_first:
            self.timed_tokens += info.tokens
            self.timed_seconds += info.seconds

    def state(self) -> dict[str, Any]:
        """For a checkpoint: `Progress(**state)` goes on from it."""
        state = dataclasses.asdict(self) | {"seconds": self.total_seconds} | dataclasses.asdict(self.usage)
        return {name: value for name, value in state.items() if name not in ("began", "meter")}

    @property
    def usage(self) -> Usage:
        return Usage(self.rapl_joules, self.cpu_seconds) + self.meter.read()

    @property
    def total_seconds(self) -> float:
        return self.seconds + time.perf_counter() - self.began

    @property
    def tokens_per_second(self) -> float:
        return self.timed_tokens / self.timed_seconds if self.timed_seconds else math.nan
