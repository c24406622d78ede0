"""`tinygrad-llm pretrain`: from text to a trained model. Here is what comes before the first step; see train.py."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from .. import detect_anomaly
from ..data import TokenHeader
from ..files import new_folder, remove_leftovers, write_json
from ..lock import Lock, is_locked
from ..train import Run, load_checkpoint, open_run, preset, save_checkpoint
from ..train.available_memory import available_memory
from ..train.energy import EnergyMeter
from ..train.memory import format_bytes, require_memory
from ..train.run import OTHER_FOLDER, require_no_run, save_config
from ..train.tracking import require_tensorboard
from .distributed import join, prepared_once, require_shares, together
from .objectives import OBJECTIVES, objective_of
from .parser import config_fields
from .train import build, say, train

# What a resumed run may change: nothing that the steps already done depend on.
RESUMABLE = (
    "steps", "checkpoint_activations", "tensorboard", "log_every", "evaluate_every", "evaluation_tokens",
    "checkpoint_every", "sample_every", "sample_tokens", "temperature", "core_watts", "co2_per_kwh", "license",
)  # fmt: skip


def pretrain(arguments: argparse.Namespace) -> int:
    began, console, ranks = time.perf_counter(), Console(highlight=False), join()
    meter = EnergyMeter() if ranks is None else EnergyMeter(root=None)
    with Lock() as lock, together(ranks):
        run = prepared_once(
            ranks,
            lambda: _resume(arguments, lock) if arguments.resume else _start(arguments, console, lock),
            lambda folder: _changed(open_run(folder), arguments),
        )
        try:
            with detect_anomaly() if arguments.detect_anomaly else nullcontext():
                return train(run, console, began, meter, ranks)
        except FloatingPointError as error:
            last = run.checkpoint_path("last")
            raise FloatingPointError(
                f"{error}; the checkpoint of step {load_checkpoint(last).step} is kept in {last}"
            ) from None


def _start(arguments: argparse.Namespace, console: Console, lock: Lock) -> Run:
    """Prepare a new run. Its folder appears when it is complete, with a checkpoint of step 0, and is locked."""
    name = arguments.preset or "laptop"
    config = preset(name).override(**config_fields(arguments))
    require_shares(config.batch_size)
    folder = Path(arguments.out) if arguments.out else _free_folder(name)
    require_no_run(folder)
    if config.tensorboard:
        require_tensorboard()

    kind = OBJECTIVES[config.model]
    with new_folder(folder, OTHER_FOLDER, lock) as building:
        say(console, f"preset {name}: reading {', '.join(config.corpus) or config.pairs or 'the embedded corpus'}")
        corpus = kind.read(config)
        say(console, f"{corpus.cleaning}\nsplit {corpus.how_split}")
        tokenizer = kind.train_tokenizer(config, corpus)
        available = available_memory()
        estimate = require_memory(config, tokenizer.vocab_size, available)
        of = "" if available is None else f", of {format_bytes(available)} available"
        say(console, f"memory needed: about {estimate}{of}")
        tokenizer.save(building / "tokenizer.json")
        objective = objective_of(Run(building, name, config))
        written = objective.write(corpus, _now_and_then(console))
        vocabulary = f"tokenizer {config.tokenizer} with a vocabulary of {tokenizer.vocab_size:,}"
        say(console, f"{vocabulary}: {written}")
        model, optimizer, batches = build(objective)
        facts = {"cleaning": corpus.cleaning, "split": corpus.how_split, "written": f"{vocabulary}: {written}"}
        facts |= objective.facts(corpus)
        write_json(building / "corpus.json", facts)
        save_config(building, name, config)
        save_checkpoint(building / "last.safetensors", model, 0, optimizer, batches)
    return open_run(folder)


def _now_and_then(console: Console) -> Callable[[TokenHeader], None]:
    """For `write_tokens`: says every ten seconds how far a large corpus is encoded."""
    last = time.monotonic()

    def show(header: TokenHeader) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            say(console, f"encoded {header.text_bytes / 1e6:,.0f} MB: {header.n_tokens:,} tokens")

    return show


def _free_folder(preset_name: str) -> Path:
    """The first that does not exist, and that no other process is making."""
    number = 1
    while Path("runs", f"{preset_name}-{number}").exists() or is_locked(Path("runs", f".{preset_name}-{number}.tmp")):
        number += 1
    return Path("runs", f"{preset_name}-{number}")


def _resume(arguments: argparse.Namespace, lock: Lock) -> Run:
    """The run as it stands, locked, with the settings changed that may change."""
    folder = open_run(arguments.resume).folder  # a mistake where there is no run: nothing is written there
    lock.take(folder)
    remove_leftovers(folder)
    run = open_run(folder)
    changes = config_fields(arguments)
    given = [name for name in ("preset", "out") if getattr(arguments, name)] + list(changes)
    fixed = [name for name in given if name not in RESUMABLE]
    if fixed:
        raise ValueError(
            f"{_option(fixed[0])} cannot be given with --resume, since a run keeps its settings; "
            f"only {', '.join(map(_option, RESUMABLE))} can change"
        )
    run = _changed(run, arguments)
    require_shares(run.config.batch_size)
    require_memory(run.config, run.tokenizer.vocab_size, available_memory(), RESUMABLE, resume=True)
    return run


def _changed(run: Run, arguments: argparse.Namespace) -> Run:
    return Run(run.folder, run.preset, run.config.override(**config_fields(arguments)))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
