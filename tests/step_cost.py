"""Counts what one training step costs beside arithmetic, and prints it; test_step_cost.py compares."""

from __future__ import annotations

import json
import sys
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import tinygrad_llm
from tinygrad_llm import kernel
from tinygrad_llm.autograd.graph import topological_order
from tinygrad_llm.models.gpt import GPT, GPTConfig
from tinygrad_llm.optim import AdamW
from tinygrad_llm.optim.optimizer import decay_matrices
from tinygrad_llm.train.loop import train_steps
from tinygrad_llm.train.objectives import language_modelling

SMALLEST = 2048  # bytes of an array that counts; Python's own objects are smaller
PACKAGE = str(Path(tinygrad_llm.__file__).parent)
B, T, V = 2, 16, 32
CONFIG = GPTConfig(V, T, n_layers=2, n_heads=2, d_model=32, dropout=0.0, bias=False)


class Counter:
    """Counts while it is the trace function: `sys.settrace` calls it before each bytecode of the package."""

    def __init__(self):
        self.counts = {"kernel calls": 0, "arrays": 0, "bytes": 0, "Python calls": 0}
        self.before = 0  # traced memory before the bytecode that ran last

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self.counts["Python calls"] += not frame.f_code.co_name.startswith("<")
        self._count_new_array()
        return self

    def _count_new_array(self) -> None:
        _, peak = tracemalloc.get_traced_memory()
        if peak - self.before >= SMALLEST:
            self.counts["arrays"] += 1
            self.counts["bytes"] += peak - self.before
        self.ignore_memory()

    def ignore_memory(self) -> None:
        """Let what was allocated until now not count."""
        self.before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()

    def counted(self, function):
        """A compiled kernel that is counted when the package calls it; the trace function would not see it."""

        def call(*arguments):
            sys.settrace(None)
            self.counts["kernel calls"] += 1
            function(*arguments)
            self.ignore_memory()
            sys.settrace(self)

        return call


@contextmanager
def kernels_counted_by(counter: Counter):
    """All kernels stand for counted ones, wherever the package uses their names."""
    compiled = [each.dispatcher for each in kernel._kernels if each.dispatcher is not None]
    pairs = [(each, counter.counted(each)) for each in compiled]
    kernel._rebind({id(each): counted for each, counted in pairs})
    try:
        yield
    finally:
        kernel._rebind({id(counted): each for each, counted in pairs})


@contextmanager
def tracing(counter: Counter):
    tracemalloc.start()
    counter.ignore_memory()
    sys.settrace(counter)
    try:
        yield
    finally:
        sys.settrace(None)
        tracemalloc.stop()


def batch() -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(1).integers(0, V, (2, B, T)))


def step_cost() -> dict[str, int]:
    """Of the third step: the first one compiles kernels and makes the optimizer's state, the second is traced as well
    since Python keeps data about traced functions.
    """
    model = GPT(CONFIG, np.random.default_rng(0))
    optimizer = AdamW(decay_matrices(model.parameters(), 0.1), lr=1e-3)
    batches = iter([batch()] * 3)
    steps = train_steps(model, batches, language_modelling, optimizer, lambda step: 1.0, n_steps=3, clip=0.1)
    next(steps)
    for _ in range(2):
        counter = Counter()
        with kernels_counted_by(counter), tracing(counter):
            next(steps)
    nodes = topological_order(model.loss(*batch()).node)
    return counter.counts | {"graph nodes": len(nodes)}


if __name__ == "__main__":
    print(json.dumps(step_cost()))
