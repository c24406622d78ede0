"""Vectors of texts, and search by them: with the small BERT of lessons/pretrained, whose vectors mean little."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.applications import SearchIndex, SentenceEncoder
from tinygrad_llm.applications.embed import batches_by_length, pool
from tinygrad_llm.data import pad
from tinygrad_llm.hub import Pooling, load_pretrained

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"
TEXTS = ["Return the length.", "", "A list of names, sorted by their length. " * 8, "Sort the list", "open a file", "é"]


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder.from_pretrained(FOLDERS / "bert")


def test_a_batch_gives_what_each_text_gives_alone(encoder):
    together = encoder.encode(TEXTS)
    assert together.shape == (6, 32)
    np.testing.assert_allclose(together, [encoder.encode(text) for text in TEXTS], rtol=0, atol=1e-6)
    np.testing.assert_allclose(together, encoder.encode(TEXTS, batch_tokens=1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_the_vector_is_the_mean_of_the_models(encoder):
    ids = encoder.tokenizer.encode("Sort the list")
    hidden = encoder.model(np.array([ids])).data[0]
    mean = hidden.mean(axis=0)
    np.testing.assert_allclose(encoder.encode("Sort the list"), mean / np.linalg.norm(mean), rtol=0, atol=1e-6)


def test_long_texts_are_cut_off_but_keep_their_frame(encoder):
    assert encoder.max_seq_len == 32
    ids = encoder.tokenizer.encode(TEXTS[2])
    assert len(ids) > 32
    cut = np.array([[*ids[:31], encoder.tokenizer.sep_id]])
    mean = encoder.model(cut).data[0].mean(axis=0)
    np.testing.assert_allclose(encoder.encode(TEXTS[2]), mean / np.linalg.norm(mean), rtol=0, atol=1e-6)


def test_no_texts(encoder):
    assert encoder.encode([]).shape == (0, 32)


def test_poolings():
    hidden = np.array([[[1.0, 2.0], [3.0, -4.0], [100.0, 100.0]]])
    mask = np.array([[True, True, False]])
    for mode, expected in (("mean", [2, -1]), ("cls", [1, 2]), ("max", [3, 2])):
        np.testing.assert_allclose(pool(hidden, mask, Pooling(mode, normalize=False))[0], expected)
    np.testing.assert_allclose(pool(hidden, mask, Pooling("max"))[0], np.array([3, 2]) / np.sqrt(13))


def test_padding():
    ids, mask = pad([[5, 6, 7], [8]], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]


def test_batches_hold_each_row_once_and_little_padding():
    lengths = np.random.default_rng(0).integers(2, 60, 500).tolist()
    batches = list(batches_by_length(lengths, 600))
    assert sorted(i for batch in batches for i in batch) == list(range(500))
    sizes = [(len(batch) * max(lengths[i] for i in batch), sum(lengths[i] for i in batch)) for batch in batches]
    assert max(padded for padded, _ in sizes) <= 600
    assert sum(padded for padded, _ in sizes) < 1.1 * sum(lengths)
    assert list(batches_by_length([900, 5], 600)) == [[0], [1]]


def test_search_finds_the_text_itself_first(encoder):
    texts = [text for text in TEXTS if text]
    index = SearchIndex(encoder, texts)
    for number, text in enumerate(texts):
        hits = index.search(text, k=3)
        assert (hits[0].number, hits[0].text) == (number, text)
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len(hits) == 3
    assert len(index.search("x", k=50)) == len(texts)
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        index.search("x", k=0)


def test_only_a_bert_encodes(encoder):
    gpt = load_pretrained(FOLDERS / "gpt2")
    with pytest.raises(TypeError, match="SentenceEncoder needs a BERT, which looks both ways, not a GPT"):
        SentenceEncoder(gpt.model, gpt.tokenizer)
