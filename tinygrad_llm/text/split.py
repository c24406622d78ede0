r"""Pre-tokenization: text is cut into words first, and no merge crosses from one word into the next.

    It's 42 dogs!  →  "It", "'s", " 42", " dogs", "!"

The pattern is GPT-2's (Radford et al. 2019; `encoder.py` of the released code). A word keeps the space before
it, so that joining the words gives the text back, character for character. Unicode grows: which characters
are letters is up to the installed `regex`, which may know newer ones than another program does.

Some tokenizers since (SmolLM2's among them) cut out each digit before that, so that every number is a row of digits and
not a token of its own: `split_digits`. "in 42 days" is then "in", " ", "4", "2", " days".

A regular expression tries its alternatives one after another at each place, and makes a str of each word. The kernels
here do by hand what the pattern says, on UTF-8 bytes, in two passes: what each character is, looked up in a table that
was asked from `regex` once; then where the words end.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import regex

from ..kernel import kernel

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PIECE_CHARACTERS = 1 << 18

OTHER, LETTER, NUMBER, SPACE, END = 0, 1, 2, 3, 4  # what a character is to the pattern; END follows the last one
_DIGIT = regex.compile(r"(\p{N})")
_BEFORE_SPACE = regex.compile(r"(?<=\S)(?=\s)")


def split_words_ref(text: str, split_digits: bool = False) -> list[str]:
    """The words of `text` in order, as the pattern finds them."""
    pieces = _DIGIT.split(text) if split_digits else [text]
    return [word for piece in pieces for word in regex.findall(GPT2_PATTERN, piece)]


def split_words(text: str, split_digits: bool = False) -> list[str]:
    """The words of `text` in order. Example: `split_words("Hello, world")` is `["Hello", ",", " world"]`."""
    words = []
    for piece in utf8_pieces(text):
        start = 0
        for stop in word_ends(piece, split_digits).tolist():
            words.append(piece[start:stop].tobytes().decode("utf-8"))
            start = stop
    return words


def utf8_pieces(text: str) -> Iterator[np.ndarray]:
    """`text` as UTF-8 in arrays of bytes, cut where no word is, so that a long text takes little memory."""
    start = 0
    while start < len(text):
        # No word holds a space after another character: a cut there cuts no word.
        cut = _BEFORE_SPACE.search(text, start + PIECE_CHARACTERS)
        stop = cut.start() if cut else len(text)
        yield np.frombuffer(text[start:stop].encode("utf-8"), dtype=np.uint8)
        start = stop


def word_ends(text: np.ndarray, split_digits: bool = False) -> np.ndarray:
    """Where each word of the UTF-8 bytes `text` ends and the next one starts, int64 (n_words,)."""
    kinds = np.empty(len(text) + 1, dtype=np.uint8)
    kinds_kernel(kinds, text, kinds_of_characters())
    ends, n_words = np.empty(len(text), dtype=np.int64), np.zeros(1, dtype=np.int64)
    split_kernel(ends, n_words, text, kinds, split_digits)
    return ends[: n_words[0]]


@cache
def kinds_of_characters() -> np.ndarray:
    """OTHER, LETTER, NUMBER or SPACE for each code point, uint8 (0x110000,), asked from `regex`."""
    kinds = np.full(0x110000, OTHER, dtype=np.uint8)
    every_character = np.arange(len(kinds), dtype="<u4").tobytes().decode("utf-32-le", errors="surrogatepass")
    for pattern, each in ((r"\p{L}+", LETTER), (r"\p{N}+", NUMBER), (r"\s+", SPACE)):
        for run in regex.finditer(pattern, every_character):
            kinds[run.start() : run.end()] = each
    return kinds


@kernel
def kinds_kernel(kinds, text, kinds_of_characters):
    """The kind of the character that each byte belongs to, and END after the last one."""
    kind = kinds_of_characters[0]
    for i in range(len(text)):
        first = np.int64(text[i])
        if first < 0x80:
            kind = kinds_of_characters[first]
        elif first >= 0xC0:  # else the byte continues a character
            code = ((first & 0x1F) << 6) | (np.int64(text[i + 1]) & 0x3F)
            if first >= 0xE0:
                code = ((code & 0x3FF) << 6) | (np.int64(text[i + 2]) & 0x3F)
            if first >= 0xF0:
                code = ((code & 0x7FFF) << 6) | (np.int64(text[i + 3]) & 0x3F)
            kind = kinds_of_characters[code]
        kinds[i] = kind
    kinds[len(text)] = END


@kernel
def split_kernel(ends, n_words, text, kinds, split_digits):
    alone = NUMBER if split_digits else END  # the kind of character that is a word of its own
    start, n = 0, 0
    while start < len(text):
        stop = start
        if text[start] == 39:  # the apostrophe
            stop = contraction_end(text, start)
        if stop == start:
            first = start
            if text[start] == 32 and kinds[start + 1] < SPACE and kinds[start + 1] != alone:  # the " ?" of the pattern
                first += 1
            kind, stop = kinds[first], first + 1
            while kinds[stop] == kind and (kind != alone or text[stop] & 0xC0 == 0x80):
                stop += 1
            if kind == SPACE and kinds[stop] != END and kinds[stop] != alone:
                last = stop - 1  # \s+(?!\S)|\s+: the last space is left for the word that follows, unless it is alone
                while text[last] & 0xC0 == 0x80:
                    last -= 1
                if last > start:
                    stop = last
        ends[n] = stop
        n += 1
        start = stop
    n_words[0] = n


@kernel
def contraction_end(text, start):
    """The end of 's, 'd, 'm, 't, 'll, 've or 're; `start` itself where there is none."""
    if start + 1 < len(text):
        first = text[start + 1]
        if first == 115 or first == 100 or first == 109 or first == 116:
            return start + 2
        if start + 2 < len(text):
            second = text[start + 2]
            if (first == 108 and second == 108) or ((first == 118 or first == 114) and second == 101):
                return start + 3
    return start
