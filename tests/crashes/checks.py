"""What must be true of a run's folder after a kill, and of a run that was killed often and has come to its end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from tinygrad_llm.cli.log import read_log
from tinygrad_llm.train import Checkpoint, load_checkpoint, open_run

OF_TIME = re.compile("second|timed_tokens|joule|watt|energy|kwh|co2|cost|usage|core")  # what no two runs have in common
TEMPORARY = re.compile(r"\..+\.tmp|\.tmp\w{6}")


def temporary_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*") if TEMPORARY.fullmatch(path.name)] if folder.exists() else []


def faults_after_kill(folder: Path, reference: Path) -> list[str]:
    """What is unreadable in the folder, or another than in the uninterrupted run; nothing where all is well."""
    faults = []
    try:
        run = open_run(folder)
        steps = {
            name: load_checkpoint(run.checkpoint_path(name)).step
            for name in ("last", "previous", "best")
            if name == "last" or run.checkpoint_path(name).exists()
        }
    except (OSError, ValueError) as error:
        return [f"unreadable: {error}"]
    if steps.get("previous", -1) >= steps["last"]:
        faults.append(f"the checkpoint before the last is not before it: {steps}")
    if steps["last"] > 9 and "previous" not in steps:
        faults.append("there is no previous.safetensors")
    logged = [without_times(line) for line in read_log(folder / "log.jsonl")]
    if logged != [without_times(line) for line in read_log(reference / "log.jsonl")][: len(logged)]:
        faults.append("the log differs")
    if len(logged) < steps["last"]:  # the runs here log each step
        faults.append(f"the log has {len(logged)} lines, the last checkpoint is of step {steps['last']}")
    return faults


def differences(one: Path, other: Path) -> list[str]:
    """What two finished runs, which should be the same bit for bit, do not have in common."""
    found = []
    for name in ("last", "previous", "best"):
        first, second = (load_checkpoint(folder / f"{name}.safetensors") for folder in (one, other))
        if name != "previous" or first.step == second.step:  # Ctrl-C saves at a step of its own
            found += [f"{name}: {what}" for what in _differing(first, second)]
    for name in ("log.jsonl", "summary.json"):
        first, second = (_content(folder / name) for folder in (one, other))
        found += [] if first == second else [name]
    for name in ("sample.txt", "train.tokens", "val.tokens", "tokenizer.json", "config.json"):
        first, second = ((folder / name).read_bytes() for folder in (one, other))
        found += [] if first == second else [name]
    first, second = (sorted(path.name for path in folder.iterdir()) for folder in (one, other))
    return found + ([] if first == second else [f"files {first} and {second}"])


def _content(path: Path) -> list | dict:
    if path.suffix == ".jsonl":
        return [without_times(json.loads(line)) for line in path.read_text().splitlines()]
    return without_times(json.loads(path.read_text()))


def _differing(one: Checkpoint, other: Checkpoint) -> list[str]:
    arrays = [each.weights | (each.optimizer or {"arrays": {}})["arrays"] for each in (one, other)]
    found = [name for name, array in arrays[0].items() if not np.array_equal(array, arrays[1][name], equal_nan=True)]
    for name in ("step", "architecture", "model_config", "generators", "batches"):
        found += [] if getattr(one, name) == getattr(other, name) else [name]
    progress = [without_times(each.progress) for each in (one, other)]
    return found + ([] if progress[0] == progress[1] else [f"progress {progress}"])


def without_times(facts: dict) -> dict:
    """Without what depends on how long it took and on the sessions, as how many tokens were timed does."""
    return {name: value for name, value in facts.items() if not OF_TIME.search(name.lower())}
