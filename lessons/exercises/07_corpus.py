"""Exercises of lesson 07. Replace each `raise NotImplementedError`, then: tinygrad-llm check 07"""

import hashlib  # noqa: F401  (for you)

import numpy as np

from tinygrad_llm.data import normalize  # noqa: F401  (for you)


def jaccard(a: str, b: str, n: int) -> float:
    """The Jaccard similarity of two texts by their shingles of n words, where words are what stands between blanks.

    A text of fewer than n words has one shingle: all of its words. Two texts without a single word are equal: 1.0.

    jaccard("to be or not to be", "to be or not", 2) is 0.75: of to-be, be-or, or-not and not-to the second lacks one.
    """
    raise NotImplementedError


def goes_to_validation(text: str, fraction: float) -> bool:
    """Whether a text belongs to the validation part, decided by nothing but the text.

    Normalize it (`normalize` is the lesson's), so that copies that differ in line ends stay together. Take the first 8
    bytes of `hashlib.sha256(...)` of its UTF-8 bytes as a whole number, the first byte being the largest ("big"), and
    divide by 2⁶⁴: a number from 0 to 1 that looks random. The text goes to validation if it is below `fraction`.

    goes_to_validation("a", 0.8) is True, goes_to_validation("a", 0.7) is False: the number for "a" is 0.792.
    """
    raise NotImplementedError


def minhash(shingles: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The MinHash signature: for each of K hash functions the smallest (a · x + b) mod p over all shingles x.

    shingles (S,), factors a (K,) and offsets b (K,) are int64 from 0 to p − 1; the result is int64 (K,). p is 2³¹ − 1.
    Without a Python loop: S may be a hundred thousand.

    minhash(array([1, 2]), array([3, 5]), array([0, 4])) is array([3, 9]).
    """
    raise NotImplementedError


def near_duplicate_pairs(signatures: np.ndarray, n_bands: int) -> set[tuple[int, int]]:
    """All pairs (i, j), i < j, of texts whose signatures agree in at least one whole band.

    signatures is (N, K), one row per text. The K columns are cut into `n_bands` bands of K / n_bands columns each; K is
    a multiple of it. Do not compare each text with each other: N may be large, and most agree in nothing.

    With two bands, the rows [1, 2, 3, 4], [9, 9, 3, 4] and [3, 4, 1, 2] give {(0, 1)}: the second half of rows 0 and 1.
    """
    raise NotImplementedError


def repeated_share(words: list[str], n: int) -> float:
    """The share of the words that stand in an n-gram which occurred earlier in the text, from 0 to 1.

    Each word counts once, however many repeated n-grams it is in. The first occurrence of an n-gram does not count.
    No words: 0.0. The text may be long.

    repeated_share("a b c a b c".split(), 2) is 0.5: a-b and b-c come again, and their words are the last three.
    """
    raise NotImplementedError
