"""Exercises of lesson 20: F1 of words, the best span, windows over a long text, and kappa for grades.

tinygrad-llm check 20
"""

from collections.abc import Sequence

import numpy as np


def token_f1(prediction: str, gold_answers: Sequence[str]) -> float:
    """The F1 of the words that the prediction and a gold answer have in common: that of the gold answer it fits best.

    First both become lower-case, lose ASCII punctuation (string.punctuation; "well-known" becomes "wellknown"), then
    the words a, an and the. A word counts as often as it stands in both. Where one of the two has no words left, F1 is
    1 if neither has any, else 0. Without any gold answer, only a prediction without words is right.

    >>> round(token_f1("in the city of Paris", ["Paris", "city of Paris"]), 4)   # 3 of 4 words right, 3 of 3 found
    0.8571
    """
    raise NotImplementedError


def best_span(start: np.ndarray, end: np.ndarray, max_length: int) -> tuple[int, int]:
    """The span (first, last) with the largest start[first] + end[last], for scores start (T,) and end (T,).

    first ≤ last, and a span has at most max_length tokens, both ends counted. A score is −inf where no answer may
    begin or end; there is always a span without one. Of equally good spans the one with the least first counts, and
    of these the one with the least last.

    >>> best_span(np.array([2.0, 0.0, 3.0]), np.array([0.0, 2.0, -1.0]), max_length=3)   # 2 + 2, not 3 + 2
    (0, 1)
    """
    raise NotImplementedError


def window_starts(n_tokens: int, room: int, max_answer: int) -> list[int]:
    """Where windows of `room` tokens begin, so that each run of at most max_answer ≤ room tokens is whole in one.

    In ascending order, as few windows as possible, and none reaches beyond the text: where it has room tokens or more,
    the last begins at n_tokens − room or before. A shorter text has one window, at 0. There may be several right
    answers.

    >>> window_starts(n_tokens=10, room=6, max_answer=3)      # tokens 0 … 5 and 4 … 9: of 3 in a row, none is torn
    [0, 4]
    """
    raise NotImplementedError


def quadratic_kappa(y_true: np.ndarray, y_pred: np.ndarray, n_grades: int) -> float:
    """Agreement of two graders beyond chance: 1 − Σ w O / Σ w E, for grades (N,), integers from 0 to n_grades − 1.

    O[i, j] is how often grade i was due and j was given, E[i, j] what it would be by chance: (how often i was due) ·
    (how often j was given) / N. The weights are w[i, j] = (i − j)². Where Σ w E is 0, the result is nan.

    >>> round(quadratic_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]), n_grades=3), 3)
    0.8
    """
    raise NotImplementedError
