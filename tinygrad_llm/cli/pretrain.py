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
from ..files import new_folder, write_json
from ..train import Run, load_checkpoint, open_run, preset, save_checkpoint
from ..train.available_memory import available_memory
from ..train.memory import format_bytes, require_memory
from ..train.run import OTHER_FOLDER, require_no_run, save_config
from ..train.tracking import require_tensorboard
from .objectives import OBJECTIVES, objective_of
from .parser import config_fields
from .train import build, say, train

# What a resumed run may change: nothing that the steps already done depend on.
RESUMABLE = (
    "steps", "checkpoint_activations", "tensorboard", "log_every", "evaluate_every", "evaluation_tokens",
    "checkpoint_every", "sample_every", "sample_tokens", "temperature",
)  # fmt: skip


def pretrain(arguments: argparse.Namespace) -> int:
    began = time.perf_counter()
    console = Console(highlight=False)
    run = _resume(arguments) if arguments.resume else _start(arguments, console)
    try:
        with detect_anomaly() if arguments.detect_anomaly else nullcontext():
            return train(run, console, began)
    except FloatingPointError as error:
        last = run.checkpoint_path("last")
        raise FloatingPointError(
            f"{error}; the checkpoint of step {load_checkpoint(last).step} is kept in {last}"
        ) from None


def _start(arguments: argparse.Namespace, console: Console) -> Run:
    """Prepare a new run. Its folder appears when it is complete, with a checkpoint of step 0."""
    name = arguments.preset or "laptop"
    config = preset(name).override(**config_fields(arguments))
    folder = Path(arguments.out) if arguments.out else _free_folder(name)
    require_no_run(folder)
    if config.tensorboard:
        require_tensorboard()

    kind = OBJECTIVES[config.model]
    say(console, f"preset {name}: reading {', '.join(config.corpus) or config.pairs or 'the embedded corpus'}")
    corpus = kind.read(config)
    say(console, f"{corpus.cleaning}\nsplit {corpus.how_split}")
    tokenizer = kind.train_tokenizer(config, corpus)
    available = available_memory()
    estimate = require_memory(config, tokenizer.vocab_size, available)
    of = "" if available is None else f", of {format_bytes(available)} available"
    say(console, f"memory needed: about {estimate}{of}")
    with new_folder(folder, OTHER_FOLDER) as building:
        tokenizer.save(building / "tokenizer.json")
        objective = objective_of(Run(building, name, config))
        written = objective.write(corpus, _now_and_then(console))
        vocabulary = f"tokenizer {config.tokenizer} with a vocabulary of {tokenizer.vocab_size:,}"
        say(console, f"{vocabulary}: {written}")
        model, optimizer, batches = build(objective)
        facts = {"cleaning": corpus.cleaning, "split": corpus.how_split} | objective.facts(corpus)
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
    number = 1
    while Path("runs", f"{preset_name}-{number}").exists():
        number += 1
    return Path("runs", f"{preset_name}-{number}")


def _resume(arguments: argparse.Namespace) -> Run:
    """The run as it stands, with the settings changed that may change."""
    run = open_run(arguments.resume)
    changes = config_fields(arguments)
    given = [name for name in ("preset", "out") if getattr(arguments, name)] + list(changes)
    fixed = [name for name in given if name not in RESUMABLE]
    if fixed:
        raise ValueError(
            f"{_option(fixed[0])} cannot be given with --resume, since a run keeps its settings; "
            f"only {', '.join(map(_option, RESUMABLE))} can change"
        )
    run = Run(run.folder, run.preset, run.config.override(**changes))
    require_memory(run.config, run.tokenizer.vocab_size, available_memory(), RESUMABLE, resume=True)
    return run


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
