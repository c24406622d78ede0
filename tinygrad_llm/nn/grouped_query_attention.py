"""`GroupedQueryAttention`: causal self-attention with fewer heads of keys and values than of queries. Llama's layout.

Each key head serves n_heads / n_kv_heads query heads in turn (Ainslie et al. 2023): the cache of a generated text,
which takes the memory, and the time to read it, shrinks by that factor. With n_kv_heads = n_heads it is plain
multi-head attention, with 1 multi-query attention. Positions come in by turning queries and keys, not with the input.
"""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..ops.attention_cached import cached_grouped_attention
from . import init
from .attention import require_heads
from .kv_cache import LayerCache, refuse_gradients
from .linear import Linear
from .module import Module


class GroupedQueryAttention(Module):
    """(B, T, C) -> (B, T, C), C = d_model = n_heads · D. `rotary` turns queries and keys, (B, T, H, D) and a start.

    query makes n_heads · D numbers per token, key and value n_kv_heads · D each; no biases.
    Raises ValueError where n_heads does not divide d_model, or n_kv_heads not n_heads.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int,
        rotary: Module,
        rng: np.random.Generator | None = None,
    ):
        require_groups("GroupedQueryAttention", d_model, n_heads, n_kv_heads)
        rng = init.generator(rng)
        self.head_dim = d_model // n_heads
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.query = Linear(d_model, n_heads * self.head_dim, bias=False, rng=rng)
        self.key = Linear(d_model, n_kv_heads * self.head_dim, bias=False, rng=rng)
        self.value = Linear(d_model, n_kv_heads * self.head_dim, bias=False, rng=rng)
        self.out = Linear(n_heads * self.head_dim, d_model, bias=False, rng=rng)
        self.rotary = rotary

    def forward(
        self,
        x: Tensor,
        cache: LayerCache | None = None,
        positions: np.ndarray | None = None,
        attn_mask: np.ndarray | None = None,
    ) -> Tensor:
        """With a `cache`, x holds the tokens after those in it, and is added to it.

        Without one, `positions` (B, T) may be others than 0 … T − 1, and `attn_mask`, that of
        F.scaled_dot_product_attention, hides more than what comes later.
        """
        places = positions if positions is not None else 0 if cache is None else cache.length
        q = self.rotary(self._heads(self.query(x)), places)  # (B, T, n_heads, D)
        k = self.rotary(self._heads(self.key(x)), places).transpose(1, 2)  # (B, n_kv_heads, T, D)
        v = self._heads(self.value(x)).transpose(1, 2)  # (B, n_kv_heads, T, D)
        if cache is not None:
            refuse_gradients(q, k, v)
            cache.append(k, v)
            return self.out(cached_grouped_attention(q, cache.keys, cache.values, cache.length, cache.padding))
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, attn_mask, is_causal=True, enable_gqa=True)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))  # (B, T, C)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, H · D) -> (B, T, H, D)."""
        B, T, width = x.shape
        return x.reshape(B, T, width // self.head_dim, self.head_dim)

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}, n_kv_heads={self.n_kv_heads}"


def require_groups(owner: str, d_model: int, n_heads: int, n_kv_heads: int) -> None:
    """Raise ValueError unless d_model can be cut into n_heads equal parts, and these into n_kv_heads equal groups."""
    require_heads(owner, d_model, n_heads)
    init.require_positive(owner, n_kv_heads=n_kv_heads)
    if n_heads % n_kv_heads:
        raise ValueError(f"{owner}: n_kv_heads must divide n_heads, but {n_heads} / {n_kv_heads} leaves a rest.")
