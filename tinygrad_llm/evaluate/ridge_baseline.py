"""A simple baseline for grades and other numbers: ridge regression on n-grams.

    model = RidgeRegression().fit(train_texts, train_numbers)
    mean_absolute_error(test_numbers, model.predict(test_texts))

Source: A. Hoerl, R. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems" (1970).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .inputs import rows, same_length
from .newton import conjugate_gradient
from .ngrams import TfidfVectorizer


class RidgeRegression:
    """The weights of a text's n-grams that fit the numbers best, where large weights cost too.

        minimise   Σ over texts of (number − coef_ · features − intercept_)² + alpha · Σ coef_²

    Features are the TF-IDF weights of n-grams, as in `LogisticRegression`; `intercept_` is free. It is scikit-learn's
    `Ridge` of the same alpha.

    >>> model = RidgeRegression(0.1).fit(["good fun", "great fun", "dull"], [5, 5, 1])
    >>> [round(number, 1) for number in model.predict(["what fun", "so dull"]).tolist()]
    [4.6, 1.2]

    Raises ValueError for an alpha that is not positive, and as `CountVectorizer`.
    """

    def __init__(self, alpha: float = 1.0, *, ngram_range: tuple[int, int] = (1, 2), min_df: int = 1):
        if not alpha > 0:
            raise ValueError(f"RidgeRegression: alpha must be positive, got {alpha}")
        self.alpha = alpha
        self.vectorizer = TfidfVectorizer(ngram_range, min_df)

    def fit(self, texts: Sequence[str], numbers: Sequence[float] | np.ndarray) -> RidgeRegression:
        """Learn from N texts and their numbers; returns itself.

        Raises ValueError for no texts, unequal lengths, texts without any words and numbers that are not finite.
        """
        texts, targets = rows("fit", "texts", texts), np.asarray(numbers, np.float64)
        same_length("fit", texts=texts, numbers=targets)
        if not np.isfinite(targets).all():
            raise ValueError("fit: the numbers must be finite")
        features = self.vectorizer.fit_transform(texts).with_ones()
        penalty = np.full(features.n_columns, float(self.alpha))
        penalty[-1] = 0

        def product(v: np.ndarray) -> np.ndarray:  # (Xᵀ X + penalty) v
            return features.sum_rows(features.dot(v[None]))[0] + penalty * v

        diagonal = features.sum_columns(features.values**2) + penalty
        right = features.sum_rows(targets[None])[0]  # Xᵀ y
        solution = conjugate_gradient(product, right, diagonal, 1e-8, max_iter=1000)
        self.coef_, self.intercept_ = solution[:-1], float(solution[-1])
        return self

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Numbers (N,). Raises RuntimeError before `fit`, TypeError for what is no list of str."""
        return self.vectorizer.transform(texts).dot(self.coef_[None])[0] + self.intercept_
