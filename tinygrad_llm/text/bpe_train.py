"""Learning the merges of byte-pair encoding from word counts.

Start from bytes. Over and over, take the pair of neighbours that occurs most often in all words and make it a
new token (Sennrich, Haddow and Birch 2016, algorithm 1):

    "low" × 5, "lower" × 2, "newest" × 6:   e+s (6), es+t (6), l+o (7) …   each merge may change the counts

Counting all pairs anew for each merge would take hours. Three things make it seconds: each distinct word is
held once, with its count; a merge visits only the words that hold its pair; a heap finds the next pair.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from operator import add

from .byte_alphabet import BYTE_IDS


def learn_merges(word_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2) -> Iterator[tuple[int, int]]:
    """Yield up to `n_merges` pairs of token ids `(left, right)`, the most frequent first.

    The ids 0–255 are the bytes (in the order of `byte_alphabet`), and the merge number i makes the token
    256 + i. Of two pairs that occur equally often, the one of smaller ids is taken, as in Hugging Face
    tokenizers: the result depends on the counts alone, not on the order of the words.
    Ends early when no pair occurs `min_frequency` times any more.
    """
    # A word is a str whose characters are token ids: a pair is a str of two, and `str.split` finds it.
    words = [word.encode("utf-8").translate(BYTE_IDS).decode("latin-1") for word in word_counts]
    frequencies = list(word_counts.values())
    pair_counts, words_with = _count_pairs(words, frequencies)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapify(heap)

    for new_id in range(256, 256 + n_merges):
        pair = _most_frequent(heap, pair_counts)
        if pair is None or pair_counts[pair] < min_frequency:
            return
        yield ord(pair[0]), ord(pair[1])
        changes = defaultdict(int)
        for index in words_with.pop(pair):
            parts = words[index].split(pair)
            words[index] = chr(new_id).join(parts)
            for changed, change in _changes_of_pairs(parts, pair, chr(new_id)):
                changes[changed] += change * frequencies[index]
                if change > 0:
                    words_with[changed].add(index)
        for changed, change in changes.items():
            pair_counts[changed] += change
            if change > 0:
                heappush(heap, (-pair_counts[changed], changed))
        del pair_counts[pair]


def _count_pairs(words, frequencies):
    """For each pair of neighbours: how often it occurs, and the indices of the words it occurs in."""
    pair_counts, words_with = defaultdict(int), defaultdict(set)
    for index, (word, frequency) in enumerate(zip(words, frequencies, strict=True)):
        for pair in map(add, word, word[1:]):
            pair_counts[pair] += frequency
            words_with[pair].add(index)
    return pair_counts, words_with


def _most_frequent(heap, pair_counts):
    """Pop the most frequent pair. Counts in the heap may be stale, but only too high: those are put back."""
    while heap:
        count, pair = heappop(heap)
        current = pair_counts.get(pair, 0)
        if current == -count:
            return pair
        if current > 0:
            heappush(heap, (-current, pair))
    return None


def _changes_of_pairs(parts, pair, new):
    """The pairs that vanish (-1) and appear (+1) where `new` replaces `pair` between the `parts`."""
    left, right = pair
    for number, (before, after) in enumerate(pairwise(parts)):
        if before:
            yield before[-1] + left, -1
            yield before[-1] + new, 1
        elif number > 0:  # the pair stood twice in a row
            yield right + left, -1
            yield new + new, 1
        if after:
            yield right + after[0], -1
            yield new + after[0], 1
