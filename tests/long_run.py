"""Does memory stay flat? A tiny GPT is pretrained by the command for 10,000 steps, with all that goes on in between.

    NUMBA_NUM_THREADS=1 python tests/long_run.py [STEPS]     # some minutes; STEPS: another number than 10,000

It evaluates, samples, logs and writes checkpoints many times, and computes activations twice. After every 1 % of the
steps it notes the resident memory, how many objects, tensors and graph nodes are alive, and how many files are open;
then it prints a table and the growth per step after the first fifth, and exits with 1 if there is any that matters.
`test_long_run.py` has the short form, which asserts on counts and on the allocations that tracemalloc sees.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
from cli_runs import write_text

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.autograd.graph import Node
from tinygrad_llm.cli import main as cli_main
from tinygrad_llm.cli.progress import Progress

OPTIONS = ["--preset", "debug", "--max-characters", "0", "--dropout", "0.1", "--accumulate", "2", "--optimizer", "muon"]
OPTIONS += ["--checkpoint-activations"]
# Growth per step that is noise: of resident memory, and of small blocks, of which NumPy keeps some for the next array.
MOST = {"resident": 20.0, "blocks": 0.1}
MOST_OF_OTHERS = 0.001


def resident() -> int:
    """Bytes of this process that are in memory. Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


NAMES = ("resident", "blocks", "tracked", "tensors", "nodes", "files", "threads", "traced", "peak")


class Notes:
    """So many rows of numbers, at equal distances, in one array: a list of them would grow, too."""

    def __init__(self, steps: int, n_rows: int):
        self.every = steps // n_rows
        self.steps = np.arange(self.every, steps + 1, self.every)  # (R,)
        self.rows = np.zeros((len(self.steps), len(NAMES)), np.int64)
        self._alive_before = alive()  # what the first count leaves behind is there before all others

    def note(self, step: int) -> None:
        if step % self.every == 0:
            found = alive()
            self.rows[step // self.every - 1] = [found[name] for name in NAMES]

    def of(self, name: str) -> np.ndarray:
        """The counts after the first fifth of the steps, in which the allocator and caches warm up."""
        return self.rows[len(self.rows) // 5 :, NAMES.index(name)]

    def growth(self, name: str) -> float:
        """Slope of the straight line through them: so much more per step."""
        return float(np.polyfit(self.steps[len(self.rows) // 5 :], self.of(name), 1)[0])


def alive() -> dict[str, int]:
    """What there is at this moment, after a collection of cycles."""
    gc.collect()
    kinds = Counter(type(each) for each in gc.get_objects())
    traced, peak = tracemalloc.get_traced_memory()
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
    return {
        "resident": resident(),
        "blocks": sys.getallocatedblocks(),  # small objects of Python, arrays (not their numbers) among them
        "tracked": sum(kinds.values()),
        "tensors": sum(n for kind, n in kinds.items() if issubclass(kind, Tensor)),
        "nodes": sum(n for kind, n in kinds.items() if issubclass(kind, Node)),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "traced": traced,
        "peak": peak,
    }


def watched_run(folder: Path, steps: int, n_rows: int = 100) -> Notes:
    """Pretrain in `folder` by the command, and note `n_rows` times what is alive; as often the run is evaluated."""
    notes, add = Notes(steps, n_rows), Progress.add

    def add_and_note(self, info, **options):
        add(self, info, **options)
        notes.note(info.step)

    text, every = write_text(folder / "text.txt", 300), notes.every
    often = ["--log-every", "5", "--evaluate-every", every, "--checkpoint-every", every, "--sample-every", 2 * every]
    Progress.add = add_and_note
    command = ["pretrain", *OPTIONS, "--corpus", text, *often, "--steps", steps, "--out", folder / "run"]
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):  # text that is kept would grow
            code = cli_main([str(each) for each in command])
    finally:
        Progress.add = add
    assert code == 0, "see above"
    return notes


def main(steps: int = 10_000) -> int:
    with tempfile.TemporaryDirectory() as folder:
        notes = watched_run(Path(folder), steps)
    names = NAMES[:-2]  # nothing is traced here
    print(" ".join(f"{name:>12}" for name in ("step", *names)))
    for step, row in list(zip(notes.steps, notes.rows, strict=True))[:: len(notes.steps) // 20 or 1]:
        print(" ".join(f"{number:>12,}" for number in (step, *row[: len(names)])))
    slopes = {name: notes.growth(name) for name in names}
    print("growth per step:", ", ".join(f"{name} {slope:+.4f}" for name, slope in slopes.items()))
    return int(any(slope > MOST.get(name, MOST_OF_OTHERS) for name, slope in slopes.items()))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
