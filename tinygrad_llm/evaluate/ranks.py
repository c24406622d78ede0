"""Ranks with ties: what the AUROC and Spearman's correlation stand on."""

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each number from 1 for the least, equal ones sharing the mean of their ranks: (N,) -> float64 (N,).

    >>> average_ranks(np.array([30, 10, 20, 20]))
    array([4. , 1. , 2.5, 2.5])
    """
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)  # the rank of the last of each group of equal numbers
    return (last - (sizes - 1) / 2)[group]
