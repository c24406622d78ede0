"""Text to pretrain on that holds none of the examples to be tested on: labels or not, what was read is no test.

split = split_examples(docstring_packages(), stratify=label_of)
documents = without_examples(embedded_corpus("prose"), split.validation + split.test)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .documents import Document
from .examples import TextExample
from .near_duplicates import NearDuplicates


def without_examples(
    documents: Iterable[Document], examples: Sequence[TextExample], near_duplicate_threshold: float = 0.7
) -> list[Document]:
    """The documents, in their order, that tell nothing of the examples' texts. Out goes a document that

    - an example was made of: it has the same `source`;
    - holds the whole text of an example, or of such a document; case and spacing do not count;
    - is nearly the same as one of these (see `NearDuplicates`).

    Of nearly equal documents among the rest only the first is kept. A `pair` of texts is not looked at.
    Raises ValueError for a threshold outside (0, 1], and for examples without any text.
    """
    documents, sources = list(documents), {example.source for example in examples if example.source}
    texts = [example.text for example in examples] + [each.text for each in documents if each.source in sources]
    forbidden = {plain(text) for text in texts}
    if "" in forbidden:
        raise ValueError("an example has no text, and every document holds that: leave empty examples out")
    near = NearDuplicates(near_duplicate_threshold)
    for text in texts:
        near.seen_before(text)
    kept = [each for each in documents if each.source not in sources and not near.seen_before(each.text)]
    return [each for each in kept if not _holds_any(plain(each.text), forbidden)]


def _holds_any(text: str, parts: Iterable[str]) -> bool:
    return any(part in text for part in parts)


def plain(text: str) -> str:
    """In lower case and one line, with single blanks and one at either end: so that whole words are compared."""
    return f" {' '.join(text.lower().split())} " if text.split() else ""
