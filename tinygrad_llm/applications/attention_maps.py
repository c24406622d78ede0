"""Where a model looks: the attention weights of its blocks. The fused attention never holds them, so they are computed
here by the formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..generate.context import evaluating
from ..models import BERT, GPT, Llama


def attention_weights(model: GPT | Llama | BERT, ids: np.ndarray) -> list[np.ndarray]:
    """Per block, the weights (H, T, T) with which each token of ids (T,) looks at itself and the tokens before it; in
    a BERT at those after it, too. Without dropout."""
    with evaluating(model):
        return [weights for weights, _ in through_blocks(model, embedded(model, ids))]


def embedded(model: GPT | Llama | BERT, ids: np.ndarray) -> Tensor:
    """What the first block gets of ids (T,): (1, T, C)."""
    x = model.token_embedding(ids[None])  # (1, T, C)
    if not isinstance(model, Llama):
        x = x + model.position_embedding(np.arange(len(ids)))
    return model.norm(x + model.segment_embedding(np.zeros_like(ids))) if isinstance(model, BERT) else x


def through_blocks(model: GPT | Llama | BERT, x: Tensor) -> Iterator[tuple[np.ndarray, Tensor]]:
    """For each block its attention weights (H, T, T), and what comes out of it, (1, T, C), of x (1, T, C).

    The caller keeps the model in evaluation mode meanwhile, as `evaluating` does.
    """
    for block in model.blocks:
        seen = x if isinstance(block, nn.PostNormBlock) else block.norm1(x)
        is_causal = not isinstance(block.attention, nn.BidirectionalSelfAttention)
        weights = _weights(*_queries_and_keys(block.attention, seen), is_causal)
        x = block(x)
        yield weights, x


def _queries_and_keys(attention: nn.Module, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Both (H, T, D), of x (1, T, C)."""
    n_heads, (_, T, C) = attention.n_heads, x.shape
    if isinstance(attention, nn.GroupedQueryAttention):
        q, k = (attention.rotary(part(x).reshape(1, T, -1, C // n_heads)) for part in (attention.query, attention.key))
        k = np.repeat(k.data, n_heads // attention.n_kv_heads, axis=2)  # a key head for each query head
        return q.data[0].swapaxes(0, 1), k[0].swapaxes(0, 1)
    q, k, _ = attention.qkv(x).data.reshape(T, 3, n_heads, C // n_heads).transpose(1, 2, 0, 3)
    return q, k


def _weights(q: np.ndarray, k: np.ndarray, is_causal: bool) -> np.ndarray:
    """softmax(q kᵀ / √D)."""
    T = q.shape[1]
    scores = q @ k.swapaxes(1, 2) / np.sqrt(np.float32(q.shape[-1]))
    allowed = np.tri(T, dtype=bool) if is_causal else True
    return F.softmax(Tensor(np.where(allowed, scores, -np.inf).astype(q.dtype)), dim=-1).data
