"""Solutions of lesson 19."""

import re
from collections.abc import Callable

import numpy as np


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    scores = []
    for k in np.union1d(y_true, y_pred):
        hits = np.sum((y_true == k) & (y_pred == k))
        scores.append(2 * hits / (np.sum(y_true == k) + np.sum(y_pred == k)))
    return float(np.mean(scores))


def grouped_split(labels: np.ndarray, groups: np.ndarray, fraction: float) -> np.ndarray:
    test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        numbers, sizes = np.unique(groups[labels == k], return_counts=True)
        room = fraction * np.sum(labels == k)
        for i in np.argsort(-sizes, kind="stable"):
            if sizes[i] <= room:
                test[groups == numbers[i]] = True
                room -= sizes[i]
    return test


def layer_rates(names: list[str], n_blocks: int, rate: float, decay: float, n_frozen: int) -> dict[str, float]:
    rates = {}
    for name in names:
        block = re.match(r"base\.blocks\.(\d+)\.", name)
        if block:
            depth = int(block[1]) + 1
        elif "embedding" in name or name.startswith("base.norm."):
            depth = 0
        else:
            depth = n_blocks + 1
        is_frozen = n_frozen > 0 and depth <= n_frozen
        rates[name] = 0.0 if is_frozen else float(rate * decay ** (n_blocks + 1 - depth))
    return rates


def train_until_worse(
    weights: np.ndarray,
    train: Callable[[np.ndarray], None],
    score: Callable[[np.ndarray], float],
    max_rounds: int,
    patience: int,
) -> tuple[np.ndarray, int]:
    w, best, best_weights, worse, rounds = weights.copy(), -np.inf, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds += 1
        value = score(w)
        worse += 1
        if rounds == 1 or value > best:
            best, best_weights, worse = value, w.copy(), 0
    return best_weights, rounds
