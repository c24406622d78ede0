"""`CausalSelfAttention`: each position looks back at itself and the positions before it. GPT-2's layout."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .dropout import require_probability
from .kv_cache import LayerCache
from .linear import Linear
from .module import Module


class CausalSelfAttention(Module):
    """(B, T, C) -> (B, T, C), C = d_model = n_heads · D.

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
        require_heads("CausalSelfAttention", d_model, n_heads)
        self.n_heads = n_heads
        self.dropout = require_probability("CausalSelfAttention", dropout)
        self.rng = init.generator(rng)
        self.qkv = Linear(d_model, 3 * d_model, bias, self.rng)
        self.out = Linear(d_model, d_model, bias, self.rng)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """With a `cache`, x holds the tokens after those in it, and is added to it."""
        qkv = self.qkv(x)  # (B, T, 3C)
        if cache is not None:
            return self.out(self._attend_to_cache(qkv, cache))
        dropout_p = self.dropout if self.training else 0.0
        return self.out(F.qkv_attention(qkv, self.n_heads, is_causal=True, dropout_p=dropout_p, rng=self.rng))

    def _attend_to_cache(self, qkv: Tensor, cache: LayerCache) -> Tensor:
        B, T, C3 = qkv.shape
        C, H = C3 // 3, self.n_heads
        split = qkv.reshape(B, T, 3, H, C // H).permute(2, 0, 3, 1, 4)  # (3, B, H, T, D)
        keys, values = cache.append(split[1], split[2])  # (B, H, L, D)
        # Row t of the new ones is position L − T + t of all: it may look at columns up to there.
        L = keys.shape[-2]
        visible = np.tri(T, L, L - T, dtype=bool) if T > 1 else None
        mixed = F.scaled_dot_product_attention(split[0], keys, values, attn_mask=visible)  # (B, H, T, D)
        return mixed.transpose(1, 2).reshape(B, T, C)

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}" + (f", dropout={self.dropout}" if self.dropout else "")


def require_heads(owner: str, d_model: int, n_heads: int) -> None:
    """Raise ValueError unless d_model can be cut into n_heads equal parts."""
    init.require_positive(owner, d_model=d_model, n_heads=n_heads)
    if d_model % n_heads:
        raise ValueError(f"{owner}: n_heads must divide d_model, but {d_model} / {n_heads} leaves a rest.")
