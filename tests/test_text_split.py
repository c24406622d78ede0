"""GPT-2's split pattern: the fast ways to apply it change nothing."""

import random
from collections import Counter

import regex
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.text import GPT2_PATTERN, count_words, split_words

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# All classes of the pattern meet here.
spaced_text = st.text("ab'sre1 \t\n\r\x0b\x1c\x85\xa0\u3000é!中", max_size=60)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=60)


@given(any_text | spaced_text | ascii_text)
def test_split_is_the_pattern(text):
    words = [word for piece in split_words(text) for word in piece]
    assert words == regex.findall(GPT2_PATTERN, text)
    assert "".join(words) == text


def test_split_in_pieces_is_the_split_of_the_whole(monkeypatch):
    monkeypatch.setattr("tinygrad_llm.text.split.PIECE_CHARACTERS", 3)
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices("ab'sre1  \t\n\r\x1c\x85\u3000é!中", k=rng.randrange(30)))
        pieces = list(split_words(text))
        assert [word for piece in pieces for word in piece] == regex.findall(GPT2_PATTERN, text)
    assert len(list(split_words("one two three four"))) > 2


def test_count_words_of_a_text_and_of_several():
    assert count_words("a b a\n") == Counter({"a": 1, " b": 1, " a": 1, "\n": 1})
    assert count_words(iter(["a b", "a"])) == Counter({"a": 2, " b": 1})
