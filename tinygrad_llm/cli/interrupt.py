"""Ctrl-C and SIGTERM: amid a step they would leave half-updated weights, so they are only noted, and the loop stops
after the step. Before and after the loop they end the program at once, and what it had begun is tidied away."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


class Interrupt:
    """While the `with` block runs, `requested` turns True at SIGINT (Ctrl-C) or SIGTERM. A second one stops at once."""

    def __init__(self):
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells expect: 130 after Ctrl-C."""
        return 128 + self.signal

    def __enter__(self) -> Interrupt:
        self._previous = {}
        if _receives_signals():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame) -> None:
        if self.requested:
            _end(number, frame)
        self.signal = number
        _say("stopping after this step; once more to stop at once, without saving")


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """While the `with` block runs, SIGTERM ends the program as Ctrl-C does, rather than as SIGKILL: `with` and
    `finally` do their work. Its exit code is 143."""
    previous = signal.signal(signal.SIGTERM, _end) if _receives_signals() else None
    try:
        yield
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _end(number: int, frame) -> None:
    """Raises KeyboardInterrupt for Ctrl-C, which `main` takes care of, and SystemExit for SIGTERM."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_IGN)  # a second one would come while things are tidied away
    _say("stopped")
    raise SystemExit(128 + number)


def _receives_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _say(text: str) -> None:
    """A signal may come while something else is being printed, and after the terminal has gone: training matters more
    than this line."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        print(f"\n{text}", file=sys.stderr, flush=True)
