"""`tinygrad-llm evaluate`: how well a model predicts a text, beside simple baselines on the same text."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..data import clean, read_files, write_tokens
from ..nn import Module
from ..train import open_run
from .objectives import Objective, objective_of


def evaluate(arguments: argparse.Namespace) -> int:
    run = open_run(arguments.run)
    model, checkpoint = run.load_model(arguments.checkpoint)
    objective = objective_of(run)
    if arguments.corpus:
        measured = _measure_files(objective, model, arguments)
    else:
        measured = objective.measured(objective.evaluate(model))
    result = measured | {"step": checkpoint.step}
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        Console(highlight=False).print(_table(objective, result))
    return 0


def _measure_files(objective: Objective, model: Module, arguments: argparse.Namespace) -> dict[str, float]:
    documents, _ = clean(read_files(arguments.corpus, arguments.encoding))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "corpus.tokens")
        write_tokens(path, documents, objective.run.tokenizer)
        return objective.measured(objective.evaluate(model, path), documents)


def _table(objective: Objective, result: dict[str, Any]) -> Table:
    table = Table("measure", "value", title=f"{objective.run.folder}, step {result['step']:,}")
    table.columns[1].justify = "right"
    for name, (label, written) in objective.measures.items():
        table.add_row(label, format(result[name], written))
    return table
