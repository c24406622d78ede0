"""ROUGE-1, ROUGE-2 and ROUGE-L, by hand and against rouge-score."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tinygrad_llm.evaluate import bootstrap_interval, rouge_l, rouge_n, rouge_scores, rouge_words, tokenize_zh
from tinygrad_llm.evaluate.rouge import lcs_length

PIECES = ["the", "cat", "sat", "on", "a", ",", "Don't", "re-open", "Café", "№1", "吃饭", "\u212a", "İ", "x_y"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=9).map(" ".join) | st.text("abAB é-1", max_size=12)
WORDS = st.lists(st.sampled_from("abc"), max_size=7)


class Chinese:
    @staticmethod
    def tokenize(text):
        return tokenize_zh(text)


@cache
def scorer(tokenizer=None):
    return RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL"], tokenizer=tokenizer)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3), st.booleans())
def test_equals_rouge_score(summary, references, with_itself):
    references = [*references, summary + " the cat"] if with_itself else references
    for theirs, tokenize in ((scorer(), rouge_words), (scorer(Chinese), tokenize_zh)):
        expected = theirs.score_multi(references, summary)
        for n in (1, 2, 3):
            assert rouge_n(summary, references, n, tokenize) == pytest.approx(tuple(expected[f"rouge{n}"]), rel=1e-12)
        assert rouge_l(summary, references, tokenize) == pytest.approx(tuple(expected["rougeL"]), rel=1e-12)


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=2)), min_size=1, max_size=4))
def test_scores_of_many_summaries(examples):
    summaries, references = zip(*examples, strict=True)
    scores = rouge_scores(summaries, references)
    for i, (summary, candidates) in enumerate(examples):
        assert tuple(column[i] for column in scores.rouge_1) == rouge_n(summary, candidates)
        assert tuple(column[i] for column in scores.rouge_2) == rouge_n(summary, candidates, 2)
        assert tuple(column[i] for column in scores.rouge_l) == rouge_l(summary, candidates)


def test_by_hand():
    """Lin's section 3.1: both summaries share "police", "the" and "gunman", but in the second the order is wrong."""
    reference = ["police killed the gunman"]
    assert rouge_l("police kill the gunman", reference).f1 == 3 / 4
    assert rouge_l("the gunman kill police", reference).f1 == 2 / 4
    assert rouge_n("the gunman kill police", reference).f1 == 3 / 4
    assert rouge_n("police kill the gunman", reference, 2) == rouge_n("the gunman kill police", reference, 2)
    score = rouge_n("the the the cat", ["the cat the dog sat"])  # "the" twice and "cat": 3 of 4 right, 3 of 5 found
    assert score == pytest.approx((3 / 4, 3 / 5, 2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5)))


def test_each_score_takes_its_own_best_reference():
    assert rouge_n("a b c d", ["a", "a b c d e f"]) == pytest.approx((1, 4 / 6, 0.8))  # by F1, not by recall
    references = ["c b a", "a b x y z"]
    assert rouge_n("a b c", references).f1 == 1
    assert rouge_n("a b c", references, 2).f1 == pytest.approx(2 * (1 / 2) * (1 / 4) / (1 / 2 + 1 / 4))


def test_where_there_are_no_words():
    for summary, reference in (("", "a b"), ("a b", ""), ("", ""), ("...", "!"), ("吃饭", "吃饭")):
        assert rouge_n(summary, [reference]) == rouge_l(summary, [reference]) == (0, 0, 0)
    assert rouge_n("a", ["a"], 2) == (0, 0, 0)  # one word makes no pair
    assert rouge_n("吃饭", ["吃饭"], tokenize=tokenize_zh) == (1, 1, 1)


def subsequences(items):
    return {()} | {(*rest, *last) for i in range(len(items)) for rest in subsequences(items[:i]) for last in [items[i]]}


@given(WORDS, WORDS)
def test_the_longest_common_subsequence(one, other):
    assert lcs_length(one, other) == max(map(len, subsequences(one) & subsequences(other)))


def test_the_scores_in_words_and_their_interval():
    scores = rouge_scores(["the cat sat", "no"] * 20, [["the cat sat down"], ["yes"]] * 20)
    assert str(scores) == "ROUGE-1 0.429, ROUGE-2 0.400, ROUGE-L 0.429"
    interval = bootstrap_interval(np.mean, scores.rouge_l.f1, rng=np.random.default_rng(0), n_resamples=100)
    assert interval.low < interval.value == scores.rouge_l.f1.mean() < interval.high


def test_errors():
    with pytest.raises(ValueError, match="rouge_scores: there are no examples"):
        rouge_scores([], [])
    with pytest.raises(ValueError, match="got 1 of hypotheses and 2 of references"):
        rouge_scores(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="the hypothesis 'a' has no reference"):
        rouge_l("a", [])
    with pytest.raises(
        TypeError, match="each hypothesis needs a list of references, got the str 'a': put it in a list"
    ):
        rouge_n("a", "a")
    with pytest.raises(TypeError, match="a text must be a str, got int"):
        rouge_l("a", [3])
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        rouge_n("a", ["a"], 0)
