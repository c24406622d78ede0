"""cached_attention: the attention of new tokens to all tokens so far, whose keys and values a cache holds.

Forward    out = softmax(scale · q kᵀ) v, where query t of T looks at the keys up to position length − T + t
Backward   none: nothing that is cached gets a gradient
Shapes     qkv (B, T, 3·C), keys and values (B, H, T_max, D), of which the first `length` count → (B, T, C);
           of these again the first padding[b] hold no token and are not looked at

`scaled_dot_product_attention` on views of the same arrays gives the same. But a generated token calls it once in each
layer, and to find out how the views lie in memory takes it longer than the attention itself; here that is known.
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Tensor
from .attention import attend
from .attention_few_queries import FEW
from .attention_layout import Heads, Options, packed_heads


def cached_attention(
    qkv: Tensor, n_heads: int, keys: np.ndarray, values: np.ndarray, length: int, padding: np.ndarray | None = None
) -> Tensor:
    """qkv (B, T, 3·C) of the last T of `length` tokens, whose keys and values are in the cache already → (B, T, C).

    `keys` and `values` are a cache's whole arrays, contiguous. To be called where no gradients are recorded.
    """
    queries, _, _ = packed_heads(np.ascontiguousarray(qkv.data), n_heads)
    return _attend_to_cache(queries, qkv.shape[1], n_heads, keys, values, length, padding)


def cached_grouped_attention(
    query: Tensor, keys: np.ndarray, values: np.ndarray, length: int, padding: np.ndarray | None = None
) -> Tensor:
    """The same for queries (B, T, H, D) of their own, and a cache with fewer heads than they have → (B, T, H·D)."""
    B, T, n_heads, D = query.shape
    (queries,) = packed_heads(np.ascontiguousarray(query.data).reshape(B, T, n_heads * D), n_heads, 1)
    return _attend_to_cache(queries, T, n_heads, keys, values, length, padding)


def _attend_to_cache(queries: Heads, T: int, n_heads: int, keys, values, length: int, padding) -> Tensor:
    B, n_key_heads, T_max, D = keys.shape
    out, lse = np.empty((B, T, n_heads * D), keys.dtype), np.empty((B * n_heads, T), keys.dtype)
    (out_heads,) = packed_heads(out, n_heads, 1)
    k, v = (Heads(x.reshape(-1, D), (n_key_heads * T_max, T_max, 1)) for x in (keys, values))
    visible = np.tri(T, length, length - T, dtype=bool) if 1 < T < length else None
    if padding is not None:
        tokens = np.arange(length) >= padding[:, None, None, None]  # (B, 1, 1, length)
        visible = tokens if visible is None else tokens & visible
    options = Options((B, n_heads), n_key_heads, 1 / math.sqrt(D), is_causal=1 < T == length)
    attend(out_heads, lse, queries, k, v, visible, length, options, few_queries=T < FEW)
    return Tensor._from_array(out)
