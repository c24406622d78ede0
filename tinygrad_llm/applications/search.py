"""`SearchIndex`: texts found by what they mean, not by the words they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .embed import SentenceEncoder, unit


class Hit(NamedTuple):
    """A text that was found."""

    score: float  # cosine of the two vectors, from −1 to 1
    number: int  # of the text, in the order given to the index
    text: str


class SearchIndex:
    """Vectors of all texts, made once; a search compares the query's vector with each: n · C multiply-adds."""

    def __init__(self, encoder: SentenceEncoder, texts: Sequence[str]):
        self.encoder, self.texts = encoder, list(texts)
        self.vectors = unit(encoder.encode(self.texts))  # (n, C)

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """The k texts nearest to the query, the nearest first. Raises ValueError for k below 1."""
        if k < 1:
            raise ValueError(f"search: k must be at least 1, not {k}")
        scores = self.vectors @ unit(self.encoder.encode([query]))[0]  # (n,)
        best = np.argsort(-scores, kind="stable")[:k]
        return [Hit(float(scores[i]), int(i), self.texts[i]) for i in best]
