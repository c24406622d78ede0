"""How good a language model is: loss, perplexity and bits per byte, three ways to write one number.

loss            −ln p of the next token, mean                   depends on the tokenizer
perplexity      e^loss: as if it chose among so many tokens     depends on the tokenizer
bits per byte   Σ −log₂ p / bytes of the text                   comparable between tokenizers, and with zlib
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..autograd import no_grad
from ..data import sequential_batches
from ..nn import Module
from .objectives import language_modelling


@dataclass(frozen=True)
class Evaluation:
    """A model's loss on a text, in nats per token."""

    loss: float
    n_targets: int  # tokens predicted
    bytes_per_token: float

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        return bits_per_byte(self.loss, self.bytes_per_token)


def bits_per_byte(loss: float, bytes_per_token: float) -> float:
    """Nats per token -> bits per UTF-8 byte.

    >>> bits_per_byte(math.log(16), bytes_per_token=2)      # 4 bits for 2 bytes
    2.0
    """
    return loss / math.log(2) / bytes_per_token


def evaluate(
    model: Module,
    tokens: np.ndarray,
    text_bytes: int,
    batch_size: int,
    seq_len: int,
    max_tokens: int | None = None,
    loss_fn: Callable = language_modelling,
) -> Evaluation:
    """Mean loss over tokens (N,), each but the first a target once, in windows of `seq_len`; dropout is off.

    `text_bytes` is the UTF-8 size of the text of all tokens. With `max_tokens` only the text's beginning is read, and
    bits per byte are an estimate, as if a token there had as many bytes as one elsewhere.
    """
    bytes_per_token = text_bytes / (len(tokens) - 1) if len(tokens) > 1 else math.nan
    part = tokens if max_tokens is None else tokens[:max_tokens]
    loss = mean_loss(model, sequential_batches(part, batch_size, seq_len), loss_fn)
    return Evaluation(loss, len(part) - 1, bytes_per_token)


def mean_loss(model: Module, batches: Iterable[tuple], loss_fn: Callable = language_modelling) -> float:
    """Mean over all targets of the batches; the model is in evaluation mode only meanwhile."""
    total, n_targets = 0.0, 0
    with evaluating(model):
        for batch in batches:
            total += loss_fn(model, batch).item() * batch[1].size
            n_targets += batch[1].size
    return total / n_targets


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Without a graph and without dropout; afterwards the model is in the mode that it was in."""
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(was_training)
