"""Tokens as they can be shown: blanks, line ends and parts of characters become visible, and nothing hides or moves
the text around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ..text import CharTokenizer, Tokenizer, WordPieceTokenizer

_VISIBLE = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}
_STRAY_BYTES = {chr(0xDC00 + byte) for byte in range(0x80, 0x100)}  # how Python writes bytes that are no UTF-8
_PIECE = re.compile("[\udc80-\udcff]+|.", re.DOTALL)  # stray bytes together, other characters one by one


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """One token, visibly. A model may have more tokens than its tokenizer: those are shown by number."""
    if not 0 <= token < tokenizer.vocab_size:
        return f"⟨token {token}⟩"
    if isinstance(tokenizer, WordPieceTokenizer):
        return visible(tokenizer.tokens[token])
    if isinstance(tokenizer, CharTokenizer):
        return visible(tokenizer.decode([token]))
    return visible(tokenizer.decode_bytes([token]).decode("utf-8", "surrogateescape"))


def visible(text: str) -> str:
    r"""The text with signs for blanks, and in ⟨⟩ the bytes of broken characters and the numbers of invisible ones.

    >>> visible(" a\n"), visible(b"\xf0\x9f".decode("utf-8", "surrogateescape")), visible("\u202e")
    ('␣a⏎', '⟨F0 9F⟩', '⟨U+202E⟩')
    """
    if not text:
        return "⟨empty⟩"
    base = "◌" if unicodedata.combining(text[0]) else ""  # an accent needs something to stand on
    return base + _PIECE.sub(_shown, text)


def _shown(found: re.Match) -> str:
    piece = found[0]
    if piece[0] in _STRAY_BYTES:
        return f"⟨{' '.join(f'{ord(each) - 0xDC00:02X}' for each in piece)}⟩"
    return _VISIBLE.get(piece) or (piece if piece.isprintable() else f"⟨U+{ord(piece):04X}⟩")


def whole_text(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """What the tokens say together, without those that the tokenizer lacks."""
    return tokenizer.decode([token for token in ids if 0 <= token < tokenizer.vocab_size])
