"""How often each word occurs: all that learning the merges needs of a corpus."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..kernel import kernel
from .checks import check_text
from .split import split_words_ref, utf8_pieces, word_ends


def count_words_ref(texts: Iterable[str]) -> Counter[str]:
    """`count_words` in one line."""
    return Counter(word for text in texts for word in split_words_ref(text))


def count_words(texts: str | Iterable[str]) -> Counter[str]:
    """How often each word occurs in one text or several.

    Most words of a text come again and again, so the kernel counts those of a piece of text by their bytes, and
    Python sees each of them once a piece. Raises TypeError where a text is no str, ValueError where one holds a lone
    surrogate.
    """
    totals: Counter[str] = Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        for piece in utf8_pieces(text):
            ends = word_ends(piece)
            words, counts = _distinct_words(piece, ends)
            for word, count in zip(words, counts, strict=True):
                totals[word] = totals.get(word, 0) + count
    return totals


def _distinct_words(text: np.ndarray, ends: np.ndarray) -> tuple[list[str], list[int]]:
    """The words in the order of their first appearance, and how often each occurs."""
    starts, stops, counts = np.empty((3, len(ends)), dtype=np.int64)
    table = np.full(1 << (2 * len(ends)).bit_length(), -1, dtype=np.int64)
    n_distinct = np.zeros(1, dtype=np.int64)
    count_kernel(starts, stops, counts, n_distinct, table, text, ends)
    raw, n = text.tobytes(), n_distinct[0]
    bounds = zip(starts[:n].tolist(), stops[:n].tolist(), strict=True)
    return [raw[start:stop].decode("utf-8") for start, stop in bounds], counts[:n].tolist()


@kernel
def count_kernel(starts, stops, counts, n_distinct, table, text, ends):
    """`table` is a hash table of the numbers of distinct words; -1 is an empty place."""
    n, start = 0, 0
    for word in range(len(ends)):
        stop = ends[word]
        slot = hash_of(text, start, stop) & (len(table) - 1)
        while table[slot] >= 0 and not same_bytes(text, start, stop, starts[table[slot]], stops[table[slot]]):
            slot = (slot + 1) & (len(table) - 1)
        if table[slot] < 0:
            table[slot] = n
            starts[n] = start
            stops[n] = stop
            counts[n] = 0
            n += 1
        counts[table[slot]] += 1
        start = stop
    n_distinct[0] = n


@kernel
def hash_of(text, start, stop):
    """A number from 0 to 2³² - 1, whose lower bits depend on all bytes (FNV-1a, folded)."""
    mixed = 0x811C9DC5
    for i in range(start, stop):
        mixed = ((mixed ^ np.int64(text[i])) * 0x01000193) & 0xFFFFFFFF
    return mixed ^ (mixed >> 15)


@kernel
def same_bytes(text, start, stop, other_start, other_stop):
    if stop - start != other_stop - other_start:
        return False
    for i in range(stop - start):  # noqa: SIM110
        if text[start + i] != text[other_start + i]:
            return False
    return True
