"""Plausible wrong answers to the exercises of lesson 03: each must fail its check."""

import numpy as np


def central_difference__divides_by_h(f, x, h):
    """The two points are 2h apart."""
    return (f(x + h) - f(x - h)) / h


def central_difference__is_the_forward_one(f, x, h):
    """A forward difference: its error is O(h)."""
    return (f(x + h) - f(x)) / h


def numerical_gradient__moves_all_elements(f, x, h):
    """Moves all elements at once: the sum of the slopes, everywhere."""
    return np.full(x.shape, (f(x + h) - f(x - h)) / (2 * h))


def numerical_gradient__does_not_move_back(f, x, h):
    """Leaves each element at x − h when it goes on to the next one."""
    x = x.copy()
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        x[index] += h
        above = f(x)
        x[index] -= 2 * h
        gradient[index] = (above - f(x)) / (2 * h)
    return gradient


def numerical_gradient__changes_its_input(f, x, h):
    """Works in the caller's array, and leaves it changed."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        x[index] += h
        above = f(x)
        x[index] -= 2 * h
        gradient[index] = (above - f(x)) / (2 * h)
        x[index] -= h
    return gradient


def numerical_gradient__knows_vectors_only(f, x, h):
    """Walks over the first dim alone."""
    gradient = np.zeros(x.shape)
    for i in range(len(x)):
        step = np.zeros(x.shape)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


def dot_products__swaps_u_and_v(forward, backward, x, u, v, h):
    """Moves x along u and gives v to backward."""
    along = (forward(x + h * u) - forward(x - h * u)) / (2 * h)
    return float((u * backward(v, x)).sum()), float((along * v).sum())


def dot_products__forgets_2h(forward, backward, x, u, v, h):
    """A difference, not yet a slope."""
    along = forward(x + h * v) - forward(x - h * v)
    return float((v * backward(u, x)).sum()), float((along * u).sum())


def dot_products__asks_backward_twice(forward, backward, x, u, v, h):
    """Computes both numbers from backward: they are always equal, and prove nothing."""
    value = float((v * backward(u, x)).sum())
    return value, value


def extrapolated_difference__as_if_the_error_were_h(f, x, h):
    """2 D(h) − D(2h) removes an error of O(h), not of O(h²)."""

    def difference(h):
        return (f(x + h) - f(x - h)) / (2 * h)

    return 2 * difference(h) - difference(2 * h)


def extrapolated_difference__averages(f, x, h):
    """The mean of both: the error grows."""

    def difference(h):
        return (f(x + h) - f(x - h)) / (2 * h)

    return (difference(h) + difference(2 * h)) / 2
