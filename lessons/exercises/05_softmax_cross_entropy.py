"""Exercises of lesson 05: probabilities, a loss, its gradient, and e^x from plain arithmetic.

tinygrad-llm check 05
"""

import math  # noqa: F401  (for you)

import numpy as np


def softmax(x: np.ndarray) -> np.ndarray:
    """The probabilities of each row of scores x (N, V): positive, each row sums to 1. Shape (N, V).

    Right also where scores are huge, and where one row has much larger scores than another.

    >>> softmax(np.log([[1.0, 2.0, 5.0]]))
    array([[0.125, 0.25 , 0.625]])
    """
    raise NotImplementedError


def cross_entropy(x: np.ndarray, y: np.ndarray) -> float:
    """The mean over the rows of −log softmax(x)_y, for scores x (N, V) and right classes y (N,), integers.

    Right also where the probability of the right class is too small for a float: scores (0, 1000) with the right class
    0 cost 1000.

    >>> round(cross_entropy(np.log([[1.0, 2.0, 5.0]]), np.array([1])), 4)  # ln 4
    1.3863
    """
    raise NotImplementedError


def cross_entropy_gradient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient of that mean by x, of shape (N, V). You may call your `softmax`.

    >>> cross_entropy_gradient(np.log([[1.0, 2.0, 5.0]]), np.array([1]))
    array([[ 0.125, -0.75 ,  0.625]])
    """
    raise NotImplementedError


def exponential(x: float) -> float:
    """e^x with a relative error below 1e-6, for x from −80 to 80, by range reduction and a polynomial.

    Allowed: + − · /, round, math.log(2), 2.0**n for whole n, math.factorial. Not allowed: exp or a power of e, by any
    name (math.exp, np.exp, math.e, 2**x of a broken x …).

    >>> round(exponential(10.0), 1)
    22026.5
    """
    raise NotImplementedError
