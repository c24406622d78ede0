"""Newton's method with conjugate gradients: how the logistic regression finds its weights.

Newton's step solves H d = −g, with the gradient g and the matrix H of second derivatives. H has (K · F)² entries, far
too many to store; but the conjugate-gradient method only asks for products H v, and each costs as much as a gradient.
Far from the minimum a rough solution is enough, so the steps get more exact as the gradient shrinks.

Source: J. Nocedal, S. Wright, "Numerical Optimization", 2nd ed. (2006), algorithms 5.3 and 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]


def conjugate_gradient(
    product: Product, b: np.ndarray, diagonal: np.ndarray, tolerance: float, max_iter: int = 100
) -> np.ndarray:
    """x with H x ≈ b, for a positive (semi)definite H given as `product(v)` = H v, and b in its range.

    `diagonal`, near to that of H, is the preconditioner: coordinates are measured in its square roots. It stops when
    the residual is `tolerance` times that of x = 0. All arrays have the shape of b.
    """
    x, residual = np.zeros_like(b), b.copy()
    scaled = residual / diagonal
    direction, size = scaled.copy(), _inner(residual, scaled)
    enough = tolerance**2 * size
    for _ in range(max_iter):
        if size <= enough:
            break
        moved = product(direction)
        step = size / _inner(direction, moved)
        x += step * direction
        residual -= step * moved
        scaled = residual / diagonal
        previous, size = size, _inner(residual, scaled)
        direction *= size / previous
        direction += scaled
    return x


def minimize_newton_cg(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray, Product, np.ndarray]],
    start: np.ndarray,
    tolerance: float,
    max_iter: int = 100,
) -> tuple[np.ndarray, bool]:
    """The minimum of a convex function, and whether the gradient's length fell to `tolerance` times the one at `start`.

    `objective(x)` gives the value, the gradient, the product with H, and roughly the diagonal of H. A step that does
    not lower the value enough (Armijo's rule) is halved until it does.
    """
    x = start
    value, gradient, product, diagonal = objective(x)
    first_length = math.sqrt(_inner(gradient, gradient))
    for _ in range(max_iter):
        length = math.sqrt(_inner(gradient, gradient))
        if length <= tolerance * first_length:
            return x, True
        step = conjugate_gradient(product, -gradient, diagonal, min(0.25, math.sqrt(length / first_length)))
        slope, share = _inner(gradient, step), 1.0
        new = objective(x + step)
        while new[0] > value + 1e-4 * share * slope:
            share /= 2
            if share < 1e-9:  # rounding hides what little is left to gain
                return x, False
            new = objective(x + share * step)
        x = x + share * step
        value, gradient, product, diagonal = new
    return x, False


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.ravel() @ b.ravel())
