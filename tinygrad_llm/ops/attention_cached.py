"""cached_attention: the attention of new tokens to all tokens so far, whose keys and values a cache holds.

Forward    out = softmax(scale · q kᵀ) v, where query t of T looks at the keys up to position length − T + t
Backward   none: nothing that is cached gets a gradient
Shapes     qkv (B, T, 3·C), keys and values (B, H, T_max, D), of which the first `length` count → (B, T, C)

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


def cached_attention(qkv: Tensor, n_heads: int, keys: np.ndarray, values: np.ndarray, length: int) -> Tensor:
    """qkv (B, T, 3·C) of the last T of `length` tokens, whose keys and values are in the cache already → (B, T, C).

    `keys` and `values` are a cache's whole arrays, contiguous. To be called where no gradients are recorded.
    """
    B, T, C3 = qkv.shape
    _, H, T_max, D = keys.shape
    out, lse = np.empty((B, T, C3 // 3), keys.dtype), np.empty((B * H, T), keys.dtype)
    queries, _, _ = packed_heads(np.ascontiguousarray(qkv.data), n_heads)
    (out_heads,) = packed_heads(out, n_heads, 1)
    k, v = (Heads(x.reshape(-1, D), (H * T_max, T_max, 1)) for x in (keys, values))
    visible = np.tri(T, length, length - T, dtype=bool) if 1 < T < length else None
    options = Options((B, H), H, 1 / math.sqrt(D), is_causal=1 < T == length)
    attend(out_heads, lse, queries, k, v, visible, length, options, few_queries=T < FEW)
    return Tensor._from_array(out)
