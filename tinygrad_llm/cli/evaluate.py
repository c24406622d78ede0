"""`tinygrad-llm evaluate`: how well a model predicts a text, beside simple baselines on the same text; or what an
encoder-decoder makes of pairs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from ..train import open_run
from .objectives import Objective, objective_of


def evaluate(arguments: argparse.Namespace) -> int:
    run = open_run(arguments.run)
    model, checkpoint = run.load_model(arguments.checkpoint)
    objective = objective_of(run)
    if arguments.corpus:
        measured = objective.evaluate_files(model, arguments.corpus, arguments.encoding)
    else:
        measured = objective.measured(objective.evaluate(model))
    result = measured | {"step": checkpoint.step}
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        Console(highlight=False).print(_table(objective, result))
    return 0


def _table(objective: Objective, result: dict[str, Any]) -> Table:
    table = Table("measure", "value", title=f"{objective.run.folder}, step {result['step']:,}")
    table.columns[1].justify = "right"
    for name, (label, written) in objective.measures.items():
        if name in result:
            table.add_row(label, format(result[name], written))
    return table
