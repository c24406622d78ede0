"""What the commands that use a model are given, and what they give: a few texts in the command, or files of them.

tinygrad-llm classify "Sort the list." --from MODEL                          a line on the screen
tinygrad-llm classify --file texts.csv --out labels.jsonl --from MODEL       an object of JSON for each row
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from ..data import SpanColumns, TextColumns, read_table
from ..data.examples import Example, SpanExample, TextExample
from ..data.files import lines_of
from ..files import new_file

CHUNK = 256  # texts between two moves of the progress bar

Write = Callable[[dict[str, Any]], None]


def read_inputs(arguments: argparse.Namespace) -> list[Example]:
    """Texts, or questions with their context. Raises ValueError where there are none, or in two ways."""
    if arguments.file and arguments.texts:
        raise ValueError("give texts in the command or by --file, not both")
    if arguments.file is None:
        return _examples(arguments, [(text, "") for text in _texts(arguments)])
    if Path(arguments.file).suffix.lower() == ".txt":
        lines = enumerate(lines_of(Path(arguments.file), "utf-8"), 1)
        found = [(line.rstrip("\n"), f"{arguments.file}:{number}") for number, line in lines if line.strip()]
        if not found:
            raise ValueError(f"{arguments.file!r} holds no text")
        return _examples(arguments, found)
    table = read_table(arguments.file, _columns(arguments))
    print(table, file=sys.stderr)
    return table.examples


def _texts(arguments: argparse.Namespace) -> list[str]:
    texts = arguments.texts or [line.rstrip("\n") for line in sys.stdin]
    if not texts:
        raise ValueError("there is no text: give one, write lines to standard input, or name a --file")
    return texts


def _examples(arguments: argparse.Namespace, texts: list[tuple[str, str]]) -> list[Example]:
    """Of (text, source)."""
    if arguments.command != "answer":
        pair = getattr(arguments, "pair", None)
        return [TextExample(text, pair, source=source) for text, source in texts]
    if arguments.context is None:
        raise ValueError("the questions need a text to answer them from: give its file by --context")
    context = "".join(lines_of(Path(arguments.context), "utf-8"))
    return [SpanExample(text, context, (), None, source) for text, source in texts]


def _columns(arguments: argparse.Namespace) -> TextColumns | SpanColumns:
    if arguments.command == "answer":
        return SpanColumns(arguments.question_column, arguments.context_column, None)
    return TextColumns(arguments.text_column, getattr(arguments, "pair_column", None), None)


def for_each(
    arguments: argparse.Namespace,
    examples: Sequence[Example],
    facts_of: Callable[[Sequence[Example]], Iterator[dict[str, Any]]],
) -> None:
    """Show or write what `facts_of` finds of some examples at a time, one line for each."""
    progress = _progress() if arguments.file else nullcontext()
    with _output(arguments) as write, progress:
        task = progress.add_task("", total=len(examples)) if arguments.file else None
        for start in range(0, len(examples), CHUNK):
            some = examples[start : start + CHUNK]
            for example, facts in zip(some, facts_of(some), strict=True):
                write(facts | ({"source": example.source} if example.source else {}))
            if arguments.file:
                progress.update(task, advance=len(some))


def _progress() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    return Progress(*columns, console=Console(stderr=True))


@contextmanager
def _output(arguments: argparse.Namespace) -> Iterator[Write]:
    if arguments.out is None:
        yield lambda facts: show(facts, arguments.json)
        return
    if Path(arguments.out).exists():
        raise ValueError(f"{arguments.out!r} exists: choose another --out, or remove it first")
    with new_file(arguments.out) as file:
        yield lambda facts: print(json.dumps(facts, ensure_ascii=False), file=file)


def show(facts: dict[str, Any], as_json: bool) -> None:
    print(json.dumps(facts, ensure_ascii=False) if as_json else "  ".join(str(value) for value in facts.values()))
