"""Plausible wrong answers to the exercises of lesson 07."""

import hashlib
from itertools import combinations

import numpy as np

from tinygrad_llm.data import normalize


def _shingles(text, n):
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))]


def jaccard__counts_each_occurrence(a, b, n):
    """Lists instead of sets: a shingle that occurs twice counts twice."""
    one, other = _shingles(a, n), _shingles(b, n)
    common = sum(each in other for each in one)
    return common / (len(one) + len(other) - common)


def jaccard__divides_by_the_larger(a, b, n):
    """By the larger set instead of the union."""
    one, other = set(_shingles(a, n)), set(_shingles(b, n))
    return len(one & other) / max(len(one), len(other))


def jaccard__short_texts_have_none(a, b, n):
    """Divides zero by zero for texts of fewer than n words."""
    one = {each for each in _shingles(a, n) if len(each) == n}
    other = {each for each in _shingles(b, n) if len(each) == n}
    return len(one & other) / len(one | other)


def goes_to_validation__python_hash(text, fraction):
    """hash() is another one in each process."""
    return (hash(normalize(text)) % 2**64) / 2**64 < fraction


def goes_to_validation__not_normalized(text, fraction):
    """A copy with another line end may go to the other part."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64 < fraction


def goes_to_validation__last_byte_is_largest(text, fraction):
    """The bytes in the wrong order."""
    return int.from_bytes(hashlib.sha256(normalize(text).encode()).digest()[:8], "little") / 2**64 < fraction


def minhash__minimum_first(shingles, factors, offsets):
    """The hash of the smallest shingle instead of the smallest hash."""
    return (factors * shingles.min() + offsets) % (2**31 - 1)


def minhash__one_minimum_per_shingle(shingles, factors, offsets):
    """The wrong axis."""
    return ((factors[:, None] * shingles + offsets[:, None]) % (2**31 - 1)).min(axis=0)


def minhash__no_remainder(shingles, factors, offsets):
    """Without mod p, larger shingles always have larger hashes."""
    return (factors[:, None] * shingles + offsets[:, None]).min(axis=1)


def near_duplicate_pairs__one_table_for_all_bands(signatures, n_bands):
    """The same numbers in different bands count as agreement."""
    table, pairs = {}, set()
    for band in np.split(signatures, n_bands, axis=1):
        for i, minima in enumerate(map(tuple, band.tolist())):
            pairs |= {(min(i, j), max(i, j)) for j in table.get(minima, ()) if j != i}
            table.setdefault(minima, []).append(i)
    return pairs


def near_duplicate_pairs__all_bands_must_agree(signatures, n_bands):
    """all() instead of any()."""
    rows = signatures.tolist()
    return {(i, j) for i, j in combinations(range(len(rows)), 2) if rows[i] == rows[j]}


def near_duplicate_pairs__only_neighbours(signatures, n_bands):
    """Remembers only the last text of each key: of three equal texts the first and the third are no pair."""
    pairs = set()
    for band in np.split(signatures, n_bands, axis=1):
        last = {}
        for i, minima in enumerate(map(tuple, band.tolist())):
            if minima in last:
                pairs.add((last[minima], i))
            last[minima] = i
    return pairs


def repeated_share__counts_words_twice(words, n):
    """A word in two repeated n-grams counts twice."""
    seen, repeated = set(), 0
    for i in range(len(words) - n + 1):
        ngram = tuple(words[i : i + n])
        repeated += n if ngram in seen else 0
        seen.add(ngram)
    return repeated / max(1, len(words))


def repeated_share__counts_the_first_occurrence(words, n):
    """All occurrences of an n-gram that occurs twice."""
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    places = {i + k for i, ngram in enumerate(ngrams) if ngrams.count(ngram) > 1 for k in range(n)}
    return len(places) / max(1, len(words))


def repeated_share__divides_by_ngrams(words, n):
    """The share of n-grams, not of words."""
    ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return (len(ngrams) - len(set(ngrams))) / max(1, len(ngrams))
