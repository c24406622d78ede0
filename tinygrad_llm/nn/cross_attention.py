"""`CrossAttention`: each position of one text looks at all positions of another. A decoder reads its source by it.

Queries come from the text that is written, keys and values from the text that is read (Vaswani et al. 2017, section
3.2.3). Against self-attention only that differs: two inputs, and no order between them that would hide anything.
"""

from __future__ import annotations

import math

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .attention import require_heads
from .decoder_cache import DecoderLayerCache
from .dropout import require_probability
from .linear import Linear
from .module import Module


class CrossAttention(Module):
    """x (B, T, C) and source (B, S, C) -> (B, T, C), C = d_model = n_heads · D.

    `dropout` zeroes attention weights. Raises ValueError where n_heads does not divide d_model.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ):
        require_heads("CrossAttention", d_model, n_heads)
        self.n_heads = n_heads
        self.dropout = require_probability("CrossAttention", dropout)
        self.rng = init.generator(rng)
        self.query = Linear(d_model, d_model, bias, self.rng)
        self.key = Linear(d_model, d_model, bias, self.rng)
        self.value = Linear(d_model, d_model, bias, self.rng)
        self.out = Linear(d_model, d_model, bias, self.rng)

    def forward(
        self,
        x: Tensor,
        source: Tensor | None,
        source_mask: np.ndarray | None = None,
        cache: DecoderLayerCache | None = None,
    ) -> Tensor:
        """source_mask broadcasts to (B, n_heads, T, S), True where a position of the source may be looked at.

        A `cache` holds the keys, the values and the mask of the source, so that neither is asked for again.
        """
        if cache is None:
            keys, values = self.keys_and_values(source)
        else:
            keys, values, source_mask = cache.source
        dropout_p = self.dropout if self.training else 0.0
        queries = self._heads(self.query(x))  # (B, H, T, D)
        mixed = F.scaled_dot_product_attention(queries, keys, values, source_mask, dropout_p, rng=self.rng)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))  # (B, T, C)

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What is looked at in source (B, S, C): twice (B, H, S, D). It is the same for all that is written."""
        return self._heads(self.key(source)), self._heads(self.value(source))

    def weights(self, x: Tensor, source: Tensor) -> Tensor:
        """(B, H, T, S): how much each position of x looks at each of the source. `forward` never holds them."""
        queries, keys = self._heads(self.query(x)), self._heads(self.key(source))
        return F.softmax(queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1]), dim=-1)

    def _heads(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        return x.reshape(B, T, self.n_heads, C // self.n_heads).transpose(1, 2)  # (B, H, T, D)

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}" + (f", dropout={self.dropout}" if self.dropout else "")
