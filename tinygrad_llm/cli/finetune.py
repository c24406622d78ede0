"""`tinygrad-llm finetune`: from a pretrained model and a table of examples to a model for a task, and an honest report.

Examples are split into three parts that share no text: to train on, to stop by, and to test the result once. Read
`finetune` top to bottom; see finetune_report.py for what it says at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from .. import warm_up
from ..data import SpanColumns, TextColumns, label_of, module_of, read_table, split_examples
from ..data.examples import Example
from ..data.questions import signature_questions
from ..data.stratify import ExampleSplit
from ..data.tasks import docstring_packages, parameter_grades, signature_pairs
from ..files import new_folder, require_free
from ..train.fine_tuned import FineTuned, open_model, save_fine_tuned
from ..train.finetune import FineTuneConfig, fine_tune
from ..train.run import OTHER_FOLDER
from ..train.tasks import TASKS, Classify
from .finetune_report import write_report
from .parser import config_fields
from .train import say

# Examples that need no file, and the task each is for. The whole module of a question is in one part.
EMBEDDED = {
    "packages": ("classify", docstring_packages, None),
    "pairs": ("classify", signature_pairs, None),
    "grades": ("grade", parameter_grades, None),
    "questions": ("answer", signature_questions, module_of),
}


def finetune(arguments: argparse.Namespace) -> int:
    began, console = time.perf_counter(), Console(highlight=False)
    config = FineTuneConfig(**config_fields(arguments))
    out = Path(arguments.out or f"runs/{arguments.task}")
    require_free(out, OTHER_FOLDER)
    base, tokenizer = open_model(arguments.base)
    if arguments.dropout is not None and not 0 <= arguments.dropout < 1:
        raise ValueError(f"--dropout must be at least 0 and below 1, not {arguments.dropout}")
    split = read_examples(arguments, config.seed, console)
    max_seq_len = min(arguments.max_seq_len or base.config.max_seq_len, base.config.max_seq_len)
    rng = np.random.default_rng(config.seed)
    task = make_task(arguments, split.train)
    model = task.new_model(base, split.train, 0.1 if arguments.dropout is None else arguments.dropout, rng)
    batches = task.batches(tokenizer, split.train, max_seq_len, config.batch_size, rng)
    n_steps = config.n_steps(len(split.train))
    say(console, f"{type(base).__name__} with {model.num_parameters():,} parameters, up to {n_steps:,} steps")
    if warm_up.is_needed():
        say(console, "compiling kernels (first run only) …")
    fine_tuned = FineTuned(model, tokenizer, task, max_seq_len)

    def evaluate() -> float:
        return task.score(split.validation, fine_tuned.predict(split.validation))

    with new_folder(out, OTHER_FOLDER) as building:
        history = []
        for report in fine_tune(model, batches, evaluate, config, len(split.train)):
            history.append(dataclasses.asdict(report))
            best = " (best so far)" if report.is_best else ""
            say(
                console,
                f"step {report.step}/{n_steps}  loss {report.loss:.4f}  validation {report.score:.4f}{best}  "
                f"{time.perf_counter() - began:.0f} s",
            )
        save_fine_tuned(fine_tuned, building)
        facts = {"base": str(arguments.base), "config": dataclasses.asdict(config), "history": history}
        write_report(building, out, fine_tuned, split, facts | {"seconds": time.perf_counter() - began}, console)
    return 0


def make_task(arguments: argparse.Namespace, train: Sequence[Example]):
    if arguments.balanced and arguments.task != "classify":
        raise ValueError("--balanced is about classes: it goes with classify only")
    return Classify.of(train, arguments.balanced) if arguments.task == "classify" else TASKS[arguments.task].of(train)


def read_examples(arguments: argparse.Namespace, seed: int, console: Console) -> ExampleSplit:
    """The table or the embedded examples, in three parts. Says what was left out of a table, and why."""
    if (arguments.data is None) == (arguments.embedded is None):
        raise ValueError("give the examples by --data FILE, or take some of Python's own by --embedded NAME")
    group = None
    if arguments.embedded is not None:
        examples, group = embedded(arguments)
    else:
        table = read_table(arguments.data, columns(arguments), arguments.encoding)
        say(console, str(table))
        examples = table.examples
    if arguments.max_examples:
        order = np.random.default_rng(seed).permutation(len(examples))
        examples = [examples[i] for i in sorted(order[: arguments.max_examples])]
    stratify = label_of if arguments.task == "classify" else None
    split = split_examples(examples, stratify=stratify, group=group)
    sizes = [len(part) for part in (split.train, split.validation, split.test)]
    say(console, f"{sizes[0]:,} examples to train on, {sizes[1]:,} to stop by, {sizes[2]:,} to test the result")
    return split


def embedded(arguments: argparse.Namespace):
    if arguments.embedded not in EMBEDDED:
        raise ValueError(f"--embedded must be one of {', '.join(EMBEDDED)}, not {arguments.embedded!r}")
    kind, make, group = EMBEDDED[arguments.embedded]
    if kind != arguments.task:
        raise ValueError(f"the embedded examples {arguments.embedded!r} are for {kind}, not for {arguments.task}")
    return make(), group


def columns(arguments: argparse.Namespace) -> TextColumns | SpanColumns:
    if arguments.task == "answer":
        return SpanColumns(arguments.question_column, arguments.context_column, arguments.answer_column)
    numeric = arguments.task == "grade"
    return TextColumns(arguments.text_column, arguments.pair_column, arguments.label_column, numeric)
