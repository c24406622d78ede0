"""How much of a text says what the text said before: menus, logs, spam, and a model's own loops repeat themselves.

Each measure is a share of the text's characters or lines, from 0 to 1; spaces do not count. They follow the rules for
MassiveText: J. Rae and others, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (2021),
appendix A1.1.

The n-grams are counted by their hashes (see words.py) in a table with open addressing: one pass over the words for
each n, and no strings.
"""

from collections import Counter

import numpy as np

from ..kernel import kernel
from .fingerprints import EMPTY, slot_of
from .words import ngram_hashes


def repeated_lines(lines: list[str]) -> tuple[float, float]:
    """The share of the lines that stood before in the text, and that of their characters. Give no blank lines.

    >>> repeated_lines(["one", "two", "one", "four"])
    (0.25, 0.23076923076923078)
    """
    counts = Counter(lines)
    n_repeated = len(lines) - len(counts)
    characters = sum(map(len, lines))
    repeated = characters - sum(map(len, counts))
    return n_repeated / max(1, len(lines)), repeated / max(1, characters)


def top_ngram_share_ref(words: list[str], n: int) -> float:
    """`top_ngram_share` on words."""
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(ngrams)
    most = max(counts.values(), default=0)
    if most < 2:
        return 0.0
    return max(_share_of(words, n, [gram == top for gram in ngrams]) for top in counts if counts[top] == most)


def repeated_ngram_share_ref(words: list[str], n: int) -> float:
    """`repeated_ngram_share` on words."""
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return _share_of(words, n, [gram in ngrams[:i] for i, gram in enumerate(ngrams)])


def _share_of(words: list[str], n: int, marked: list[bool]) -> float:
    """The share of characters in words that belong to a marked n-gram."""
    inside = [any(marked[max(0, i - n + 1) : i + 1]) for i in range(len(words))]
    return sum(len(word) for word, each in zip(words, inside, strict=True) if each) / max(1, sum(map(len, words)))


def top_ngram_share(words: np.ndarray, lengths: np.ndarray, n: int) -> float:
    """The share of characters in the n-gram that occurs most often, 0 where none occurs twice; of several that occur
    equally often, the one with the largest share.

    `words` and `lengths` are the hashes and lengths of the words, int64 (W,) each.
    """
    ngrams, keys = _ngrams_and_table(words, n)
    seen = np.zeros((3, len(keys)), dtype=np.int64)
    return float(top_ngram_kernel(ngrams, lengths, n, keys, seen) / max(1, lengths.sum()))


def repeated_ngram_share(words: np.ndarray, lengths: np.ndarray, n: int) -> float:
    """The share of characters in n-grams that stood earlier in the text; a word in several of them counts once."""
    ngrams, keys = _ngrams_and_table(words, n)
    return float(repeated_ngram_kernel(ngrams, lengths, n, keys) / max(1, lengths.sum()))


def _ngrams_and_table(words: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n-grams' hashes, none of which is EMPTY, and a table with at least twice as many slots."""
    ngrams = ngram_hashes(words, n) + 1
    return ngrams, np.full(1 << (2 * len(ngrams)).bit_length(), EMPTY, dtype=np.int64)


@kernel
def repeated_ngram_kernel(ngrams, lengths, n, keys):
    """Returns the characters of all words up to `covered`, the end of the last repeated n-gram, that were not counted
    before."""
    characters, covered = 0, 0
    for i in range(len(ngrams)):
        slot = slot_of(keys, ngrams[i])
        if keys[slot] == EMPTY:
            keys[slot] = ngrams[i]
        else:
            for word in range(max(i, covered), i + n):
                characters += lengths[word]
            covered = i + n
    return characters


@kernel
def top_ngram_kernel(ngrams, lengths, n, keys, seen):
    """Per slot of the table, `seen` has how often the n-gram occurs, the characters it covers, and where those end."""
    counts = seen[0]
    characters = seen[1]
    covered = seen[2]
    most, largest = 1, 0
    for i in range(len(ngrams)):
        slot = slot_of(keys, ngrams[i])
        keys[slot] = ngrams[i]
        counts[slot] += 1
        for word in range(max(i, covered[slot]), i + n):
            characters[slot] += lengths[word]
        covered[slot] = i + n
        if counts[slot] > most or (counts[slot] == most and most > 1):
            largest = characters[slot] if counts[slot] > most else max(largest, characters[slot])
            most = counts[slot]
    return largest
