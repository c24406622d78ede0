"""Plausible wrong answers to the exercises of lesson 05: each must fail its check."""

import math

import numpy as np


def softmax__overflows(x):
    """The formula as it stands in the book."""
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


def softmax__subtracts_the_maximum_of_all(x):
    """One maximum for all rows: a row far below it becomes 0/0."""
    e = np.exp(x - x.max())
    return e / e.sum(axis=1, keepdims=True)


def softmax__normalizes_columns(x):
    """Sums over the wrong axis."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)


def softmax__sums_over_everything(x):
    """All rows together sum to 1."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum()


def cross_entropy__takes_the_log_of_a_probability(x, y):
    """A stable softmax, and then log 0."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def cross_entropy__adds_a_small_number(x, y):
    """A common patch: no inf any more, but a wrong loss and no gradient where it is largest."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y] + 1e-12).mean())


def cross_entropy__is_the_sum(x, y):
    """The sum of the rows' losses, not their mean."""
    z = x - x.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]).sum())


def cross_entropy__takes_every_row_for_every_class(x, y):
    """z[:, y] is a table (N, N), not one number for each row."""
    z = x - x.max(axis=1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=1)) - z[:, y]).mean())


def cross_entropy_gradient__forgets_the_mean(x, y):
    """The gradient of the sum."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) - np.eye(x.shape[1])[y]


def cross_entropy_gradient__has_the_wrong_sign(x, y):
    """onehot − softmax: training would climb."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (np.eye(x.shape[1])[y] - e / e.sum(axis=1, keepdims=True)) / len(x)


def cross_entropy_gradient__divides_by_all_elements(x, y):
    """The mean is over N rows, not over N · V elements."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True) - np.eye(x.shape[1])[y]) / x.size


def exponential__is_a_series_alone(x):
    """Without range reduction: for −80 the terms grow to 10³³ and cancel."""
    return sum(x**k / math.factorial(k) for k in range(100))


def exponential__truncates(x):
    """int() instead of round(): r may be as large as ln 2, on one side of 0 only; six terms are too few then."""
    n = int(x / math.log(2))
    r = x - n * math.log(2)
    return 2.0**n * sum(r**k / math.factorial(k) for k in range(6))


def exponential__uses_the_library(x):
    """math.exp by another name."""
    return math.exp(x)
