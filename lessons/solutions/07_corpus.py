"""Solutions of lesson 07."""

import hashlib
from collections import defaultdict
from itertools import combinations

import numpy as np

from tinygrad_llm.data import normalize


def jaccard(a: str, b: str, n: int) -> float:
    one, other = _shingles(a, n), _shingles(b, n)
    return len(one & other) / len(one | other)


def _shingles(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def goes_to_validation(text: str, fraction: float) -> bool:
    digest = hashlib.sha256(normalize(text).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < fraction


def minhash(shingles: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    hashed = (factors[:, None] * shingles + offsets[:, None]) % (2**31 - 1)  # (K, S)
    return hashed.min(axis=1)


def near_duplicate_pairs(signatures: np.ndarray, n_bands: int) -> set[tuple[int, int]]:
    pairs = set()
    for band in np.split(signatures, n_bands, axis=1):
        texts = defaultdict(list)  # those that have the same minima in this band
        for i, minima in enumerate(band.tolist()):
            texts[tuple(minima)].append(i)
        for group in texts.values():
            pairs.update(combinations(group, 2))
    return pairs


def repeated_share(words: list[str], n: int) -> float:
    seen, repeated = set(), set()
    for i in range(len(words) - n + 1):
        ngram = tuple(words[i : i + n])
        if ngram in seen:
            repeated.update(range(i, i + n))
        seen.add(ngram)
    return len(repeated) / max(1, len(words))
