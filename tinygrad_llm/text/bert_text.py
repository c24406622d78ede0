r"""Text → words as BERT sees them: cleaned, lower-cased, without accents, cut at spaces and around punctuation.

    "Café, don't!\x00"  →  ["cafe", ",", "don", "'", "t", "!"]

    1 cleaned        control characters go, white space of any kind becomes a space, CJK characters stand alone
    2 no accents     é → e + ◌́ → e: decomposed (NFD), then the marks that take no space of their own (Mn) go
    3 lower-cased
    4 cut            around each punctuation mark, which is a word of its own

The rules are those of `tokenization.py` of the released BERT (Devlin et al. 2018), as Hugging Face's tokenizers follow
them, so that the ids are theirs. Those differ from the released code in three rare things: characters for private use
go; "Σ" becomes "σ" at the end of a word too; the CJK characters U+2B820 to U+2B91F do not stand alone. What a
character is, Python's `unicodedata` says, so characters that are new in Unicode depend on the version of Python.
"""

import unicodedata
from collections.abc import Callable

ASCII_SYMBOLS = "$+<=>^`|~"  # punctuation to BERT, though not to Unicode
CJK_BLOCKS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
WHITE_SPACE = "\t\n\r\u2028\u2029"  # beside the characters of category Zs
REPLACEMENT = "\ufffd"


def split_bert_words(
    text: str, do_lower_case: bool = True, strip_accents: bool | None = None, tokenize_chinese_chars: bool = True
) -> list[str]:
    """The words of `text`. `strip_accents=None` means: where it is lower-cased."""
    return spaced(text, do_lower_case, strip_accents, tokenize_chinese_chars).split()


def spaced(
    text: str, do_lower_case: bool = True, strip_accents: bool | None = None, tokenize_chinese_chars: bool = True
) -> str:
    """The words of `text` with at least one space between any two of them."""
    text = text.translate(_CLEANED_CJK if tokenize_chinese_chars else _CLEANED)
    if do_lower_case if strip_accents is None else strip_accents:
        text = unicodedata.normalize("NFD", text).translate(_WITHOUT_MARKS)
    if do_lower_case:
        text = text.replace("Σ", "σ").lower()  # Python alone would write ς at the end of a word
    return text.translate(_PUNCTUATION_APART)


def words_with_spans(text: str, **options: bool | None) -> tuple[list[str], list[tuple[int, int]]]:
    """The words, and the span (start, stop) of `text` that each letter of them comes from, one after another."""
    widths = {character: len(spaced(character, **options)) for character in set(text)}
    sources = [place for place, character in enumerate(text) for _ in range(widths[character])]
    apart = spaced(text, **options)
    spans = [(sources[i], sources[i] + 1) for i, character in enumerate(apart) if not character.isspace()]
    return apart.split(), spans


def _cleaned(character: str) -> str:
    if character in WHITE_SPACE or unicodedata.category(character) == "Zs":
        return " "
    is_control = character == REPLACEMENT or unicodedata.category(character) in ("Cc", "Cf", "Co")
    return "" if is_control else character


def _cleaned_cjk(character: str) -> str:
    is_cjk = any(first <= ord(character) <= last for first, last in CJK_BLOCKS)
    return f" {character} " if is_cjk else _cleaned(character)


def _without_marks(character: str) -> str:
    return "" if unicodedata.category(character) == "Mn" else character


def _punctuation_apart(character: str) -> str:
    is_punctuation = character in ASCII_SYMBOLS or unicodedata.category(character).startswith("P")
    return f" {character} " if is_punctuation else character


class _Table(dict):
    """For `str.translate`: what a function makes of each character, asked once."""

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, code_point: int) -> str:
        self[code_point] = self.function(chr(code_point))
        return self[code_point]


_CLEANED, _CLEANED_CJK = _Table(_cleaned), _Table(_cleaned_cjk)
_WITHOUT_MARKS, _PUNCTUATION_APART = _Table(_without_marks), _Table(_punctuation_apart)
