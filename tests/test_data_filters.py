"""The filters keep prose and name the rule that the rest breaks; the kernels equal their plain references."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data_clean import ANY_TEXT, as_documents

from tinygrad_llm.data import MASSIVE_TEXT, Filters, NearDuplicates, clean, embedded_corpus, normalize, script_share
from tinygrad_llm.data.fingerprints import FingerprintSet, contains_ref, fingerprints_of
from tinygrad_llm.data.near_duplicates import SHINGLE_WORDS, minima_kernel, minima_ref, shingle_hashes
from tinygrad_llm.data.repetition import (
    repeated_lines,
    repeated_ngram_share,
    repeated_ngram_share_ref,
    top_ngram_share,
    top_ngram_share_ref,
)
from tinygrad_llm.data.words import PRIME, WORD, ngram_hashes, ngram_hashes_ref, word_hashes, word_hashes_ref
from tinygrad_llm.kernel import no_jit

PROSE = """\
It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.
However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is
so well fixed in the minds of the surrounding families, that he is considered as the rightful property of some one or
other of their daughters."""
WORDY_TEXT = st.lists(st.sampled_from(["to", "be", "or", "天", "地", ".", "...", "a-b", "7", "É\n"]), max_size=40).map(
    " ".join
)
FEW_WORDS = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=14)


@given(ANY_TEXT | WORDY_TEXT)
def test_word_hashes_equal_the_reference(text):
    for got, expected in zip(word_hashes(text), word_hashes_ref(text), strict=True):
        np.testing.assert_array_equal(got, expected)


@given(FEW_WORDS.map(" ".join), st.integers(1, 6))
def test_ngram_hashes_equal_the_reference_and_tell_ngrams_apart(text, n):
    hashes, words = word_hashes(text)[0], text.split()
    ngrams = ngram_hashes(hashes, n)
    np.testing.assert_array_equal(ngrams, ngram_hashes_ref(hashes, n))
    different = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    assert len(set(ngrams.tolist())) == len(different)


@pytest.mark.parametrize("jit", [True, False])
@settings(max_examples=40)
@given(FEW_WORDS, st.integers(1, 4))
def test_repetition_equals_the_reference(jit, words, n):
    hashes, lengths = word_hashes(" ".join(words))
    if not jit:
        with no_jit():
            shares = top_ngram_share(hashes, lengths, n), repeated_ngram_share(hashes, lengths, n)
    else:
        shares = top_ngram_share(hashes, lengths, n), repeated_ngram_share(hashes, lengths, n)
    assert shares == pytest.approx((top_ngram_share_ref(words, n), repeated_ngram_share_ref(words, n)))
    assert all(0 <= share <= 1 for share in shares)


def test_minima_equal_the_reference_with_and_without_the_jit():
    rng = np.random.default_rng(0)
    factors, offsets = rng.integers(1, PRIME, size=(2, 16))
    shingles = np.append(rng.integers(0, PRIME, size=30), [0, PRIME - 1])
    factors[:2], offsets[:2] = (1, PRIME - 1), (0, PRIME - 1)
    jitted, plain = np.empty((2, 16), dtype=np.int64)
    minima_kernel(jitted, shingles, factors, offsets)
    with no_jit():
        minima_kernel(plain, shingles, factors, offsets)
    np.testing.assert_array_equal(jitted, minima_ref(shingles, factors, offsets))
    np.testing.assert_array_equal(plain, jitted)


def test_signatures_and_matches_are_the_same_without_the_jit():
    texts = [PROSE, PROSE.replace("wife", "horse"), "short", "天地玄黄宇宙洪荒", "short"]
    jitted = NearDuplicates()
    answers = [jitted.seen_before(text) for text in texts]
    with no_jit():
        plain = NearDuplicates()
        assert [plain.seen_before(text) for text in texts] == answers == [False, True, False, False, True]


def test_many_texts_are_found_again():
    texts = [f"{i} {i * i} text number {i} of many" for i in range(3_000)]
    index = NearDuplicates()
    assert not any(index.seen_before(text) for text in texts)
    assert all(index.seen_before(text) for text in texts)


@settings(max_examples=30)
@given(st.lists(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), max_size=400), st.integers(1, 50))
def test_fingerprint_set_is_a_set(values, step):
    values = np.array(values, dtype=np.int64)
    members = FingerprintSet()
    for start in range(0, len(values), step):
        piece = values[start : start + step]
        np.testing.assert_array_equal(members.contains(piece), contains_ref(piece, values[:start]))
        members.add(piece)


def test_fingerprint_set_grows():
    texts = [str(i) for i in range(5_000)]
    members = FingerprintSet()
    members.add(fingerprints_of(texts))
    assert members.contains(fingerprints_of(texts)).all()
    assert not members.contains(fingerprints_of(text + " " for text in texts)).any()
    assert members._slots.nbytes <= 32 * len(texts) + 8192


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=9))
def test_repeated_lines_are_those_that_stood_before(lines):
    repeated = [line for i, line in enumerate(lines) if line in lines[:i]]
    expected = len(repeated) / max(1, len(lines)), len("".join(repeated)) / max(1, len("".join(lines)))
    assert repeated_lines(lines) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("filters", "text", "reason"),
    [
        (Filters(min_words=3), "two words", "too short"),
        (Filters(min_words=3), "now three words", None),
        (Filters(max_words=2), "now three words", "too long"),
        (Filters(word_length=(3, 10)), "a b c def", "length of words"),
        (Filters(word_length=(3, 10)), "incomprehensibilities abc", "length of words"),
        (Filters(word_length=(3, 10)), "abc abcdefghij", None),
        (Filters(max_symbols=0.5), "# a ... b", None),
        (Filters(max_symbols=0.5), "#tag and...", "symbols"),
        (Filters(max_symbols=0.4), "# a … b", "symbols"),
        (Filters(max_bullet_lines=0.5), "- a\n  * b\nc", "bullet lines"),
        (Filters(max_bullet_lines=0.5), "- a\n\nb", None),
        (Filters(max_ellipsis_lines=0.5), "read more...\nand more…\nend", "ellipsis lines"),
        (Filters(min_words_with_letter=0.8), "1 2 3_4 a é", "words without a letter"),
        (Filters(min_words_with_letter=0.8), "a1 2nd 字 é 5", None),
        (Filters(min_stop_words=2), "the cat of", None),
        (Filters(min_stop_words=2), "the the cat", "stop words"),
        (Filters(max_repeated_lines=0.3), "a\nb\n\n  a\nc", None),
        (Filters(max_repeated_lines=0.3), "a\na\nb", "repeated lines"),
        (Filters(max_repeated_line_characters=0.3), "long line\nb\nc\nd\nlong line", "repeated lines"),
        (Filters(max_top_ngrams=((2, 0.5),)), "buy now and buy now or buy now", "frequent phrase"),
        (Filters(max_top_ngrams=((2, 0.8),)), "buy now and Buy now or buy now", None),
        (Filters(max_repeated_ngrams=((3, 0.4),)), "a b c d e a b c", None),
        (Filters(max_repeated_ngrams=((3, 0.3),)), "a b c d e a b c", "repeated phrases"),
        (Filters(scripts=("Latin",)), "word 字字字字", None),
        (Filters(scripts=("Latin",)), "word 字字字字字", "script"),
        (Filters(scripts=("Latin", "Han")), "word 字字字字字", None),
        (Filters(scripts=("Latin",)), "1 2 3", "script"),
        (Filters(), "", None),
    ],
)
def test_each_rule(filters, text, reason):
    assert filters.reason(text) == reason


def test_massive_text_keeps_prose_and_nothing_else():
    assert MASSIVE_TEXT.reason(PROSE) is None
    menu = "\n".join(f"- page {name}" for name in PROSE.split())
    assert MASSIVE_TEXT.reason(menu) == "bullet lines"
    assert MASSIVE_TEXT.reason(PROSE + " " + PROSE.replace("\n", " ")) == "repeated phrases"
    assert MASSIVE_TEXT.reason("天地玄黄，宇宙洪荒。" * 60) == "too short"
    table = "\n".join(f"the {i} {i * i:5d} of {i / 7:.3f}" for i in range(100))
    assert MASSIVE_TEXT.reason(table) == "words without a letter"
    english = dataclasses.replace(MASSIVE_TEXT, scripts=("Latin",))
    assert english.reason(PROSE) is None


def test_most_manual_pages_pass():
    pages = [page for page in embedded_corpus("topics") if len(page.text.split()) >= 200]
    kept = [page for page in pages if MASSIVE_TEXT.reason(normalize(page.text)) is None]
    assert 0.5 < len(kept) / len(pages) < 1


@settings(max_examples=100)
@given(st.lists((ANY_TEXT | WORDY_TEXT).map(lambda text: text.replace("|", "\n\n")), max_size=8))
def test_clean_with_filters_is_idempotent_and_counts_every_document(texts):
    filters = Filters(min_words=3, max_repeated_lines=0.4, max_repeated_ngrams=((2, 0.3),), scripts=("Latin",))
    documents, report = clean(as_documents(texts), paragraph_characters=8, filters=filters)
    assert clean(documents, paragraph_characters=8, filters=filters)[0] == documents
    assert all(normalize(document.text) == document.text for document in documents)
    assert all(filters.reason(document.text) is None for document in documents)
    removed = report.empty_documents + report.duplicate_documents + report.near_duplicate_documents
    assert report.documents_in == report.documents_out + removed + report.filtered_documents.total()
    assert report.normalized_characters >= 0


def test_report_names_the_rules():
    documents, report = clean(as_documents(["one two", "three four", "three", "x"]), filters=Filters(min_words=2))
    assert [document.text for document in documents] == ["one two", "three four"]
    assert report.filtered_documents == {"too short": 2}
    assert report.filtered_characters == {"too short": 6}
    assert str(report).endswith("\nfiltered out, by rule: too short 2 (6)")
    assert "filtered" not in str(clean([])[1])


def test_what_a_filter_took_does_not_make_a_later_text_a_duplicate():
    long = "one two three four " * 8
    documents, _ = clean(as_documents([f"{long}\n\n###", long]), filters=Filters(max_symbols=0.01))
    assert [document.source for document in documents] == ["1"]


def test_unknown_scripts_are_named():
    with pytest.raises(ValueError, match=r"the scripts 'Latin', 'Elvish' hold a name that Unicode does not know"):
        Filters(scripts=("Latin", "Elvish"))
    assert script_share("", ("Latin",)) == 0


def test_shingles_are_runs_of_words():
    words = WORD.findall(PROSE.lower())
    assert len(shingle_hashes(PROSE)) == len(words) - SHINGLE_WORDS + 1
