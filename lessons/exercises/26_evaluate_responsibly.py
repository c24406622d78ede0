"""Exercises of lesson 26: joules by counters, an association, whether it is chance, and what was extracted.

tinygrad-llm check 26
"""

import numpy as np


def joules_used(readings: np.ndarray, ranges: np.ndarray) -> float:
    """The joules that all processors used together, by counters of microjoules that start again at 0.

    readings (n, P), integers, are those of P counters at n times, one after the other. Counter p counts up to
    ranges[p] and goes on at 0, between two readings once at most.

    >>> joules_used(np.array([[9_000_000], [500_000], [700_000]]), np.array([10_000_000]))
    1.7
    """
    raise NotImplementedError


def weat_effect(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """The effect size d of target vectors x (X, C) and y (Y, C) towards attributes a (A, C) and b (B, C).

    s(w) is the mean of cos(w, v) over v in a, minus that over v in b. d is the mean of s over x minus that over y,
    divided by the standard deviation of all X + Y values of s, that of a sample: with X + Y − 1.

    >>> x, y, a, b = np.eye(2)[:1] * 5, np.eye(2)[1:] * 2, np.eye(2)[:1], np.eye(2)[1:]
    >>> round(weat_effect(x, y, a, b), 4)  # s is 1 and −1: 2 / √2
    1.4142
    """
    raise NotImplementedError


def permutation_p(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> float:
    """p of x (N,) having the larger mean, by permutations that were drawn: orders (n, N + M), each of 0 … N + M − 1.

    Each order deals out x and y (M,) anew: of both, one after the other, the numbers at its first N places become the
    one group, the others the other. p = (1 + count) / (1 + n), where count is that of the orders whose difference of
    means is at least the one that was found. Differences that are equal up to rounding, 1e-9, are equal.

    >>> orders = np.array([[0, 1, 2, 3], [2, 3, 0, 1], [0, 2, 1, 3]])
    >>> permutation_p(np.array([3.0, 4.0]), np.array([1.0, 2.0]), orders)  # 2, −2 and 0, and 2 was found
    0.5
    """
    raise NotImplementedError


def extraction_rate(
    prompts: np.ndarray, written: np.ndarray, wanted: np.ndarray, z: float = 1.96
) -> tuple[float, float, float]:
    """The share of prompts after which a model wrote all tokens as the text has them, and Wilson's interval of it.

    prompts (P, k), written and wanted (P, n) are token numbers. A place that was drawn twice is no second witness: rows
    with the same prompt and the same wanted tokens count once. (The model writes the same after the same prompt.) With
    m rows left, and p the share of them,

        centre = (p + z² / 2m) / (1 + z² / m),     half = z / (1 + z² / m) · √(p (1 − p) / m + z² / 4m²)

    Returns p, centre − half and centre + half, these two not below 0 and not above 1.

    >>> wanted = np.array([[3, 4], [5, 6], [5, 6]])
    >>> rate = extraction_rate(np.array([[1], [2], [2]]), np.array([[3, 4], [5, 7], [5, 7]]), wanted)
    >>> [round(each, 3) for each in rate]
    [0.5, 0.095, 0.905]
    """
    raise NotImplementedError
