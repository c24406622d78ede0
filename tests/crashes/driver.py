"""Trains tiny models, kills them over and over, and compares what they become with a run that was never stopped.

Three ways to choose the moment, by turns: `call`, at a random one of the calls that change a file, before or after it,
which falls into a save more often than not; `moment`, after a random time, mostly once the first step is done;
`command`, the same of a new process with its start. Now and then the machine is taken to have gone down: the last line
of the log is cut. Where a run comes to its end before there were enough kills, the next one begins.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinygrad_llm.lock import LOCK_NAME
from tinygrad_llm.train import load_checkpoint

from .checks import differences, faults_after_kill, temporary_files
from .sessions import Command, Fork, send_after, warm_up

STEPS = 200
SETTINGS = ["--preset", "debug", "--max-characters", "0", "--steps", str(STEPS), "--log-every", "1", "--dropout", "0.1"]
SETTINGS += ["--checkpoint-every", "2", "--evaluate-every", "3", "--sample-tokens", "20", "--accumulate", "2"]
MOST_CALLS = 60  # of those that change a file, before a fork kills itself: about six saves
LONGEST = 1.0  # seconds of training before a kill
SHORT_START = 0.3  # of a fork, which has everything imported and compiled
WAYS = ("call", "moment") * 4 + ("call", "command")


@dataclass
class Report:
    """What was done and what was found; `faults` is empty where all is well."""

    kills: Counter = field(default_factory=Counter)  # by the way in which the moment was chosen
    phases: Counter = field(default_factory=Counter)  # by what was going on
    saving: int = 0  # kills that left a temporary file
    torn: int = 0
    interrupts: Counter = field(default_factory=Counter)  # by the exit code
    finished: int = 0  # runs that came to their end and were compared
    most_leftovers: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def n_kills(self) -> int:
        return self.kills.total()

    def __str__(self) -> str:
        unreadable = sum("unreadable" in fault for fault in self.faults)
        lines = [
            f"kills by SIGKILL           {self.n_kills} ({_counts(self.kills)}) in {self.seconds:.0f} s",
            f"  what was going on        {_counts(self.phases)}",
            f"  left a temporary file    {self.saving}, at most {self.most_leftovers} at a time",
            f"  lines of the log torn    {self.torn}",
            f"stopped by signals         {self.interrupts.total()} (exit codes {_counts(self.interrupts)})",
            f"unreadable checkpoints     {unreadable}",
            f"runs finished, compared    {self.finished}",
            f"identical bit for bit      {'no' if self.faults or not self.finished else 'yes'}",
        ]
        return "\n".join(lines + [f"FAULT: {fault}" for fault in self.faults])


def _counts(counter: Counter) -> str:
    return ", ".join(f"{name}: {n}" for name, n in counter.most_common())


class Driver:
    """All in `folder`, which is made."""

    def __init__(self, folder: Path, seed: int = 0, settings: Sequence[str] = SETTINGS):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rng, self.report = folder, random.Random(seed), Report()
        self.output, self.run, self.reference = folder / "output.txt", folder / "run", folder / "reference" / "run"
        self._building = folder / ".run.tmp"
        text = folder / "text.txt"
        text.write_text("".join(f"Line {i} says that {i * i} is the square of {i}.\n\n" for i in range(120)))
        self.options = ["pretrain", *settings, "--corpus", str(text)]
        began = time.monotonic()
        code = Command([*self.options, "--out", str(self.reference)], self.output).ended(wait=True)
        if code != 0:
            raise RuntimeError(f"the uninterrupted run failed: {self.output.read_text()}")
        self.whole = time.monotonic() - began
        warm_up([*self.options, "--steps", "8", "--out", str(folder / "warm")])

    def kill(self, n_kills: int, say=lambda text: None) -> None:
        """So often, in one run after the other."""
        began, report = time.monotonic(), self.report
        while report.n_kills < n_kills and not report.faults:
            way = WAYS[report.n_kills % len(WAYS)]
            session, code = self._session(way)
            if code == 0:
                self._compare()
            elif code != -signal.SIGKILL:
                report.faults.append(f"ended with code {code}: {self.output.read_text()}")
            else:
                report.kills[way] += 1
                report.phases[session.phase] += 1
                self._examine()
                if report.n_kills % 20 == 0:
                    say(f"{report.n_kills} kills, {report.saving} amid a file, {report.finished} runs finished")
        report.seconds = time.monotonic() - began

    def interrupt(self, n_times: int) -> None:
        """By Ctrl-C and SIGTERM in turns, now and then by a second one: the process has to tidy up."""
        for i in range(n_times):
            number = (signal.SIGINT, signal.SIGTERM)[i % 2]
            session = Fork(self._arguments(), self.output)
            while (code := session.ended()) is None and not self._is_locked_by(session):
                time.sleep(0.001)
            n_signals = self.rng.choice((1, 1, 2))
            for seconds in (self.rng.uniform(0, LONGEST), self.rng.uniform(0, 0.02))[:n_signals]:
                time.sleep(seconds)
                if code is None and (code := session.ended()) is None:
                    os.kill(session.pid, number)
            code = session.ended(wait=True) if code is None else code
            if code == 0:  # it was about to end, or had ended
                self._compare()
                continue
            self.report.interrupts[code] += 1
            left = [*temporary_files(self.run), *temporary_files(self.run.parent), *self.run.glob(LOCK_NAME)]
            if code != 128 + number or (left and n_signals == 1):  # a second one stops at once
                self.report.faults.append(f"code {code} after signal {number}, left {left}: {self.output.read_text()}")
            self._examine()

    def _is_locked_by(self, session: Fork) -> bool:
        files = [path for folder in (self.run, self._building) for path in folder.glob(LOCK_NAME)]
        return any(f'"pid": {session.pid},' in path.read_text() for path in files)

    def finish(self) -> Report:
        """Let the last run come to its end."""
        while not self.report.faults and (self.run.exists() or not self.report.finished):
            code = Fork(self._arguments(), self.output).ended(wait=True)
            if code == 0:
                self._compare()
            else:
                self.report.faults.append(f"ended with code {code}: {self.output.read_text()}")
        return self.report

    def _arguments(self) -> list[str]:
        return ["pretrain", "--resume", str(self.run)] if self.run.exists() else [*self.options, "--out", str(self.run)]

    def _session(self, way: str) -> tuple[Fork | Command, int]:
        """A process that is killed, or that ends before."""
        rng = self.rng
        training = rng.random() < 0.75
        if way == "call":
            session = Fork(self._arguments(), self.output, (rng.randint(1, MOST_CALLS), rng.random() < 0.5, training))
            return session, session.ended(wait=True)
        kind = Fork if way == "moment" else Command
        session = kind(self._arguments(), self.output)
        longest = LONGEST if training else SHORT_START if kind is Fork else self.whole / 2
        return session, send_after(session, signal.SIGKILL, rng.uniform(0, longest), training)

    def _examine(self) -> None:
        """The folder after a kill, which at times spoils the log as well, as a machine that goes down may."""
        report, left = self.report, temporary_files(self.run) + temporary_files(self.run.parent)
        report.saving += bool(left)
        report.most_leftovers = max(report.most_leftovers, len(left))
        if not self.run.exists():
            return
        report.faults += faults_after_kill(self.run, self.reference)
        log = self.run / "log.jsonl"
        content = log.read_bytes() if log.exists() else b""
        if self.rng.random() < 0.5 and (rest := _after_checkpoint(content, self.run)):
            report.torn += 1
            log.write_bytes(content[: len(content) - self.rng.randint(1, len(rest) - 1)])

    def _compare(self) -> None:
        self.report.finished += 1
        self.report.faults += differences(self.run, self.reference)
        self.report.faults += [f"left behind: {name}" for name in temporary_files(self.run)]
        shutil.rmtree(self.run)


def _after_checkpoint(content: bytes, run: Path) -> bytes:
    """The end of the log's last line, if that is of a step beyond the checkpoint, which was never made durable."""
    lines = content.splitlines(keepends=True)
    beyond = len(lines) > load_checkpoint(run / "last.safetensors").step
    return lines[-1] if beyond else b""
