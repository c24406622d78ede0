"""A simple baseline for questions about a text: the word that stands nearest to the question's words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

WORD = re.compile(r"\w+")


def nearest_word(question: str, context: str) -> str:
    """The word of the context, not in the question, with the largest Σ 1 / (distance · how often that word occurs)
    over all places where a word of the question stands; of equals the first. "" for a context without words.

    >>> nearest_word("Which parameter of `run` comes after `input`?", "def run(args, input, timeout, check)")
    'args'

    It knows nothing of order, here to its harm. In the spirit of the distance baseline of M. Richardson and others,
    "MCTest" (2013), section 4.2.
    """
    words = WORD.findall(context)
    lower, asked = [word.lower() for word in words], {word.lower() for word in WORD.findall(question)}
    counts = Counter(lower)
    candidates = [i for i, word in enumerate(lower) if word not in asked]
    places = np.array([i for i, word in enumerate(lower) if word in asked], float)
    if not candidates or not len(places):
        return words[0] if words else ""
    weights = np.array([1 / counts[lower[int(place)]] for place in places])
    scores = [float((weights / np.abs(places - i)).sum()) for i in candidates]
    return words[candidates[int(np.argmax(scores))]]
