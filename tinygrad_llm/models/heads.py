"""Heads: what turns a pretrained model into one for a task, by one new layer on its vectors.

    TextClassifier    which of n classes       a vector of the whole text → n scores       (Devlin et al. 2018, fig. 4b)
    TextRegressor     how much                 a vector of the whole text → one number
    SpanExtractor     where is the answer      each token's vector → scores of "starts here" and "ends here"  (fig. 4c)

The vector of a whole text: a BERT's pooler gives it, or else the mean over its tokens. In a GPT or a Llama only the
last token has seen all of the text, so it is that one's.
"""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..nn import Dropout, Linear, Module, init
from .bert import BERT
from .gpt import GPT
from .llama import Llama


def token_vectors(base: GPT | BERT | Llama, ids, attention_mask, segments=None) -> Tensor:
    """ids (B, T) → (B, T, C). Padding, where attention_mask (B, T) is False, must come after the tokens of a row."""
    if isinstance(base, BERT):
        return base(ids, attention_mask, segments)
    return base.hidden(ids)  # no token looks ahead, so padding after it is seen by none


def text_vector(base: GPT | BERT | Llama, ids, attention_mask, segments=None) -> Tensor:
    """ids (B, T) → one vector for each text (B, C)."""
    hidden, mask = token_vectors(base, ids, attention_mask, segments), np.asarray(attention_mask, bool)
    lengths = mask.sum(axis=1)
    if not isinstance(base, BERT):
        return hidden[np.arange(len(lengths)), lengths - 1]
    if base.pooler is not None:
        return base.pooled(hidden)
    weights = (mask / lengths[:, None]).astype(hidden.dtype)
    return (Tensor(weights).unsqueeze(1) @ hidden).squeeze(1)  # (B, 1, T) @ (B, T, C)


class TextClassifier(Module):
    """ids (B, T) → scores (B, n_classes). The head is new, with weights from `rng`; the base is trained along."""

    def __init__(
        self,
        base: GPT | BERT | Llama,
        n_classes: int,
        dropout: float = 0.1,
        class_weights: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ):
        init.require_positive("TextClassifier", n_classes=n_classes)
        self.base, self.rng = base, init.generator(rng)
        self.dropout = Dropout(dropout, self.rng)
        self.head = new_head(base, n_classes, self.rng)
        self.class_weights = None if class_weights is None else Tensor(np.asarray(class_weights, np.float32))

    def forward(self, ids, attention_mask, segments=None) -> Tensor:
        return self.head(self.dropout(text_vector(self.base, ids, attention_mask, segments)))

    def loss(self, ids, attention_mask, segments, labels) -> Tensor:
        """Mean cross-entropy of labels (B,), integers; each example counts by its class's weight, if there are any."""
        return F.cross_entropy(self(ids, attention_mask, segments), labels, self.class_weights)


class TextRegressor(Module):
    """ids (B, T) → numbers (B,), learned as (y − mean) / std of the training targets, so that they begin near 0 ± 1."""

    def __init__(
        self,
        base: GPT | BERT | Llama,
        mean: float = 0.0,
        std: float = 1.0,
        dropout: float = 0.1,
        rng: np.random.Generator | None = None,
    ):
        if not std > 0:
            raise ValueError(f"TextRegressor: std must be above 0, not {std!r}: are all targets the same?")
        self.base, self.rng = base, init.generator(rng)
        self.dropout = Dropout(dropout, self.rng)
        self.head = new_head(base, 1, self.rng)
        self.mean, self.std = float(mean), float(std)

    def forward(self, ids, attention_mask, segments=None) -> Tensor:
        vectors = self.dropout(text_vector(self.base, ids, attention_mask, segments))
        return self.head(vectors).squeeze(-1) * self.std + self.mean

    def loss(self, ids, attention_mask, segments, targets) -> Tensor:
        """Mean squared error of targets (B,), in units of std²."""
        targets = np.asarray(targets, self.head.weight.dtype)
        return F.mse_loss(self(ids, attention_mask, segments), Tensor(targets)) * (1 / self.std**2)


class SpanExtractor(Module):
    """ids (B, T) → scores (B, T) of starting and of ending at each token; −∞ where no answer may be."""

    def __init__(self, base: GPT | BERT | Llama, dropout: float = 0.1, rng: np.random.Generator | None = None):
        self.base, self.rng = base, init.generator(rng)
        self.dropout = Dropout(dropout, self.rng)
        self.head = new_head(base, 2, self.rng)

    def forward(self, ids, attention_mask, segments, allowed) -> tuple[Tensor, Tensor]:
        """`allowed` (B, T) is True for the tokens an answer may consist of: those of the context, not the question.
        It may be (B, T, 2), one for the starts and one for the ends."""
        hidden = self.dropout(token_vectors(self.base, ids, attention_mask, segments))
        allowed = np.asarray(allowed, bool)
        allowed = allowed if allowed.ndim == 3 else allowed[..., None]
        scores = self.head(hidden).masked_fill(~allowed, -np.inf)  # (B, T, 2)
        return scores[..., 0], scores[..., 1]

    def loss(self, ids, attention_mask, segments, allowed, spans) -> Tensor:
        """Mean over both ends of the cross-entropy of spans (B, 2): the first and the last token of the answer."""
        start, end = self(ids, attention_mask, segments, allowed)
        return (F.cross_entropy(start, spans[:, 0]) + F.cross_entropy(end, spans[:, 1])) * 0.5


def best_spans(start: np.ndarray, end: np.ndarray, max_length: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Scores (B, T) → the span (B, 2) with the largest start + end and at most `max_length` tokens, and its log p (B,).

    p is the product of the two softmax probabilities.
    """
    T = start.shape[1]
    first, last = np.arange(T)[:, None], np.arange(T)
    valid = (first <= last) & (last < first + max_length)
    start, end = (scores - log_sum_exp(scores) for scores in (start, end))
    joint = np.where(valid, start[:, :, None] + end[:, None, :], -np.inf).reshape(len(start), -1)
    best = joint.argmax(axis=1)
    return np.stack([best // T, best % T], axis=1), joint[np.arange(len(joint)), best]


def log_sum_exp(scores: np.ndarray) -> np.ndarray:
    """log Σ e^score over the last dim, which stays as 1: (…, T) → (…, 1)."""
    largest = scores.max(axis=-1, keepdims=True)
    return largest + np.log(np.exp(scores - largest).sum(axis=-1, keepdims=True))


def new_head(base: GPT | BERT | Llama, n_outputs: int, rng: np.random.Generator) -> Linear:
    """As small as the base's own weights at their start: large scores would begin by undoing what it has learned."""
    head = Linear(base.config.d_model, n_outputs, rng=rng)
    head.weight, head.bias = init.normal(head.weight.shape, 0.02, rng), init.zeros(head.bias.shape)
    return head
