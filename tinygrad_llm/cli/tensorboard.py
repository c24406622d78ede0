"""What a run with --tensorboard writes: curves as often as the log, and at evaluations histograms and attention."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np

from ..applications import alignment, attention_weights
from ..data import open_tokens
from ..data.pair_batches import collate_pairs, encode_pair, frame_id
from ..models import Seq2Seq
from ..nn import Module
from ..plots import attention_map, heat_map
from ..train import Run
from ..train.pairs import read_pair_file
from ..train.tracking import EventWriter

LOOKED_AT = 16  # tokens of the validation text whose attention is drawn; of an encoder-decoder's, tokens of the target
Draw = Callable[..., None]  # (path, title=…) -> None
TAGS = {
    "loss": "train/loss",
    "lr": "train/learning_rate",
    "grad_norm": "train/gradient_norm",
    "validation_loss": "validation/loss",
    "validation_bits_per_byte": "validation/bits_per_byte",
    "validation_accuracy": "validation/accuracy",
    "unigram_loss": "validation/unigram_loss",
    "validation_exact_match": "validation/exact_match",
    "validation_chrf": "validation/chrf",
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
    each head looks, at the beginning of the validation text; or where a decoder looks in the first source."""
    if events is None:
        return
    for name, parameter in model.named_parameters():
        events.histogram(step, f"parameters/{name}", parameter.data)
        if parameter.grad is not None:
            events.histogram(step, f"gradients/{name}", parameter.grad.data)
    for i, draw in enumerate(_pictures(run, model)):
        events.image(step, f"attention/block {i}", _png(draw, f"block {i}"))


def _pictures(run: Run, model: Module) -> Iterator[Draw]:
    """One for each block."""
    if isinstance(model, Seq2Seq):
        pair = encode_pair(run.tokenizer, read_pair_file(run.folder, "validation")[0])
        batch = collate_pairs([pair], frame_id(run.tokenizer))
        source, target = batch.source[0], batch.target_in[0, :LOOKED_AT]
        labels = [_tokens(run, batch.target_out[0, :LOOKED_AT]), _tokens(run, source)]
        for weights in alignment(model, source, target):
            yield partial(heat_map, matrix=weights.mean(axis=0), row_labels=labels[0], column_labels=labels[1])
    else:
        ids = np.array(open_tokens(run.folder / "val.tokens")[: min(LOOKED_AT, run.config.max_seq_len)])
        for weights in attention_weights(model, ids):
            yield partial(attention_map, weights=weights, tokens=_tokens(run, ids))


def _tokens(run: Run, ids: np.ndarray) -> list[str]:
    return [run.tokenizer.decode([token]) for token in ids.tolist()]


def write_sample(events: EventWriter | None, step: int, text: str) -> None:
    if events is not None:
        events.text(step, "sample", text)


def _png(draw: Draw, title: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "attention.png")
        draw(path, title=title)
        return path.read_bytes()
