"""Plausible wrong answers to the exercises of lesson 09."""

import numpy as np


def count_pairs__adds_once_per_cell(ids, vocab_size):
    """`+=` with an index array writes once per cell, however often a pair occurs."""
    counts = np.zeros((vocab_size, vocab_size), np.int64)
    counts[ids[:-1], ids[1:]] += 1
    return counts


def count_pairs__rows_are_the_next_token(ids, vocab_size):
    """The table is transposed."""
    counts = np.zeros((vocab_size, vocab_size), np.int64)
    np.add.at(counts, (ids[1:], ids[:-1]), 1)
    return counts


def count_pairs__too_few_cells(ids, vocab_size):
    """Without minlength the last cells are missing."""
    return np.bincount(ids[:-1] * vocab_size + ids[1:]).reshape(vocab_size, vocab_size)


def perplexity__mean_of_inverse(p, ids):
    """The arithmetic mean of 1 / p, not the geometric one."""
    with np.errstate(divide="ignore"):
        return float((1 / p[ids[:-1], ids[1:]]).mean())


def perplexity__sum_of_logarithms(p, ids):
    """1 / p(text), which is not divided among the tokens."""
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.log(p[ids[:-1], ids[1:]]).sum()))


def perplexity__mixed_bases(p, ids):
    """Bits in, e out."""
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.log2(p[ids[:-1], ids[1:]]).mean()))


def perplexity__divides_by_tokens(p, ids):
    """N tokens make N − 1 pairs."""
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.log(p[ids[:-1], ids[1:]]).sum() / len(ids)))


def logit_gradient__each_row_alone(counts, logits):
    """Each row is averaged on its own, as if all tokens were equally frequent."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    n = counts.sum(axis=1, keepdims=True)
    return np.where(n > 0, p - counts / np.maximum(n, 1), 0.0)


def logit_gradient__overflows(counts, logits):
    """e^1000 is inf."""
    with np.errstate(all="ignore"):
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        return (counts.sum(axis=1, keepdims=True) * p - counts) / counts.sum()


def logit_gradient__not_weighted(counts, logits):
    """The probabilities are not multiplied by how often the row was used."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p - counts / counts.sum()


def next_token__left_side(logits, temperature, u):
    """The default side of searchsorted gives the left piece at a boundary, and a token of probability 0 at u = 0."""
    if temperature == 0:
        return int(logits.argmax())
    p = np.exp((logits - logits.max()) / temperature)
    ends = p.cumsum()
    return int(np.searchsorted(ends, u * ends[-1]))


def next_token__may_run_past_the_end(logits, temperature, u):
    """Where the sum stays below 1 by a rounding error, u can lie beyond it."""
    if temperature == 0:
        return int(logits.argmax())
    p = np.exp((logits - logits.max()) / temperature)
    return int(np.searchsorted((p / p.sum()).cumsum(), u, side="right"))


def next_token__multiplies_by_temperature(logits, temperature, u):
    """The temperature is upside down."""
    if temperature == 0:
        return int(logits.argmax())
    p = np.exp((logits - logits.max()) * temperature)
    ends = p.cumsum()
    return int(np.searchsorted(ends, u * ends[-1], side="right"))


def next_token__divides_by_zero(logits, temperature, u):
    """Temperature 0 is not treated apart."""
    with np.errstate(all="ignore"):
        p = np.exp((logits - logits.max()) / temperature)
    ends = p.cumsum()
    return int(np.searchsorted(ends, u * ends[-1], side="right"))
