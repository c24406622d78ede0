"""Which documents are worth learning from: rules of thumb on length, symbols, repetition and script.

No rule reads the text. Each measures something that a page of prose has within wide bounds and that a menu, a log, a
table of numbers or spam has not. `MASSIVE_TEXT` holds the bounds of J. Rae and others, "Scaling Language Models:
Methods, Analysis & Insights from Training Gopher" (2021), appendix A1.1, which are meant for English web pages: they
throw most source code and all Chinese away.

Lesson: 07_corpus.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import regex

from .repetition import repeated_lines, repeated_ngram_share, top_ngram_share
from .words import word_hashes

STOP_WORDS = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])
_SYMBOL = re.compile(r"#|…|\.\.\.")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Filters:
    """The bounds that a document has to keep; None turns a rule off, and all are off unless given.

    Words are what stands between spaces, lines are those that are not blank. Of n-grams of words, `max_top_ngrams`
    and `max_repeated_ngrams` bound the share of characters in the most frequent one and in all that stood before
    (see repetition.py), as pairs (n, share).

    >>> Filters(min_words=3).reason("Too short.")
    'too short'
    """

    min_words: int | None = None
    max_words: int | None = None
    word_length: tuple[float, float] | None = None  # characters of a word, on average: at least, at most
    max_symbols: float | None = None  # hashes and ellipses per word
    min_words_with_letter: float | None = None  # share of words
    min_stop_words: int | None = None  # different ones of STOP_WORDS
    max_bullet_lines: float | None = None  # share of lines that begin with a bullet
    max_ellipsis_lines: float | None = None  # share of lines that end with "…" or "..."
    max_repeated_lines: float | None = None  # share of lines that stood before
    max_repeated_line_characters: float | None = None
    max_top_ngrams: tuple[tuple[int, float], ...] = ()
    max_repeated_ngrams: tuple[tuple[int, float], ...] = ()
    scripts: tuple[str, ...] | None = None  # names that Unicode gives, such as "Latin", "Cyrillic" or "Han"
    min_script_share: float = 0.5  # share of the letters that belong to `scripts`

    def __post_init__(self) -> None:
        if self.scripts is not None:
            script_share("", self.scripts)

    def reason(self, text: str) -> str | None:
        """In two or three words, the first rule that the normalized text breaks, or None where it may stay."""
        words = text.split()
        lines = [line.strip() for line in text.split("\n") if line]
        return (
            self._length(words)
            or self._symbols(text, words, lines)
            or self._script(text)
            or self._repetition(text, lines)
        )

    def _length(self, words: list[str]) -> str | None:
        if self.min_words is not None and len(words) < self.min_words:
            return "too short"
        if self.max_words is not None and len(words) > self.max_words:
            return "too long"
        if self.word_length is not None:
            shortest, longest = self.word_length
            if not shortest * len(words) <= sum(map(len, words)) <= longest * len(words):
                return "length of words"
        return None

    def _symbols(self, text: str, words: list[str], lines: list[str]) -> str | None:
        if self.max_symbols is not None and len(_SYMBOL.findall(text)) > self.max_symbols * len(words):
            return "symbols"
        if self.max_bullet_lines is not None and _share(lines, _is_bullet) > self.max_bullet_lines:
            return "bullet lines"
        if self.max_ellipsis_lines is not None and _share(lines, _is_cut_off) > self.max_ellipsis_lines:
            return "ellipsis lines"
        if self.min_words_with_letter is not None and _share(words, _LETTER.search) < self.min_words_with_letter:
            return "words without a letter"
        if self.min_stop_words is not None and len(STOP_WORDS & set(words)) < self.min_stop_words:
            return "stop words"
        return None

    def _script(self, text: str) -> str | None:
        if self.scripts is not None and script_share(text, self.scripts) < self.min_script_share:
            return "script"
        return None

    def _repetition(self, text: str, lines: list[str]) -> str | None:
        by_line, by_character = repeated_lines(lines)
        if self.max_repeated_lines is not None and by_line > self.max_repeated_lines:
            return "repeated lines"
        if self.max_repeated_line_characters is not None and by_character > self.max_repeated_line_characters:
            return "repeated lines"
        if self.max_top_ngrams or self.max_repeated_ngrams:
            words, lengths = word_hashes(text)
            if any(top_ngram_share(words, lengths, n) > share for n, share in self.max_top_ngrams):
                return "frequent phrase"
            if any(repeated_ngram_share(words, lengths, n) > share for n, share in self.max_repeated_ngrams):
                return "repeated phrases"
        return None


MASSIVE_TEXT = Filters(
    min_words=50,
    max_words=100_000,
    word_length=(3, 10),
    max_symbols=0.1,
    min_words_with_letter=0.8,
    min_stop_words=2,
    max_bullet_lines=0.9,
    max_ellipsis_lines=0.3,
    max_repeated_lines=0.3,
    max_repeated_line_characters=0.2,
    max_top_ngrams=((2, 0.20), (3, 0.18), (4, 0.16)),
    max_repeated_ngrams=((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)),
)


def _share(items: list[str], rule: Callable[[str], object]) -> float:
    """The share of the items that the rule holds for."""
    return sum(map(bool, map(rule, items))) / max(1, len(items))


def _is_bullet(line: str) -> bool:
    return line.startswith(("•", "‣", "●", "*", "-", "–"))


def _is_cut_off(line: str) -> bool:
    return line.endswith(("…", "..."))


def script_share(text: str, scripts: tuple[str, ...]) -> float:
    """The share of the letters of `text` that belong to one of the `scripts`, 0 where there are no letters.

    Languages that share a script cannot be told apart in this way, but English and Chinese can.

    >>> script_share("Hello, мир!", ("Latin",))
    0.625

    Raises ValueError for a name that Unicode does not know.
    """
    pattern = "".join(rf"\p{{Script={name}}}" for name in scripts)
    try:
        wanted = regex.compile(rf"(?V1)[[{pattern}]&&\p{{L}}]+")
    except regex.error:
        raise ValueError(
            f"the scripts {', '.join(map(repr, scripts))} hold a name that Unicode does not know: "
            "use names such as Latin, Greek, Cyrillic, Arabic, Devanagari, Han, Hiragana or Hangul"
        ) from None
    letters = sum(map(len, regex.findall(r"\p{L}+", text)))
    return sum(map(len, wanted.findall(text))) / max(1, letters)
