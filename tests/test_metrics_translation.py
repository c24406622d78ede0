"""BLEU and chrF, by hand and against sacrebleu."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from tinygrad_llm.evaluate import (
    bleu_counts,
    bleu_of_counts,
    bootstrap_interval,
    chrf_counts,
    chrf_of_counts,
    corpus_bleu,
    corpus_chrf,
    paired_bootstrap,
    sentence_bleu,
    sentence_chrf,
    tokenize_13a,
    tokenize_zh,
)

PIECES = [
    "the", "cat", "sat", "on", "a", "mat", ".", ",", "3.5", "1,000", "-5", "5-6", "&", "&quot;", "&amp;lt;", "(hi)",
    "abc!", "'tis", "U.S.", "吃饭", "“好”", "…", "A", "𠀀", "-\n",
]  # fmt: skip
JOINED = st.builds(
    lambda words, by: by.join(words),
    st.lists(st.sampled_from(PIECES), max_size=8),
    st.sampled_from([" ", " ", "", "\n", "\u3000"]),
)
SENTENCES = JOINED | st.text("ab .,-1'\n&;(好”", max_size=12)


@st.composite
def corpora(draw):
    """Hypotheses with as many references each; some references are the hypothesis with its middle cut out."""
    hypotheses = draw(st.lists(SENTENCES, min_size=1, max_size=4))
    n_references = draw(st.integers(1, 3))
    near = [st.sampled_from([text, text[: len(text) // 3] + text[len(text) // 2 :]]) | SENTENCES for text in hypotheses]
    references = [draw(st.lists(each, min_size=n_references, max_size=n_references)) for each in near]
    return hypotheses, references


TOKENIZERS = {"13a": tokenize_13a, "zh": tokenize_zh, "none": str.split}


@pytest.mark.parametrize("name", TOKENIZERS)
@given(corpora())
def test_bleu_equals_sacrebleu(name, corpus):
    hypotheses, references = corpus
    theirs = BLEU(tokenize=name).corpus_score(hypotheses, list(map(list, zip(*references, strict=True))))
    ours = corpus_bleu(hypotheses, references, TOKENIZERS[name])
    assert ours.score == pytest.approx(theirs.score, rel=1e-12)
    assert ours.precisions == pytest.approx(theirs.precisions, rel=1e-12)
    assert ours.brevity_penalty == pytest.approx(theirs.bp, rel=1e-12)
    assert (ours.hypothesis_length, ours.reference_length) == (theirs.sys_len, theirs.ref_len)
    theirs = sacrebleu.sentence_bleu(hypotheses[0], references[0], tokenize=name)
    assert sentence_bleu(hypotheses[0], references[0], TOKENIZERS[name]).score == pytest.approx(theirs.score, rel=1e-12)


@pytest.mark.parametrize("word_order", [0, 1, 2])
@given(corpora())
def test_chrf_equals_sacrebleu(word_order, corpus):
    hypotheses, references = corpus
    streams = list(map(list, zip(*references, strict=True)))
    theirs = CHRF(word_order=word_order).corpus_score(hypotheses, streams).score
    assert corpus_chrf(hypotheses, references, word_order) == pytest.approx(theirs, rel=1e-12)
    theirs = sacrebleu.sentence_chrf(hypotheses[0], references[0], word_order=word_order).score
    assert sentence_chrf(hypotheses[0], references[0], word_order) == pytest.approx(theirs, rel=1e-12)


def test_words_equal_sacrebleus_for_every_character():
    text = "1".join(map(chr, range(0x30000))) + "x".join(map(chr, range(0x3000)))
    assert tokenize_13a(text) == Tokenizer13a()(text.rstrip()).split()
    assert tokenize_zh(text) == TokenizerZh()(text.rstrip()).split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world.", "Hello , world ."),
        ("1,000.50 and .5", "1,000.50 and . 5"),
        ("it's well-known: 1990-95", "it's well-known : 1990 - 95"),
        ("end-\nless &lt;b&gt;", "endless < b >"),
        (".5 and 5.", ". 5 and 5 ."),
        ("the end-\n", "the end-"),
        ("吃饭。好, ok", "吃饭。好 , ok"),
        ("", ""),
    ],
)
def test_western_words(text, words):
    assert tokenize_13a(text) == words.split()


def test_bleu_by_hand():
    """The example of Papineni's section 2.1: "the" counts twice, as often as in the reference."""
    score = corpus_bleu(["the the the the the the the"], [["The cat is on the mat", "there is a cat on the mat"]])
    assert score.precisions[0] == pytest.approx(100 * 1 / 7)
    score = corpus_bleu(["the cat sat on the mat"], [["the cat sat on a mat"]])  # 5 of 6, 3 of 5, 2 of 4, 1 of 3
    assert score.score == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert str(score) == "53.73 (83.3/60.0/50.0/33.3, BP = 1.000, 6 words for 6)"
    score = corpus_bleu(["a b c d"], [["a b c d e f"]])
    assert score.score == pytest.approx(100 * math.exp(1 - 6 / 4))
    score = corpus_bleu(["a b x c d"], [["a b y c d"]])  # 4 of 5, 2 of 4, then 1/2 of 3 and 1/4 of 2 by smoothing
    assert score.score == pytest.approx(100 * (4 / 5 * 2 / 4 * 0.5 / 3 * 0.25 / 2) ** 0.25)


