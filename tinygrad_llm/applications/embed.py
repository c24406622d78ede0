"""`SentenceEncoder`: one vector for each text, near to those of texts that mean the same.

    encoder = SentenceEncoder.from_pretrained("all-MiniLM-L6-v2")
    encoder.encode(["a cat sat down", "the kitten is resting"])       # (2, 384); the dot product is their similarity

Reimers and Gurevych 2019, "Sentence-BERT": a BERT's vectors of the tokens, pooled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from ..autograd import no_grad
from ..data import pad
from ..hub import Pooling, load_pretrained
from ..models import BERT
from ..text import WordPieceTokenizer

BATCH_TOKENS = 4096  # padding included


class SentenceEncoder:
    """A BERT, its tokenizer and a pooling. The model is used as it is: call `model.eval()` after training."""

    def __init__(self, model: BERT, tokenizer: WordPieceTokenizer, pooling: Pooling | None = None):
        if not isinstance(model, BERT):
            raise TypeError(f"SentenceEncoder needs a BERT, which looks both ways, not a {type(model).__name__}")
        self.model, self.tokenizer, self.pooling = model, tokenizer, pooling or Pooling()
        self.max_seq_len = min(self.pooling.max_seq_len or model.config.max_seq_len, model.config.max_seq_len)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike) -> SentenceEncoder:
        """Of a sentence-transformers folder, or of any BERT's: then the mean of its vectors is taken."""
        pretrained = load_pretrained(folder)
        return cls(pretrained.model, pretrained.tokenizer, pretrained.pooling)

    def encode(self, texts: str | Sequence[str], batch_tokens: int = BATCH_TOKENS) -> np.ndarray:
        """texts, n of them → (n, C); one text alone → (C,).

        Texts of about the same length are computed together, up to `batch_tokens` at once, so that little is padding.
        Longer texts than `max_seq_len` tokens are cut off.
        """
        if isinstance(texts, str):
            return self.encode([texts], batch_tokens)[0]
        rows = [self._ids(text) for text in texts]
        vectors = np.zeros((len(rows), self.model.config.d_model), np.float32)
        for batch in batches_by_length([len(row) for row in rows], batch_tokens):
            ids, mask = pad([rows[i] for i in batch])
            with no_grad():
                hidden = self.model(ids, mask).data
            vectors[batch] = pool(hidden, mask, self.pooling)
        return vectors

    def _ids(self, text: str) -> list[int]:
        inner = self.tokenizer.encode(text, add_special_tokens=False)[: self.max_seq_len - 2]
        return [self.tokenizer.cls_id, *inner, self.tokenizer.sep_id]


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """The numbers of all rows, the longest first, cut where a batch would hold more tokens, padding included."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        n_rows = max(batch_tokens // lengths[order[0]], 1)
        yield order[:n_rows]
        order = order[n_rows:]


def pool(hidden: np.ndarray, mask: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Vectors of tokens (B, T, C) → of texts (B, C). Padding, where mask (B, T) is False, does not count."""
    if pooling.mode == "cls":
        vectors = hidden[:, 0]
    elif pooling.mode == "max":
        vectors = np.where(mask[..., None], hidden, -np.inf).max(axis=1)
    else:
        weights = mask / mask.sum(axis=1, keepdims=True)
        vectors = (weights[:, None, :].astype(hidden.dtype) @ hidden)[:, 0]
    return unit(vectors) if pooling.normalize else vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each of the vectors (B, C) at length 1; one of zeros stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
