"""Simple classifiers of texts that a fine-tuned Transformer has to beat: naive Bayes and logistic regression.

    model = LogisticRegression().fit(train_texts, train_labels)
    accuracy_score(test_labels, model.predict(test_texts))

They know which words and pairs of words stand in a text, and neither their order beyond that nor their meaning. They
learn in seconds, and on topics they are hard to beat. Names are scikit-learn's: `classes_` holds the labels in
ascending order, and the columns of `predict_proba` follow it.

Sources: C. Manning, P. Raghavan, H. Schütze, "Introduction to Information Retrieval" (2008), chapters 13 and 15;
S. Wang, C. Manning, "Baselines and Bigrams" (2012).
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from .inputs import Labels, classes_of, codes_of, rows, same_length
from .newton import minimize_newton_cg
from .ngrams import CountVectorizer, SparseRows, TfidfVectorizer

ClassWeight = Mapping[Hashable, float] | str | None


class NGramClassifier:
    """What both have in common: a vectorizer, and a score of each class that is linear in the features.

    score_k(text) = coef_[k] · features + intercept_[k],      p(k | text) = softmax of the scores

    `class_weight` tells how much an example of each class counts: None for 1, "balanced" for N / (K · examples of the
    class), so that all classes count the same, or a dict from label to weight; labels that it lacks count 1.
    """

    vectorizer: CountVectorizer
    class_weight: ClassWeight

    def fit(self, texts: Sequence[str], labels: Labels):
        """Learn from N texts and their labels; returns itself.

        Raises ValueError for no texts, unequal lengths, texts without any words, an unknown class_weight and weights
        that are not positive, TypeError for what is no list of str and labels without an order.
        """
        texts, labels = rows("fit", "texts", texts), rows("fit", "labels", labels)
        same_length("fit", texts=texts, labels=labels)
        self.classes_ = classes_of("fit", labels)
        codes = codes_of(labels, self.classes_)  # (N,)
        weights = _weights_of_classes(self.class_weight, self.classes_, np.bincount(codes))[codes]  # (N,)
        one_hot = np.equal.outer(np.arange(len(self.classes_)), codes).astype(np.float64)  # (K, N)
        self.coef_, self.intercept_ = self._fit(self.vectorizer.fit_transform(texts), one_hot, weights)
        return self

    def predict_log_proba(self, texts: Sequence[str]) -> np.ndarray:
        """ln p of each class: (N, K). Raises RuntimeError before `fit`, TypeError for what is no list of str."""
        scores = self.vectorizer.transform(texts).dot(self.coef_) + self.intercept_[:, None]  # (K, N)
        return _log_softmax(scores).T

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """The probability of each class: (N, K). Raises as `predict_log_proba`."""
        return np.exp(self.predict_log_proba(texts))

    def predict(self, texts: Sequence[str]) -> list:
        """The most probable label of each text. Raises as `predict_log_proba`."""
        return [self.classes_[k] for k in self.predict_log_proba(texts).argmax(1)]

    def strongest_features(self, label: Hashable, k: int = 10) -> list[str]:
        """The k n-grams that speak most for a class, compared with the mean of the classes, the strongest first.

        Raises ValueError for a label that was not learnt.
        """
        if label not in self.classes_:
            raise ValueError(f"{label!r} is none of the classes {self.classes_}")
        advantage = self.coef_[self.classes_.index(label)] - self.coef_.mean(0)  # (F,)
        names = self.vectorizer.get_feature_names_out()
        return [names[i] for i in np.argsort(-advantage, kind="stable")[:k]]


class NaiveBayes(NGramClassifier):
    """Multinomial naive Bayes: a text is a bag of n-grams, drawn one by one from a distribution that its class has.

        score_k = ln p(k) + Σ over the n-grams w of the text of ln p(w | k)
        p(w | k) = (count of w in class k + alpha) / (count of all in class k + alpha · F)

    alpha=1 is Laplace's rule. It gives rare n-grams too much where there are far more of them than texts, so less is
    usual (Lidstone's rule). The classes are often right and the probabilities too near to 0 and 1, as the n-grams of
    a text are counted as if they did not depend on each other.

    >>> model = NaiveBayes().fit(["good fun", "great fun", "dull"], ["+", "+", "-"])
    >>> model.predict(["what fun", "so dull"])
    ['+', '-']

    Raises ValueError for an alpha that is not positive, and as `CountVectorizer`.
    """

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        class_weight: ClassWeight = None,
        ngram_range: tuple[int, int] = (1, 2),
        min_df: int = 1,
    ):
        if not alpha > 0:
            raise ValueError(
                f"NaiveBayes: alpha must be positive, got {alpha}: an n-gram new to a class would have ln 0"
            )
        self.alpha, self.class_weight = alpha, class_weight
        self.vectorizer = CountVectorizer(ngram_range, min_df)

    def _fit(self, counts: SparseRows, one_hot: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of_class = counts.sum_rows(one_hot * weights) + self.alpha  # (K, F)
        examples = one_hot @ weights  # (K,)
        return np.log(of_class / of_class.sum(1, keepdims=True)), np.log(examples / examples.sum())


class LogisticRegression(NGramClassifier):
    """Multinomial logistic regression on TF-IDF weights of n-grams: the linear classifier that fits the labels best.

        minimise   C · Σ over texts of weight · (−ln p(label)) + ½ Σ coef_²

    C says how far the labels are trusted against the wish for small weights; it may need a search. `intercept_` is
    free. It is a convex problem with one minimum; `tol` says when to stop, as a share of the first gradient's length.
    With more than two classes it is scikit-learn's model of the same C, with two classes that of C doubled, as
    scikit-learn stores one row of weights there and this class two opposite ones.

    >>> model = LogisticRegression().fit(["good fun", "great fun", "dull"], ["+", "+", "-"])
    >>> model.predict(["what fun", "so dull"])
    ['+', '-']

    Raises ValueError for a C or tol that is not positive, and as `CountVectorizer`; `fit` also for a single class.
    """

    def __init__(
        self,
        C: float = 30.0,
        *,
        class_weight: ClassWeight = None,
        ngram_range: tuple[int, int] = (1, 2),
        min_df: int = 1,
        tol: float = 0.001,
    ):
        if not C > 0 or not tol > 0:
            raise ValueError(f"LogisticRegression: C and tol must be positive, got C={C} and tol={tol}")
        self.C, self.tol, self.class_weight = C, tol, class_weight
        self.vectorizer = TfidfVectorizer(ngram_range, min_df)

    def _fit(self, features: SparseRows, one_hot: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(one_hot) < 2:
            raise ValueError(
                f"LogisticRegression: all examples are of class {self.classes_[0]!r}: give at least two classes"
            )
        objective = _SoftmaxObjective(features.with_ones(), one_hot, self.C * weights)
        start = np.zeros((len(one_hot), features.n_columns + 1))
        solution, converged = minimize_newton_cg(objective, start, self.tol)
        if not converged:
            warnings.warn(f"LogisticRegression: tol={self.tol} was not reached; a larger one will do", stacklevel=3)
        return solution[:, :-1], solution[:, -1]


class _SoftmaxObjective:
    """The function that logistic regression minimises, of parameters (K, F); the last of each row is its intercept."""

    def __init__(self, features: SparseRows, one_hot: np.ndarray, weights: np.ndarray):
        self.features, self.one_hot, self.weights = features, one_hot, weights
        self.squares = features.with_values(features.values**2)
        self.penalty = np.ones(features.n_columns)
        self.penalty[-1] = 0

    def __call__(self, parameters: np.ndarray):
        """The value, the gradient, the product with the matrix of second derivatives, and roughly its diagonal."""
        log_p = _log_softmax(self.features.dot(parameters))  # (K, N)
        p = np.exp(log_p)
        value = -(self.weights * (self.one_hot * log_p).sum(0)).sum() + (self.penalty * parameters**2).sum() / 2
        gradient = self.features.sum_rows(self.weights * (p - self.one_hot)) + self.penalty * parameters

        def product(v: np.ndarray) -> np.ndarray:
            scores = self.features.dot(v)  # (K, N)
            return self.features.sum_rows(self.weights * p * (scores - (p * scores).sum(0))) + self.penalty * v

        curvature = self.squares.sum_rows(self.weights * p * (1 - p))
        return float(value), gradient, product, curvature + np.maximum(self.penalty, 1e-9)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    scores = scores - scores.max(0)
    return scores - np.log(np.exp(scores).sum(0))


def _weights_of_classes(class_weight: ClassWeight, classes: list, counts: np.ndarray) -> np.ndarray:
    """(K,). Raises ValueError for what is none of the three forms, or holds a weight that is not positive."""
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight must be None, 'balanced' or a dict of weights, got {class_weight!r}")
        return counts.sum() / (len(classes) * counts)
    strangers = [label for label in class_weight if label not in classes]
    if strangers:
        raise ValueError(f"class_weight names {strangers[0]!r}, which is none of the labels {classes}")
    weights = np.array([class_weight.get(label, 1) for label in classes], dtype=np.float64)
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(f"class_weight must hold positive numbers, got {dict(class_weight)}")
    return weights
