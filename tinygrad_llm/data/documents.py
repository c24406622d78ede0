"""A document: one text with the place it came from. All of `tinygrad_llm.data` takes and gives these."""

from collections.abc import Iterable
from dataclasses import dataclass

DOCUMENT_SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Document:
    """One text and its origin.

    `source` is for people and for labels: a path (`notes.txt`, `rows.jsonl:17`) or a name in the embedded
    corpus (`topic:lambda`, `docstring:json.loads`, `source:json/decoder.py`).
    """

    text: str
    source: str


def join_documents(documents: Iterable[Document]) -> str:
    """The whole corpus as one string, documents apart by one blank line.

    Tokenizers train on this text, compressors compress it, and its UTF-8 length is the denominator of bits
    per byte.
    """
    return DOCUMENT_SEPARATOR.join(document.text for document in documents)


def cut_before(text: str, limit: int, earliest: int = 1) -> int:
    """The best place at or before `limit` to cut `text` in two: `text[:cut]` and `text[cut:]`.

    A paragraph's end is best, then a line's end, then a word's end, then `limit` itself; `cut >= earliest`.
    """
    for separator in ("\n\n", "\n", " "):
        found = text.rfind(separator, earliest - 1, limit)
        cut = found + len(separator)
        if found >= 0 and earliest <= cut <= limit:
            return cut
    return limit
