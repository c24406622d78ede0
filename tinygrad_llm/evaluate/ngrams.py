"""Texts as counts of their word n-grams, in sparse rows: what the simple baselines see of a text.

A text has few of all n-grams, so only counts above 0 are stored (compressed sparse rows): those of text i are
`values[indptr[i] : indptr[i + 1]]`, and `columns` says which n-grams they count.

An n-gram has a number too: that of its first n − 1 words times the number of words, plus that of its last word. So all
work but splitting into words is on arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.words import WORD
from .inputs import rows

UNKNOWN = -1


@dataclass
class SparseRows:
    """A matrix (N, F) of which only the entries that are not 0 are stored, row by row."""

    values: np.ndarray  # float64 (S,)
    columns: np.ndarray  # int64 (S,)
    indptr: np.ndarray  # int64 (N + 1,): where each row begins
    n_columns: int

    def __post_init__(self):
        sizes = np.diff(self.indptr)
        self.row_of = np.repeat(np.arange(len(sizes)), sizes)  # (S,)
        self.filled = np.flatnonzero(sizes)  # reduceat would give an empty row its neighbour's first entry

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def dot(self, weights: np.ndarray) -> np.ndarray:
        """weights (K, F) times each row: (K, N)."""
        out = np.zeros((len(weights), self.n_rows))
        starts = self.indptr[self.filled]
        if len(starts):
            for total, weight in zip(out, weights, strict=True):
                total[self.filled] = np.add.reduceat(weight.take(self.columns) * self.values, starts)
        return out

    def sum_rows(self, weights: np.ndarray) -> np.ndarray:
        """The rows added up, row i times weights[k, i], for each k: (K, N) -> (K, F)."""
        return np.stack([self.sum_columns(weight.take(self.row_of) * self.values) for weight in weights])

    def sum_columns(self, values: np.ndarray) -> np.ndarray:
        """Other values at the same places, added up in each column: (S,) -> (F,)."""
        return np.bincount(self.columns, weights=values, minlength=self.n_columns)

    def with_ones(self) -> SparseRows:
        """One more column, the last, with a 1 in each row: what an intercept is multiplied by."""
        ends = self.indptr[1:]
        values, columns = np.insert(self.values, ends, 1.0), np.insert(self.columns, ends, self.n_columns)
        return SparseRows(values, columns, self.indptr + np.arange(self.n_rows + 1), self.n_columns + 1)

    def with_values(self, values: np.ndarray) -> SparseRows:
        """Other values (S,) at the same places."""
        return SparseRows(values, self.columns, self.indptr, self.n_columns)


class CountVectorizer:
    """Learns which word n-grams there are, and counts them.

    Words are lower-case runs of letters and digits, runs of punctuation, and single characters of scripts written
    without spaces. `ngram_range` (1, 2) is single words and pairs of neighbours; n-grams that stand in fewer than
    `min_df` texts are left out, and unknown ones do not count.

    >>> vectorizer = CountVectorizer(ngram_range=(1, 2))
    >>> counts = vectorizer.fit_transform(["to be or not to be"])
    >>> dict(zip(vectorizer.get_feature_names_out(), counts.values.astype(int).tolist()))
    {'be': 2, 'not': 1, 'or': 1, 'to': 2, 'be or': 1, 'not to': 1, 'or not': 1, 'to be': 2}
    """

    def __init__(self, ngram_range: tuple[int, int] = (1, 2), min_df: int = 1):
        if not 1 <= ngram_range[0] <= ngram_range[1]:
            raise ValueError(f"ngram_range must be (shortest, longest), such as (1, 2), got {ngram_range}")
        if min_df < 1:
            raise ValueError(f"min_df must be at least 1, got {min_df}")
        self.ngram_range, self.min_df = ngram_range, min_df

    def fit_transform(self, texts: Sequence[str]) -> SparseRows:
        """The counts (N, F) of texts whose n-grams become the features.

        Raises TypeError for what is no list of str, ValueError if no n-gram is left.
        """
        word_lists = _word_lists(texts)
        words = sorted({word for words in word_lists for word in words})
        self.word_ids = {word: i for i, word in enumerate(words)}
        self.known: list[np.ndarray] = []  # for each length, the numbers of all its n-grams, ascending
        counts = self._count(word_lists, learn=True)
        texts_with = counts.sum_columns(np.ones_like(counts.values))
        self.kept = np.flatnonzero(texts_with >= self.min_df)
        if not len(self.kept):
            raise ValueError(
                f"no word n-gram of ngram_range={self.ngram_range} stands in min_df={self.min_df} of the "
                f"{len(word_lists):,} texts: give more or longer texts, or lower these two"
            )
        return self._keep(counts)

    def transform(self, texts: Sequence[str]) -> SparseRows:
        """The counts (N, F) of other texts. Raises RuntimeError before `fit_transform`, and TypeError as it."""
        if not hasattr(self, "kept"):
            raise RuntimeError("the n-grams are not known yet: call fit first")
        return self._keep(self._count(_word_lists(texts), learn=False))

    def get_feature_names_out(self) -> list[str]:
        """The n-grams in the order of the columns, words separated by a space."""
        words = list(self.word_ids)
        names, shorter = [], [""]
        for n, known in enumerate(self.known, start=1):
            beginnings, last_words = np.divmod(known, len(words))
            shorter = [f"{shorter[i]} {words[j]}".lstrip() for i, j in zip(beginnings, last_words, strict=True)]
            names += shorter if n >= self.ngram_range[0] else []
        return [names[i] for i in self.kept]

    def _count(self, word_lists: list[list[str]], learn: bool) -> SparseRows:
        """Counts of all known n-grams; with `learn`, all that occur are known."""
        number = self.word_ids.get
        word_ids = np.array([number(word, UNKNOWN) for words in word_lists for word in words], dtype=np.int64)  # (W,)
        text_of = np.repeat(np.arange(len(word_lists)), [len(words) for words in word_lists])  # (W,)
        grams, found, n_columns = word_ids, [], 0
        for n in range(1, self.ngram_range[1] + 1):
            if n > 1:
                first, last = grams[:-1], word_ids[n - 1 :]  # (W − n + 1,)
                whole = (first >= 0) & (last >= 0) & (text_of[: len(first)] == text_of[n - 1 :])
                grams = np.where(whole, first * len(self.word_ids) + last, UNKNOWN)
            if learn:
                self.known.append(np.unique(grams[grams >= 0]))
            grams = _positions(grams, self.known[n - 1])
            if n >= self.ngram_range[0]:
                here = np.flatnonzero(grams >= 0)
                found.append((text_of[here], grams[here] + n_columns))
                n_columns += len(self.known[n - 1])
        row_of, columns = (np.concatenate(part) for part in zip(*found, strict=True))
        cells, counts = np.unique(row_of * n_columns + columns, return_counts=True)
        row_of, columns = np.divmod(cells, n_columns) if n_columns else (row_of, columns)
        return SparseRows(counts.astype(np.float64), columns, _indptr(row_of, len(word_lists)), n_columns)

    def _keep(self, counts: SparseRows) -> SparseRows:
        """The columns of `kept` alone, renumbered."""
        renumbered = np.full(counts.n_columns, UNKNOWN)
        renumbered[self.kept] = np.arange(len(self.kept))
        columns = renumbered[counts.columns]
        kept = columns >= 0
        indptr = _indptr(counts.row_of[kept], counts.n_rows)
        return SparseRows(counts.values[kept], columns[kept], indptr, len(self.kept))


class TfidfVectorizer(CountVectorizer):
    """Counts, weighted by how rare an n-gram is, in rows of length 1.

        (1 + ln count) · (1 + ln((1 + N) / (1 + df)))          df = how many of the N texts hold the n-gram

    It is scikit-learn's TfidfVectorizer with sublinear_tf=True.
    Source: G. Salton, C. Buckley, "Term-weighting approaches in automatic text retrieval" (1988).
    """

    def fit_transform(self, texts: Sequence[str]) -> SparseRows:
        """The weights (N, F) of texts whose n-grams become the features. Raises as CountVectorizer."""
        counts = super().fit_transform(texts)
        texts_with = counts.sum_columns(np.ones_like(counts.values))
        self.idf = 1 + np.log((1 + counts.n_rows) / (1 + texts_with))  # (F,)
        return self._weighted(counts)

    def transform(self, texts: Sequence[str]) -> SparseRows:
        """The weights (N, F) of other texts: a row of zeros for a text without known n-grams. Raises as there."""
        return self._weighted(super().transform(texts))

    def _weighted(self, counts: SparseRows) -> SparseRows:
        values = (1 + np.log(counts.values)) * self.idf[counts.columns]
        squared_lengths = np.bincount(counts.row_of, weights=values**2, minlength=counts.n_rows)
        return counts.with_values(values / np.sqrt(squared_lengths)[counts.row_of])


def _word_lists(texts: Sequence[str]) -> list[list[str]]:
    texts = rows("fit and predict", "texts", texts)
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise TypeError(f"each text must be a str, got {type(wrong).__name__}: {wrong!r:.40}")
    return [WORD.findall(text.lower()) for text in texts]


def _positions(numbers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where each number stands in the ascending `known`, UNKNOWN where it does not."""
    if not len(known):
        return np.full(len(numbers), UNKNOWN)
    places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.where(known[places] == numbers, places, UNKNOWN)


def _indptr(row_of: np.ndarray, n_rows: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(row_of, minlength=n_rows))])
