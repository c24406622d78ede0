"""A linear classifier of short texts on the words and the spelling in them, for any number of independent categories.

p(category | text) = sigmoid(weights · features + bias)

Features are single words; runs of 3 to 5 characters inside a word, which survive some misspellings; and classes of
words (data/word_classes.py), alone and in pairs that stand near each other. Each counts 1 + ln(count), times how rare
it is (its idf); each of the three kinds is scaled to length 1. A category has a sigmoid of its own, so a text may
belong to several or to none.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.word_classes import classes_of_words
from ..data.words import WORD
from ..files import read_json, write_json, write_tensors

LENGTHS = (3, 4, 5)  # of runs of characters
WINDOW = 6  # words between the two of a pair of classes, at most
CLASSES = classes_of_words()
NGRAMS, WEIGHTS = "ngrams.json", "classifier.safetensors"


def ngrams(text: str) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Of a text the words, the runs of characters after a tilde, where < and > are the ends of a word, and the classes.

    >>> for found in ngrams("You fool"):
    ...     print(*found)
    you fool
    ~<yo ~you ~ou> ~<you ~you> ~<you> ~<fo ~foo ~ool ~ol> ~<foo ~fool ~ool> ~<fool ~fool>
    @you @contempt @you @contempt
    """
    words = WORD.findall(unicodedata.normalize("NFKC", text).lower())
    framed = [f"<{word}>" for word in words]
    runs = (f"~{word[i : i + n]}" for word in framed for n in LENGTHS for i in range(len(word) - n + 1))
    classes = [(i, name) for i, word in enumerate(words) for name in CLASSES.get(word, ())]
    near = (f"@{a} @{b}" for k, (i, a) in enumerate(classes) for j, b in classes[k + 1 :] if 0 < j - i <= WINDOW)
    return Counter(words), Counter(runs), Counter([*(f"@{name}" for _, name in classes), *near])


@dataclass(frozen=True)
class LinearTextClassifier:
    """What `evaluate.filter_training.fit_classifier` makes."""

    categories: tuple[str, ...]
    ngrams: tuple[str, ...]
    idf: np.ndarray  # (F,)
    weights: np.ndarray  # (K, F)
    bias: np.ndarray  # (K,)

    def __post_init__(self):
        k, f = len(self.categories), len(self.ngrams)
        shapes = [each.shape for each in (self.idf, self.weights, self.bias)]
        if shapes != [(f,), (k, f), (k,)] or k == 0:
            raise ValueError(f"{k} categories and {f} n-grams do not fit idf, weights and bias of shapes {shapes}")
        if not all(np.isfinite(each).all() for each in (self.idf, self.weights, self.bias)):
            raise ValueError("idf, weights or bias hold nan or infinity")
        object.__setattr__(self, "_number", {ngram: i for i, ngram in enumerate(self.ngrams)})

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """The probability of each category, each for itself: (N, K)."""
        scores = np.stack([self._scores(text) for text in texts]) if len(texts) else np.zeros((0, len(self.bias)))
        return 1 / (1 + np.exp(-np.clip(scores, -500, 500)))

    def _scores(self, text: str) -> np.ndarray:
        columns, values = features(text, self._number, self.idf)
        return self.weights[:, columns] @ values + self.bias

    def strongest(self, category: str, k: int = 10) -> list[str]:
        """The k n-grams that speak most for a category. Raises ValueError for an unknown one."""
        if category not in self.categories:
            raise ValueError(f"{category!r} is none of the categories {', '.join(self.categories)}")
        order = np.argsort(-self.weights[self.categories.index(category)], kind="stable")
        return [self.ngrams[i] for i in order[:k]]

    def save(self, folder: str | os.PathLike) -> None:
        """Into an existing folder: ngrams.json and classifier.safetensors."""
        arrays = {"idf": self.idf, "weights": self.weights, "bias": self.bias}
        write_tensors(Path(folder, WEIGHTS), {name: array.astype(np.float32) for name, array in arrays.items()})
        write_json(Path(folder, NGRAMS), {"categories": list(self.categories), "ngrams": list(self.ngrams)})

    @classmethod
    def load(cls, folder: str | os.PathLike) -> LinearTextClassifier:
        """Raises FileNotFoundError where a file is missing, ValueError where the two are damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        names = read_json(Path(folder, NGRAMS), "train the filter again")
        if not Path(folder, WEIGHTS).is_file():
            raise FileNotFoundError(f"{str(Path(folder, WEIGHTS))!r} is missing: train the filter again")
        try:
            arrays = {name: array.astype(np.float64) for name, array in load_file(Path(folder, WEIGHTS)).items()}
            lists = [tuple(names[name]) for name in ("categories", "ngrams")]
            if not all(isinstance(each, str) for column in lists for each in column):
                raise TypeError("names must be strings")
            return cls(*lists, arrays["idf"], arrays["weights"], arrays["bias"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the classifier in {str(folder)!r} is damaged ({error}): train it again") from None


def features(text: str, number: dict[str, int], idf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns (S,) of the known n-grams of a text and their values (S,); without any, both are empty."""
    columns, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    for found in ngrams(text):
        counts = {number[ngram]: count for ngram, count in found.items() if ngram in number}
        if counts:
            places = np.array(list(counts), np.int64)
            weighted = (1 + np.log(list(counts.values()))) * idf[places]
            columns.append(places)
            values.append(weighted / np.linalg.norm(weighted))
    return np.concatenate(columns), np.concatenate(values)
