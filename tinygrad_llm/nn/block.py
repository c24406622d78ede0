"""The Transformer block, in its two orders. Both receive finished parts: what differs is only the wiring.

    PostNormBlock   x = norm(x + part(x))    Vaswani et al. 2017; BERT
    PreNormBlock    x = x + part(norm(x))    GPT-2, Llama: the sum of all parts runs through unnormalised,
                                             so gradients reach the first block undamped (Xiong et al. 2020)

`part` is attention, which mixes positions, and then the feed-forward network, which works on each by itself.
Keyword arguments of the call (masks, a KV cache) go to attention.
"""

from __future__ import annotations

from ..autograd import Tensor
from .module import Module


class PreNormBlock(Module):
    """(B, T, C) -> (B, T, C)."""

    def __init__(self, norm1: Module, attention: Module, norm2: Module, feed_forward: Module, dropout: Module):
        self.norm1 = norm1
        self.attention = attention
        self.norm2 = norm2
        self.feed_forward = feed_forward
        self.dropout = dropout

    def forward(self, x: Tensor, **attention_inputs) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), **attention_inputs))
        return x + self.dropout(self.feed_forward(self.norm2(x)))


class PostNormBlock(Module):
    """(B, T, C) -> (B, T, C)."""

    def __init__(self, attention: Module, norm1: Module, feed_forward: Module, norm2: Module, dropout: Module):
        self.attention = attention
        self.norm1 = norm1
        self.feed_forward = feed_forward
        self.norm2 = norm2
        self.dropout = dropout

    def forward(self, x: Tensor, **attention_inputs) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x, **attention_inputs)))
        return self.norm2(x + self.dropout(self.feed_forward(x)))
