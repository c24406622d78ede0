"""Cleaning a corpus: one form for every text, every text once, and only texts worth learning from.

A model spends its capacity on whatever the corpus repeats, and a text that stands in both the training and
the validation part makes the validation loss a lie. So duplicates go before the split: equal documents, long
paragraphs that stood in an earlier document, and near-duplicates. The second is in the spirit of C4's rule of
three sentences (C. Raffel and others, 2020, section 2.2): only so is a page found that quotes other pages.

Lesson: 07_corpus.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .documents import Document
from .filters import Filters
from .fingerprints import FingerprintSet, fingerprints_of
from .near_duplicates import NearDuplicates

# Unicode's class Cc but tab and newline; the byte order mark; and the halves of surrogate pairs, which JSON
# escapes can smuggle in and no UTF-8 file can hold.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_ANY_OF_THESE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff\u2028\u2029]")
_BLANK_LINES = re.compile("\n{4,}")


def normalize(text: str) -> str:
    """The text in its one clean form; `normalize(normalize(text)) == normalize(text)`.

    Line and page ends become "\\n"; control characters and byte order marks go, a lone surrogate becomes
    U+FFFD; characters are composed (Unicode NFC: "e" + accent is one "é"); blanks at line ends go; at most
    two blank lines stay in a row, the distance Python code keeps; blank lines around the text go.
    """
    if _ANY_OF_THESE.search(text):  # one look at each character: most texts have none of them
        text = _LINE_ENDS.sub("\n", text)
        text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))
    text = unicodedata.normalize("NFC", text)  # after the removals: they bring new neighbours together
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n\n", text)
    return text.strip("\n")


def text_digest(text: str, seed: int = 0) -> bytes:
    """16 bytes that name a text: equal for equal texts, else different (BLAKE2b); `seed` gives others."""
    key = seed.to_bytes(8, "little")
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16, key=key).digest()


@dataclass
class CleanReport:
    """What cleaning saw and removed, in documents and characters; `print(report)` says it in a few lines."""

    documents_in: int = 0
    characters_in: int = 0
    documents_out: int = 0
    characters_out: int = 0
    empty_documents: int = 0
    duplicate_documents: int = 0
    duplicate_characters: int = 0
    repeated_paragraphs: int = 0
    repeated_paragraph_characters: int = 0
    near_duplicate_documents: int = 0
    near_duplicate_characters: int = 0
    filtered_documents: Counter[str] = field(default_factory=Counter)  # by the rule that they break
    filtered_characters: Counter[str] = field(default_factory=Counter)

    @property
    def normalized_characters(self) -> int:
        """How many characters went for no other reason than normalization."""
        removed = self.duplicate_characters + self.near_duplicate_characters + self.filtered_characters.total()
        return self.characters_in - self.characters_out - removed - self.repeated_paragraph_characters

    def __str__(self) -> str:
        text = (
            f"kept {self.documents_out:,} of {self.documents_in:,} documents, "
            f"{self.characters_out:,} of {self.characters_in:,} characters\n"
            f"removed {self.duplicate_documents:,} duplicates ({self.duplicate_characters:,} characters), "
            f"{self.repeated_paragraphs:,} repeated paragraphs ({self.repeated_paragraph_characters:,}), "
            f"{self.near_duplicate_documents:,} near-duplicates ({self.near_duplicate_characters:,}), "
            f"{self.empty_documents:,} empty documents, {self.normalized_characters:,} stray characters"
        )
        rules = [
            f"{reason} {n:,} ({self.filtered_characters[reason]:,})"
            for reason, n in sorted(self.filtered_documents.items(), key=lambda item: (-item[1], item[0]))
        ]
        return f"{text}\nfiltered out, by rule: {', '.join(rules)}" if rules else text


def clean(
    documents: Iterable[Document],
    near_duplicate_threshold: float | None = 0.8,
    paragraph_characters: int | None = 100,
    filters: Filters | None = None,
) -> tuple[list[Document], CleanReport]:
    """The normalized documents, each text once and in the given order, and the report of what went.

    - Of texts that are equal after normalization the first stays.
    - A paragraph of at least `paragraph_characters` characters that stood in an earlier document goes, and
      where that is more than half of a document, the document; what it repeats inside itself stays. None
      keeps all.
    - What is left of a document goes where it breaks a rule of `filters`. None keeps all.
    - A near-duplicate of an earlier text, one whose estimated Jaccard similarity is at least
      `near_duplicate_threshold` (see `NearDuplicates`), goes. None keeps all.
    """
    report = CleanReport()
    return list(clean_stream(documents, report, near_duplicate_threshold, paragraph_characters, filters)), report


def clean_stream(
    documents: Iterable[Document],
    report: CleanReport,
    near_duplicate_threshold: float | None = 0.8,
    paragraph_characters: int | None = 100,
    filters: Filters | None = None,
) -> Iterator[Document]:
    """`clean` one document at a time, for a corpus larger than memory.

    What stays in memory is at most 64 bytes per document, 32 per long paragraph, and for near-duplicates 0.8 to 0.9
    kilobytes per document. The caller's report fills as the documents pass.
    """
    came, kept = FingerprintSet(), FingerprintSet()  # of the normalized documents, and of what was left of them
    paragraphs = None if paragraph_characters is None else _Paragraphs(paragraph_characters)
    near = None if near_duplicate_threshold is None else NearDuplicates(near_duplicate_threshold)
    for document in documents:
        report.documents_in += 1
        report.characters_in += len(document.text)
        whole = normalize(document.text)
        if not whole:
            report.empty_documents += 1
            continue
        text, n_repeats = (whole, 0) if paragraphs is None else paragraphs.without_repeats(whole)
        before = fingerprints_of([whole])
        after = before if text is whole else fingerprints_of([text])
        if came.contains(before)[0] or kept.contains(after)[0] or 2 * len(text) < len(whole):
            report.duplicate_documents += 1
            report.duplicate_characters += len(whole)
            continue
        reason = None if filters is None else filters.reason(text)
        if reason is not None:
            report.filtered_documents[reason] += 1
            report.filtered_characters[reason] += len(whole)
            continue
        came.add(before)
        if near is not None and near.seen_before(text):
            report.near_duplicate_documents += 1
            report.near_duplicate_characters += len(whole)
            continue
        kept.add(after)
        if paragraphs is not None:
            paragraphs.remember(text)
        report.repeated_paragraphs += n_repeats
        report.repeated_paragraph_characters += len(whole) - len(text)
        report.documents_out += 1
        report.characters_out += len(text)
        yield Document(text, document.source)


class _Paragraphs:
    """The long paragraphs of the documents that stayed so far; line breaks and indents do not count."""

    def __init__(self, min_characters: int) -> None:
        self.min_characters = min_characters
        self._seen = FingerprintSet()

    def remember(self, text: str) -> None:
        self._seen.add(fingerprints_of(filter(self._is_long, map(_in_one_line, text.split("\n\n")))))

    def without_repeats(self, text: str) -> tuple[str, int]:
        """The normalized text without the paragraphs seen before, and their number."""
        paragraphs = text.split("\n\n")
        lines = list(map(_in_one_line, paragraphs))
        repeated = self._seen.contains(fingerprints_of(lines)) & np.array(list(map(self._is_long, lines)))
        if not repeated.any():
            return text, 0
        new = [paragraph for paragraph, old in zip(paragraphs, repeated, strict=True) if not old]
        return normalize("\n\n".join(new)), int(repeated.sum())

    def _is_long(self, line: str) -> bool:
        return len(line) >= self.min_characters


def _in_one_line(paragraph: str) -> str:
    return " ".join(paragraph.split())
