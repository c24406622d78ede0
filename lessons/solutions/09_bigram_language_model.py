"""Solutions of lesson 09."""

import numpy as np


def count_pairs(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """One integer for each pair, and one count of each integer."""
    pairs = ids[:-1] * vocab_size + ids[1:]
    return np.bincount(pairs, minlength=vocab_size**2).reshape(vocab_size, vocab_size)


def perplexity(p: np.ndarray, ids: np.ndarray) -> float:
    """The geometric mean of 1 / p."""
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.log(p[ids[:-1], ids[1:]]).mean()))


def logit_gradient(counts: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """What the model expects of each row, minus what was counted there."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return (counts.sum(axis=1, keepdims=True) * p - counts) / counts.sum()


def next_token(logits: np.ndarray, temperature: float, u: float) -> int:
    """The first id at which the sum of the pieces so far exceeds u."""
    if temperature == 0:
        return int(logits.argmax())
    p = np.exp((logits - logits.max()) / temperature)
    ends = p.cumsum(dtype=np.float64)
    return int(np.searchsorted(ends, u * ends[-1], side="right"))
