"""Solutions of lesson 16."""

import numpy as np


def rotate(x: np.ndarray, positions: np.ndarray, theta: float) -> np.ndarray:
    D = x.shape[1]
    angles = np.outer(positions, theta ** (-np.arange(0, D, 2) / D))  # (T, D/2)
    cos, sin = np.cos(angles), np.sin(angles)
    a, b = x[:, : D // 2], x[:, D // 2 :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=1)


def interleaved_to_halves(weight: np.ndarray, n_heads: int) -> np.ndarray:
    n_rows, C = weight.shape
    pairs = weight.reshape(n_heads, n_rows // n_heads // 2, 2, C)  # head, pair, first or second of the pair
    return pairs.swapaxes(1, 2).reshape(n_rows, C)


def rms_norm_backward(dout: np.ndarray, x: np.ndarray, weight: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    r = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)  # (N, 1)
    x_hat, g = x * r, dout * weight
    dx = r * (g - x_hat * (g * x_hat).mean(axis=1, keepdims=True))
    return dx, (dout * x_hat).sum(axis=0)


def grouped_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    group, T = len(q) // len(k), q.shape[1]
    k, v = np.repeat(k, group, axis=0), np.repeat(v, group, axis=0)  # (H, T, D)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])  # (H, T, T)
    scores = np.where(np.tri(T, dtype=bool), scores, -np.inf)
    p = np.exp(scores - scores.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True) @ v
