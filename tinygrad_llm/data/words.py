"""A text as numbers: one hash for each of its words, and one for each run of n neighbouring words.

Near-duplicates and repetition are questions about which words stand side by side, never about what they say, and
numbers compare faster than strings. A word w₁ w₂ … of characters is hashed as a polynomial,

    h ← (h · BASE + character) mod p          p = 2³¹ − 1, a prime

and a run of words by the same rule from the hashes of its words. Two different runs get the same number about once in
two billion pairs. Products of two numbers below p stay below 2⁶², so nothing overflows.

Source: R. Karp, M. Rabin, "Efficient randomized pattern-matching algorithms" (1987).
"""

import re
from functools import cache

import numpy as np

from ..kernel import kernel

PRIME = (1 << 31) - 1
BASE = 1_664_525_003  # any large numbers below p do: one for characters, one for words
WORD_BASE = 1_103_515_245

# Words, runs of punctuation, and single characters of the scripts that are written without spaces.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]+")
SPACE, ALONE, LETTER, MARK = 0, 1, 2, 3  # what a character is to the pattern


def word_hashes_ref(text: str) -> tuple[np.ndarray, np.ndarray]:
    """`word_hashes`, with the pattern and a loop over characters."""
    words = WORD.findall(text.lower())
    hashes = []
    for word in words:
        h = 0
        for character in word:
            h = (h * BASE + ord(character)) % PRIME
        hashes.append(h)
    return np.array(hashes, dtype=np.int64), np.array([len(word) for word in words], dtype=np.int64)


def word_hashes(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The hash and the number of characters of each word, both int64 (W,). Case and spacing do not count."""
    characters = np.frombuffer(text.lower().encode("utf-32-le", "surrogatepass"), dtype="<u4")
    hashes, lengths = np.empty((2, len(characters)), dtype=np.int64)
    n_words = np.zeros(1, dtype=np.int64)
    words_kernel(hashes, lengths, n_words, characters, kinds_of_characters())
    return hashes[: n_words[0]], lengths[: n_words[0]]


@cache
def kinds_of_characters() -> np.ndarray:
    """SPACE, ALONE, LETTER or MARK for each code point, uint8 (0x110000,), asked from `re`."""
    kinds = np.full(0x110000, MARK, dtype=np.uint8)
    every_character = np.arange(len(kinds), dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    for pattern, each in ((r"\s+", SPACE), (r"\w+", LETTER), (r"[\u3040-\u30ff\u3400-\u9fff]+", ALONE)):
        for run in re.finditer(pattern, every_character):
            kinds[run.start() : run.end()] = each
    return kinds


@kernel
def words_kernel(hashes, lengths, n_words, characters, kinds_of_characters):
    """A word goes on while the kind of its characters stays the same, except for those that stand alone."""
    n, previous = 0, SPACE
    for i in range(len(characters)):
        character = int(characters[i])
        kind = int(kinds_of_characters[character])
        if kind != SPACE:
            if kind != previous or kind == ALONE:
                hashes[n] = 0
                lengths[n] = 0
                n += 1
            hashes[n - 1] = modulo_prime(hashes[n - 1] * BASE + character)
            lengths[n - 1] += 1
        previous = kind
    n_words[0] = n


def ngram_hashes_ref(words: np.ndarray, n: int) -> np.ndarray:
    """`ngram_hashes`, as n steps over the whole array."""
    out = np.zeros(max(0, len(words) - n + 1), dtype=np.int64)
    for k in range(n):
        out = (out * WORD_BASE + words[k : k + len(out)]) % PRIME
    return out


def ngram_hashes(words: np.ndarray, n: int) -> np.ndarray:
    """One hash for each run of `n` words, in their order: int64 (W,) -> (W - n + 1,), empty for fewer words."""
    out = np.empty(max(0, len(words) - n + 1), dtype=np.int64)
    ngrams_kernel(out, words, n)
    return out


@kernel
def ngrams_kernel(out, words, n):
    for i in range(len(out)):
        h = 0
        for k in range(n):
            h = modulo_prime(h * WORD_BASE + words[i + k])
        out[i] = h


@kernel
def modulo_prime(x):
    """x mod p for 0 <= x < 2⁶², without a division: modulo p, 2³¹ is 1, so the upper bits may be added to the lower."""
    x = (x & PRIME) + (x >> 31)
    x = (x & PRIME) + (x >> 31)
    return x - PRIME if x >= PRIME else x
