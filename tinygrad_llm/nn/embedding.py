"""`Embedding`: a table with one learned vector per id."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .module import Module


class Embedding(Module):
    """Integer ids (…,) -> vectors (…, embedding_dim). weight (num_embeddings, embedding_dim), N(0, 1) at the start.

    The row `padding_idx`, if given, starts as zeros and gets no gradient.
    Raises IndexError for ids outside 0 … num_embeddings − 1.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        rng: np.random.Generator | None = None,
    ):
        init.require_positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise IndexError(f"Embedding: padding_idx {padding_idx} is out of range for {num_embeddings} embeddings.")
        self.weight = init.normal((num_embeddings, embedding_dim), 1.0, init.generator(rng))
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, ids: Tensor | np.ndarray) -> Tensor:
        return F.embedding(ids, self.weight, self.padding_idx)

    def as_linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The table used backwards: vectors (…, embedding_dim) -> a score for each id, (…, num_embeddings)."""
        return F.linear(x, self.weight, bias)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}{padding}"
