"""Which token of the source a decoder looks at while it writes: for translations, an alignment that nobody taught."""

from __future__ import annotations

import numpy as np

from ..generate.context import evaluating
from ..models import Seq2Seq


def alignment(model: Seq2Seq, source: np.ndarray, target_in: np.ndarray) -> np.ndarray:
    """source (S,) and target_in (T,), which begins with the frame -> weights (n_layers, n_heads, T, S).

    Row t says where the decoder looks when it chooses the token after target_in[t]. The fused attention never holds
    these numbers, so they are computed here by the formula; without dropout.
    """
    weights = []
    with evaluating(model):
        memory = model.encode(np.asarray(source)[None])  # (1, S, C)
        ids = np.asarray(target_in)
        x = model.token_embedding(ids[None]) + model.target_positions(np.arange(len(ids)))  # (1, T, C)
        for block in model.decoder_blocks:
            asking = x + block.attention(block.norm1(x))
            weights.append(block.cross_attention.weights(block.norm2(asking), memory).data[0])
            x = block(x, memory)
    return np.stack(weights)