def test_counts_are_added_before_the_division():
    hypotheses, references = ["a b c d e", "x y z v"], [["a b c d e"], ["p q r s"]]
    assert corpus_bleu(hypotheses, references).precisions[0] == pytest.approx(100 * 5 / 9)
    assert sentence_bleu(hypotheses[0], references[0]).score == pytest.approx(100)
    assert sentence_bleu(hypotheses[1], references[1]).score == 0


def test_the_reference_length_is_the_nearest_and_of_two_the_shorter():
    for references, length in ((["a b c d", "a b"], 2), (["a b c d e f", "a b c d"], 4), (["a b c", "a"], 3)):
        assert corpus_bleu(["x y z"], [references]).reference_length == length


def test_short_hypotheses_have_no_bleu_unless_the_order_is_effective():
    assert corpus_bleu(["a b c"], [["a b c"]]).score == 0
    assert sentence_bleu("a b c", ["a b c"]).score == pytest.approx(100)


def test_chrf_by_hand():
    """ "abc" and "abd": 2 of 3 characters, 1 of 2 pairs, 0 of 1 triple, so P = R = (2/3 + 1/2 + 0) / 3."""
    assert sentence_chrf("abc", ["abd"]) == pytest.approx(100 * (2 / 3 + 1 / 2) / 3)
    precision, recall = (1 + 1) / 2, (2 / 4 + 1 / 3) / 2  # characters and pairs of "ab" in "abcd"
    assert sentence_chrf("a b", ["ab cd"]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))
    assert sentence_chrf("(a) b!", ["( a ) b !"], word_order=2) < 100  # "(a" and ")" are its words


def test_empty_texts():
    for texts in ([""], ["", " "]):
        assert corpus_bleu(texts, [["a b"]] * len(texts)).score == corpus_chrf(texts, [["a b"]] * len(texts)) == 0
        assert corpus_bleu(["a b"], [texts]).score == corpus_chrf(["a b"], [texts]) == 0
    assert corpus_bleu(["", "a b c d"], [["x"], ["a b c d"]]).brevity_penalty == pytest.approx(math.exp(1 - 5 / 4))
    assert sentence_bleu("", [""]).score == sentence_chrf("", [""]) == 0


@given(corpora())
def test_a_corpus_scores_by_the_sum_of_its_counts(corpus):
    counts, chrf = bleu_counts(*corpus), chrf_counts(*corpus, 2)
    assert counts.shape == (len(corpus[0]), 10)
    assert chrf.shape == (len(corpus[0]), 8, 3)
    assert bleu_of_counts(counts) == corpus_bleu(*corpus)
    assert chrf_of_counts(chrf) == corpus_chrf(*corpus, 2)
    order = np.arange(len(counts))[::-1]
    assert bleu_of_counts(counts[order]) == bleu_of_counts(counts)


def test_intervals_come_from_counts():
    references = [[f"the cat number {i} sat on the mat"] for i in range(40)]
    good = [each[0] if i % 4 else each[0].replace("cat", "dog") for i, each in enumerate(references)]
    bad = [each[0] if i % 4 == 0 else each[0].replace("the mat", "mats") for i, each in enumerate(references)]
    counts, worse = bleu_counts(good, references), bleu_counts(bad, references)
    interval = bootstrap_interval(bleu_of_counts, counts, rng=np.random.default_rng(0), n_resamples=200)
    assert interval.value == corpus_bleu(good, references).score
    assert interval.low < interval.value < interval.high
    chosen = np.random.default_rng(0).integers(0, 40, 40)
    again = corpus_bleu([good[i] for i in chosen], [references[i] for i in chosen])
    assert interval.resampled[0] == again.score
    difference = paired_bootstrap(
        lambda _, each: bleu_of_counts(each).score, counts, counts, worse, rng=np.random.default_rng(0), n_resamples=200
    )
    assert difference.interval.low > 0
    chrf = bootstrap_interval(
        chrf_of_counts, chrf_counts(good, references), rng=np.random.default_rng(0), n_resamples=50
    )
    assert chrf.low < chrf.value < chrf.high


@pytest.mark.parametrize("score", [corpus_bleu, corpus_chrf, bleu_counts, chrf_counts])
def test_errors(score):
    with pytest.raises(ValueError, match="there are no examples"):
        score([], [])
    with pytest.raises(ValueError, match="got 2 of hypotheses and 1 of references"):
        score(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="the hypothesis 'a' has no reference to compare it with"):
        score(["a"], [[]])
    with pytest.raises(
        TypeError, match="each hypothesis needs a list of references, got the str 'a': put it in a list"
    ):
        score(["a"], ["a"])
    with pytest.raises(TypeError, match="hypotheses must be a list with one value for each example, got the str 'a'"):
        score("a", [["a"]])
    with pytest.raises(TypeError, match="a text must be a str, got NoneType"):
        score([None], [["a"]])
    with pytest.raises(TypeError, match="each hypothesis needs a list of references"):
        sentence_bleu("a", "a")
    with pytest.raises(ValueError, match="word_order must be 0 for chrF or 2 for chrF\\+\\+, got -1"):
        sentence_chrf("a", ["a"], word_order=-1)
