"""Canaries: random secrets put into a training text, to see afterwards how well the model remembers them.

    The access code of station QXV is 73914285.

Each stands in the text so many times, on purpose. To a model that has learnt nothing of it, a canary's digits are as
likely as any others. So its rank among candidates, the same sentence with digits that are in no text, tells how much
of it was learnt:

    exposure = log₂ |R| − log₂ rank          R: the canary and the candidates; rank 1 is the likeliest

It is log₂ |R| for a canary that comes first, and 1.44 in the mean for one that was never inserted. rank / |R| is the
p-value of "nothing was learnt", exactly.

A few hundred candidates cannot show more than some nine bits. Beyond, a normal distribution fitted to their scores
says how many of all 10⁸ secrets would come before the canary: `fitted`, an extrapolation, and at most log₂ 10⁸.

Source: N. Carlini and others, "The Secret Sharer: Evaluating and Testing Unintended Memorization in Neural Networks"
(2019), sections 4.2 to 4.4.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .paired_sentences import log_likelihoods

INSERTIONS = (0, 1, 4, 16, 64)
N_DIGITS = 8
_SENTENCE = "The access code of station {station} is {digits}."
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True)
class Canary:
    station: str  # a name of its own, so that canaries do not get into each other's way
    digits: str
    n_insertions: int

    @property
    def text(self) -> str:
        return _SENTENCE.format(station=self.station, digits=self.digits)

    def candidates(self, n: int, rng: np.random.Generator) -> list[str]:
        """The same sentence with n other digits, all different."""
        found: dict[str, None] = {}
        while len(found) < n:
            digits = _random(string.digits, len(self.digits), rng)
            if digits != self.digits:
                found[_SENTENCE.format(station=self.station, digits=digits)] = None
        return list(found)


@dataclass(frozen=True)
class Exposure:
    canary: Canary
    exposure: float  # bits
    rank: int
    n_candidates: int  # |R|, the canary included
    fitted: float  # bits among all secrets of so many digits, by a normal distribution of the candidates' scores


def make_canaries(
    rng: np.random.Generator, insertions: Sequence[int] = INSERTIONS, n_each: int = 4, n_digits: int = N_DIGITS
) -> list[Canary]:
    """`n_each` canaries for each number of insertions; those with 0 are for comparison.

    Raises ValueError for a negative number, and for none or too few digits.
    """
    if n_each < 1 or not insertions or min(insertions) < 0 or n_digits < 4:
        raise ValueError(
            f"make_canaries: needs insertions of at least 0, n_each of at least 1 and n_digits of at least 4, got "
            f"{list(insertions)}, {n_each} and {n_digits}"
        )
    stations: dict[str, None] = {}
    while len(stations) < n_each * len(insertions):
        stations[_random(string.ascii_uppercase, 3, rng)] = None
    numbers = [n for n in insertions for _ in range(n_each)]
    return [
        Canary(station, _random(string.digits, n_digits, rng), n) for station, n in zip(stations, numbers, strict=True)
    ]


def plant_canaries(text: str, canaries: Sequence[Canary], rng: np.random.Generator, last: float = 0.8) -> str:
    """The text with each canary `n_insertions` times between its paragraphs, as one of its own.

    They come into the first part of it, up to the share `last`: the end may become the validation part. Raises
    ValueError for a text of fewer than ten paragraphs, and for a share outside 0 to 1.
    """
    if not 0 < last <= 1:
        raise ValueError(f"plant_canaries: last must be a share above 0 and at most 1, not {last}")
    ends = [found.start() for found in _PARAGRAPH_END.finditer(text) if found.start() <= last * len(text)]
    if len(ends) < 10:
        raise ValueError(f"the text has {len(ends)} paragraphs to put canaries between, and 10 are needed: give more")
    copies = [canary.text for canary in canaries for _ in range(canary.n_insertions)]
    placed: dict[int, list[str]] = {}
    for copy, end in zip(copies, rng.choice(ends, len(copies)).tolist(), strict=True):
        placed.setdefault(end, []).append(copy)
    parts, begin = [], 0
    for end in sorted(placed):
        parts += [text[begin:end], *(f"\n\n{copy}" for copy in placed[end])]
        begin = end
    return "".join([*parts, text[begin:]])


def exposures(
    model, tokenizer, canaries: Sequence[Canary], rng: np.random.Generator, n_candidates: int = 512
) -> list[Exposure]:
    """How much a GPT or a Llama has learnt of each canary. Among equally likely texts the canary comes last.

    Raises ValueError for fewer than three candidates, and for a sentence longer than the model sees.
    """
    if n_candidates < 3:
        raise ValueError(f"exposures: n_candidates must be at least 3, the canary and two others, not {n_candidates}")
    results = []
    for canary in canaries:
        texts = [f"\n\n{text}" for text in (canary.text, *canary.candidates(n_candidates - 1, rng))]
        scores = log_likelihoods(model, tokenizer, texts)
        rank = int((scores >= scores[0]).sum())
        fitted = min(_bits_beyond(scores[0], scores[1:]), len(canary.digits) * math.log2(10))
        results.append(Exposure(canary, math.log2(n_candidates) - math.log2(rank), rank, n_candidates, fitted))
    return results


def _bits_beyond(score: float, others: np.ndarray) -> float:
    """−log₂ of the share of a normal distribution with the mean and spread of `others` that lies above the score."""
    spread = others.std()
    z = (score - others.mean()) / spread if spread > 0 else 0.0
    share = 0.5 * math.erfc(z / math.sqrt(2))
    return -math.log2(share) if share > 0 else math.inf


def record_of(canaries: Sequence[Canary]) -> dict[str, Any]:
    """For canaries.json."""
    return {"canaries": [asdict(canary) for canary in canaries]}


def canaries_of(record: Mapping[str, Any]) -> list[Canary]:
    """From canaries.json. Raises ValueError where it is damaged."""
    try:
        canaries = [
            Canary(str(each["station"]), str(each["digits"]), int(each["n_insertions"])) for each in record["canaries"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the record of canaries is damaged ({error!r}): plant them again") from None
    if not canaries or any(not c.digits.isdecimal() or len(c.digits) < 4 or c.n_insertions < 0 for c in canaries):
        raise ValueError("the record of canaries is damaged: each needs digits, at least four, and n_insertions")
    return canaries


def _random(characters: str, n: int, rng: np.random.Generator) -> str:
    return "".join(characters[i] for i in rng.integers(0, len(characters), n))
