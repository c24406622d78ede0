"""The character tokenizer: round trips, what it lacks, its file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.text import CharTokenizer, load_tokenizer

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(any_text.filter(bool))
def test_round_trip_of_any_text(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert ids == [sorted(set(text)).index(character) for character in text]
    assert tokenizer.vocab_size == len(set(text))


def test_documented_example():
    tokenizer = CharTokenizer.train("hello world")
    assert tokenizer.characters == " dehlorw"
    assert tokenizer.encode("hold") == [3, 5, 4, 1]
    assert tokenizer.decode([3, 5, 4, 1]) == "hold"
    assert tokenizer.eos_id is None
    assert "dehlorw" in repr(tokenizer)


def test_training_on_several_texts_is_training_on_their_characters():
    assert CharTokenizer.train(iter(["ba", "c\r\n", "汉"])).characters == "\n\rabc汉"


def test_arrays_have_the_smallest_type_that_holds_the_vocabulary():
    assert CharTokenizer.train("ab").encode_to_numpy("abba").dtype == np.uint16
    many = CharTokenizer("".join(map(chr, [*range(0xD800), *range(0xE000, 0x14000)])))
    assert many.encode_to_numpy("a").dtype == np.uint32
    assert many.decode(many.encode("\U00013fff")) == "\U00013fff"
    assert CharTokenizer.train("ab").decode(np.array([1, 0], dtype=np.uint16)) == "ba"


def test_one_error_names_all_the_characters_that_are_lacking():
    tokenizer = CharTokenizer.train("hello")
    with pytest.raises(ValueError, match=r"lacks ' ', 'w', '😀': it knows only the 4 .* train it on text"):
        tokenizer.encode("hello 😀 w")
    with pytest.raises(ValueError, match=r"'9' and 15 more"):
        tokenizer.encode("0123456789abcdfgijkmnpqrs")


@pytest.mark.parametrize("text", ["a\ud800", "\udfff"])
def test_lone_surrogates_are_named(text):
    with pytest.raises(ValueError, match="lone surrogate"):
        CharTokenizer.train(text)
    with pytest.raises(ValueError, match="lone surrogate"):
        CharTokenizer.train("a").encode(text)


def test_wrong_arguments():
    tokenizer = CharTokenizer.train("ab")
    with pytest.raises(ValueError, match="empty"):
        CharTokenizer.train("")
    with pytest.raises(ValueError, match="distinct"):
        CharTokenizer("aba")
    with pytest.raises(TypeError, match="must be a str, got bytes"):
        tokenizer.encode(b"ab")
    for wrong in ([2], [-1], np.array([0, 7])):
        with pytest.raises(IndexError, match=r"out of range: .* ids 0 to 1"):
            tokenizer.decode(wrong)
    for wrong in ([0.5], [[0, 1]], ["a"], [True]):
        with pytest.raises(TypeError, match="flat row of integers"):
            tokenizer.decode(wrong)
    assert tokenizer.decode([]) == ""


def test_save_and_load(tmp_path):
    tokenizer = CharTokenizer.train('a\r\n\0\u2028\u0301汉😀"\\')
    tokenizer.save(tmp_path / "tokenizer.json")
    assert CharTokenizer.load(tmp_path / "tokenizer.json").characters == tokenizer.characters
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, CharTokenizer)
    assert loaded.characters == tokenizer.characters
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


@pytest.mark.parametrize("characters", ["", "aa", "\ud800", None, ["a"], 5])
def test_broken_files_are_named(tmp_path, characters):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"type": "tinygrad_llm.CharTokenizer", "characters": characters}))
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        load_tokenizer(path)
