"""`tinygrad-llm info`: what this installation, or one run, is made of."""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import __version__, kernel, tensor
from ..files import read_json
from ..ops import matmul
from ..optim import clip_grad_norm_
from ..train import PRESETS, open_run


def info(arguments: argparse.Namespace) -> int:
    console = Console(highlight=False)
    for table in _of_run(arguments.run) if arguments.run else _of_installation():
        console.print(table)
    return 0


def versions() -> dict[str, str]:
    import numba

    return {
        "tinygrad_llm": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def _of_installation() -> list[Table]:
    import numba

    facts = {
        **versions(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": f"{numba.get_num_threads()} (set NUMBA_NUM_THREADS to change it)",
        "threading layer": _threading_layer(),
        "kernels": "compiled by Numba" if kernel.jit_enabled() else "plain Python (NUMBA_DISABLE_JIT is set)",
        "compiled kernels are in": kernel.cache_root(),
        "matrix products": matmul.use_kernel.__doc__.splitlines()[0],
    }
    return [_facts("this installation", facts), *_presets()]


def _of_run(folder: str) -> list[Table]:
    run = open_run(folder)
    model, checkpoint = run.load_model("last")
    tables = [_facts(f"settings of {folder} (preset {run.preset})", dataclasses.asdict(run.config))]
    parameters = Table("parameter", "shape", "numbers", title=f"{type(model).__name__} at step {checkpoint.step:,}")
    parameters.columns[2].justify = "right"
    for name, parameter in model.named_parameters():
        parameters.add_row(name, str(parameter.shape), f"{parameter.data.size:,}")
    parameters.add_section()
    parameters.add_row("all", "", f"{model.num_parameters():,}")
    tables.append(parameters)
    summary = run.folder / "summary.json"
    return [*tables, _facts("results", read_json(summary))] if summary.exists() else tables


def _facts(title: str, facts: dict[str, Any]) -> Table:
    table = Table("what", "value", title=title)
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each}" for key, each in value.items())
        table.add_row(name, str(value))
    return table


def _presets() -> list[Table]:
    model = ("tokenizer", "n_layers", "n_heads", "d_model", "max_seq_len")
    training = ("batch_size", "steps", "optimizer", "learning_rate")
    settings = Table("setting", *PRESETS, title="their settings")
    for name in model + training:
        settings.add_row(name, *(str(getattr(config, name)) for config, _ in PRESETS.values()))
    return [_facts("presets", {name: description for name, (_, description) in PRESETS.items()}), settings]


def processor() -> str:
    """The processor's name; platform.processor() says little on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _threading_layer() -> str:
    """Numba chooses it at the first parallel kernel."""
    import numba

    if not kernel.jit_enabled() or kernel.cache_is_cold():
        return "chosen when the first kernels run"
    parameter = tensor([1.0])
    parameter.grad = tensor([1.0])
    clip_grad_norm_(parameter, 1.0)
    return numba.threading_layer()
