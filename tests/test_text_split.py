"""GPT-2's split pattern: the fast ways to apply it change nothing."""

import random
from collections import Counter

import regex
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.text import GPT2_PATTERN, count_words, split_words
from tinygrad_llm.text.split import split_words_ref, utf8_pieces
from tinygrad_llm.text.word_counts import count_words_ref

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# All classes of the pattern meet here.
spaced_text = st.text("ab'sre1 \t\n\r\x0b\x1c\x85\xa0\u3000é!中", max_size=60)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=60)


@given(any_text | spaced_text | ascii_text)
def test_split_is_the_pattern(text):
    words = split_words(text)
    assert words == regex.findall(GPT2_PATTERN, text) == split_words_ref(text)
    assert "".join(words) == text


def test_split_in_pieces_is_the_split_of_the_whole(monkeypatch):
    monkeypatch.setattr("tinygrad_llm.text.split.PIECE_CHARACTERS", 3)
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices("ab'sre1  \t\n\r\x1c\x85\u3000é!中", k=rng.randrange(30)))
        assert split_words(text) == regex.findall(GPT2_PATTERN, text)
    assert len(list(utf8_pieces("one two three four"))) > 2


def test_characters_on_both_sides_of_every_border_of_a_kind():
    """The table of kinds and the reading of UTF-8, with the pattern's own engine as oracle."""
    borders = {0x80, 0x800, 0x10000}  # where UTF-8 takes one byte more
    for pattern in (r"\p{L}+", r"\p{N}+", r"\s+"):
        for run in regex.finditer(pattern, "".join(map(chr, range(0x110000)))):
            borders |= set(run.span())
    characters = [chr(border - side) for border in sorted(borders) for side in (0, 1) if border < 0x110000]
    assert len(characters) > 1000
    for left, right in (("a", "1"), (" ", " "), ("!", " a")):
        text = "".join(f"{left}{character}{right}" for character in characters if not "\ud800" <= character <= "\udfff")
        assert split_words(text) == split_words_ref(text)


def test_contractions_wherever_they_stand():
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(rng.choices(["'", "s", "d", "m", "t", "l", "v", "e", "r", " ", "1", "é", "\n", "S"], k=12))
        assert split_words(text) == split_words_ref(text)


def test_count_words_of_a_text_and_of_several():
    assert count_words("a b a\n") == Counter({"a": 1, " b": 1, " a": 1, "\n": 1})
    assert count_words(iter(["a b", "a"])) == Counter({"a": 2, " b": 1})
    assert count_words("") == count_words([]) == Counter()


@given(st.lists(any_text | spaced_text | st.text("ab ", max_size=200)))
def test_counts_are_the_counts_of_the_split(texts):
    assert count_words(texts) == count_words_ref(texts)
