"""What a run with --tensorboard writes: curves as often as the log, and at evaluations histograms and attention."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from ..data import open_tokens
from ..nn import Module
from ..plots import attention_map
from ..train import Run
from ..train.tracking import EventWriter, attention_weights

LOOKED_AT = 16  # tokens of the validation text whose attention is drawn
TAGS = {
    "loss": "train/loss",
    "lr": "train/learning_rate",
    "grad_norm": "train/gradient_norm",
    "validation_loss": "validation/loss",
    "validation_bits_per_byte": "validation/bits_per_byte",
    "validation_accuracy": "validation/accuracy",
    "unigram_loss": "validation/unigram_loss",
}


def event_writer(run: Run, start: int) -> EventWriter | nullcontext[None]:
    """For a `with` block: None there, where the run is without TensorBoard."""
    return EventWriter(run.folder / "tensorboard", start) if run.config.tensorboard else nullcontext()


def write_scalars(events: EventWriter | None, line: dict[str, float], tokens_per_second: float) -> None:
    """The numbers of a line of the log."""
    if events is not None:
        values = {tag: line[name] for name, tag in TAGS.items() if name in line}
        events.scalars(line["step"], values | {"train/tokens_per_second": tokens_per_second})


def write_insights(events: EventWriter | None, run: Run, model: Module, step: int) -> None:
    """Distributions of the parameters and of their gradients (of this step, clipped), and a picture per block of where
    each head looks, at the beginning of the validation text."""
    if events is None:
        return
    for name, parameter in model.named_parameters():
        events.histogram(step, f"parameters/{name}", parameter.data)
        if parameter.grad is not None:
            events.histogram(step, f"gradients/{name}", parameter.grad.data)
    ids = np.array(open_tokens(run.folder / "val.tokens")[: min(LOOKED_AT, run.config.max_seq_len)])
    tokens = [run.tokenizer.decode([token]) for token in ids.tolist()]
    for i, weights in enumerate(attention_weights(model, ids)):
        events.image(step, f"attention/block {i}", _png(weights, tokens, f"block {i}"))


def write_sample(events: EventWriter | None, step: int, text: str) -> None:
    if events is not None:
        events.text(step, "sample", text)


def _png(weights: np.ndarray, tokens: list[str], title: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "attention.png")
        attention_map(path, weights, tokens, title)
        return path.read_bytes()
