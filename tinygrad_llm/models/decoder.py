"""What the models that predict the next token, `GPT` and `Llama`, have in common."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..autograd import Tensor, checkpoint
from ..nn import Embedding, KVCache, Linear, Module, Parameter, init


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


def run_blocks(model: Module, x: Tensor, cache: KVCache | None, **attention_inputs) -> Tensor:
    """x (B, T, C) through all blocks of the model, to (B, T, C)."""
    for i, block in enumerate(model.blocks):
        if cache is not None:
            x = block(x, cache=cache.layers[i])
        elif model.checkpoint_activations:
            x = checkpoint(block, x, rng=model.rng, **attention_inputs)
        else:
            x = block(x, **attention_inputs)
    return x


def packed(owner: str, ids: Tensor | np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rows that hold several texts: where each token stands in its own, (B, T), and who may look at whom,
    (B, 1, T, T): 0 within a text, −∞ between two. That attention looks back only, it knows by itself.

    `documents` (B, T) numbers the texts; a text ends where another number begins. Raises ValueError for another shape.

    >>> packed("GPT", np.zeros((1, 5)), np.array([[0, 0, 0, 1, 1]]))[0].tolist()
    [[0, 1, 2, 0, 1]]
    """
    documents = np.asarray(documents)
    if documents.shape != ids.shape:
        raise ValueError(f"{owner}: documents must number the tokens of ids {ids.shape}, not be {documents.shape}.")
    columns, begins = np.arange(ids.shape[1]), np.ones(ids.shape, bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    starts = np.maximum.accumulate(np.where(begins, columns, 0), axis=1)  # (B, T): where each token's text begins
    same = starts[:, None, :, None] == starts[:, None, None, :]  # (B, 1, T, T)
    return columns - starts, np.where(same, np.float32(0), np.float32(-np.inf))


def token_tables(model: Module) -> list[Module]:
    """What has a row for each token: the embedding, and the head where it is not tied to it."""
    return [model.token_embedding] + ([model.head] if getattr(model, "head", None) is not None else [])


def resize_token_embeddings(model: Module, vocab_size: int) -> None:
    """Give a `GPT` or a `Llama` rows for so many tokens, in place: after its tokenizer has got special tokens.

    A new row is the mean of the old ones: no token stands out before it has learned anything. A head of its own grows
    along. Raises ValueError for fewer tokens than there are, and for a quantised model.
    """
    if vocab_size < model.config.vocab_size:
        raise ValueError(
            f"resize_token_embeddings: the model has {model.config.vocab_size:,} tokens and cannot do with "
            f"{vocab_size:,}: rows can be added only."
        )
    for table in token_tables(model):
        old = table.weight.data  # (V, C)
        if old.dtype.kind != "f":
            raise ValueError("resize_token_embeddings: a quantised model cannot grow: dequantize() it first.")
        mean = old.mean(axis=0, dtype=np.float64).astype(old.dtype)
        table.weight = Parameter(np.concatenate([old, np.tile(mean, (vocab_size - len(old), 1))]))
    model.config = dataclasses.replace(model.config, vocab_size=vocab_size)
