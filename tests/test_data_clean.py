"""Cleaning and splitting: idempotent, deterministic, and without leaks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.data import (
    CleanReport,
    Document,
    NearDuplicates,
    clean,
    clean_stream,
    goes_to_validation,
    normalize,
    split_documents,
)
from tinygrad_llm.data.near_duplicates import shingle_hashes

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
MESSY_TEXT = st.text(st.sampled_from(list("ab e\u0301\n\r\t \x00\f\ufeff\ud800\u2028\xa0\x85")), max_size=60)


def as_documents(texts):
    return [Document(text, str(index)) for index, text in enumerate(texts)]


def words(rng, n):
    return [f"w{i}" for i in rng.integers(0, 5_000, size=n)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\u2028d\fe", "a\nb\nc\nd\ne"),
        ("\ufeffa\x00b\x1b[0m\x7f", "ab[0m"),
        ("e\u0301 \x00 \n", "é"),
        ("e\x00\u0301", "é"),
        ("a \t\nb\xa0\n", "a\nb"),
        ("\n\n a\n\n\n\n\n\nb\n\n\n", " a\n\n\nb"),
        ("def f():\n\tpass", "def f():\n\tpass"),
        ("\ud83d!", "\ufffd!"),
        (" \n\t\n", ""),
    ],
)
def test_normalize(text, expected):
    assert normalize(text) == expected


@given(ANY_TEXT | MESSY_TEXT)
def test_normalize_is_idempotent_and_encodable(text):
    once = normalize(text)
    assert normalize(once) == once
    once.encode("utf-8")
    assert not any(ord(c) < 32 and c not in "\t\n" for c in once)


PARAGRAPHS = st.sampled_from(["one two", "long " * 5 + "a", "long " * 5 + "b", "x\x00", " ", "one  two"])


@settings(max_examples=200)
@given(st.lists(st.lists(PARAGRAPHS | MESSY_TEXT, max_size=4).map("\n\n".join), max_size=8))
def test_clean_is_idempotent_and_counts_every_document(texts):
    documents, report = clean(as_documents(texts), paragraph_characters=12)
    again, second = clean(documents, paragraph_characters=12)
    assert again == documents
    assert second.characters_in == second.characters_out
    removed = report.empty_documents + report.duplicate_documents + report.near_duplicate_documents
    assert report.documents_in == len(texts) == report.documents_out + removed
    assert report.normalized_characters >= 0
    assert len({document.text for document in documents}) == len(documents)


def test_report_counts_by_cause():
    long, page = "p" * 100, "words " * 15 + "end"
    texts = [f"{page}\n\n{long}", f"{page}\r\n\r\n{long} ", f"{long}\n\n{'new ' * 24}end", " \n", "new", long]
    documents, report = clean(as_documents(texts), paragraph_characters=100)
    assert [document.text for document in documents] == [texts[0], "new"]
    assert report.duplicate_documents == 3
    texts[2] = f"{long}\n\nbrand " + "new " * 24 + "end"
    documents, report = clean(as_documents(texts), paragraph_characters=100)
    assert [document.source for document in documents] == ["0", "2", "4"]
    assert documents[1].text == texts[2][102:]
    assert report == CleanReport(
        documents_in=6, characters_in=sum(map(len, texts)), documents_out=3, characters_out=195 + 105 + 3,
        empty_documents=1, duplicate_documents=2, duplicate_characters=195 + 100,
        repeated_paragraphs=1, repeated_paragraph_characters=102,
    )  # fmt: skip
    assert report.normalized_characters == 5
    assert str(report).startswith("kept 3 of 6 documents, 303 of 705 characters\nremoved 2 duplicates (295 ")


def test_what_is_left_of_a_document_may_be_a_duplicate():
    long, rest = "p" * 100, "r" * 99
    texts = [f"{long}\n\nown", f"{rest}\n\nr", f"{long}\n\n{rest}\n\nr"]
    assert [document.source for document in clean(as_documents(texts))[0]] == ["0", "1"]


def test_repetition_inside_one_document_stays():
    text = "\n\n".join(["refrain " * 20] * 3)
    assert clean(as_documents([text]))[0][0].text == normalize(text)


def test_clean_stream_is_lazy():
    report = CleanReport()
    stream = clean_stream(iter(as_documents(["a", "a", "b"])), report)
    assert next(stream).text == "a"
    assert report.documents_in == 1
    assert next(stream).text == "b"
    assert report.duplicate_documents == 1


def test_near_duplicates_go_and_the_rest_stays():
    rng = np.random.default_rng(0)
    base = words(rng, 300)
    near = [*base[:150], "CHANGED", *base[151:]]
    half = [*base[:150], *words(rng, 150)]
    documents = as_documents(" ".join(text) for text in (base, half, near, words(rng, 300)))
    assert [document.source for document in clean(documents)[0]] == ["0", "1", "3"]
    assert [document.source for document in clean(documents, None)[0]] == ["0", "1", "2", "3"]


def test_signature_agreement_estimates_jaccard():
    rng = np.random.default_rng(1)
    base = words(rng, 1_000)
    for share in (0.2, 0.5, 0.8, 0.95):
        pair = (
            " ".join(base),
            " ".join([*base[: int(share * 1_000)], *words(rng, round(1_000 * (1 - share)))]),
        )
        a, b = (set(shingle_hashes(text).tolist()) for text in pair)
        jaccard = len(a & b) / len(a | b)
        indexes = [NearDuplicates(seed=seed) for seed in range(8)]
        agreement = np.mean([index.signature(pair[0]) == index.signature(pair[1]) for index in indexes])
        assert agreement == pytest.approx(jaccard, abs=4 * np.sqrt(jaccard * (1 - jaccard) / (8 * 128)))


def test_shingles_know_order_punctuation_and_scripts():
    assert not np.array_equal(shingle_hashes("a b c d e"), shingle_hashes("b a c d e"))
    assert not np.array_equal(shingle_hashes("Return a + b."), shingle_hashes("Return a - b."))
    assert np.array_equal(shingle_hashes("A  b\nc d e f"), shingle_hashes("a b c d e f"))
    assert len(shingle_hashes("天地玄黄宇宙洪荒")) == 4
    assert len(shingle_hashes("")) == 1


@pytest.mark.parametrize("threshold", [0, 1.5, -1])
def test_near_duplicate_threshold_is_checked(threshold):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        clean([], threshold)


@settings(max_examples=100)
@given(
    st.lists(st.text("abc \n", max_size=30).map("{}\nsome words".format), min_size=1, max_size=60),
    st.integers(0, 3),
)
def test_split_keeps_everything_and_separates_copies(texts, seed):
    documents = as_documents(texts)
    split = split_documents(documents, 0.2, seed)
    assert split == split_documents(documents, 0.2, seed)
    assert split.train
    assert split.validation
    if split.how.startswith("by document"):
        assert {normalize(d.text) for d in split.train}.isdisjoint(normalize(d.text) for d in split.validation)
        assert sorted(split.train + split.validation, key=documents.index) == documents
        share = sum(len(d.text) for d in split.validation) / sum(map(len, texts))
        assert 0.18 <= share <= 0.22 + 1e-9
    else:
        heads = {d.source: d.text for d in split.train}
        tails = {d.source: d.text for d in split.validation}
        for d in documents:
            parts = heads.get(d.source, ""), tails.get(d.source, "")
            assert d.text == parts[0] + parts[1] or not all(part.strip() for part in parts)


def test_split_does_not_depend_on_the_order_but_on_the_seed():
    texts = [f"text number {i} of many" for i in range(300)]
    chosen = {d.text for d in split_documents(as_documents(texts)).validation}
    assert {d.text for d in split_documents(as_documents(texts[::-1])).validation} == chosen
    assert {d.text for d in split_documents(as_documents(texts), seed=1).validation} != chosen


def test_one_document_is_cut_at_a_paragraph_and_says_so():
    text = "\n\n".join(f"Paragraph {i} has words." for i in range(100))
    split = split_documents([Document(text, "book")])
    (head,), (tail,) = split.train, split.validation
    assert head.text + tail.text == text
    assert tail.text.startswith("Paragraph ")
    assert head.text.endswith("\n\n")
    assert 0.09 < len(tail.text) / len(text) < 0.15
    assert split.how.startswith("by position: the last 10% of the document for validation")


def test_few_documents_give_their_tails():
    split = split_documents(as_documents(["a b c d\n" * 50, "e f g h\n" * 50]))
    assert [d.source for d in split.validation] == ["0", "1"]
    assert "each of the 2 documents" in split.how


def test_goes_to_validation_is_about_the_fraction_and_agrees_on_copies():
    documents = as_documents(f"text {i}" for i in range(2_000))
    share = np.mean([goes_to_validation(document, 0.1) for document in documents])
    assert share == pytest.approx(0.1, abs=0.03)
    assert all(
        goes_to_validation(document) == goes_to_validation(Document(document.text + " \r\n", "copy"))
        for document in documents
    )


def test_split_errors():
    for fraction in (0, 1, -0.1):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            split_documents([], fraction)
    for texts in ([], ["a"]):
        with pytest.raises(ValueError, match="characters is too short to keep 10% of it for validation"):
            split_documents(as_documents(texts))
