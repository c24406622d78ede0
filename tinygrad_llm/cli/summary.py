"""The end of `tinygrad-llm pretrain`: what the model reached, a picture, a sample, and where everything is."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..data import CompressionBaseline, read_token_header
from ..files import write_json
from ..nn import Module
from ..plots import loss_curve
from ..train import Evaluation, Run, load_checkpoint
from ..train.metrics import bits_per_byte
from .display import duration
from .evaluate import evaluate_file
from .generate import sample_text
from .info import versions
from .log import read_log
from .progress import Progress


def finish(run: Run, model: Module, progress: Progress, baselines: CompressionBaseline, console: Console) -> str:
    """Measure the best weights on the whole validation text, write the results into the run's folder, and show them.

    Returns the sample of text.
    """
    model.zero_grad()  # makes room for the weights that are loaded
    best = run.checkpoint_path("best")
    if progress.best_step != run.config.steps and best.exists():
        load_checkpoint(best).restore(model)
    result = evaluate_file(run.config, model, run.folder / "val.tokens")
    sample = sample_text(run, model, run.config.sample_tokens, (run.config.seed, run.config.steps))
    (run.folder / "sample.txt").write_text(sample + "\n", encoding="utf-8")
    _draw(run, baselines)
    summary = _summary(run, model, progress, result, baselines)
    write_json(run.folder / "summary.json", summary)
    console.print(_table(run, summary))
    console.print(Panel(Text(sample), title="a sample", title_align="left"))
    folder = shlex.quote(str(run.folder))
    console.print(Text(f"go on with:\n  tinygrad-llm generate --run {folder} --prompt 'The '"), soft_wrap=True)
    more = f"  tinygrad-llm pretrain --resume {folder} --steps {2 * run.config.steps}"
    console.print(Text(more), soft_wrap=True)
    return sample


def _draw(run: Run, baselines: CompressionBaseline) -> None:
    header = read_token_header(run.folder / "train.tokens")
    bytes_per_token = header.text_bytes / header.n_tokens
    log = read_log(run.folder / "log.jsonl")
    train = [(line["step"], bits_per_byte(line["loss"], bytes_per_token)) for line in log]
    key = "validation_bits_per_byte"
    validation = [(line["step"], line[key]) for line in log if key in line]
    levels = {"zlib": baselines.zlib_bits_per_byte, "lzma": baselines.lzma_bits_per_byte}
    loss_curve(run.folder / "loss.png", train, validation, levels, title=f"{run.folder.name}")


def _summary(
    run: Run, model: Module, progress: Progress, result: Evaluation, baselines: CompressionBaseline
) -> dict[str, Any]:
    return {
        "val_bits_per_byte": result.bits_per_byte,
        **asdict(baselines),
        "val_loss": result.loss,
        "val_perplexity": result.perplexity,
        "best_step": progress.best_step,
        "parameters": model.num_parameters(),
        "steps": run.config.steps,
        "tokens": progress.tokens,
        "seconds": progress.total_seconds,
        "tokens_per_second": progress.tokens_per_second,
        "versions": versions(),
    }


def _table(run: Run, summary: dict[str, Any]) -> Table:
    table = Table("what", "result", title=f"{run.folder.name}: {summary['steps']:,} steps")
    rows = {
        "validation bits per byte": f"{summary['val_bits_per_byte']:.3f}",
        "  zlib on the same text": f"{summary['zlib_bits_per_byte']:.3f}",
        "  lzma on the same text": f"{summary['lzma_bits_per_byte']:.3f}",
        "  lzma after the training text": f"{summary['lzma_primed_bits_per_byte']:.3f}",
        "validation loss, perplexity": f"{summary['val_loss']:.3f}, {summary['val_perplexity']:.2f}",
        "parameters": f"{summary['parameters']:,}",
        "tokens": f"{summary['tokens']:,}",
        "tokens per second": f"{summary['tokens_per_second']:,.0f}",
        "wall time": duration(summary["seconds"]),
        "loss curve": str(run.folder / "loss.png"),
        "everything else": f"{run.folder}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
