"""Attention: each query takes a weighted mean of the values, weighted by how well their keys fit to it.

Forward    out = softmax(scale · q kᵀ + mask) v
Backward   with weights w:  dv = wᵀ dout,  dw = dout vᵀ,  ds = w (dw − ⟨dout, out⟩),
           dq = scale · ds k,  dk = scale · dsᵀ q,  dmask = ds
Shapes     q (…, H, T, D), k (…, H, S, D), v (…, H, S, Dv), mask broadcastable to (…, H, T, S) → (…, H, T, Dv)
Saved      the inputs, out, and one number per query: lse = log Σ e^score
Lesson     10_attention (what it computes), 11_attention_kernel (how)
Source     Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1; FlashAttention: Dao et al. (2022),
           algorithms 1 and 4; online softmax: Milakov and Gimelshein (2018); grouped queries: Ainslie et al. (2023)

The (T, S) scores are never stored. Forward walks over the keys tile by tile and keeps, per query, the largest score so
far and the sum of exponentials; backward computes each tile of weights again, which costs less than fetching it from
memory. Neither needs more than O(T + S) memory beyond its results.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..autograd import Function, Tensor
from .attention_kernels import attention_backward, attention_forward
from .common import as_tensor, broadcast_shape, cast, require_float, unbroadcast


def attention_ref(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> np.ndarray:
    """The formula, with the whole (…, T, S) array of scores."""
    if enable_gqa:
        key, value = (np.repeat(x, query.shape[-3] // x.shape[-3], axis=-3) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = scale * (query @ np.swapaxes(key, -1, -2))  # (…, H, T, S)
    if attn_mask is not None:
        scores = scores + (np.where(attn_mask, 0.0, -np.inf) if attn_mask.dtype == bool else attn_mask)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ value  # (…, H, T, Dv)
