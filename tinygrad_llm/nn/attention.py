"""`CausalSelfAttention`: each position looks back at itself and the positions before it. GPT-2's layout."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..ops.attention_cached import cached_attention
from . import init
from .dropout import require_probability
from .kv_cache import LayerCache, refuse_gradients
from .linear import Linear
from .module import Module


class SelfAttention(Module):
    """What attention of a text to itself is made of; a subclass says in `forward` who may look at whom.

    `qkv` makes queries, keys and values in one matrix product, (C, 3C); `out` mixes the heads' results.
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
        owner = type(self).__name__
        require_heads(owner, d_model, n_heads)
        self.n_heads = n_heads
        self.dropout = require_probability(owner, dropout)
        self.rng = init.generator(rng)
        self.qkv = Linear(d_model, 3 * d_model, bias, self.rng)
        self.out = Linear(d_model, d_model, bias, self.rng)

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}" + (f", dropout={self.dropout}" if self.dropout else "")


class CausalSelfAttention(SelfAttention):
    """(B, T, C) -> (B, T, C), C = d_model = n_heads · D."""

    def forward(self, x: Tensor, cache: LayerCache | None = None, attn_mask: np.ndarray | None = None) -> Tensor:
        """With a `cache`, x holds the tokens after those in it, and is added to it.

        `attn_mask` hides more than what comes later: that of F.scaled_dot_product_attention, not with a cache.
        """
        qkv = self.qkv(x)  # (B, T, 3C)
        if cache is not None:
            return self.out(self._attend_to_cache(qkv, cache))
        dropout = {"dropout_p": self.dropout if self.training else 0.0, "rng": self.rng}
        return self.out(F.qkv_attention(qkv, self.n_heads, attn_mask, is_causal=True, **dropout))

    def _attend_to_cache(self, qkv: Tensor, cache: LayerCache) -> Tensor:
        refuse_gradients(qkv)
        B, T, _ = qkv.shape
        split = qkv.data.reshape(B, T, 3, self.n_heads, -1).transpose(2, 0, 3, 1, 4)  # (3, B, H, T, D), a view
        cache.append(Tensor._from_array(split[1]), Tensor._from_array(split[2]))
        return cached_attention(qkv, self.n_heads, cache.keys, cache.values, cache.length, cache.padding)


def require_heads(owner: str, d_model: int, n_heads: int) -> None:
    """Raise ValueError unless d_model can be cut into n_heads equal parts."""
    init.require_positive(owner, d_model=d_model, n_heads=n_heads)
    if d_model % n_heads:
        raise ValueError(f"{owner}: n_heads must divide d_model, but {d_model} / {n_heads} leaves a rest.")
