"""Learning the merges of byte-pair encoding from word counts.

Start from bytes. Over and over, take the pair of neighbours that occurs most often in all words and make it a
new token (Sennrich, Haddow and Birch 2016, algorithm 1):

    "low" × 5, "lower" × 2, "newest" × 6:   e+s (6), es+t (6), l+o (7) …   each merge may change the counts

`learn_merges_ref` does just that. Counting all pairs anew for each merge, it would take hours where `learn_merges`
takes seconds: a merge there visits only the places where its pair stands, and a heap finds the next pair.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from .bpe_merge_kernels import EMPTY, END
from .bpe_train_kernels import (
    FIRST,
    IS_FULL,
    N_MERGES,
    NONE,
    count_pairs_kernel,
    learn_kernel,
    move_kernel,
)
from .byte_alphabet import BYTE_IDS

MERGES_AT_A_TIME = 64  # between two chances to show progress
WORD_END = b"\xff"  # a byte that UTF-8 has no use for


def learn_merges_ref(
    word_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2
) -> Iterator[tuple[int, int]]:
    """`learn_merges` as in the textbook."""
    words = [(list(word.encode("utf-8").translate(BYTE_IDS)), count) for word, count in word_counts.items()]
    for new_id in range(256, 256 + n_merges):
        pair_counts: Counter[tuple[int, int]] = Counter()
        for ids, count in words:
            for pair in pairwise(ids):
                pair_counts[pair] += count
        pair = min(pair_counts, key=lambda pair: (-pair_counts[pair], pair), default=None)
        if pair is None or pair_counts[pair] < min_frequency:
            return
        yield pair
        words = [(merge_pair(ids, pair, new_id), count) for ids, count in words]


def merge_pair(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """`ids` with `new_id` wherever `pair` stood. Example: `merge_pair([5, 5, 5], (5, 5), 6)` is `[6, 5]`."""
    merged, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and i + 1 < len(ids) and ids[i + 1] == pair[1]:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def learn_merges(word_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2) -> Iterator[tuple[int, int]]:
    """Yield up to `n_merges` pairs of token ids `(left, right)`, the most frequent first.

    The ids 0–255 are the bytes (in the order of `byte_alphabet`), and the merge number i makes the token
    256 + i. Of two pairs that occur equally often, the one of smaller ids is taken, as in Hugging Face
    tokenizers: the result depends on the counts alone, not on the order of the words.
    Ends early when no pair occurs `min_frequency` times any more.
    """
    row, weights = _row_of_words(word_counts)
    places = np.full((len(row), 3), NONE, dtype=np.int32)
    keys, pairs, heap = empty_tables(n_pairs=min(len(row), 256 * 256), n_tokens=256)
    state = np.zeros(4, dtype=np.int64)
    merges = np.empty((min(n_merges, len(row)), 2), dtype=np.int64)  # each makes the row shorter
    min_frequency = max(1, min_frequency)

    count_pairs_kernel(places, keys, pairs, heap, state, row, weights, min_frequency)
    for start in range(0, len(merges), MERGES_AT_A_TIME):
        stop = min(start + MERGES_AT_A_TIME, len(merges))
        new_pairs = np.empty(2 * (256 + stop) + 1, dtype=np.int64)
        while True:
            learn_kernel(merges[:stop], places, keys, pairs, heap, state, new_pairs, row, weights, min_frequency)
            if not state[IS_FULL]:
                break
            old_keys, old_pairs = keys, pairs
            keys, pairs, heap = empty_tables(int(np.count_nonzero(old_pairs[:, FIRST] != NONE)), 256 + stop)
            move_kernel(places, keys, pairs, heap, state, old_keys, old_pairs, min_frequency)
        yield from map(tuple, merges[start : state[N_MERGES]].tolist())
        if state[N_MERGES] < stop:
            return


def _row_of_words(word_counts: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The ids of the bytes of all words, with END around each, int32 (N,); and at each place the count of its word."""
    words = [word.encode("utf-8") for word in word_counts]
    text = np.frombuffer(WORD_END + b"".join(word + WORD_END for word in words), dtype=np.uint8)
    row_ids = np.frombuffer(BYTE_IDS, dtype=np.uint8).astype(np.int32)
    row_ids[WORD_END[0]] = END
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    counts = np.fromiter(word_counts.values(), dtype=np.int64, count=len(words))
    return row_ids[text], np.concatenate([np.zeros(1, np.int64), np.repeat(counts, lengths + 1)])


def empty_tables(n_pairs: int, n_tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An empty table of pairs and a heap, large enough for twice as many pairs and new ones of the next merges."""
    n_slots = 1 << (4 * (n_pairs + 2 * n_tokens + 1)).bit_length()
    keys, pairs = np.full(n_slots, EMPTY, dtype=np.int64), np.full((n_slots, 3), NONE, dtype=np.int64)
    return keys, pairs, np.empty((n_slots, 2), dtype=np.int64)
