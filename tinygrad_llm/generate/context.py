"""`Context`: what the model sees of the texts that it writes, and its KV cache for them.

A text may outgrow the model. Then it sees the end of it only, a window of at most `max_seq_len` tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..autograd import no_grad


def window_start(length: int, max_seq_len: int) -> int:
    """Where the model's view of a text of `length` tokens begins, when not all of it fits.

    The window moves on by half its size at a time. Positions count from its start, so that a move changes every
    key and the cache must be filled anew; moving by one token would do that for each new token.
    """
    if length <= max_seq_len:
        return 0
    stride = max(max_seq_len // 2, 1)
    return -(-(length - max_seq_len) // stride) * stride


@contextmanager
def evaluating(model) -> Iterator[None]:
    """Without dropout and without a graph, but only while the model runs: between two tokens its modes are the
    caller's."""
    in_training = [module for module in model.modules() if module.training] if model.training else []
    for module in in_training:
        module.training = False
    try:
        with no_grad():
            yield
    finally:
        for module in in_training:
            module.training = True


def next_token_logits(model, ids: np.ndarray, cache) -> np.ndarray:
    """(B, V), see `evaluating`."""
    with evaluating(model):
        return model.next_token_logits(ids, cache).data


class Context:
    """The first `length` columns of `window` are what the model sees. All texts end in the last of these.

    Each text has a window of its own, so that it is continued as it would be alone: those that see fewer tokens have
    padding before them, which the cache knows of and attention does not look at.
    """

    def __init__(self, model, ids: np.ndarray, padding: np.ndarray):
        """ids (B, T) of the prompts, of which row i begins with padding[i] places that are no tokens."""
        self.model = model
        self.text_lengths = ids.shape[1] - padding  # (B,): of the whole texts, seen or not
        self.cache = model.new_cache(len(ids))
        self.window = np.empty((len(ids), model.config.max_seq_len), np.int64)
        self._look_at(ids)

    def _look_at(self, texts: np.ndarray) -> None:
        """The model sees the end of texts (B, n), as much of each as fits, and has read nothing of it yet."""
        max_seq_len = self.model.config.max_seq_len
        visible = np.array([n - window_start(n, max_seq_len) for n in self.text_lengths.tolist()])
        self.length = int(visible.max())
        self.window[:, : self.length] = texts[:, -self.length :]
        padding = self.length - visible
        self.cache.reset(padding if padding.any() else None)

    def logits(self) -> np.ndarray:
        """Scores (B, V) of the next token of each text."""
        return next_token_logits(self.model, self.window[:, self.cache.length : self.length], self.cache)

    def append(self, tokens: np.ndarray) -> None:
        """One more token (B,) of each text."""
        self.text_lengths += 1
        if self.length == self.window.shape[1]:
            self._look_at(np.concatenate([self.window, tokens[:, None]], axis=1))
            return
        self.window[:, self.length] = tokens
        self.length += 1

    def select(self, rows: np.ndarray) -> None:
        """Text i goes on from what was text rows[i]; there may be more or fewer rows than texts."""
        self.window, self.text_lengths = self.window[rows], self.text_lengths[rows]
        self.cache.select(rows)
