"""Solutions of lesson 12."""

import numpy as np


def split_heads(x: np.ndarray, n_heads: int) -> np.ndarray:
    B, T, C = x.shape
    if C % n_heads:
        raise ValueError(f"{C} features cannot be cut into {n_heads} heads of equal size.")
    return x.reshape(B, T, n_heads, C // n_heads).transpose(0, 2, 1, 3)  # (B, T, H, D), then (B, H, T, D)


def dropout(x: np.ndarray, p: float, training: bool, rng: np.random.Generator) -> np.ndarray:
    if not training or p == 0:
        return x
    if p == 1:
        return np.zeros_like(x)
    return np.where(rng.random(x.shape) < p, 0.0, x / (1 - p))


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * weight + bias


def layer_norm_backward(
    dout: np.ndarray, x: np.ndarray, weight: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    centred = x - x.mean(axis=1, keepdims=True)
    r = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)  # (N, 1)
    x_hat, g = centred * r, dout * weight
    dx = r * (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True))
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)
