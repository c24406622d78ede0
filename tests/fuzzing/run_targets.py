"""What the package itself writes: runs, checkpoints, fine-tuned models, logs, and a learner's progress."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from tinygrad_llm.cli.log import read_log
from tinygrad_llm.data import CompressionBaseline, RandomBatches, TextExample
from tinygrad_llm.files import write_json
from tinygrad_llm.optim import AdamW
from tinygrad_llm.school import Progress
from tinygrad_llm.text import CharTokenizer
from tinygrad_llm.train import load_checkpoint, open_run, preset, save_checkpoint
from tinygrad_llm.train.build import build_model
from tinygrad_llm.train.checkpoint import _digest, _read
from tinygrad_llm.train.fine_tuned import FineTuned, load_fine_tuned, open_model, save_base, save_head
from tinygrad_llm.train.run import save_config
from tinygrad_llm.train.tasks import Classify, FindAnswer, Grade

from . import hub_targets, text_targets
from .mutate import spoiled_bytes, spoiled_lines
from .target import Target, as_json, file_target, header_target, put

EXAMPLE = TextExample("the cat sat")
CHARACTERS = "\n abcdefghij"
TARGETS = {
    **dict.fromkeys(("run-config", "run-pairs-config", "run-tokenizer"), 0.2),
    **dict.fromkeys(("run-corpus", "run-log", "school-progress"), 3.0),
    **dict.fromkeys(("checkpoint-facts", "checkpoint-file", "checkpoint-header"), 0.5),
    **dict.fromkeys(("task-classify", "task-grade", "task-answer", "task-head"), 0.05),
}


def make(name: str, folder: Path) -> Target:
    if name == "school-progress":
        return _progress_target(name, folder / "progress.json")
    if name.startswith("task"):
        return _task_target(name, folder)
    config = preset("debug").override(d_model=4, max_seq_len=8, n_layers=1)
    if name == "run-pairs-config":
        config = config.override(model="seq2seq", n_heads=2)
    model = build_model(config, len(CHARACTERS))
    save_config(folder, "debug", config)
    CharTokenizer(CHARACTERS).save(folder / "tokenizer.json")
    save_checkpoint(folder / "best.safetensors", model, 3)
    if name.startswith("checkpoint"):
        return _checkpoint_target(name, folder / "last.safetensors", model)
    if name == "run-corpus":
        baselines = dataclasses.asdict(CompressionBaseline(2.0, 1.5, 1.25))
        write_json(folder / "corpus.json", {"cleaning": "none", "split": "whole", "baselines": baselines})
        return file_target(name, folder / "corpus.json", lambda: _use_baselines(folder))
    if name == "run-log":
        (folder / "log.jsonl").write_bytes(b'{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.25}\n')
        path = folder / "log.jsonl"
        return file_target(name, path, lambda: [line["step"] for line in read_log(path)], spoil=spoiled_lines)
    path = folder / ("tokenizer.json" if name == "run-tokenizer" else "config.json")
    return file_target(name, path, lambda: open_model(folder))


def _use_baselines(folder: Path) -> None:
    baselines = open_run(folder).baselines
    f"{baselines.zlib_bits_per_byte:.2f} {baselines.lzma_bits_per_byte:.2f} {baselines.lzma_primed_bits_per_byte:.2f}"


def _checkpoint_target(name: str, path: Path, model) -> Target:
    """Facts: the JSON in the metadata, with the checksum that belongs to it. Weights may be spoiled likewise."""
    optimizer, batches = AdamW(model.parameters(), lr=1e-3), RandomBatches(np.arange(20) % 5, 2, 4)
    for parameter in model.parameters():
        parameter.grad = parameter.detach() * 0
    optimizer.step()
    save_checkpoint(path, model, 7, optimizer, batches, {"seconds": 1.5, "best_loss": None, "losses": [2.0]})
    arrays, metadata = _read(path)

    def read() -> None:
        checkpoint = load_checkpoint(path)
        checkpoint.restore(model, optimizer, batches)
        f"{checkpoint.step + 1} {dict(**checkpoint.progress)}"
        optimizer.step(0.0)
        next(batches)

    if name == "checkpoint-file":
        return file_target(name, path, read, spoil=spoiled_bytes)
    if name == "checkpoint-header":
        return header_target(name, path, read)

    def write_and_read(raw: bytes) -> None:
        from safetensors.numpy import save

        text = raw.decode("utf-8", "replace")
        put(path, save(arrays, {"tinygrad_llm": text, "sha256": _digest(text, arrays)}))
        read()

    return Target(name, (metadata["tinygrad_llm"].encode(),), write_and_read)


def _task_target(name: str, folder: Path) -> Target:
    kind = name.removeprefix("task-")
    base, tokenizer = hub_targets.bert(), text_targets.wordpiece()
    base = hub_targets.BERT(dataclasses.replace(base.config, vocab_size=tokenizer.vocab_size), hub_targets.rng())
    task = {"grade": Grade(1.0, 2.0), "answer": FindAnswer()}.get(kind) or Classify(["no", "yes"])
    model = task.new_model(base, [], 0.0, hub_targets.rng())
    save_base(base, tokenizer, folder)
    save_head(FineTuned(model, tokenizer, task, 8), folder)

    def read() -> None:
        fine_tuned = load_fine_tuned(folder)
        if kind in ("classify", "head"):
            fine_tuned.task.names(fine_tuned.predict([EXAMPLE]))
        elif kind == "grade":
            fine_tuned.predict([EXAMPLE])

    if kind == "head":
        return header_target(name, folder / "head.safetensors", read)
    return file_target(name, folder / "task.json", read)


def _progress_target(name: str, path: Path) -> Target:
    seed = as_json({"version": 1, "exercises": {"01/a": {"passed": True, "failures": 2}, "01/b": {"passed": False}}})
    json.loads(seed)

    def write_and_read(raw: bytes) -> None:
        put(path, raw)
        progress = Progress(path)
        progress.record("01/a", progress.passed("01/b"))
        progress.failures("01/b")

    return Target(name, (seed,), write_and_read)
