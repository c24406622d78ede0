"""`KVCache`: the keys and values of the tokens that were read before, so that each new token costs one token's work.

Without it, generating token n means to run all n tokens through the model again. Keys and values of earlier
positions never change (attention is causal), so they are kept: 2 · n_layers · C numbers per token.
There are places for 1,024 tokens at first, and for twice as many whenever they do not suffice: where a model could read
8,192 tokens, a short conversation need not take the memory of a long one.

Texts of a batch that are shorter than others begin with padding: places that hold no token, which no query may look at.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor, is_grad_enabled

FIRST_PLACES = 1024


class LayerCache:
    """One attention layer's keys and values, (B, H, places, D) each, of which the first `length` are filled."""

    def __init__(self, batch_size: int, n_heads: int, max_seq_len: int, head_dim: int, dtype=np.float32):
        self.keys = np.empty((batch_size, n_heads, min(max_seq_len, FIRST_PLACES), head_dim), dtype)
        self.values = np.empty_like(self.keys)
        self.length, self.max_seq_len = 0, max_seq_len
        self.padding: np.ndarray | None = None  # (B,): how many places at the beginning of each text hold no token

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, H, T, D) of T new tokens; returns those of all tokens so far, (B, H, length, D).

        Raises ValueError when there is no room or the shape is another model's, and RuntimeError while gradients
        are recorded: none flow through a cache.
        """
        refuse_gradients(keys, values)
        B, H, places, D = self.keys.shape
        T, T_max = keys.shape[-2], self.max_seq_len
        if keys.shape != (B, H, T, D) or values.shape != keys.shape:
            raise ValueError(
                f"KVCache: keys {keys.shape} and values {values.shape} do not fit a cache for (B, H, T, D) = "
                f"({B}, {H}, up to {T_max}, {D})."
            )
        end = self.length + T
        if end > T_max:
            raise ValueError(
                f"KVCache: {T} more tokens do not fit: {self.length} of {T_max} places are filled. "
                "reset() it and start from a shorter context."
            )
        if end > places:
            places = min(max(2 * places, end), T_max)
            self.keys, self.values = (_grown(x, places, self.length) for x in (self.keys, self.values))
        self.keys[:, :, self.length : end] = keys.data
        self.values[:, :, self.length : end] = values.data
        self.length = end
        return Tensor._from_array(self.keys[:, :, :end]), Tensor._from_array(self.values[:, :, :end])

    def select(self, rows: np.ndarray) -> None:
        """See `KVCache.select`."""
        self.keys, self.values = (_selected(x, rows, self.length) for x in (self.keys, self.values))
        if self.padding is not None:
            self.padding = self.padding[rows]


def _grown(x: np.ndarray, places: int, length: int) -> np.ndarray:
    """x (B, H, …, D) with more places, as far as rows are filled."""
    B, H, _, D = x.shape
    grown = np.empty((B, H, places, D), x.dtype)
    grown[:, :, :length] = x[:, :, :length]
    return grown


def _selected(x: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
    """x (B, H, places, D) with row rows[i] in place of row i, as far as rows are filled. In place if their number
    stays, so that only those are copied that change."""
    if len(rows) != len(x):
        selected = np.empty((len(rows), *x.shape[1:]), x.dtype)
        selected[:, :, :length] = x[rows, :, :length]
        return selected
    changed = np.flatnonzero(rows != np.arange(len(rows)))
    x[changed, :, :length] = x[rows[changed], :, :length]
    return x


def refuse_gradients(*tensors: Tensor) -> None:
    """Raise RuntimeError if gradients of what goes into a cache are wanted."""
    if is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        raise RuntimeError("KVCache: no gradients flow through a cache; use it under no_grad().")


class KVCache:
    """The caches of all layers of a model."""

    def __init__(self, n_layers: int, batch_size: int, n_heads: int, max_seq_len: int, head_dim: int, dtype=np.float32):
        self.layers = [LayerCache(batch_size, n_heads, max_seq_len, head_dim, dtype) for _ in range(n_layers)]

    @property
    def length(self) -> int:
        """How many tokens every layer has seen: the position of the next one."""
        return self.layers[-1].length

    def positions(self, n_tokens: int) -> np.ndarray:
        """Where the next tokens stand in their texts: (T,), or (B, T) if there is padding, which does not count."""
        columns = np.arange(self.length, self.length + n_tokens)
        padding = self.layers[-1].padding
        return columns if padding is None else np.maximum(columns - padding[:, None], 0)

    def reset(self, padding: np.ndarray | None = None) -> None:
        """Forget all tokens; the memory stays. The next ones begin with `padding` (B,) places that hold no token."""
        batch_size = len(self.layers[-1].keys)
        if padding is not None and padding.shape != (batch_size,):
            raise ValueError(
                f"KVCache: padding must have shape ({batch_size},), one number per text, got {padding.shape}."
            )
        for layer in self.layers:
            layer.length, layer.padding = 0, padding

    def select(self, rows: np.ndarray) -> None:
        """Text i goes on from what was text rows[i]; there may be more or fewer rows than texts."""
        for layer in self.layers:
            layer.select(rows)

    def __repr__(self) -> str:
        (B, H, _, D), T_max = self.layers[0].keys.shape, self.layers[0].max_seq_len
        return f"KVCache({len(self.layers)} layers, B={B}, H={H}, D={D}, {self.length} of {T_max} tokens)"
