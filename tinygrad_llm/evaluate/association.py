"""Word embedding association tests (WEAT): which words' vectors lie near to which, and whether by chance.

For targets X and Y, say words for men and for women, and attributes A and B, say career and family, with cosines of
vectors as nearness:

    s(w) = mean over a in A of cos(w, a) − mean over b in B of cos(w, b)
    d    = (mean of s over X − mean of s over Y) / standard deviation of s over X and Y together

d is Cohen's effect size, from −2 to 2: 0.2 is called small, 0.5 medium, 0.8 large. The p-value deals the targets out
to two groups anew (see permutation.py), and the interval draws the words of each of the four lists with replacement:
how far other words of these kinds might have led. With ten words in a list it is wide, and rightly so.

A small p is about these lists in this model. It takes words as drawn one by one, but those of a list resemble each
other: of two lists without any association about a third came out below 0.05 where they did (lesson 26). Other lists,
other seeds of the model, and a control whose answer is known say more than p does.

Sources: A. Caliskan, J. Bryson, A. Narayanan, "Semantics derived automatically from language corpora contain
human-like biases" (2017); for vectors of sentences C. May and others, "On Measuring Social Biases in Sentence
Encoders" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..applications import SentenceEncoder
from ..generate.context import evaluating
from .association_words import WORD_TESTS, WordTest
from .intervals import Interval, bootstrap_interval
from .permutation import PValue, two_group_test

MIN_WORDS = 5  # of each list that the tokenizer must know, or the test says nothing
SENTENCE = "This is {}."


@dataclass(frozen=True)
class Association:
    """The result of one test."""

    test: WordTest
    effect: Interval
    p_value: PValue
    n_words: tuple[int, int, int, int]  # used, of both targets and both attributes


@dataclass(frozen=True)
class TooFewWords:
    """A test that was not made, as a list has fewer than `MIN_WORDS` words with vectors."""

    test: WordTest
    n_words: tuple[int, int, int, int]


def association_scores(targets: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """s(w) of each target, from vectors (N, C), (A, C) and (B, C): (N,)."""
    targets, a, b = (_unit(each) for each in (targets, a, b))
    return (targets @ a.T).mean(axis=1) - (targets @ b.T).mean(axis=1)


def weat(
    x: np.ndarray,
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    n_samples: int = 9_999,
) -> tuple[Interval, PValue]:
    """The effect size d of vectors x (X, C) and y (Y, C) towards a (A, C) and b (B, C), its interval, and p.

    p is that of x being nearer to a than y is, at least so much. The standard deviation is that of a sample, with
    X + Y − 1. Raises ValueError for fewer than two words in a list, a vector of zeros, and targets that all score the
    same.
    """
    parts = [_unit(each) for each in (x, y, a, b)]
    sizes = [len(each) for each in parts]
    if min(sizes) < 2:
        raise ValueError(f"weat: each list needs at least two words, got {sizes}")
    words = np.concatenate(parts)
    cosines, which = words @ words.T, np.repeat(np.arange(4), sizes)

    def effect(places: np.ndarray) -> float:
        of_x, of_y, of_a, of_b = (places[which[places] == k] for k in range(4))
        targets = np.concatenate([of_x, of_y])
        s = cosines[np.ix_(targets, of_a)].mean(axis=1) - cosines[np.ix_(targets, of_b)].mean(axis=1)
        spread = s.std(ddof=1)
        if spread <= 1e-12:
            raise ValueError("weat: all targets are equally near to the attributes, so there is no effect size")
        return float((s[: len(of_x)].mean() - s[len(of_x) :].mean()) / spread)

    interval = bootstrap_interval(effect, np.arange(len(words)), rng=rng, n_resamples=n_resamples, strata=which)
    s = association_scores(np.concatenate(parts[:2]), *parts[2:])
    return interval, two_group_test(s[: sizes[0]], s[sizes[0] :], rng, n_samples)


def measure_associations(
    vectors: Mapping[str, np.ndarray], rng: np.random.Generator, tests: Sequence[WordTest] = WORD_TESTS
) -> list[Association | TooFewWords]:
    """Each test on the vectors of its words; words without a vector are left out, and counted."""
    results: list[Association | TooFewWords] = []
    for test in tests:
        lists = [
            np.array([vectors[word] for word in words if word in vectors])
            for _, words in (*test.targets, *test.attributes)
        ]
        n_words = tuple(len(each) for each in lists)
        if min(n_words) < MIN_WORDS:
            results.append(TooFewWords(test, n_words))
        else:
            results.append(Association(test, *weat(*lists, rng=rng), n_words))
    return results


def words_of(tests: Sequence[WordTest] = WORD_TESTS) -> list[str]:
    """All words of the tests, each once."""
    return list(
        dict.fromkeys(word for test in tests for _, words in (*test.targets, *test.attributes) for word in words)
    )


def word_vectors(model, tokenizer, words: Sequence[str]) -> dict[str, np.ndarray]:
    """The input embedding of each word that is one token, as it stands inside a sentence; others are left out."""
    found = {}
    for word in words:
        ids = _ids(tokenizer, word)
        if ids is not None and len(ids) == 1 and ids[0] != getattr(tokenizer, "unk_id", None):
            with evaluating(model):
                found[word] = model.token_embedding(np.array(ids)).data[0].astype(np.float64)
    return found


def _ids(tokenizer, word: str) -> list[int] | None:
    if hasattr(tokenizer, "cls_id"):
        return tokenizer.encode(word, add_special_tokens=False)
    try:
        return tokenizer.encode(f" {word}")  # in a BPE vocabulary the blank before a word is part of its token
    except ValueError:  # a tokenizer of characters that lacks one
        return None


def sentence_vectors(encoder: SentenceEncoder, words: Sequence[str], sentence: str = SENTENCE) -> dict[str, np.ndarray]:
    """The vector of a short sentence about each word: of a BERT, which need not know the word as one token."""
    vectors = encoder.encode([sentence.format(word) for word in words])
    return {word: vector.astype(np.float64) for word, vector in zip(words, vectors, strict=True)}


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all() or not np.isfinite(lengths).all():
        raise ValueError("weat: a vector is zero or not finite, and then it has no direction to compare")
    return vectors / lengths
