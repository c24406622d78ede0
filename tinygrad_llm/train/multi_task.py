"""Several tasks at once: one model that they share, a head for each, and batches of the tasks in turn, by lot.

    model = MultiTask(base, {"topic": TextClassifier(base, 10), "grade": TextRegressor(base)})
    batches = task_batches({"topic": topic_batches, "grade": grade_batches}, sizes, temperature=2.0, rng=rng)
    for report in fine_tune(model, batches, evaluate, config, n_examples, task_loss): …

How often each task comes: with probability n_i^(1/τ) / Σ n_j^(1/τ), n_i its number of examples. τ = 1 goes through each
task's examples equally often, so a small task hardly counts; a large τ takes all tasks equally often, so a small one is
soon learned by heart. τ = 2 lies between (Devlin 2019, multilingual BERT; Raffel et al. 2020, T5, section 3.5.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..autograd import Tensor
from ..models import BERT, GPT, Llama
from ..nn import Module, ModuleDict


class MultiTask(Module):
    """The heads of models/heads.py, by the names of their tasks, on one base.

    Raises ValueError where a head stands on another one, or there is none.
    """

    def __init__(self, base: GPT | BERT | Llama, heads: Mapping[str, Module]):
        if not heads:
            raise ValueError("MultiTask needs at least one head")
        for name, head in heads.items():
            if head.base is not base:
                raise ValueError(f"MultiTask: the head {name!r} stands on another model: build it on the shared base")
        self.base = base
        self.heads = ModuleDict(heads)


def task_loss(model: MultiTask, batch: tuple) -> Tensor:
    """The loss of a batch (…, task), by that task's head."""
    *inputs, task = batch
    return model.heads[task].loss(*inputs)


def sampling_probabilities(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """
    >>> sampling_probabilities({"large": 900, "small": 100}, temperature=2.0)
    {'large': 0.75, 'small': 0.25}

    Raises ValueError for a task without examples, or a temperature below 1.
    """
    empty = [name for name, size in sizes.items() if size < 1]
    if empty or not sizes:
        raise ValueError(f"every task needs examples, and {', '.join(empty) or 'there is no task'} has none")
    if not temperature >= 1:
        raise ValueError(f"temperature must be at least 1 (as many as there are; larger: more even), not {temperature}")
    weights = np.array(list(sizes.values()), float) ** (1 / temperature)
    return dict(zip(sizes, (weights / weights.sum()).tolist(), strict=True))


def task_batches(
    batches: Mapping[str, Iterator[tuple]], sizes: Mapping[str, int], temperature: float, rng: np.random.Generator
) -> Iterator[tuple]:
    """Endless: the next batch of a task drawn by lot, with the task's name at its end."""
    p = sampling_probabilities(sizes, temperature)
    while True:
        task = rng.choice(list(p), p=list(p.values()))
        yield (*next(batches[str(task)]), str(task))
