"""Solutions of lesson 05."""

import math

import numpy as np


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(x: np.ndarray, y: np.ndarray) -> float:
    z = x - x.max(axis=1, keepdims=True)
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    return float(losses.mean())


def cross_entropy_gradient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    onehot = np.eye(x.shape[1])[y]
    return (softmax(x) - onehot) / len(x)


def exponential(x: float) -> float:
    n = round(x / math.log(2))
    r = x - n * math.log(2)
    return 2.0**n * sum(r**k / math.factorial(k) for k in range(8))
