"""All targets by name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from . import data_targets, hub_targets, run_targets, text_targets
from .harness import Harness
from .target import Target

MODULES = {name: module for module in (hub_targets, text_targets, data_targets, run_targets) for name in module.TARGETS}
SHARES = {name: module.TARGETS[name] for name, module in MODULES.items()}  # of the executions


@contextmanager
def opened(name: str, with_alarm: bool = True) -> Iterator[tuple[Target, Harness]]:
    """The target with its valid files, in memory where the system has a folder for that."""
    shared = Path("/dev/shm")
    where = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=where) as temporary:
        folder = Path(os.path.realpath(temporary)) / name
        folder.mkdir()
        target = MODULES[name].make(name, folder)
        yield target, Harness(target, folder.parent, with_alarm)


def fuzz(name: str, executions: int, seed: int) -> tuple[Target, Harness]:
    """So many inputs; the same seed gives the same ones."""
    random = Random(f"{seed} {name}")
    with opened(name) as (target, harness):
        for _ in range(executions):
            harness.run(target.spoil(target.seeds, random))
    return target, harness
