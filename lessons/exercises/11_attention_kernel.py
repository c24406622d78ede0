"""Exercises of lesson 11: sums that have not seen everything, tiles that need no visit, backward without the matrix.

tinygrad-llm check 11
"""

import math  # noqa: F401  (for you)
from collections.abc import Iterable

import numpy as np


def logsumexp_of_chunks(chunks: Iterable[np.ndarray]) -> float:
    """log Σ e^s over all scores s of all chunks, which are arrays (n,) of any lengths, each seen once and in order.

    All chunks lie in the same memory: when the next one comes, the last one is gone. And do not copy them all, there
    may be many: two numbers are enough to remember. Right also for scores of 1000, and for −∞, a score that is hidden:
    it adds nothing. A chunk may be all −∞, the first one too. Where there is no other score, the result is −∞.

    >>> round(logsumexp_of_chunks(iter([np.log([1.0, 2.0]), np.log([4.0, 1.0])])), 4)  # ln 8
    2.0794
    """
    raise NotImplementedError


def merge(
    m1: np.ndarray, l1: np.ndarray, o1: np.ndarray, m2: np.ndarray, l2: np.ndarray, o2: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two workers have each seen a part of the keys, for the same T queries: (m, l, o) as if one had seen them all.

    m (T,) maxima of the scores, l (T,) = Σ e^(s − m), o (T, D) = Σ e^(s − m) v, neither divided by anything. A query
    may have seen no key in a part: m = −∞, l = 0, o = 0. If that is so in both, the result is the same again.

    >>> one = np.log([2.0]), np.array([1.5]), np.array([[8.0]])
    >>> other = np.log([4.0]), np.array([1.25]), np.array([[4.0]])
    >>> merge(*one, *other)  # m = ln 4
    (array([1.38629436]), array([2.]), array([[8.]]))
    """
    raise NotImplementedError


def key_tiles(first: int, last: int, n_keys: int, width: int) -> list[tuple[int, int, bool]]:
    """The tiles of keys that the queries first … last − 1 must visit under a causal mask: query i sees keys 0 … i.

    Tiles begin at 0, width, 2 · width, … and end `width` later, or at n_keys. For each tile with a key that at least
    one of these queries sees, in order: (start, stop, masked), keys start … stop − 1, where `masked` is True if at
    least one of the queries must not see all of them.

    >>> key_tiles(4, 8, 16, 4)
    [(0, 4, False), (4, 8, True)]
    """
    raise NotImplementedError


def attention_backward(
    dout: np.ndarray,
    q: np.ndarray,
    out: np.ndarray,
    lse: np.ndarray,
    tiles: Iterable[tuple[int, np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dq, dk, dv) of causal attention with T queries and T keys, where keys and values come in tiles.

    Forward was out = softmax(q kᵀ / √D, causal) v. dout and out are (T, Dv), q is (T, D), lse (T,) the log-sum-exp of
    each query's visible scores. `tiles` gives (start, k, v) in order: keys start … start + n − 1, k (n, D), v (n, Dv).
    All tiles lie in the same memory, as above, and an array of T × T numbers is too large; one of T × n is not. Right
    also where a hidden score is 1000 larger than the visible ones. dq and dk are (T, D), dv is (T, Dv).

    >>> tiles = [(0, np.array([[1.0]]), np.array([[8.0]])), (1, np.array([[2.0]]), np.array([[4.0]]))]
    >>> dout, q, out, lse = np.array([[0.0], [1.0]]), np.zeros((2, 1)), np.array([[8.0], [6.0]]), np.log([1.0, 2.0])
    >>> dq, dk, dv = attention_backward(dout, q, out, lse, iter(tiles))
    >>> dq.ravel().tolist(), dk.ravel().tolist(), dv.ravel().tolist()
    ([0.0, -1.0], [0.0, 0.0], [0.5, 0.5])
    """
    raise NotImplementedError
