"""`tinygrad-llm quantize`: the same model in a quarter or half of the bytes, and what that does to it."""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..files import new_folder, require_free, write_json
from ..hub import refresh_card, save_pretrained
from ..hub.sentence_transformers import read_pooling
from ..hub.weights import as_half, from_bfloat16
from ..nn import Module, weight_bytes
from ..nn.quantized import Quantized, is_quantized
from ..nn.quantized import quantize as to_int8
from ..text import save_chat_template
from ..train import Run
from ..train.checkpoint import save_checkpoint
from ..train.fine_tuned import BASE, HEAD, TASK, open_model
from ..train.run import OTHER_FOLDER, run_in
from .finetune_chat import own_template
from .objectives import Objective, objective_of

REPORT = "report.json"
OF_A_RUN = ("config.json", "tokenizer.json", "corpus.json", "summary.json", "*.tokens", "*.jsonl")


def quantize(arguments: argparse.Namespace) -> int:
    source, out, dtype = Path(arguments.source), Path(arguments.out), arguments.dtype
    require_free(out, OTHER_FOLDER)
    run = run_in(source)
    if run:
        (model, checkpoint), tokenizer = run.load_model(), run.tokenizer
    else:
        model, tokenizer = open_model(source)
    if is_quantized(model):
        raise ValueError(f"{str(source)!r} is quantised already: give the model that it was made from")
    objective = objective_of(run) if run and (run.folder / "val.tokens").exists() else None
    facts = {"dtype": dtype, "float32_bytes": weight_bytes(model)} | _perplexity("float32", objective, model)
    before = {name: parameter.data for name, parameter in model.named_parameters()}
    _round(model, dtype)
    facts["bytes"] = weight_bytes(model) if dtype == "int8" else facts["float32_bytes"] // 2
    facts["largest_rounding_error"], facts["at"] = max(_rounding_errors(before, model))
    facts["largest_weight_there"] = float(np.abs(before[facts["at"]]).max())
    facts |= _perplexity(dtype, objective, model)
    if (source / BASE).exists() or (source / TASK).exists():
        _save_fine_tuned(source, out, model, tokenizer, dtype)
    elif run and dtype == "int8":
        _save_run(run, out, model, checkpoint.step)
    else:
        save_pretrained(model, out, tokenizer, read_pooling(source), dtype=_half(dtype))
        template = own_template(source)
        if template is not None:
            save_chat_template(out, template)
    write_json(out / "quantization.json", {"source": source.name} | facts)
    refresh_card(out)
    if arguments.json:
        print(json.dumps(facts, indent=2))
    else:
        Console(highlight=False).print(_table(facts, out))
    return 0


def _perplexity(dtype: str, objective: Objective | None, model: Module) -> dict[str, float]:
    """e^loss on the validation text of a run: of the next token, or of a hidden one."""
    return {} if objective is None else {f"{dtype}_perplexity": math.exp(objective.evaluate(model).loss)}


def _round(model: Module, dtype: str) -> None:
    """In place. Of half precision only the rounding: in memory weights are float32, as they will be when loaded."""
    if dtype == "int8":
        to_int8(model)
        return
    for name, parameter in model.named_parameters():
        half = as_half(name, parameter.data, dtype)
        parameter.data = from_bfloat16(half) if dtype == "bfloat16" else half.astype(np.float32)


def _rounding_errors(before: dict[str, np.ndarray], model: Module) -> Iterator[tuple[float, str]]:
    """The largest in each weight, and which weight it is."""
    for name, parameter in model.named_parameters():
        if name in before:
            yield float(np.abs(before[name] - parameter.data).max()), name
    for name, layer in model.named_modules():
        if isinstance(layer, Quantized):
            yield float(np.abs(before[f"{name}.weight"] - layer.weight.data).max()), f"{name}.weight"


def _half(dtype: str) -> str | None:
    return None if dtype == "int8" else dtype


def _save_fine_tuned(source: Path, out: Path, model: Module, tokenizer, dtype: str) -> None:
    """The base in few bytes; heads are small, and copied, also those of several tasks on one base."""
    with new_folder(out, OTHER_FOLDER) as building:
        save_pretrained(model, building / BASE, tokenizer, dtype=_half(dtype))
        for place in (source, *(task.parent for task in sorted(source.glob(f"*/{TASK}")))):
            folder = building / place.relative_to(source)
            folder.mkdir(exist_ok=True)
            for name in (HEAD, TASK, REPORT):
                if (place / name).exists():
                    shutil.copyfile(place / name, folder / name)


def _save_run(run: Run, out: Path, model: Module, step: int) -> None:
    """A run to use, not to go on with: its settings and texts, and its best weights, which are its last too."""
    with new_folder(out, OTHER_FOLDER) as building:
        for path in (path for pattern in OF_A_RUN for path in run.folder.glob(pattern)):
            shutil.copyfile(path, building / path.name)
        save_checkpoint(building / "last.safetensors", model, step)


def _table(facts: dict[str, Any], out: Path) -> Table:
    table = Table("measure", "float32", facts["dtype"], "change", title=str(out))
    for column in table.columns[1:]:
        column.justify = "right"
    sizes = facts["float32_bytes"], facts["bytes"]
    table.add_row("bytes of the weights", *(f"{size:,}" for size in sizes), f"to {sizes[1] / sizes[0]:.1%}")
    if "float32_perplexity" in facts:
        perplexities = facts["float32_perplexity"], facts[f"{facts['dtype']}_perplexity"]
        change = perplexities[1] / perplexities[0] - 1
        table.add_row("perplexity of the validation text", *(f"{each:,.3f}" for each in perplexities), f"{change:+.3%}")
    error, largest = facts["largest_rounding_error"], facts["largest_weight_there"]
    table.add_row(f"largest rounding error, in\n{facts['at']}", "", f"{error:.2g}", f"of {largest:.2g} at most")
    return table
