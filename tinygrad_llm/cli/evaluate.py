"""`tinygrad-llm evaluate`: how well a model predicts a text, beside simple baselines on the same text; or what an
encoder-decoder makes of pairs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..data import open_tokens, read_token_header
from ..train import evaluate as evaluate_tokens
from ..train import open_run
from ..train.corpus import encoded_files
from .generate import open_writer
from .objectives import NextToken, beside, objective_of, without_priming

ROWS, ROW_TOKENS = 4, 512  # windows at once, and their length at most, where no run says it


def evaluate(arguments: argparse.Namespace) -> int:
    title, measures, result = _of_run(arguments) if arguments.run else _of_other(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        Console(highlight=False).print(_table(title, measures, result))
    return 0


def _of_run(arguments: argparse.Namespace) -> tuple[str, Mapping, dict[str, Any]]:
    run = open_run(arguments.run)
    model, checkpoint = run.load_model(arguments.checkpoint)
    objective = objective_of(run)
    if arguments.corpus:
        measured = objective.evaluate_files(model, arguments.corpus, arguments.encoding)
    else:
        measured = objective.measured(objective.evaluate(model))
    return f"{run.folder}, step {checkpoint.step:,}", objective.measures, measured | {"step": checkpoint.step}


def _of_other(arguments: argparse.Namespace) -> tuple[str, Mapping, dict[str, Any]]:
    """Of a model that has no text of its own beside it."""
    if not arguments.corpus:
        raise ValueError("evaluate --from needs a text to measure the model on: give --corpus FILE")
    model, tokenizer = open_writer(arguments)
    with encoded_files(arguments.corpus, arguments.encoding, tokenizer) as (path, documents):
        text_bytes, seq_len = read_token_header(path).text_bytes, min(ROW_TOKENS, model.config.max_seq_len)
        result = evaluate_tokens(model, open_tokens(path), text_bytes, ROWS, seq_len)
    return Path(arguments.source).name, NextToken.measures, beside(result, without_priming(documents))


def _table(title: str, measures: Mapping[str, tuple[str, str]], result: dict[str, Any]) -> Table:
    table = Table("measure", "value", title=title)
    table.columns[1].justify = "right"
    for name, (label, written) in measures.items():
        if name in result:
            table.add_row(label, format(result[name], written))
    return table
