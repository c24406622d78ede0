"""What the models that predict the next token, `GPT` and `Llama`, have in common."""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Tensor, checkpoint
from ..nn import Embedding, KVCache, Linear, Module, init


def check_init_std(owner: str, init_std: float) -> None:
    if not 0 < init_std < math.inf:
        raise ValueError(f"{owner}: init_std must be a number above 0, not {init_std!r}.")


def initialise(model: Module, init_std: float, n_layers: int | None, rng: np.random.Generator) -> None:
    """GPT-2's initial weights: N(0, init_std²), biases 0. Each block adds two terms to the sum that runs through the
    model, so the layers that write into it start smaller, and the sum's variance does not grow with depth. Without
    `n_layers` all start alike, as in BERT."""
    residual_std = init_std if n_layers is None else init_std / math.sqrt(2 * n_layers)
    for name, module in model.named_modules():
        if isinstance(module, (Linear, Embedding)):
            std = residual_std if name.endswith(("attention.out", "feed_forward.down")) else init_std
            module.weight = init.normal(module.weight.shape, std, rng)
        if isinstance(module, Linear) and module.bias is not None:
            module.bias = init.zeros(module.bias.shape)


def checked_ids(owner: str, ids: Tensor | np.ndarray, cache: KVCache | None, max_seq_len: int) -> Tensor | np.ndarray:
    """ids (B, T), as a tensor or an array. Raises ValueError where they, after those in the cache, are too many."""
    ids = ids if isinstance(ids, Tensor) else np.asarray(ids)
    if ids.ndim != 2:
        raise ValueError(f"{owner}: ids must have shape (B, T), got {ids.shape}; add a dim for a batch of one.")
    end = ids.shape[1] + (0 if cache is None else cache.length)
    if end > max_seq_len:
        raise ValueError(f"{owner}: {end} tokens are more than max_seq_len = {max_seq_len}; shorten them.")
    return ids


def run_blocks(model: Module, x: Tensor, cache: KVCache | None) -> Tensor:
    """x (B, T, C) through all blocks of the model, to (B, T, C)."""
    for i, block in enumerate(model.blocks):
        if cache is not None:
            x = block(x, cache=cache.layers[i])
        else:
            x = checkpoint(block, x, rng=model.rng) if model.checkpoint_activations else block(x)
    return x
