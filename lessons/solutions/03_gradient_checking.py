"""Solutions of lesson 03."""

from collections.abc import Callable

import numpy as np


def central_difference(f: Callable[[float], float], x: float, h: float) -> float:
    return (f(x + h) - f(x - h)) / (2 * h)


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float) -> np.ndarray:
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        gradient[index] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


def dot_products(
    forward: Callable[[np.ndarray], np.ndarray],
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    h: float,
) -> tuple[float, float]:
    outputs_along_v = (forward(x + h * v) - forward(x - h * v)) / (2 * h)  # Jv
    return float((v * backward(u, x)).sum()), float((outputs_along_v * u).sum())


def extrapolated_difference(f: Callable[[float], float], x: float, h: float) -> float:
    """D(h) = f' + c h² and D(2h) = f' + 4 c h²: so 4 D(h) − D(2h) = 3 f'."""
    return (4 * central_difference(f, x, h) - central_difference(f, x, 2 * h)) / 3
