"""Permutation tests: how probable a difference at least as large is, if it came about by chance alone.

All p-values are one-sided: of a difference at least as large in the direction that is asked about. Few arrangements
are all counted, and p is exact; of many, some are drawn, and the arrangement that was found counts as one of them:

    p = (1 + number of drawn ones at least as large) / (1 + number drawn)

so that it is never 0, and the test is right at any number of draws.

Sources: R. Fisher, "The Design of Experiments" (1935), section 21; B. Phipson, G. Smyth, "Permutation P-values Should
Never Be Zero" (2010); S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

EXACT_LIMIT = 200_000  # arrangements: those of two groups of ten are 184,756
ROUNDING = 1e-12  # sums in another order differ in the last bits


class PValue(NamedTuple):
    value: float
    n_arrangements: int  # counted or drawn
    exact: bool


def two_group_test(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, n_samples: int = 9_999, exact_limit: int = EXACT_LIMIT
) -> PValue:
    """Is the mean of x larger than that of y? Numbers x (N,) and y (M,), dealt out anew to groups of these sizes.

    >>> two_group_test(np.array([3.0, 4.0]), np.array([1.0, 2.0]), np.random.default_rng(0)).value * 6
    1.0

    Raises ValueError where a group is empty.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not len(x) or not len(y):
        raise ValueError(f"two_group_test: both groups need a number, got {len(x)} and {len(y)}")
    both, n = np.concatenate([x, y]), len(x)
    n_arrangements = math.comb(len(both), n)
    # With the sum of all fixed, the difference of the means grows with the sum of the first group.
    least = x.sum() - ROUNDING * max(np.abs(both).sum(), 1e-300)
    if n_arrangements <= exact_limit:
        places = np.fromiter(combinations(range(len(both)), n), np.dtype((np.int64, n)), n_arrangements)
        return PValue(float((both[places].sum(axis=1) >= least).mean()), n_arrangements, True)
    sums = np.array([rng.permutation(both)[:n].sum() for _ in range(n_samples)])
    return PValue((1 + int((sums >= least).sum())) / (1 + n_samples), n_samples, False)


def sign_flip_test(
    differences: np.ndarray, rng: np.random.Generator, n_samples: int = 9_999, exact_limit: int = EXACT_LIMIT
) -> PValue:
    """Is the mean of differences (N,) above 0? By chance alone each could as well have the other sign.

    >>> sign_flip_test(np.array([1.0, 2.0, 3.0]), np.random.default_rng(0)).value
    0.125

    Raises ValueError for no differences.
    """
    differences = np.asarray(differences, np.float64)
    n = len(differences)
    if not n:
        raise ValueError("sign_flip_test: there are no differences to test")
    least = differences.sum() - ROUNDING * max(np.abs(differences).sum(), 1e-300)
    if 2**n <= exact_limit:
        flipped = (np.arange(2**n)[:, None] >> np.arange(n)) & 1  # (2ᴺ, N)
        return PValue(float(((1 - 2 * flipped) @ differences >= least).mean()), 2**n, True)
    sums = rng.choice([-1.0, 1.0], (n_samples, n)) @ differences
    return PValue((1 + int((sums >= least).sum())) / (1 + n_samples), n_samples, False)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, raised so that the chance of even one false alarm among all stays below p.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for done, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[i]))
        adjusted[i] = largest
    return adjusted
