"""Train the classifier of a content filter, and judge each example by one that saw nothing like it.

Examples with one `group`, made from one template or copies of one text, are never torn apart: cross-validation deals
out groups. What the judgements are worth, filter_report.py says.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from ..applications.content_filter import Category, ContentFilter
from ..applications.content_patterns import PATTERNS
from ..applications.linear_text import LinearTextClassifier, features, ngrams
from ..data.harm_examples import NONE, LabelledSentence, harm_examples
from .ngram_baseline import LogisticRegression
from .ngrams import SparseRows

C = 5.0  # how far the labels are trusted; found by the cross-validation below
MIN_TEXTS = 2  # in which an n-gram must stand
N_FOLDS = 5


class _Ready:
    """Features that are computed already, for a classifier that asks for texts."""

    def __init__(self, rows: SparseRows):
        self.rows = rows

    def fit_transform(self, texts: Sequence[str]) -> SparseRows:
        return self.rows


def fit_classifier(
    texts: Sequence[str], labels: Sequence[str], clean_label: str = NONE, c: float = C
) -> LinearTextClassifier:
    """Logistic regression for each label but `clean_label`, against all other texts.

    Both sides count the same, however few examples one has. Raises ValueError where there are no examples of
    `clean_label` or of anything else, and for unequal lengths.
    """
    categories = tuple(sorted(set(labels) - {clean_label}))
    if len(texts) != len(labels) or not categories or clean_label not in labels:
        raise ValueError(
            f"a filter learns from texts with labels, some of them {clean_label!r} for what is to pass, and others; "
            f"got {len(texts)} texts and the labels {', '.join(sorted(set(labels))) or 'none'}"
        )
    text_counts: dict[str, int] = {}
    for text in texts:
        for ngram in itertools.chain(*ngrams(text)):
            text_counts[ngram] = text_counts.get(ngram, 0) + 1
    kept = tuple(sorted(ngram for ngram, n in text_counts.items() if n >= MIN_TEXTS))
    if not kept:
        raise ValueError("no word stands in two of the texts, so nothing can be learnt: give more examples")
    idf = 1 + np.log((1 + len(texts)) / (1 + np.array([text_counts[ngram] for ngram in kept])))
    rows = _rows(texts, {ngram: i for i, ngram in enumerate(kept)}, idf)
    weights, bias = [], []
    for category in categories:
        model = LogisticRegression(c, class_weight="balanced")
        model.vectorizer = _Ready(rows)
        model.fit(list(texts), [int(label == category) for label in labels])
        weights.append(model.coef_[1] - model.coef_[0])
        bias.append(model.intercept_[1] - model.intercept_[0])
    return LinearTextClassifier(categories, kept, idf, np.array(weights), np.array(bias))


def _rows(texts: Sequence[str], number: dict[str, int], idf: np.ndarray) -> SparseRows:
    found = [features(text, number, idf) for text in texts]
    indptr = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in found])])
    columns, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return SparseRows(values, columns, indptr, len(number))


def make_filter(classifier: LinearTextClassifier) -> ContentFilter:
    """A filter of the classifier's categories and all built-in patterns; everything is on and withheld."""
    return ContentFilter(
        [*map(Category, classifier.categories), *(Category(name, "pattern") for name in PATTERNS)], classifier
    )


@cache
def default_filter() -> ContentFilter:
    """Trained on the project's own sentences, which takes about a second; kept for the next call."""
    examples = harm_examples()
    return make_filter(fit_classifier([each.text for each in examples], [each.label for each in examples]))


def fold_of_groups(examples: Sequence[LabelledSentence], n_folds: int, seed: int) -> dict[str, int]:
    """Each group's fold: those of one label are dealt out evenly, in random order."""
    rng, folds = np.random.default_rng(seed), {}
    for label in sorted({each.label for each in examples}):
        groups = list(dict.fromkeys(each.group for each in examples if each.label == label and each.group not in folds))
        folds |= {groups[i]: place % n_folds for place, i in enumerate(rng.permutation(len(groups)).tolist())}
    return folds


def held_out_probabilities(
    examples: Sequence[LabelledSentence],
    clean_label: str = NONE,
    changes: Sequence[Callable[[str], str]] = (str,),
    n_folds: int = N_FOLDS,
    seed: int = 0,
    c: float = C,
) -> tuple[list[str], np.ndarray]:
    """The categories, and the probability of each by classifiers that saw nothing of the example's group: (M, N, K).

    Each of the M `changes` is done to the texts that are judged, not to those that are learnt from. Raises
    ValueError for a label with fewer groups than folds.
    """
    categories = sorted({each.label for each in examples} - {clean_label})
    for label in (*categories, clean_label):
        n_groups = len({each.group for each in examples if each.label == label})
        if n_groups < n_folds:
            raise ValueError(
                f"{label!r} has {n_groups} different examples, and {n_folds} are needed: give more of them"
            )
    folds = fold_of_groups(examples, n_folds, seed)
    probabilities = np.zeros((len(changes), len(examples), len(categories)))
    for fold in range(n_folds):
        train = [each for each in examples if folds[each.group] != fold]
        test = [i for i, each in enumerate(examples) if folds[each.group] == fold]
        classifier = fit_classifier([each.text for each in train], [each.label for each in train], clean_label, c)
        for judged, change in zip(probabilities, changes, strict=True):
            judged[test] = classifier.predict_proba([change(examples[i].text) for i in test])
    return categories, probabilities
