"""Which tasks `tinygrad-llm finetune` is for, and their examples in three parts.

finetune classify --data reviews.csv --text-column review --label-column stars      one task
finetune --task topic=packages --task mood=classify:reviews.csv,text=review          several on one base
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from ..data import SpanColumns, TextColumns, label_of, module_of, read_table, split_examples
from ..data.examples import Example
from ..data.questions import signature_questions
from ..data.stratify import ExampleSplit
from ..data.tasks import docstring_packages, parameter_grades, signature_pairs
from ..train.joint import Job
from ..train.tasks import TASKS
from .finetune_options import COLUMNS, KINDS
from .train import say

# Examples that need no file, and the task each is for. The whole module of a question is in one part.
EMBEDDED = {
    "packages": ("classify", docstring_packages, None),
    "pairs": ("classify", signature_pairs, None),
    "grades": ("grade", parameter_grades, None),
    "questions": ("answer", signature_questions, module_of),
}
ROLES = {kind: tuple(role for role, (kinds, *_) in COLUMNS.items() if kind in kinds) for kind in KINDS}
FORM = "NAME=EMBEDDED or NAME=KIND:FILE[,COLUMN=ITS NAME …]"


@dataclass(frozen=True)
class Wanted:
    """A task as it was asked for; its examples are `embedded`, or those of `files`."""

    name: str
    kind: str  # classify, grade or answer
    embedded: str | None
    files: Sequence[str]
    columns: TextColumns | SpanColumns


def wanted_tasks(arguments: argparse.Namespace) -> list[Wanted]:
    """Raises ValueError for options that do not fit together."""
    if (arguments.task is None) == (not arguments.tasks):
        raise ValueError(f"name one task, {', '.join(TASKS)}, or several by --task {FORM}")
    wanted = [_single(arguments)] if arguments.task else _several(arguments)
    if arguments.balanced and not any(each.kind == "classify" for each in wanted):
        raise ValueError("--balanced is about classes: it goes with classify only")
    if (arguments.rename or arguments.by_words) and not any(each.kind == "answer" for each in wanted):
        raise ValueError("--rename and --by-words are about answers in a text: they go with answer only")
    return wanted


def _single(arguments: argparse.Namespace) -> Wanted:
    name, kind = arguments.embedded, arguments.task
    if (arguments.data is None) == (name is None):
        raise ValueError("give the examples by --data FILE, or take some of Python's own by --embedded NAME")
    if name is not None and name not in EMBEDDED:
        raise ValueError(f"--embedded must be one of {', '.join(EMBEDDED)}, not {name!r}")
    if name is not None and EMBEDDED[name][0] != kind:
        raise ValueError(f"the embedded examples {name!r} are for {EMBEDDED[name][0]}, not for {kind}")
    given = {role: getattr(arguments, f"{role}_column") for role in COLUMNS}
    return Wanted(kind, kind, name, arguments.data or (), columns_of(kind, given))


def _several(arguments: argparse.Namespace) -> list[Wanted]:
    if arguments.data or arguments.embedded:
        raise ValueError(f"--data and --embedded go with one task; with several each names its own: --task {FORM}")
    wanted = [_parsed(text) for text in arguments.tasks]
    names = [each.name for each in wanted]
    if len(set(names)) < len(names):
        raise ValueError(f"two tasks have the same name: {', '.join(names)}")
    return wanted


def columns_of(kind: str, given: dict[str, str | None]) -> TextColumns | SpanColumns:
    """From {"text": its name, …}; what examples of this kind do not have is left out."""
    chosen = {role: given[role] for role in ROLES[kind] if given.get(role)}
    return SpanColumns(**chosen) if kind == "answer" else TextColumns(**chosen, numeric=kind == "grade")


def _parsed(text: str) -> Wanted:
    """
    >>> _parsed("mood=classify:reviews.csv,text=review").columns.text
    'review'
    """
    name, equals, source = text.partition("=")
    kind, colon, rest = source.partition(":")
    if not equals or not re.fullmatch(r"[\w-]+", name) or name == "base":
        raise ValueError(
            f"--task must be {FORM}, with a name of letters, digits, _ and -, other than base; not {text!r}"
        )
    if not colon:
        if source not in EMBEDDED:
            raise ValueError(f"--task {text}: no embedded examples are called {source!r}; give one of "
                             f"{', '.join(EMBEDDED)}, or KIND:FILE")  # fmt: skip
        kind = EMBEDDED[source][0]
        return Wanted(name, kind, source, (), columns_of(kind, {}))
    if kind not in TASKS:
        raise ValueError(f"--task {text}: the kind must be one of {', '.join(TASKS)}, not {kind!r}")
    file, *pairs = rest.split(",")
    given = dict(pair.partition("=")[::2] for pair in pairs)
    if not file or not set(ROLES[kind]).issuperset(given) or not all(given.values()):
        raise ValueError(f"--task {text}: after the file come columns as in ,text=review; {kind} has the columns "
                         f"{', '.join(ROLES[kind])}")  # fmt: skip
    return Wanted(name, kind, None, (file,), columns_of(kind, given))


def read_job(wanted: Wanted, arguments: argparse.Namespace, seed: int, console: Console) -> Job:
    """The task with its examples in three parts. Says what was left out of a table, and why."""
    label = "" if arguments.task else f"{wanted.name}: "
    group = None
    if wanted.embedded:
        _, make, group = EMBEDDED[wanted.embedded]
        examples = make()
    else:
        table = read_table(wanted.files, wanted.columns, arguments.encoding)
        say(console, f"{label}{table}")
        examples = table.examples
    split = _split(examples, wanted.kind, group, arguments.max_examples, seed)
    sizes = [len(part) for part in (split.train, split.validation, split.test)]
    say(console, f"{label}{sizes[0]:,} examples to train on, {sizes[1]:,} to stop by, {sizes[2]:,} to test the result")
    options = {
        "classify": {"balanced": arguments.balanced},
        "answer": {"rename": arguments.rename, "by_words": arguments.by_words},
    }
    return Job(wanted.name, TASKS[wanted.kind].of(split.train, **options.get(wanted.kind, {})), split)


def _split(examples: list[Example], kind: str, group, max_examples: int | None, seed: int) -> ExampleSplit:
    if max_examples:
        order = np.random.default_rng(seed).permutation(len(examples))
        examples = [examples[i] for i in sorted(order[:max_examples])]
    return split_examples(examples, stratify=label_of if kind == "classify" else None, group=group)
