"""Near-duplicates by MinHash: texts that differ in a date, a name or a line.

The similarity of two texts is that of their sets A, B of shingles (runs of five neighbouring words):

    J(A, B) = |A ∩ B| / |A ∪ B|                                     Jaccard similarity

Hash every shingle and keep only the smallest hash of the set: for two sets these minima agree with
probability J, since the smallest element of A ∪ B is equally likely to be any of them and lies in A ∩ B
with probability J. The share of agreeing minima over 128 hash functions estimates J with a standard error
of at most 0.044.

To compare each text with few others, the 128 minima are cut into 32 bands of 4. Texts that agree in a whole
band are candidates: a pair with J = 0.8 is missed with probability (1 - 0.8⁴)³² = 5e-8, a pair with J = 0.2
met with 5 %.

Lesson: 07_corpus. Sources: A. Broder, "On the resemblance and containment of documents" (1997); K. Lee and
others, "Deduplicating Training Data Makes Language Models Better" (2022), section 4.2.
"""

import numpy as np

from ..kernel import kernel
from .words import PRIME, WORD_BASE, modulo_prime, ngram_hashes, word_hashes

SHINGLE_WORDS = 5
N_HASHES = 128
ROWS_PER_BAND = 4
N_BANDS = N_HASHES // ROWS_PER_BAND


def shingle_hashes(text: str) -> np.ndarray:
    """One number below 2³¹ - 1 per run of five words, int64 (S,); a shorter text is one shingle. Case and spacing do
    not count."""
    words, _ = word_hashes(text)
    if len(words) < SHINGLE_WORDS:
        words = np.pad(words, (0, SHINGLE_WORDS - len(words)))
    return ngram_hashes(words, SHINGLE_WORDS)


def minima_ref(shingles: np.ndarray, factors: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The smallest (factor · shingle + offset) mod p of each of the K hash functions: (S,), (K,), (K,) -> (K,)."""
    return ((factors[:, None] * shingles + offsets[:, None]) % PRIME).min(axis=1)


@kernel
def minima_kernel(minima, shingles, factors, offsets):
    """Shingle by shingle, so that all there is to read and write is K numbers, many at a time."""
    minima[:] = PRIME
    for s in range(len(shingles)):
        shingle = shingles[s]
        for k in range(len(minima)):
            h = modulo_prime(factors[k] * shingle + offsets[k])
            minima[k] = min(minima[k], h)


class NearDuplicates:
    """Remembers the texts it was shown and tells whether a new one is nearly one of them.

    `threshold` in (0, 1] is the estimated Jaccard similarity from which on a text counts as seen before.
    The hash functions come from `seed`, so the same texts in the same order give the same answers.

    A text takes 512 bytes for its minima and 256 to 384 for the bands: in each band, texts whose minima fall into the
    same bucket stand in a chain, from the latest (`_heads`) to the one before it (`_before`).
    """

    def __init__(self, threshold: float = 0.8, seed: int = 0) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"the near-duplicate threshold must lie in (0, 1], got {threshold}")
        self.threshold = threshold
        rng = np.random.default_rng(seed)
        self.factors = rng.integers(1, PRIME, size=N_HASHES)
        self.offsets = rng.integers(0, PRIME, size=N_HASHES)
        self._n_texts = 0
        self._make_room(1 << 8)

    def signature(self, text: str) -> np.ndarray:
        """The 128 minima, int32 (128,)."""
        shingles = shingle_hashes(text)
        minima = np.empty(N_HASHES, dtype=np.int64)
        minima_kernel(minima, shingles, self.factors, self.offsets)
        return minima.astype(np.int32)

    def seen_before(self, text: str) -> bool:
        """True where an earlier text is at least `threshold` similar; otherwise the text is remembered."""
        signature = self.signature(text)
        if best_match_kernel(signature, self._signatures, self._heads, self._before) >= self.threshold * N_HASHES:
            return True
        if self._n_texts == len(self._signatures):
            self._make_room(2 * self._n_texts)
        self._signatures[self._n_texts] = signature
        remember_kernel(self._heads, self._before, self._signatures, self._n_texts, self._n_texts + 1)
        self._n_texts += 1
        return False

    def _make_room(self, capacity: int) -> None:
        """For so many texts, and as many buckets; the texts known so far are entered again."""
        earlier = self._signatures if self._n_texts else np.empty((0, N_HASHES), dtype=np.int32)
        self._signatures = np.empty((capacity, N_HASHES), dtype=np.int32)
        self._signatures[: len(earlier)] = earlier
        self._heads = np.full((N_BANDS, capacity), -1, dtype=np.int32)
        self._before = np.empty((capacity, N_BANDS), dtype=np.int32)
        remember_kernel(self._heads, self._before, self._signatures, 0, len(earlier))


@kernel
def best_match_kernel(signature, signatures, heads, before):
    """How many minima agree with those of the most similar text among all that agree in a whole band."""
    best = 0
    for band in range(len(heads)):
        first = band * ROWS_PER_BAND
        text = heads[band, bucket_of(signature, first, heads.shape[1])]
        while text >= 0:
            if agreements(signature, signatures[text], first, first + ROWS_PER_BAND) == ROWS_PER_BAND:
                best = max(best, agreements(signature, signatures[text], 0, len(signature)))
            text = before[text, band]
    return best


@kernel
def remember_kernel(heads, before, signatures, start, stop):
    """Enter the texts `start` to `stop` into the chains of their buckets."""
    for text in range(start, stop):
        for band in range(len(heads)):
            bucket = bucket_of(signatures[text], band * ROWS_PER_BAND, heads.shape[1])
            before[text, band] = heads[band, bucket]
            heads[band, bucket] = text


@kernel
def agreements(one, other, start, stop):
    n = 0
    for k in range(start, stop):
        n += one[k] == other[k]
    return n


@kernel
def bucket_of(signature, first, n_buckets):
    """The bucket of the band that starts at `first`; `n_buckets` is a power of two."""
    h = 0
    for k in range(ROWS_PER_BAND):
        h = modulo_prime(h * WORD_BASE + int(signature[first + k]))
    return h & (n_buckets - 1)
