"""Solutions of lesson 10."""

import math

import numpy as np


def causal_weights(T: int, window: int) -> np.ndarray:
    distance = np.arange(T)[:, None] - np.arange(T)  # (T, T), how far back a column lies
    seen = (distance >= 0) & (distance < window)
    return seen / seen.sum(axis=1, keepdims=True)


def _softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _weights(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    scores = q @ k.T / math.sqrt(q.shape[1])  # (T, T)
    return _softmax(np.where(np.tri(len(q), dtype=bool), scores, -np.inf))


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _weights(q, k) @ v


def attention_gradient(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, dout: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p = _weights(q, k)
    dp = dout @ v.T
    ds = p * (dp - (p * dp).sum(axis=1, keepdims=True)) / math.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dout


def padded_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, is_token: np.ndarray) -> np.ndarray:
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])  # (B, T, S)
    seen = is_token[:, None, :]
    scores = np.where(seen, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    e = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v
