"""Pre-tokenization: text is cut into words first, and no merge crosses from one word into the next.

    It's 42 dogs!  →  "It", "'s", " 42", " dogs", "!"

The pattern is GPT-2's (Radford et al. 2019; `encoder.py` of the released code). A word keeps the space before
it, so that joining the words gives the text back, character for character. Unicode grows: which characters
are letters is up to the installed `regex`, which may know newer ones than another program does.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import regex

from .checks import check_text

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PIECE_CHARACTERS = 1 << 14

_UNICODE = regex.compile(GPT2_PATTERN)
# The same on ASCII text, where Python's own `re` knows the classes and is twice as fast.
_ASCII = re.compile(
    GPT2_PATTERN.replace(r"[^\s\p{L}\p{N}]", r"[^\sa-zA-Z0-9]")
    .replace(r"\p{L}", "[a-zA-Z]")
    .replace(r"\p{N}", "[0-9]"),
    re.ASCII,
)
_BEFORE_SPACE = regex.compile(r"(?<=\S)(?=\s)")


def split_words(text: str) -> Iterator[list[str]]:
    """The words of `text` in order, as one list for every 16,000 characters or so.

    Example: `list(split_words("Hello, world"))` is `[["Hello", ",", " world"]]`.
    """
    start = 0
    while start < len(text):
        # No word holds a space after another character: a cut there cuts no word.
        cut = _BEFORE_SPACE.search(text, start + PIECE_CHARACTERS)
        stop = cut.start() if cut else len(text)
        piece = text[start:stop]
        yield (_ASCII if piece.isascii() else _UNICODE).findall(piece)
        start = stop


def count_words(texts: str | Iterable[str]) -> Counter[str]:
    """How often each word occurs in one text or several: all that learning the merges needs of a corpus.

    Raises TypeError where a text is no str, ValueError where one holds a lone surrogate.
    """
    counts: Counter[str] = Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        for words in split_words(text):
            counts.update(words)
    return counts
