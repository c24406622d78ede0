"""Exercises of lesson 03: measure slopes, and prove a backward rule right or wrong.

tinygrad-llm check 03
"""

from collections.abc import Callable

import numpy as np


def central_difference(f: Callable[[float], float], x: float, h: float) -> float:
    """The slope of f at x from its values at x + h and x − h.

    >>> central_difference(lambda x: x * x, 3.0, 0.5)
    6.0
    """
    raise NotImplementedError


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float) -> np.ndarray:
    """The gradient of f, which maps an array like x to one number, by central differences with step h.

    x is float64 of any shape, also (), and must be unchanged in the end. Returns an array of x's shape: how f changes
    with each element of x while all others stay where they are.

    >>> numerical_gradient(lambda x: (x * x).sum(), np.array([1.0, 2.0]), 0.5)
    array([2., 4.])
    """
    raise NotImplementedError


def dot_products(
    forward: Callable[[np.ndarray], np.ndarray],
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    h: float,
) -> tuple[float, float]:
    """The two numbers (⟨v, Jᵀu⟩, ⟨Jv, u⟩), which are equal if the backward rule belongs to the forward one.

    `forward(x)` gives y, `backward(u, x)` gives Jᵀu for an array u of y's shape. v has the shape of x. Jv is a central
    difference of two forward passes with step h. y may have another shape than x.

    >>> square, its_rule = lambda x: x * x, lambda u, x: 2 * x * u
    >>> dot_products(square, its_rule, np.array([1.0, 2.0]), np.array([1.0, 0.0]), np.array([1.0, 1.0]), 0.25)
    (2.0, 2.0)
    """
    raise NotImplementedError


def extrapolated_difference(f: Callable[[float], float], x: float, h: float) -> float:
    """The slope of f at x with an error of O(h⁴), from two central differences: with step h and with step 2h.

    By Taylor's formula a central difference with step h is f'(x) + c h² + O(h⁴), with a number c that nobody knows but
    that is the same for both steps. Find the mixture of the two differences in which c h² cancels and f'(x) stays.

    >>> round(extrapolated_difference(lambda x: x**3, 1.0, 0.1), 9)  # a central difference gives 3.01
    3.0
    """
    raise NotImplementedError
