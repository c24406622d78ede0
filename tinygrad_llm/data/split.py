"""The validation part: text the model never trains on, so nothing of it may stand in the training part."""

from collections.abc import Iterable
from dataclasses import dataclass

from .clean import normalize, text_digest
from .documents import Document, cut_before


@dataclass(frozen=True)
class Split:
    """The two parts of a corpus, and `how` it was split in words for the reader."""

    train: list[Document]
    validation: list[Document]
    how: str


def split_documents(documents: Iterable[Document], fraction: float = 0.1, seed: int = 0) -> Split:
    """Split so that validation gets about `fraction` of the characters; both parts keep the order of the
    documents.

    Whole documents go to validation in the order of a seeded hash of their text. So the choice does not
    depend on where a document stands, copies of a text stay together, and a document added later moves few
    others. Where whole documents cannot make the fraction within a tenth of it (one book, three long
    files), the last part of *each* document is the validation part, cut at the end of a paragraph or a
    line.

    Raises ValueError for a fraction outside (0, 1) and for a corpus too short to give both parts some text.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the validation fraction must lie between 0 and 1, got {fraction}")
    documents = list(documents)
    chosen = _choose_whole(documents, fraction, seed)
    if chosen:
        train = [document for index, document in enumerate(documents) if index not in chosen]
        validation = [documents[index] for index in sorted(chosen)]
        how = f"by document: {len(train):,} for training, {len(validation):,} for validation"
    else:
        train, validation = _cut_tails(documents, fraction)
        whose = "the document" if len(documents) == 1 else f"each of the {len(documents):,} documents"
        how = f"by position: the last {fraction:.0%} of {whose} for validation (too few to split by document)"
    if not train or not validation:
        size = sum(len(document.text) for document in documents)
        raise ValueError(
            f"a corpus of {size:,} characters is too short to keep {fraction:.0%} of it for validation: give more text"
        )
    return Split(train, validation, how)


def goes_to_validation(document: Document, fraction: float = 0.1, seed: int = 0) -> bool:
    """The rule of `split_documents` for one document alone, for a corpus larger than memory.

    Copies of a text get the same answer; over many documents the share of True comes to about `fraction`.
    """
    return _position(text_digest(normalize(document.text), seed)) < fraction


def _position(digest: bytes) -> float:
    return int.from_bytes(digest[:8], "little") / 2**64


def _choose_whole(documents: list[Document], fraction: float, seed: int) -> set[int]:
    """Indices of the validation documents; empty where whole documents come to no good share."""
    copies: dict[bytes, list[int]] = {}
    for index, document in enumerate(documents):
        copies.setdefault(text_digest(normalize(document.text), seed), []).append(index)
    target = fraction * sum(len(document.text) for document in documents)
    chosen: set[int] = set()
    size = 0
    for _, indices in sorted(copies.items(), key=lambda item: _position(item[0])):
        added = sum(len(documents[index].text) for index in indices)
        if size < target and size + added <= 1.1 * target:
            chosen.update(indices)
            size += added
    return chosen if size >= 0.9 * target else set()


def _cut_tails(documents: list[Document], fraction: float) -> tuple[list[Document], list[Document]]:
    train, validation = [], []
    for document in documents:
        size = len(document.text)
        earliest = max(1, round(size * (1 - 1.5 * fraction)))
        cut = cut_before(document.text, max(earliest, round(size * (1 - fraction))), earliest)
        for part, text in ((train, document.text[:cut]), (validation, document.text[cut:])):
            if text.strip():
                part.append(Document(text, document.source))
    return train, validation
