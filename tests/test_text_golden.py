"""Equality with Hugging Face tokenizers and tiktoken, by the values of tests/golden/make_text_golden.py."""

import json
from pathlib import Path

import pytest

from tinygrad_llm.text import END_OF_TEXT, BPETokenizer, load_tokenizer, split_words
from tinygrad_llm.text.byte_alphabet import to_visible

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "text_golden.json").read_text(encoding="utf-8"))
STRINGS = GOLDEN["strings"]


@pytest.fixture(scope="module")
def ours():
    return BPETokenizer.train(GOLDEN["training_text"], GOLDEN["vocab_size"], [END_OF_TEXT])


@pytest.fixture(scope="module")
def theirs():
    return load_tokenizer(FOLDER / "text_hf_tokenizer.json")


def test_merges_equal_hugging_faces(ours):
    assert [list(pair) for pair in ours.merges] == GOLDEN["merges"]


def test_loading_hugging_faces_file_gives_the_same_tokenizer(ours, theirs):
    assert (theirs.tokens, theirs.merges, theirs.special_tokens) == (
        ours.tokens,
        ours.merges,
        ours.special_tokens,
    )


@pytest.mark.parametrize("number", range(len(STRINGS)))
def test_words_and_ids(ours, theirs, number):
    text = STRINGS[number]
    words = [to_visible(word.encode("utf-8")) for word in split_words(text)]
    assert words == GOLDEN["words"][number]
    for tokenizer in (ours, theirs):
        assert tokenizer.encode(text) == GOLDEN["plain_ids"][number]
        with_special = tokenizer.encode(text, allowed_special="all")
        assert with_special == GOLDEN["special_ids"][number] == GOLDEN["tiktoken_ids"][number]
        assert tokenizer.decode(with_special) == text


def test_our_file_differs_from_hugging_faces_in_spelling_only(ours, tmp_path):
    ours.save(tmp_path / "tokenizer.json")
    mine = json.loads((tmp_path / "tokenizer.json").read_bytes())
    other = json.loads((FOLDER / "text_hf_tokenizer.json").read_bytes())
    assert mine["added_tokens"] == other["added_tokens"]
    assert mine["pre_tokenizer"] == other["pre_tokenizer"]
    assert mine["decoder"]["type"] == other["decoder"]["type"]
    assert mine["model"].keys() == other["model"].keys()
    assert [merge.split(" ") for merge in mine["model"]["merges"]] == other["model"]["merges"]
    vocab = {name: i for name, i in mine["model"]["vocab"].items() if name != END_OF_TEXT}
    assert vocab == {name: i for name, i in other["model"]["vocab"].items() if name != END_OF_TEXT}
