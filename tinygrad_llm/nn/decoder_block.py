"""`DecoderBlock`: a `PreNormBlock` that also reads another text, by cross-attention between its two parts.

    x = x + attention(norm1(x))                    what has been written so far
    x = x + cross_attention(norm2(x), source)      what it is written from
    x = x + feed_forward(norm3(x))

Source  Vaswani et al. 2017, section 3.1 and figure 1; the norms before the parts: Xiong et al. 2020
"""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from .decoder_cache import DecoderLayerCache
from .module import Module


class DecoderBlock(Module):
    """x (B, T, C) and source (B, S, C) -> (B, T, C)."""

    def __init__(
        self,
        norm1: Module,
        attention: Module,
        norm2: Module,
        cross_attention: Module,
        norm3: Module,
        feed_forward: Module,
        dropout: Module,
    ):
        self.norm1 = norm1
        self.attention = attention
        self.norm2 = norm2
        self.cross_attention = cross_attention
        self.norm3 = norm3
        self.feed_forward = feed_forward
        self.dropout = dropout

    def forward(
        self,
        x: Tensor,
        source: Tensor | None,
        source_mask: np.ndarray | None = None,
        cache: DecoderLayerCache | None = None,
    ) -> Tensor:
        """The mask is that of `CrossAttention`. With a cache, which holds the source, `source` may be None."""
        x = x + self.dropout(self.attention(self.norm1(x), cache=cache))
        x = x + self.dropout(self.cross_attention(self.norm2(x), source, source_mask, cache))
        return x + self.dropout(self.feed_forward(self.norm3(x)))
