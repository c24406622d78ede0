"""Processes that train, and that are killed: real commands, and forks of this process, which need not import it all.

A fork tells by a byte of shared memory what it is doing, and can be told to kill itself at the n-th call that changes a
file: before it, or right after it.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import safetensors.numpy

from tinygrad_llm.cli import main, pretrain, train

PHASES = ("start", "steps", "evaluation", "save", "end")
CALLS = ("fsync", "link", "replace", "rename", "unlink", "rmdir", "ftruncate")  # of the module os
COMMAND = [sys.executable, "-m", "tinygrad_llm.cli"]


class Fork:
    """`tinygrad-llm` in a fork of this process, with its output in a file."""

    def __init__(self, argv: Sequence[str], output: Path, dies: tuple[int, bool, bool] | None = None):
        """`dies`: the number of the call at which it kills itself, whether after the call rather than before, and
        whether only calls in training count."""
        self._phase = mmap.mmap(-1, 1)
        self.pid = os.fork()
        if self.pid == 0:
            self._run(argv, output, dies)

    def _run(self, argv: Sequence[str], output: Path, dies: tuple[int, bool, bool] | None) -> None:
        code = 1
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(descriptor, stream)
            show_phases(self._phase)
            if dies is not None:
                die_at(self._phase, *dies)
            code = main(list(argv))
        except SystemExit as exit:
            code = exit.code
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:  # a second signal may come here, and must not let the fork go on as its parent
                os._exit(code)

    @property
    def phase(self) -> str:
        return PHASES[self._phase[0]]

    def ended(self, wait: bool = False) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it runs."""
        pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


class Command:
    """The same as a process of its own, as in a terminal. Of its phase only the start is known."""

    def __init__(self, argv: Sequence[str], output: Path):
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen([*COMMAND, *argv], stdout=file, stderr=subprocess.STDOUT)
        self.pid = self._process.pid

    @property
    def phase(self) -> str:
        return "steps" if b"parameters, steps" in self._output.read_bytes() else "start"

    def ended(self, wait: bool = False) -> int | None:
        return self._process.wait() if wait else self._process.poll()


def warm_up(argv: Sequence[str]) -> None:
    """Run a command in this process, so that its forks have all kernels and modules, and start in milliseconds."""
    with contextlib.redirect_stdout(io.StringIO()):
        main(argv)


def send_after(session: Fork | Command, number: int, seconds: float, training: bool) -> int:
    """Send a signal so long after the start, or after the first step if `training`; the exit code."""
    moment = None if training else time.monotonic() + seconds
    while (code := session.ended()) is None:
        if moment is None and session.phase != "start":
            moment = time.monotonic() + seconds
        if moment is not None and time.monotonic() >= moment:
            os.kill(session.pid, number)
            return session.ended(wait=True)
        time.sleep(0.001)
    return code


def show_phases(phase: mmap.mmap) -> None:
    """Patch this process so that it notes what it is doing."""

    def during(name: str, function: Callable, after: str | None = None) -> Callable:
        def wrapped(*arguments, **options):
            before = phase[0]
            phase[0] = PHASES.index(name)
            result = function(*arguments, **options)
            phase[0] = PHASES.index(after) if after else before
            return result

        return wrapped

    train._say_what_comes = during("start", train._say_what_comes, after="steps")
    train._validate = during("evaluation", train._validate)
    train.save_checkpoint = during("save", train.save_checkpoint)
    pretrain.save_checkpoint = during("save", pretrain.save_checkpoint)
    train.finish = during("end", train.finish)


def die_at(phase: mmap.mmap, number: int, after: bool, training: bool) -> None:
    """Patch this process so that the n-th call which changes a file is its last."""
    left = number

    def deadly(function: Callable, spoil: Callable | None = None) -> Callable:
        def wrapped(*arguments, **options):
            nonlocal left
            counts = phase[0] > 0 or not training
            left -= counts
            is_last = left == 0 and counts
            if is_last and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*arguments, **options)
            finally:  # also where it fails, as mkdir of what exists does
                if is_last and spoil:
                    spoil(*arguments)
                if is_last:
                    os.kill(os.getpid(), signal.SIGKILL)

        return wrapped

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    safetensors.numpy.save_file = deadly(safetensors.numpy.save_file, spoil=_cut)


def _cut(arrays: dict, path: Path, metadata: dict) -> None:
    """As if it had been killed amid the file."""
    os.truncate(path, random.randrange(path.stat().st_size))
