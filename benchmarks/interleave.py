"""Timing several sides in turn, each in a process of its own.

In turn, so that a machine that slows down slows all of them. In processes of their own, because the thread pools of
Numba, OpenBLAS and PyTorch each wait busily for more work: in one process they steal the cores from one another.

    A benchmark script run with `--serve SIDE` makes that side's calls; without, it starts one such process for each
    side and asks them in turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np


class Side:
    """One side, in its process: it waits, asleep, until it is asked."""

    def __init__(self, script: str, name: str):
        command = [sys.executable, script, "--serve", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, case: str, calls: int) -> list[float]:
        """Seconds of each of `calls` calls of the case, after one that is not counted."""
        self.process.stdin.write(json.dumps([case, calls]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args[-1]} ended early; its message is above")
        return json.loads(answer)


def serve(make: Callable[[str], Callable[[], object]]) -> None:
    """Answer requests from standard input. `make(case)` gives the call to measure."""
    current, call = None, None
    for line in sys.stdin:
        case, calls = json.loads(line)
        if case != current:
            current, call = case, make(case)
        call()
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)


def medians(sides: dict[str, Side], case: str, rounds: int, calls: int) -> dict[str, float]:
    """Median seconds per call of each side, asked in turn `rounds` times."""
    seconds = {name: [] for name in sides}
    for side in sides.values():
        side.measure(case, 1)  # builds and compiles
    for _ in range(rounds):
        for name, side in sides.items():
            seconds[name] += side.measure(case, calls)
            time.sleep(0.01)  # until its threads are asleep
    return {name: float(np.median(times)) for name, times in seconds.items()}


def machine() -> str:
    """One line about where the figures were taken."""
    import numba

    return f"{os.cpu_count()} cores, NumPy {np.__version__}, Numba {numba.__version__}"
