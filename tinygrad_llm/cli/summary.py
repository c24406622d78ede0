"""The end of `tinygrad-llm pretrain`: what the model reached, a picture, a sample, and where everything is."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..files import write_json, write_text
from ..hub import refresh_card
from ..nn import Module
from ..plots import loss_curve
from ..train import Run, load_checkpoint
from ..train.energy import pretraining_flops_per_token, training_cost
from .cost import assumption, cost_rows
from .display import duration
from .info import processor, versions
from .log import read_log
from .objectives import Objective
from .progress import Progress


def finish(objective: Objective, model: Module, progress: Progress, console: Console) -> str:
    """Measure the best weights on the whole validation text, write the results into the run's folder, and show them.

    Returns the sample of text.
    """
    run = objective.run
    model.zero_grad()  # makes room for the weights that are loaded
    best = run.checkpoint_path("best")
    if progress.best_step != run.config.steps and best.exists():
        load_checkpoint(best).restore(model)
    summary = objective.summary(objective.evaluate(model)) | _facts(run, model, progress)
    sample = objective.sample(model, (run.config.seed, run.config.steps))
    write_text(run.folder / "sample.txt", sample + "\n")
    _draw(objective, summary)
    write_json(run.folder / "summary.json", summary)
    refresh_card(run.folder)
    console.print(_table(objective, summary))
    console.print(Text(assumption(summary)), soft_wrap=True)
    console.print(Panel(Text(sample), title="a sample", title_align="left"))
    console.print(Text(f"go on with:\n  {objective.command()}"), soft_wrap=True)
    more = f"  tinygrad-llm pretrain --resume {shlex.quote(str(run.folder))} --steps {2 * run.config.steps}"
    console.print(Text(more), soft_wrap=True)
    return sample


def _draw(objective: Objective, summary: dict[str, Any]) -> None:
    folder, key = objective.run.folder, objective.logged
    log = read_log(folder / "log.jsonl")
    train = [(line["step"], objective.scaled(line["loss"])) for line in log]
    validation = [(line["step"], line[key]) for line in log if key in line]
    levels = objective.levels(summary)
    loss_curve(folder / "loss.png", train, validation, levels, unit=objective.unit, title=f"{folder.name}")


def _facts(run: Run, model: Module, progress: Progress) -> dict[str, Any]:
    flops_of_token = pretraining_flops_per_token(run.config, model)
    return {
        "best_step": progress.best_step,
        "parameters": model.num_parameters(),
        "steps": run.config.steps,
        "tokens": progress.tokens,
        "seconds": progress.total_seconds,
        "tokens_per_second": progress.tokens_per_second,
        "vocab_size": run.tokenizer.vocab_size,
        "processor": processor(),
        "versions": versions(),
    } | training_cost(progress.usage, run.config, progress.tokens, progress.tokens_per_second, flops_of_token)


def _table(objective: Objective, summary: dict[str, Any]) -> Table:
    folder = objective.run.folder
    table = Table("what", "result", title=f"{folder.name}: {summary['steps']:,} steps")
    rows = objective.rows(summary) | {
        "parameters": f"{summary['parameters']:,}",
        "tokens": f"{summary['tokens']:,}",
        "tokens per second": f"{summary['tokens_per_second']:,.0f}",
        "wall time": duration(summary["seconds"]),
        **cost_rows(summary),
        "loss curve": str(folder / "loss.png"),
        "model card": str(folder / "README.md"),
        "everything else": f"{folder}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
