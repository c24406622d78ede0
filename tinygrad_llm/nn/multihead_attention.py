"""`MultiheadAttention` with PyTorch's interface: self- or cross-attention, any mask, weights on request.

Vaswani et al. 2017, section 3.2. With PyTorch's weights it gives PyTorch's outputs and gradients. For a GPT, whose
only mask is the causal one, `CausalSelfAttention` is shorter and faster.
"""

from __future__ import annotations

import math

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..ops.common import as_tensor, cast
from . import init
from .attention import require_heads
from .dropout import require_probability
from .linear import Linear
from .module import Module


class MultiheadAttention(Module):
    """query (L, N, E), key and value (S, N, E) -> output (L, N, E), weights (N, L, S) or None.

    With `batch_first` the N comes first; without a batch (L, E) and (S, E) are fine too. E = embed_dim.
    `in_proj_weight` (3E, E) holds the projections of queries, keys and values, one above the other.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,  # PyTorch has four other settings here
        batch_first: bool = False,
        rng: np.random.Generator | None = None,
    ):
        require_heads("MultiheadAttention", embed_dim, num_heads)
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.dropout = require_probability("MultiheadAttention", dropout)
        self.batch_first = batch_first
        self.rng = init.generator(rng)
        self.in_proj_weight = init.xavier_uniform((3 * embed_dim, embed_dim), self.rng)
        self.in_proj_bias = init.zeros((3 * embed_dim,)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, self.rng)
        if bias:
            self.out_proj.bias = init.zeros((embed_dim,))

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | np.ndarray | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | np.ndarray | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Boolean masks are True where a query must NOT look, as in PyTorch; float masks are added to the scores.

        key_padding_mask (N, S) or (S,); attn_mask (L, S) or (N·num_heads, L, S). `is_causal` hides later positions.
        The weights are averaged over the heads unless `average_attn_weights=False`, then (N, num_heads, L, S);
        without `need_weights` the faster attention kernel runs.
        """
        batched = query.ndim == 3
        self._check_inputs(query, key, value)
        query, key, value = (self._batch_first(x, batched) for x in (query, key, value))  # (N, L or S, E)
        q, k, v = (self._split_heads(x) for x in self._project(query, key, value))  # (N, H, L or S, D)
        mask = combine_masks(key_padding_mask, attn_mask, q.shape, k.shape[-2], q.dtype)
        if need_weights:
            mixed, weights = self._attend_with_weights(q, k, v, mask, is_causal)
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        else:
            dropout_p = self.dropout if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal, rng=self.rng)
            weights = None
        N, L, E = query.shape
        out = self.out_proj(mixed.transpose(1, 2).reshape(N, L, E))
        if not batched:
            return out[0], weights
        return (out if self.batch_first else out.transpose(0, 1)), weights

    def _check_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise ValueError(f"MultiheadAttention: expected three inputs of 2 or 3 dims, got {shapes}.")
        if any(x.shape[-1] != self.embed_dim for x in (query, key, value)):
            raise ValueError(f"MultiheadAttention: the last dim must be embed_dim = {self.embed_dim}, got {shapes}.")
        batch_dim = 0 if self.batch_first else 1
        if key.shape != value.shape or (query.ndim == 3 and query.shape[batch_dim] != key.shape[batch_dim]):
            raise ValueError(f"MultiheadAttention: key and value must agree, and all in the batch size, got {shapes}.")

    def _batch_first(self, x: Tensor, batched: bool) -> Tensor:
        if not batched:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each input times its third of in_proj."""
        E = self.embed_dim
        projected = []
        for i, x in enumerate((query, key, value)):
            rows = slice(i * E, (i + 1) * E)
            bias = self.in_proj_bias[rows] if self.in_proj_bias is not None else None
            projected.append(F.linear(x, self.in_proj_weight[rows], bias))
        return tuple(projected)

    def _split_heads(self, x: Tensor) -> Tensor:
        N, L, E = x.shape
        return x.reshape(N, L, self.num_heads, E // self.num_heads).transpose(1, 2)  # (N, H, L, D)

    def _attend_with_weights(self, q: Tensor, k: Tensor, v: Tensor, mask, is_causal: bool) -> tuple[Tensor, Tensor]:
        """softmax(q kᵀ / √D + mask) v, step by step, for the weights are wanted."""
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (N, H, L, S)
        if mask is not None:
            scores = scores + mask
        if is_causal:
            scores = scores.masked_fill(~np.tri(*scores.shape[-2:], dtype=bool), -math.inf)
        weights = F.softmax(scores, dim=-1)
        weights = F.dropout(weights, self.dropout, self.training, self.rng)
        return weights @ v, weights

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}"


def combine_masks(key_padding_mask, attn_mask, q_shape: tuple, S: int, dtype) -> Tensor | None:
    """One mask to add to the scores (N, H, L, S), of a shape that broadcasts to theirs; None if all may look."""
    N, H, L, _ = q_shape
    mask = None
    if attn_mask is not None:
        mask = additive(attn_mask, dtype)
        if mask.shape not in ((L, S), (N * H, L, S)):
            raise ValueError(f"attn_mask has shape {mask.shape}, expected (L, S) = {(L, S)} or {(N * H, L, S)}.")
        mask = mask.reshape(-1, H if mask.ndim == 3 else 1, L, S)
    if key_padding_mask is not None:
        padding = additive(key_padding_mask, dtype)
        if padding.shape not in ((N, S), (S,)):
            raise ValueError(f"key_padding_mask has shape {padding.shape}, expected (N, S) = {(N, S)}.")
        padding = padding.reshape(-1, 1, 1, S)
        mask = padding if mask is None else mask + padding
    return mask


def additive(mask: Tensor | np.ndarray, dtype: np.dtype) -> Tensor:
    """−inf where a boolean mask forbids to look, 0 elsewhere. A float mask stays, with its gradient."""
    mask = as_tensor("MultiheadAttention", mask)
    if mask.dtype.kind == "b":
        return Tensor(np.where(mask.data, -np.inf, 0.0).astype(dtype))
    if mask.dtype.kind != "f":
        raise TypeError(f"Attention masks are boolean (True hides) or floating point (added), not {mask.dtype}.")
    return cast(mask, dtype)
