"""From text to its two parts and a tokenizer, in memory and as a stream."""

import pytest

from tinygrad_llm.data import join_documents
from tinygrad_llm.text import BPETokenizer, CharTokenizer
from tinygrad_llm.train import corpus as corpus_module
from tinygrad_llm.train import preset, read_corpus, train_tokenizer


def numbered_text(n_lines, start=0):
    return "".join(f"Line {i} says that {i * i} is the square of {i}.\n\n" for i in range(start, start + n_lines))


@pytest.fixture
def files(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(numbered_text(300, 300 * number))
    return tuple(str(path) for path in sorted(tmp_path.iterdir()))


def test_files_are_split_into_parts_that_share_nothing(files):
    corpus = read_corpus(preset("laptop").override(corpus=files))
    train, validation = join_documents(corpus.train), join_documents(corpus.validation)
    assert 0.05 < len(validation) / len(train + validation) < 0.2
    assert not {line for line in train.splitlines() if line} & {line for line in validation.splitlines() if line}
    assert "kept 3 of 3 documents" in corpus.cleaning
    assert "validation" in corpus.how_split


def test_a_corpus_larger_than_memory_streams_and_is_split_without_leaks(files, monkeypatch):
    monkeypatch.setattr(corpus_module, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(corpus_module, "STREAM_CHARACTERS", 500)
    corpus = read_corpus(preset("laptop").override(corpus=files))
    assert not isinstance(corpus.train, list)
    first, second = list(corpus.train), list(corpus.train)
    assert first == second, "it can be walked through again, for the tokenizer and for the token file"
    assert all(len(document.text) <= 500 for document in first)
    train_lines = {line for line in join_documents(first).splitlines() if line}
    validation_lines = {line for line in join_documents(corpus.validation).splitlines() if line}
    assert not train_lines & validation_lines
    assert train_lines | validation_lines == {line for line in numbered_text(900).splitlines() if line}
    assert 0.03 < len(validation_lines) / 900 < 0.2
    assert corpus.how_split.startswith("as a stream")


def test_the_validation_part_of_a_huge_corpus_is_bounded(files, monkeypatch):
    monkeypatch.setattr(corpus_module, "IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(corpus_module, "STREAM_CHARACTERS", 500)
    monkeypatch.setattr(corpus_module, "VALIDATION_BYTES", 2000)
    corpus = read_corpus(preset("laptop").override(corpus=files))
    assert 0 < len(join_documents(corpus.validation)) < 6000


def test_max_characters_cuts_the_beginning_out(files):
    corpus = read_corpus(preset("laptop").override(corpus=files, max_characters=2000))
    size = len(join_documents(corpus.train)) + len(join_documents(corpus.validation))
    assert 1900 < size <= 2000
    assert "Line 0 " in join_documents(corpus.train)


def test_bpe_learns_from_the_training_part_only(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat. " * 200 + "\n\n" + "zyxwv " * 100)
    corpus = read_corpus(preset("laptop").override(corpus=(str(path),)))
    tokenizer = train_tokenizer(preset("laptop").override(vocab_size=300), corpus)
    assert isinstance(tokenizer, BPETokenizer)
    assert b" cat" in tokenizer.tokens
    assert not any(b"zy" in token for token in tokenizer.tokens)


def test_the_character_tokenizer_knows_the_characters_of_both_parts(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abc def " * 300 + "\n" + "xyz! " * 50)
    config = preset("shakespeare-cpu").override(corpus=(str(path),))
    corpus = read_corpus(config)
    tokenizer = train_tokenizer(config, corpus)
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.characters == "\n !abcdefxyz"


def test_a_preset_without_a_text_of_its_own_asks_for_one():
    with pytest.raises(ValueError, match="give one with --corpus FILE"):
        read_corpus(preset("shakespeare-cpu"))
