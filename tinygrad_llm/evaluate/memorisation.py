"""Memorisation: how much of its training text a language model gives back word for word.

A prompt of k tokens from the training text, and the model goes on, always with the likeliest token. If the next tokens
are exactly those of the text, they were extracted. The same prompts' worth of text that the model never saw is the
control: what is reproduced there was not learnt by heart, but is what anybody would have written. Longer prompts
extract more, and so do larger models and texts that stood in the corpus more often.

Source: N. Carlini and others, "Quantifying Memorization Across Neural Language Models" (2023), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..generate import generate
from .intervals import Interval, bootstrap_interval

BATCH_SIZE = 64


class Share(NamedTuple):
    """A share of n, and Wilson's interval of it: unlike a bootstrap it does not end at 0 where nothing was counted."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Extraction:
    """What prompts of one length brought out of a text."""

    prompt_len: int
    exact: Share  # of the prompts after which the whole continuation was reproduced
    matched: Interval  # tokens reproduced before the first other one, in the mean
    n_new: int  # tokens in a continuation


def wilson(n_true: int, n: int, z: float = 1.96) -> Share:
    """
    >>> share = wilson(0, 100)
    >>> share.value, round(share.low, 3), round(share.high, 3)
    (0.0, 0.0, 0.037)

    Raises ValueError for n below 1. Source: E. Wilson, "Probable inference, the law of succession, and statistical
    inference" (1927).
    """
    if n < 1:
        raise ValueError("wilson: a share of nothing has no interval: count at least one")
    p, scale = n_true / n, 1 + z * z / n
    centre, half = (p + z * z / (2 * n)) / scale, z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Share(p, max(centre - half, 0.0), min(centre + half, 1.0), n)


def extraction(
    model,
    tokens: np.ndarray,
    prompt_lens: Sequence[int],
    n_new: int,
    n_prompts: int,
    rng: np.random.Generator,
    eos_id: int | None = None,
) -> list[Extraction]:
    """How often the model continues prompts from tokens (N,) exactly as the text does, for each length of prompt.

    All lengths are asked for the same `n_prompts` continuations of `n_new` tokens, none of which crosses the end of a
    text, `eos_id`. Raises ValueError where prompt and continuation are longer than the model sees, and where the text
    has no such places.
    """
    longest = max(prompt_lens)
    if min(*prompt_lens, n_new, n_prompts) < 1:
        raise ValueError("extraction: prompt_lens, n_new and n_prompts must be at least 1")
    if longest + n_new > model.config.max_seq_len:
        raise ValueError(
            f"extraction: a prompt of {longest} tokens and {n_new} new ones are more than the model's context, "
            f"{model.config.max_seq_len}: make them shorter"
        )
    places = continuation_places(tokens, longest, n_new, n_prompts, rng, eos_id)
    wanted = np.stack([np.asarray(tokens[p : p + n_new], np.int64) for p in places])  # (P, n_new)
    results = []
    for length in prompt_lens:
        prompts = np.stack([np.asarray(tokens[p - length : p], np.int64) for p in places])  # (P, length)
        written = np.concatenate(
            [
                generate(model, prompts[i : i + BATCH_SIZE], n_new, temperature=0)[:, length:]
                for i in range(0, len(prompts), BATCH_SIZE)
            ]
        )
        same = np.cumprod(written == wanted, axis=1).sum(axis=1)  # (P,)
        matched = bootstrap_interval(np.mean, same, rng=rng)
        results.append(Extraction(length, wilson(int((same == n_new).sum()), len(same)), matched, n_new))
    return results


def continuation_places(
    tokens: np.ndarray, n_before: int, n_new: int, n_places: int, rng: np.random.Generator, eos_id: int | None = None
) -> list[int]:
    """Up to `n_places` different places in tokens (N,), drawn at random, with so many tokens of one text on each side.

    Raises ValueError where none is found.
    """
    highest, found = len(tokens) - n_new, {}
    for _ in range(100 * n_places if highest >= n_before else 0):
        place = int(rng.integers(n_before, highest + 1))
        if eos_id is None or not (np.asarray(tokens[place - n_before : place + n_new]) == eos_id).any():
            found[place] = None
            if len(found) == n_places:
                break
    if not found:
        raise ValueError(
            f"the text has no place with {n_before} tokens before and {n_new} after it in one document: "
            "shorten the prompts or give longer texts"
        )
    return list(found)
