"""Timing several sides in turn, each in a process of its own; and the peak memory of one side.

In turn, so that a machine that slows down slows all of them. In processes of their own, because the thread pools of
Numba, OpenBLAS and PyTorch each wait busily for more work: in one process they steal the cores from one another.

    A benchmark script run with `--serve SIDE` makes that side's calls; without, it starts one such process for each
    side and asks them in turn.

A case is anything that JSON can hold; `make(case)` of the script turns it into the call to measure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

PAUSE = 0.02  # seconds in which a side's threads fall asleep before the next side is asked


class Side:
    """One side, in its process: it waits, asleep, until it is asked. To be closed, or used in a `with` block."""

    def __init__(self, script: str, name: str):
        self.name = name
        command = [sys.executable, script, "--serve", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends when there is nothing more to read, or at once where it still computes."""
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def measure(self, case, calls: int) -> list[float]:
        """Seconds of each of `calls` calls of the case, after one that is not counted."""
        return self._ask({"case": case, "calls": calls})

    def peak_memory(self, case, warm_up, calls: int = 3) -> float:
        """Bytes that `calls` calls of the case needed at their peak, making the case included; see `peak_of`."""
        return self._ask({"case": case, "warm_up": warm_up, "calls": calls})

    def _ask(self, request: dict):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"its process ended with code {self.process.wait()}"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer["result"]


def serve(make: Callable[[object], Callable[[], object]]) -> None:
    """Answer requests from standard input, one a line, until it is closed."""
    current, call = None, None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "warm_up" in request:
                result = peak_of(make, **request)
            else:
                if request["case"] != current:
                    current, call = request["case"], None  # the last case's memory first
                    call = make(current)
                result = seconds_of(call, request["calls"])
            answer = {"result": result}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def seconds_of(call: Callable[[], object], calls: int) -> list[float]:
    """Seconds of each of `calls` calls, after one that is not counted."""
    call()
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def peak_of(make: Callable, case, warm_up, calls: int) -> int:
    """Peak resident memory while the case is made and called, less what the process had before, in bytes.

    What the process had before: the interpreter, the libraries, and whatever these load, compile and set up in the
    first call, which the small case `warm_up` makes them do. So the figure is the model's: parameters, optimizer
    state, gradients, activations, scratch space, and what the allocator keeps for the next step. Only for a fresh
    process: memory that an earlier case left behind would be used again unseen.
    """
    make(warm_up)()
    forget_peak()
    before = resident_bytes("VmRSS")
    call = make(case)
    for _ in range(calls):
        call()
    return resident_bytes("VmHWM") - before


def forget_peak() -> None:
    """Let the peak start again from what is in use now: compiling in the warm-up may have needed more."""
    with suppress(OSError):  # no Linux, or not allowed: then what the warm-up needed counts where it was more
        Path("/proc/self/clear_refs").write_text("5")


def resident_bytes(field: str) -> int:
    """Memory of this process that is in RAM: now ("VmRSS") or at its peak ("VmHWM").

    Outside Linux both are the peak so far: the same where the warm-up is smaller than the case. On Linux getrusage
    would not do, since the peak of the program that started this process counts in it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def medians(sides: Iterable[Side], case, rounds: int, calls: int) -> dict[str, float]:
    """Median seconds per call of each side, asked in turn `rounds` times. None but the asked side computes."""
    sides = list(sides)
    seconds = {side.name: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            seconds[side.name] += side.measure(case, calls)
            time.sleep(PAUSE)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def peak_memory(script: str, name: str, case, warm_up, calls: int = 3) -> float:
    """Bytes of one side at its peak, in a process of its own."""
    with Side(script, name) as side:
        return side.peak_memory(case, warm_up, calls)
