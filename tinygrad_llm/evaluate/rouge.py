"""How good summaries are: ROUGE-1, ROUGE-2 and ROUGE-L, from 0 to 1.

ROUGE-n compares n-grams of words: precision is the share of the summary's n-grams that the reference has too, recall
the share of the reference's that the summary has; one counts as often as it stands in both. ROUGE-L takes the longest
common subsequence of words instead, words in the same order with anything in between, over the length of either. F1
is the harmonic mean, 2 P R / (P + R). A text without words, or without n-grams of that length, scores 0 in all three.

All equal those of the package rouge-score without its stemmer, so "run" and "runs" are different words here. Of several
references, the one with the highest F1 counts, for each of the three scores on its own.

`rouge_words` makes everything lower-case and keeps a to z and 0 to 9 alone: the accents of other languages tear words
apart, and of Chinese nothing is left, so each score is 0. For such texts pass another function, as
`tokenize=tokenize_zh`, and name it beside the score.

Source: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), sections 2 and 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .reference_texts import Tokenize, checked_text, checked_texts, ngram_counts

_WORD = re.compile("[a-z0-9]+")


class RougeScore(NamedTuple):
    """Each one number, or an array (N,) with one for each summary."""

    precision: float | np.ndarray
    recall: float | np.ndarray
    f1: float | np.ndarray


@dataclass(frozen=True)
class RougeScores:
    """The scores of N summaries, arrays (N,) in each; `print(scores)` shows the means of F1.

    `scores.rouge_l.f1.mean()` is what papers report; `bootstrap_interval(np.mean, scores.rouge_l.f1, rng=rng)` says
    how sure it is.
    """

    rouge_1: RougeScore
    rouge_2: RougeScore
    rouge_l: RougeScore

    def __str__(self) -> str:
        named = (("ROUGE-1", self.rouge_1), ("ROUGE-2", self.rouge_2), ("ROUGE-L", self.rouge_l))
        return ", ".join(f"{name} {score.f1.mean():.3f}" for name, score in named)


def rouge_words(text: str) -> list[str]:
    """The words of an English text.

    >>> rouge_words("Don't re-open Café №1!")
    ['don', 't', 're', 'open', 'caf', '1']
    """
    return _WORD.findall(text.lower())


def rouge_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenize: Tokenize = rouge_words
) -> RougeScores:
    """All three of N summaries against N lists of references.

    >>> print(rouge_scores(["the cat sat"], [["the cat sat down"]]))
    ROUGE-1 0.857, ROUGE-2 0.800, ROUGE-L 0.857

    Raises ValueError for no summaries, lists of different lengths and a summary without references; TypeError for a
    str in the place of a list, and for a text that is no str.
    """
    texts = checked_texts("rouge_scores", hypotheses, references)
    words = [(tokenize(text), [tokenize(each) for each in candidates]) for text, candidates in texts]
    return RougeScores(
        *(
            RougeScore(*map(np.array, zip(*(_best(score, *each) for each in words), strict=True)))
            for score in (_ngram_score(1), _ngram_score(2), _lcs_score)
        )
    )


def rouge_n(hypothesis: str, references: Sequence[str], n: int = 1, tokenize: Tokenize = rouge_words) -> RougeScore:
    """ROUGE-n of one summary.

    >>> rouge_n("the cat sat", ["the cat sat down"], n=2)                 # 2 of 2 pairs right, 2 of 3 found
    RougeScore(precision=1.0, recall=0.6666666666666666, f1=0.8)

    Raises ValueError for an n below 1, and as `rouge_scores`.
    """
    if n < 1:
        raise ValueError(f"rouge_n: n must be at least 1, got {n}")
    text, candidates = checked_text("rouge_n", hypothesis, references)
    return _best(_ngram_score(n), tokenize(text), [tokenize(each) for each in candidates])


def rouge_l(hypothesis: str, references: Sequence[str], tokenize: Tokenize = rouge_words) -> RougeScore:
    """ROUGE-L of one summary.

    >>> rouge_l("police kill the gunman", ["police killed the gunman"])   # "police the gunman", 3 of 4 words
    RougeScore(precision=0.75, recall=0.75, f1=0.75)

    Raises as `rouge_scores`.
    """
    text, candidates = checked_text("rouge_l", hypothesis, references)
    return _best(_lcs_score, tokenize(text), [tokenize(each) for each in candidates])


def _best(score: Callable, words: list[str], references: list[list[str]]) -> RougeScore:
    return max((score(words, each) for each in references), key=lambda each: each.f1)


def _ngram_score(n: int) -> Callable[[list[str], list[str]], RougeScore]:
    def score(words: list[str], reference: list[str]) -> RougeScore:
        found, wanted = ngram_counts(words, n), ngram_counts(reference, n)
        return _score((found & wanted).total(), found.total(), wanted.total())

    return score


def _lcs_score(words: list[str], reference: list[str]) -> RougeScore:
    return _score(lcs_length(words, reference), len(words), len(reference))


def _score(n_common: int, n_found: int, n_wanted: int) -> RougeScore:
    precision, recall = n_common / max(n_found, 1), n_common / max(n_wanted, 1)
    return RougeScore(precision, recall, 2 * precision * recall / (precision + recall) if n_common else 0.0)


def lcs_length(one: Sequence, other: Sequence) -> int:
    """How many items the longest common subsequence has.

    L[i, j] is that of the first i and the first j items: L[i-1, j-1] + 1 where the last two are equal, else the larger
    of L[i-1, j] and L[i, j-1]. Only one row is kept. It takes len(one) · len(other) steps.

    >>> lcs_length("abcbdab", "bdcaba")
    4
    """
    row = [0] * (len(other) + 1)
    for item in one:
        before = 0  # L[i-1, j-1]
        for j, another in enumerate(other, start=1):
            before, row[j] = row[j], before + 1 if item == another else max(row[j], row[j - 1])
    return row[-1]
