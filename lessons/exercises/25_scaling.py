"""Exercises of lesson 25: what a run computes, a law with a floor, the best size for a budget, and a ring.

tinygrad-llm check 25
"""

from collections.abc import Callable

import numpy as np


def run_cost(vocab_size: int, context: int, n_layers: int, d_model: int, n_tokens: int) -> tuple[int, int]:
    """Parameters N of a GPT, and the floating-point operations of a training run that reads so many tokens.

    The GPT is that of this lesson, without biases. With C = d_model it has
    - a vector of C for each token of the vocabulary, which are the output layer too, and one for each position
    - in each layer the matrices of attention, C → 3C and C → C, those of the MLP, C → 4C → C, and two norms of C
    - a last norm of C

    A training step takes 6 operations for each parameter and token, and in each layer 12 · context · C more for each
    token: the products of queries with keys, and of their weights with the values, which have no parameters.

    >>> run_cost(vocab_size=10, context=4, n_layers=1, d_model=2, n_tokens=100)  # 6 · 82 + 12 · 4 · 2 = 588 each
    (82, 58800)
    """
    raise NotImplementedError


def fit_power_law(x: np.ndarray, losses: np.ndarray, floors: np.ndarray) -> tuple[float, float, float]:
    """E, A and alpha of L(x) = E + A / x**alpha, E being one of `floors` (F,), all of them below every loss.

    x and losses are (R,), above 0. For each E a straight line is fitted to log(L − E) over log x by least squares: its
    slope is −alpha, its intercept log A. Of these laws the one is returned whose own losses, E + A / x**alpha, have the
    smallest sum of squares of log(measured loss / law's loss).

    >>> x = np.array([1.0, 4.0, 16.0, 64.0])
    >>> E, A, alpha = fit_power_law(x, 2 + 8 / np.sqrt(x), np.array([0.0, 1.0, 2.0, 2.5]))
    >>> round(E, 6), round(A, 6), round(alpha, 6)
    (2.0, 8.0, 0.5)
    """
    raise NotImplementedError


def best_size(A: float, alpha: float, B: float, beta: float, k: float, gamma: float, budget: float) -> float:
    """The N with the lowest A / N**alpha + B / D**beta, where a token costs k · N**gamma: all are spent on D tokens.

        D = budget / (k · N**gamma)

    For operations k = 6 and gamma = 1. For seconds gamma is below 1 in small models: they do fewer operations in a
    second. All numbers are above 0. Where the derivative by N is 0 there is a formula; a table of sizes is not enough.

    >>> best_size(A=1000, alpha=0.5, B=1000, beta=0.5, k=6, gamma=1, budget=1.5e12)
    500000.0
    """
    raise NotImplementedError


def ring_all_reduce(
    arrays: list[np.ndarray], exchange: Callable[[list[np.ndarray]], list[np.ndarray]]
) -> list[np.ndarray]:
    """The sum of n arrays (K,), one for each rank, at all ranks: a list of n arrays (K,). n ≥ 1 divides K.

    Ranks talk only by `exchange(messages)`: messages[r] goes from rank r to rank (r + 1) % n, all at once, and what is
    returned holds at place r what rank r has got, messages[(r − 1) % n]. Cut each array into n pieces. In n − 1 rounds
    each rank passes a partial sum of one piece on, and adds its own to what it gets; then each has one piece of the
    sum. In n − 1 more rounds these go around. So a rank sends 2 (n − 1) pieces, 2 (n − 1) / n of the array's bytes.

    >>> sums = ring_all_reduce([np.array([1.0, 2.0]), np.array([10.0, 20.0])], lambda messages: messages[::-1])
    >>> [each.tolist() for each in sums]
    [[11.0, 22.0], [11.0, 22.0]]
    """
    raise NotImplementedError
