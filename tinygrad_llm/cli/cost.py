"""What training cost, as the commands say it and as their reports keep it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..nn import Module
from ..train.energy import Energy, EnergyMeter, training_cost, with_prefix
from ..train.finetune import FineTuneConfig
from .info import processor, versions


def cost_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    """For a table, of a summary or a report."""
    flops, rate = (with_prefix(facts[name], "FLOP") for name in ("training_flops", "flops_per_second"))
    return {"energy": str(Energy(**facts["energy"])), "computation": f"{flops}, {rate}/s while it trained"}


def assumption(facts: Mapping[str, Any]) -> str:
    return f"energy: {facts['energy']['assumption']}"


def fine_tuning_facts(
    model: Module, config: FineTuneConfig, last: Mapping[str, Any], flops_of_token: float, meter: EnergyMeter
) -> dict[str, Any]:
    """For report.json: what was trained, and what that cost until now. `last` is the last line of its history."""
    tokens, rate = last["tokens"], last["tokens"] / last["seconds"]
    facts = {"parameters": model.num_parameters(), "steps": last["step"], "tokens": tokens}
    facts |= {"processor": processor(), "versions": versions()}
    return facts | training_cost(meter.read(), config, tokens, rate, flops_of_token)


def data_facts(arguments: argparse.Namespace, files: Iterable[str], embedded: str | None, split) -> dict[str, Any]:
    """For report.json: where the examples come from, by the files' names, and how many there are in each part."""
    parts: dict[str, Sequence] = {part: getattr(split, part) for part in ("train", "validation", "test")}
    return {
        "embedded": embedded,
        "files": [Path(file).name for file in files],
        "license": arguments.license,
        "examples": {part: len(examples) for part, examples in parts.items()},
    }
