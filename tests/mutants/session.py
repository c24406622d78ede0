"""One pytest session in which the tests are collected once, and then run for one mutant after another.

Kernels are plain Python there (NUMBA_DISABLE_JIT), so that to exchange a function's code is all it takes to install a
mutant. Each mutant has a forked child of its own: what it breaks, or a loop that it makes endless, ends with the child.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from tinygrad_llm.ops import attention_kernels, attention_tiles

from .targets import Mutant, Target, code_of, install

# A test that takes more processor time on the unchanged plain Python is left out.
SLOWEST = 1.0
# Those that compare compiled kernels with plain ones, of which there are none here.
NOT_HERE = ("test_compiled_kernels_equal_plain_python", "test_number_of_threads_changes_no_bit")
# A mutant may take so long in any test, and ten times as long as the test takes, before it counts as endless.
SECONDS_AT_LEAST = 3.0
MEMORY = 4 << 30  # that a mutant may ask for, beyond what the session has

_reached_targets: set[str] = set()

FAILED, TIME_OUT, CRASH, SURVIVED = "failed", "time-out", "crash", "survived"


@dataclass(frozen=True)
class Reach:
    """What a test does on the unchanged source: seconds, and the targets that it runs through."""

    seconds: float
    targets: frozenset[str]


def run_session(paths: Sequence[str], work: Callable[[dict[str, pytest.Item]], None]) -> None:
    """Collect the tests of `paths` and call `work` with them by name. Raises RuntimeError where that fails."""
    # Without shrinking: the first failing example is enough.
    settings.register_profile(
        "mutants", max_examples=15, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate)
    )
    options = [
        "-q",
        "-s",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=native",
        "--assert=plain",
        "--hypothesis-profile=mutants",
    ]
    plugin = _Loop(work)
    code = pytest.main([*options, "-o", "addopts=", "-m", "not stress and not lessons", *paths], plugins=[plugin])
    if plugin.error is not None:
        raise plugin.error
    if code != 0 or not plugin.done:
        raise RuntimeError(f"mutants: pytest could not collect {', '.join(paths)} (exit code {code}).")


class _Loop:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, work):
        self.work, self.done, self.error = work, False, None

    def pytest_runtestloop(self, session):
        try:
            _shrink_tiles()
            _fill_new_memory()
            _warm_up(session.items)
            items = {item.nodeid.removeprefix("tests/"): item for item in session.items}
            self.work({name: item for name, item in items.items() if not any(each in name for each in NOT_HERE)})
            self.done = True
        except Exception as error:  # pytest would show it as an internal error of its own
            self.error = error
        return True


def _shrink_tiles() -> None:
    """Attention in tiles of 16 × 16: 16 times as quick in plain Python, and small inputs reach all of its paths."""
    for module in (attention_kernels, attention_tiles):
        module.WIDTH = attention_tiles.VECTOR


def _fill_new_memory() -> None:
    """Let np.empty give NaN, so that what is read before it was written is never 0 by luck."""

    def filled(make: Callable) -> Callable:
        def new_array(*arguments, **options):
            array = make(*arguments, **options)
            if array.dtype.kind == "f":
                array.fill(np.nan)
            return array

        return new_array

    np.empty, np.empty_like = filled(np.empty), filled(np.empty_like)


def _warm_up(items: Sequence[pytest.Item]) -> None:
    """Run one case of each test here, so that no child has to load and set up what all of them need."""
    for item in {item.function: item for item in items if item.nodeid.startswith("tests/test_ops.py")}.values():
        passes(item)
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Verdict:
    """How a mutant ended, FAILED, TIME_OUT, CRASH or SURVIVED, and in which test."""

    end: str
    test: str
    n_tests: int


def run_mutant(mutant: Mutant, items: Sequence[tuple[pytest.Item, float]]) -> Verdict:
    """Run the tests in their order, each given with its usual seconds, up to the first that tells the mutant apart."""

    def child(report):
        install(mutant.target, mutant.mutation.function)
        _limit_memory()
        for item, seconds in items:
            report("")  # one more has begun
            _set_limit(seconds)
            if not passes(item):
                report(FAILED)
                return
        report(SURVIVED)

    said, end = _in_a_child(child)
    n_tests = said.count("")
    test = items[n_tests - 1][0].nodeid.removeprefix("tests/") if n_tests else ""
    return Verdict(said[-1] if said and said[-1] else end, test, n_tests)


def _set_limit(seconds: float, share: float = 1.0) -> None:
    """Ends this process after so much more processor time: a share of what a mutant may take."""
    signal.setitimer(signal.ITIMER_PROF, share * (SECONDS_AT_LEAST + 10 * seconds))


def is_slow(item: pytest.Item, seconds: float) -> bool:
    """Whether this test takes more than half of its limit on the unchanged source: its time-outs say nothing."""

    def child(report):
        _set_limit(seconds, share=0.5)
        passes(item)
        report("")

    said, _ = _in_a_child(child)
    return not said


def mark(targets: Sequence[Target]) -> Callable[[], None]:
    """Let each target say that it runs, for `reach_of`; returns the way back."""
    codes = [(target.function, target.function.__code__) for target in targets]
    for target in targets:
        call = ast.parse(f"_reached({target.id!r})").body
        node = ast.FunctionDef(target.node.name, target.node.args, [*call, *target.node.body], [], None)
        target.function.__globals__["_reached"] = _reached_targets.add
        target.function.__code__ = code_of(ast.copy_location(node, target.node), target.file)

    def undo():
        for function, code in codes:
            function.__code__ = code

    return undo


def reach_of(item: pytest.Item) -> tuple[float, list[str]] | None:
    """Seconds, and what this test runs through of all that `mark` marked; None if it fails or takes too long."""

    def child(report):
        signal.setitimer(signal.ITIMER_PROF, SLOWEST)
        start = time.process_time()
        if passes(item):
            report((time.process_time() - start, sorted(_reached_targets)))

    said, _ = _in_a_child(child)
    return said[0] if said else None


def passes(item: pytest.Item) -> bool:
    """Run one test with its fixtures."""
    reports = runtestprotocol(item, log=False, nextitem=None)
    return not any(report.failed for report in reports)


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


def _in_a_child(function: Callable) -> tuple[list, str]:
    """What `function` reported from a forked child, in JSON's types, and how that ended if not by itself."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            os.close(reader)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            function(lambda value: os.write(writer, json.dumps(value).encode() + b"\n"))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        said = [json.loads(line) for line in file]
    _, status = os.waitpid(pid, 0)
    return said, TIME_OUT if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF else CRASH


def in_processes(function: Callable, things: Sequence, n_processes: int) -> list:
    """`function(thing)`, in JSON's types, of each thing, in order, by so many forked processes."""
    if n_processes == 1:
        return [function(thing) for thing in things]
    results = [None] * len(things)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(n_processes)]
        pids = [_fork_for(function, things[first::n_processes], file) for first, file in enumerate(files)]
        for first, (file, pid) in enumerate(zip(files, pids, strict=True)):
            os.waitpid(pid, 0)
            results[first::n_processes] = json.loads(file.read_text(encoding="utf-8"))
    return results


def _fork_for(function: Callable, things: Sequence, file: Path) -> int:
    """The id of a process that writes `function(thing)` of these to a file."""
    pid = os.fork()
    if pid == 0:
        try:
            file.write_text(json.dumps([function(thing) for thing in things]), encoding="utf-8")
        finally:
            os._exit(0)
    return pid


def in_order(reaches: dict[str, Reach], target: Target) -> Iterator[str]:
    """The tests that run through a target: quick ones and those that run through little else first."""
    names = [name for name, reach in reaches.items() if target.id in reach.targets]
    return sorted(names, key=lambda name: reaches[name].seconds * (5 + len(reaches[name].targets)))
