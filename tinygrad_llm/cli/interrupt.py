"""Ctrl-C amid a step would leave half-updated weights: it is only noted, and the loop stops after the step."""

from __future__ import annotations

import signal
import sys
import threading


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
        if threading.current_thread() is threading.main_thread():  # others cannot receive signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.signal = number
        print("\nstopping after this step; once more to stop at once, without saving", file=sys.stderr, flush=True)
