"""How good translations are: BLEU and chrF, both from n-grams in common with the references, from 0 to 100.

BLEU asks for words in the right order. For n = 1 to 4 its precision p_n is the share of the hypotheses' n-grams that
stand in a reference, each counted at most as often as in the reference that has it most often. Sums go over the corpus
before the division, and

    BLEU = 100 · BP · (p_1 p_2 p_3 p_4)^(1/4)        BP = 1 if c >= r, else exp(1 - r / c)

Precision alone would reward what is short and safe, so the brevity penalty BP compares the hypotheses' length c with
the references', r: for each hypothesis the length nearest to its own, of two the shorter. Where p_n is 0, the first
such n gets half an n-gram for none, the second a quarter and so on ("exp"); with no word right at all BLEU is 0. It is
also 0 where no hypothesis has four words. `sentence_bleu` stops at the longest n-gram there is instead ("effective
order").

chrF looks at characters, so it needs no words and forgives endings. For n = 1 to 6, without white space, precision and
recall of character n-grams are averaged over the n for which both sides have some, and

    chrF = 100 · (1 + β²) P R / (β² P + R)           β = 2: recall counts twice as much

Of several references the one with the highest score of the sentence counts. chrF++ adds words and pairs of words.

All four equal sacrebleu's with its defaults. References are given for each hypothesis, `references[i]` a list, where
sacrebleu wants them the other way round. An empty hypothesis is a bad one, not an error.

Each sentence gives a row of counts, and a corpus scores by their sum; so an interval needs each text cut only once:

    counts = bleu_counts(hypotheses, references)                         # (N, 10)
    bootstrap_interval(bleu_of_counts, counts, rng=np.random.default_rng(0))

Sources: K. Papineni and others, "BLEU: a Method for Automatic Evaluation of Machine Translation" (2002), section 2.3;
B. Chen, C. Cherry, "A Systematic Comparison of Smoothing Techniques for Sentence-Level BLEU" (2014), smoothing 3;
M. Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015) and "chrF++: words helping character
n-grams" (2017); M. Post, "A Call for Clarity in Reporting BLEU Scores" (2018).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np

from .reference_texts import Tokenize, checked_text, checked_texts, ngram_counts, tokenize_13a

BLEU_ORDER = 4
CHARACTER_ORDER = 6
BETA = 2
PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


@dataclass(frozen=True)
class BleuScore:
    """BLEU and what it is made of; `float(score)` is `score.score`.

    >>> print(corpus_bleu(["the cat sat on the mat"], [["the cat sat on a mat"]]))
    53.73 (83.3/60.0/50.0/33.3, BP = 1.000, 6 words for 6)
    """

    score: float
    precisions: tuple[float, ...]  # p_1 to p_4 in percent, smoothed
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int

    def __float__(self) -> float:
        return self.score

    def __str__(self) -> str:
        precisions = "/".join(f"{precision:.1f}" for precision in self.precisions)
        lengths = f"{self.hypothesis_length:,} words for {self.reference_length:,}"
        return f"{self.score:.2f} ({precisions}, BP = {self.brevity_penalty:.3f}, {lengths})"


def corpus_bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenize: Tokenize = tokenize_13a
) -> BleuScore:
    """BLEU of N hypotheses against N lists of references; `tokenize=tokenize_zh` for Chinese.

    >>> print(corpus_bleu(["the cat sat down"], [["the cat sat down there", "a cat on a mat in a room"]]))
    77.88 (100.0/100.0/100.0/100.0, BP = 0.779, 4 words for 5)

    Raises ValueError for an empty corpus, lists of different lengths and a hypothesis without references; TypeError
    for a str in the place of a list, and for a text that is no str.
    """
    return bleu_of_counts(_bleu_counts(checked_texts("corpus_bleu", hypotheses, references), tokenize))


def sentence_bleu(hypothesis: str, references: Sequence[str], tokenize: Tokenize = tokenize_13a) -> BleuScore:
    """BLEU of one hypothesis, with the effective order. Its mean over sentences is not the corpus's BLEU.

    Raises as `corpus_bleu`.
    """
    counts = _bleu_counts([checked_text("sentence_bleu", hypothesis, references)], tokenize)
    return bleu_of_counts(counts, effective_order=True)


def bleu_counts(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenize: Tokenize = tokenize_13a
) -> np.ndarray:
    """What BLEU needs of each hypothesis, int64 (N, 10): its words, those of the reference, n-grams right, n-grams.

    Raises as `corpus_bleu`.
    """
    return _bleu_counts(checked_texts("bleu_counts", hypotheses, references), tokenize)


def _bleu_counts(texts: list[tuple[str, list[str]]], tokenize: Tokenize) -> np.ndarray:
    counts = np.empty((len(texts), 2 + 2 * BLEU_ORDER), dtype=np.int64)
    for row, (hypothesis, references) in zip(counts, texts, strict=True):
        words, reference_words = tokenize(hypothesis), [tokenize(reference) for reference in references]
        lengths = [len(each) for each in reference_words]
        row[:2] = len(words), min(lengths, key=lambda length: (abs(length - len(words)), length))
        for n in range(1, BLEU_ORDER + 1):
            found = ngram_counts(words, n)
            wanted: Counter = reduce(or_, (ngram_counts(each, n) for each in reference_words))  # the largest counts
            row[1 + n], row[1 + BLEU_ORDER + n] = (found & wanted).total(), found.total()
    return counts


def bleu_of_counts(counts: np.ndarray, effective_order: bool = False) -> BleuScore:
    """BLEU of a corpus from the rows of `bleu_counts`, (N, 10)."""
    sums = [int(total) for total in counts.sum(axis=0)]
    length, reference_length = sums[:2]
    right, totals = sums[2 : 2 + BLEU_ORDER], sums[2 + BLEU_ORDER :]
    penalty = 1.0 if length >= reference_length else math.exp(1 - reference_length / length) if length else 0.0
    precisions, smoothing = [0.0] * BLEU_ORDER, 1
    for i in range(BLEU_ORDER if any(right) else 0):
        if right[i]:
            precisions[i] = 100 * right[i] / totals[i]
        elif totals[i]:
            smoothing *= 2
            precisions[i] = 100 / (smoothing * totals[i])
    used = [p for p, total in zip(precisions, totals, strict=True) if total] if effective_order else precisions
    score = penalty * math.exp(sum(map(math.log, used)) / len(used)) if any(right) and all(used) else 0.0
    return BleuScore(score, tuple(precisions), penalty, length, reference_length)


def corpus_chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]], word_order: int = 0) -> float:
    """chrF of N hypotheses against N lists of references; chrF++ with `word_order=2`.

    >>> round(corpus_chrf(["the cat sat on the mat"], [["the cat sat on a mat"]]), 2)
    72.08

    Raises as `corpus_bleu`, and ValueError for a negative word_order.
    """
    return chrf_of_counts(chrf_counts(hypotheses, references, word_order))


def sentence_chrf(hypothesis: str, references: Sequence[str], word_order: int = 0) -> float:
    """chrF of one hypothesis. Raises as `corpus_chrf`."""
    return corpus_chrf([hypothesis], [references], word_order)


def chrf_counts(hypotheses: Sequence[str], references: Sequence[Sequence[str]], word_order: int = 0) -> np.ndarray:
    """What chrF needs of each hypothesis, int64 (N, 6 + word_order, 3): n-grams, those of the reference, in common.

    Raises as `corpus_chrf`.
    """
    if word_order < 0:
        raise ValueError(f"word_order must be 0 for chrF or 2 for chrF++, got {word_order}")
    rows = []
    for hypothesis, candidates in checked_texts("chrf_counts", hypotheses, references):
        grams = _chrf_ngrams(hypothesis, word_order)
        counts = [_in_common(grams, _chrf_ngrams(candidate, word_order)) for candidate in candidates]
        rows.append(max(counts, key=lambda each: chrf_of_counts(each[None])))
    return np.stack(rows)  # (N, orders, 3)


def _chrf_ngrams(text: str, word_order: int) -> list[Counter]:
    characters, words = "".join(text.split()), _words_for_chrf(text)
    return [ngram_counts(characters, n) for n in range(1, CHARACTER_ORDER + 1)] + [
        ngram_counts(words, n) for n in range(1, word_order + 1)
    ]


def _words_for_chrf(text: str) -> list[str]:
    """Words, with one punctuation mark off the end, or else off the beginning."""
    words = []
    for word in text.split():
        if len(word) > 1 and word[-1] in PUNCTUATION:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in PUNCTUATION:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words


def _in_common(grams: list[Counter], reference_grams: list[Counter]) -> np.ndarray:
    """(orders, 3). The hypothesis' n-grams do not count where the reference is too short to have any."""
    return np.array(
        [
            (found.total() if wanted else 0, wanted.total(), (found & wanted).total())
            for found, wanted in zip(grams, reference_grams, strict=True)
        ]
    )


def chrf_of_counts(counts: np.ndarray) -> float:
    """chrF of a corpus from what `chrf_counts` gives, (N, orders, 3)."""
    found, wanted, common = counts.sum(axis=0).T  # (orders,) each
    both = (found > 0) & (wanted > 0)
    if not common.any():
        return 0.0
    precision, recall = (common[both] / found[both]).mean(), (common[both] / wanted[both]).mean()
    return float(100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall))
