"""Solutions of lesson 20."""

import math
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np


def token_f1(prediction: str, gold_answers: Sequence[str]) -> float:
    return max(_f1(_words(prediction), _words(gold)) for gold in gold_answers or [""])


def _words(text: str) -> list[str]:
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return [word for word in kept.split() if word not in ("a", "an", "the")]


def _f1(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    common = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * common / (len(predicted) + len(gold))


def best_span(start: np.ndarray, end: np.ndarray, max_length: int) -> tuple[int, int]:
    best, span = -math.inf, (0, 0)
    for first in range(len(start)):
        for last in range(first, min(first + max_length, len(end))):
            if start[first] + end[last] > best:
                best, span = start[first] + end[last], (first, last)
    return span


def window_starts(n_tokens: int, room: int, max_answer: int) -> list[int]:
    if n_tokens <= room:
        return [0]
    stride = room - max_answer + 1
    return [*range(0, n_tokens - room, stride), n_tokens - room]


def quadratic_kappa(y_true: np.ndarray, y_pred: np.ndarray, n_grades: int) -> float:
    observed = np.zeros((n_grades, n_grades))
    np.add.at(observed, (y_true, y_pred), 1)
    by_chance = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(y_true)
    grades = np.arange(n_grades)
    weights = (grades[:, None] - grades) ** 2
    expected = (weights * by_chance).sum()
    return float(1 - (weights * observed).sum() / expected) if expected else math.nan
