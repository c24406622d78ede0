"""Learning the pieces of WordPiece from word counts.

Start from the characters of each word, those that continue a word marked: l ##o ##w. Over and over, merge the pair of
neighbours that "increases the likelihood on the training data the most" (Schuster and Nakajima 2012, §3). If pieces
come one after another at random, as often as they do in the text, merging a and b changes its log-likelihood by about

    gain = count(ab) · log( count(ab) · N / (count(a) · count(b)) )        N: all pieces of the text

the number of places, times how much likelier than chance each is. BPE takes the pair of the largest count(ab): it
would merge "e" and "s" where both are just frequent. Google never released its trainer. Hugging Face's, named
WordPieceTrainer, is BPE with "##". Others write of the ratio count(ab) / (count(a) · count(b)) alone, which forgets
the number of places: it spends the vocabulary on rare words first. Measured: vocabulary 4,096, from 1.0 MB of
Shakespeare, pieces per word on other text of his: gain 1.19, BPE 1.18, ratio 2.21.

`learn_pieces_ref` counts everything anew for each merge, `learn_pieces` visits only the places that change.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from .bpe_merge_kernels import EMPTY, END
from .bpe_train import empty_tables, merge_pair
from .bpe_train_kernels import COUNT, FIRST, N_PAIRS, NONE, count_pairs_kernel, merge_everywhere, move_kernel
from .wordpiece_train_kernels import best_pair_kernel

CONTINUES = "##"  # what a piece begins with that continues a word


def learn_pieces_ref(word_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2) -> Iterator[str]:
    """`learn_pieces` as in the paper."""
    pieces = alphabet(word_counts)
    words = [([pieces.index(symbol) for symbol in symbols_of(word)], n) for word, n in word_counts.items()]
    for _ in range(n_merges):
        counts, pair_counts = Counter(), Counter()
        for ids, n in words:
            for piece in ids:
                counts[piece] += n
            for pair in pairwise(ids):
                pair_counts[pair] += n
        n_total = counts.total()
        gains = {
            (left, right): n * math.log(n * n_total / (counts[left] * counts[right]))
            for (left, right), n in pair_counts.items()
            if n >= min_frequency
        }
        pair = min(gains, key=lambda pair: (-gains[pair], pair), default=None)
        if pair is None:
            return
        pieces.append(joined(pieces[pair[0]], pieces[pair[1]]))
        words = [(merge_pair(ids, pair, len(pieces) - 1), n) for ids, n in words]
        yield pieces[-1]


def learn_pieces(word_counts: Mapping[str, int], n_merges: int, min_frequency: int = 2) -> Iterator[str]:
    """Yield the piece that each of up to `n_merges` merges makes, that of the largest gain first.

    A piece may come a second time, made of other parts. Of two equal gains, the pair whose pieces are older (the
    characters sorted, then the merges) comes first: the order of the words does not matter. Ends early when no pair
    occurs `min_frequency` times any more.
    """
    pieces, min_frequency = alphabet(word_counts), max(1, min_frequency)
    if not pieces:
        return
    row, weights = _row_of_words(word_counts, pieces)
    n_most = len(pieces) + min(n_merges, len(row))  # pieces there can be: each merge makes the row shorter
    counts = np.zeros(n_most, dtype=np.int64)  # of the pieces in the text
    np.add.at(counts, row[row != END], weights[row != END])
    n_total = int(counts.sum())
    places, state = np.full((len(row), 3), NONE, dtype=np.int32), np.zeros(4, dtype=np.int64)
    keys, pairs, heap = empty_tables(min(len(row), len(pieces) ** 2), len(pieces))
    count_pairs_kernel(places, keys, pairs, heap, state, row, weights, min_frequency)
    candidates, n_candidates = _candidates(keys, pairs, min_frequency)
    best, new_pairs = np.empty(1, dtype=np.int64), np.empty(2 * n_most + 1, dtype=np.int64)

    for new in range(len(pieces), n_most):
        if 2 * (state[N_PAIRS] + 2 * new + 1) > len(keys):
            old_keys, old_pairs = keys, pairs
            keys, pairs, heap = empty_tables(int(np.count_nonzero(old_pairs[:, FIRST] != NONE)), 2 * new)
            move_kernel(places, keys, pairs, heap, state, old_keys, old_pairs, min_frequency)
            candidates, n_candidates = _candidates(keys, pairs, min_frequency)
        best[0] = NONE
        best_pair_kernel(best, n_candidates, candidates, keys, pairs[:, COUNT], counts, n_total, min_frequency)
        if best[0] == NONE:
            return
        left, right = int(keys[best[0]] >> 32), int(keys[best[0]] & 0xFFFFFFFF)
        n_merged = int(pairs[best[0], COUNT])
        n_new = merge_everywhere(places, keys, pairs, new_pairs, row, weights, best[0], new)
        state[N_PAIRS] += n_new
        candidates[n_candidates[0] : n_candidates[0] + n_new] = new_pairs[:n_new]
        n_candidates[0] += n_new
        if left == right:  # in "##a ##a ##a" the pair stands twice, and is merged once
            n_merged = int(weights[row == new].sum())
        for piece, change in ((left, -n_merged), (right, -n_merged), (new, n_merged)):
            counts[piece] += change
        n_total -= n_merged
        pieces.append(joined(pieces[left], pieces[right]))
        yield pieces[-1]


def symbols_of(word: str) -> list[str]:
    """Its characters as pieces. Example: `symbols_of("low")` is `["l", "##o", "##w"]`."""
    return [word[0], *(CONTINUES + character for character in word[1:])]


def joined(left: str, right: str) -> str:
    """The piece that two make. Example: `joined("l", "##ow")` is `"low"`."""
    return left + right.removeprefix(CONTINUES)


def alphabet(word_counts: Mapping[str, int]) -> list[str]:
    """The pieces of one character, sorted: those of longer words at the start of a word and inside it."""
    alone = {word for word in word_counts if len(word) == 1}
    in_words = {character for word in word_counts if len(word) > 1 for character in word}
    return sorted(alone | in_words | {CONTINUES + character for character in in_words})


def _row_of_words(word_counts: Mapping[str, int], pieces: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """All words as pieces with END around each, int32 (N,); and at each place the count of its word."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    row, weights = [END], [0]
    for word, count in word_counts.items():
        row += [*map(ids.__getitem__, symbols_of(word)), END]
        weights += [count] * (len(word) + 1)
    return np.array(row, dtype=np.int32), np.array(weights, dtype=np.int64)


def _candidates(keys: np.ndarray, pairs: np.ndarray, min_frequency: int) -> tuple[np.ndarray, np.ndarray]:
    """The slots of pairs that are frequent enough, with room for more, and how many they are."""
    slots = np.flatnonzero((keys != EMPTY) & (pairs[:, COUNT] >= min_frequency))
    return np.concatenate([slots, np.empty(len(keys) - len(slots), dtype=np.int64)]), np.array([len(slots)])
