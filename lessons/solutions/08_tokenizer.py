"""Solutions of lesson 08."""

from collections import Counter
from itertools import pairwise


def best_pair(word_counts: dict[tuple[int, ...], int]) -> tuple[int, int]:
    """Each word gives its pairs, with the weight of its count."""
    counts = Counter()
    for word, count in word_counts.items():
        for pair in pairwise(word):
            counts[pair] += count
    return min(counts, key=lambda pair: (-counts[pair], pair))


def whole_characters(received: bytes) -> tuple[str, bytes]:
    """Go back to the first byte of the last character, and see whether that has all its bytes."""
    start = len(received)
    while start > 0 and received[start - 1] & 0b11000000 == 0b10000000:
        start -= 1
    start = max(0, start - 1)
    first = received[start] if received else 0
    length = 1 + (first >= 0b11000000) + (first >= 0b11100000) + (first >= 0b11110000)
    if len(received) - start >= length:
        start = len(received)
    return received[:start].decode("utf-8"), received[start:]


def apply_merges(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Look for the possible merge of the lowest rank, and the leftmost place of it."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    tokens = list(word)
    while possible := [(ranks[pair], place) for place, pair in enumerate(pairwise(tokens)) if pair in ranks]:
        _, place = min(possible)
        tokens[place : place + 2] = [tokens[place] + tokens[place + 1]]
    return tokens


def longest_match(word: str, vocabulary: set[str]) -> list[str]:
    """At each place try the whole rest, then one character less, and so on."""
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        fitting = [stop for stop in range(start + 1, len(word) + 1) if prefix + word[start:stop] in vocabulary]
        if not fitting:
            return ["[UNK]"]
        pieces.append(prefix + word[start : fitting[-1]])
        start = fitting[-1]
    return pieces
