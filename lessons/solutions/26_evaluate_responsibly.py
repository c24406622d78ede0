"""Solutions of lesson 26."""

import numpy as np


def joules_used(readings: np.ndarray, ranges: np.ndarray) -> float:
    steps = np.diff(readings, axis=0)  # (n − 1, P)
    return float((steps + ranges * (steps < 0)).sum() / 1e6)


def weat_effect(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    x, y, a, b = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (x, y, a, b))
    of_x, of_y = ((targets @ a.T).mean(axis=1) - (targets @ b.T).mean(axis=1) for targets in (x, y))
    return float((of_x.mean() - of_y.mean()) / np.concatenate([of_x, of_y]).std(ddof=1))


def permutation_p(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> float:
    dealt = np.concatenate([x, y])[orders]  # (n, N + M)
    differences = dealt[:, : len(x)].mean(axis=1) - dealt[:, len(x) :].mean(axis=1)
    count = int((differences >= x.mean() - y.mean() - 1e-9).sum())
    return (1 + count) / (1 + len(orders))


def extraction_rate(
    prompts: np.ndarray, written: np.ndarray, wanted: np.ndarray, z: float = 1.96
) -> tuple[float, float, float]:
    _, first = np.unique(np.concatenate([prompts, wanted], axis=1), axis=0, return_index=True)
    m, p = len(first), float((written[first] == wanted[first]).all(axis=1).mean())
    scale = 1 + z * z / m
    centre, half = (p + z * z / (2 * m)) / scale, z / scale * (p * (1 - p) / m + z * z / (4 * m * m)) ** 0.5
    return p, max(centre - half, 0.0), min(centre + half, 1.0)
