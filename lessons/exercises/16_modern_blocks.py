"""Exercises of lesson 16. Replace each `raise NotImplementedError`, then: tinygrad-llm check 16

NumPy is enough for all of them.
"""

import numpy as np


def rotate(x: np.ndarray, positions: np.ndarray, theta: float) -> np.ndarray:
    """RoPE in the layout of halves: x (T, D), D even, and positions (T,), integers, to (T, D).

    Row t stands at positions[t], which may be any, in any order: with a cache they do not start at 0. Feature i < D/2
    and feature i + D/2 are a pair, which turns by the angle positions[t] · theta^(−2i/D), as in the lesson.

    >>> rotate(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]), 10000.0).round(4)  # by 0, and by 1 radian
    array([[1.    , 0.    ],
           [0.5403, 0.8415]])
    """
    raise NotImplementedError


def interleaved_to_halves(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """The rows of a query or key matrix in another order: weight (H · D, C) to (H · D, C), D even.

    Its rows make one head after the other, D features each. In the weight that comes in, features 2i and 2i + 1 of a
    head are a pair; in the one that goes out, i and i + D/2 of the same head are this pair.

    >>> interleaved_to_halves(np.arange(8.0).reshape(8, 1), 2).ravel()  # 2 heads, D = 4
    array([0., 2., 1., 3., 4., 6., 5., 7.])
    """
    raise NotImplementedError


def rms_norm_backward(dout: np.ndarray, x: np.ndarray, weight: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """The gradients (dx, dweight) of RMSNorm, out = x / √(mean(x²) + eps) · weight, from dout, the gradient of out.

    dout and x are (N, C), the mean is over the C features of each row, and weight is (C,). dx is (N, C), dweight (C,).

    >>> dx, dweight = rms_norm_backward(np.array([[1.0, 0.0]]), np.array([[1.0, 7.0]]), np.ones(2), 0.0)
    >>> dx.round(3), dweight.round(3)
    (array([[ 0.196, -0.028]]), array([0.2, 0. ]))
    """
    raise NotImplementedError


def grouped_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Causal attention with grouped queries: q (H, T, D), k and v (G, T, D), where G divides H, to (H, T, D).

    The first H / G query heads share the first head of k and v, the next H / G the second one, and so on. A token looks
    at itself and those before it; scores are divided by √D. Scores may be as large as 1000: do not overflow.

    Four query heads, two heads of keys and values, a single token, which can look at itself only:

    >>> grouped_attention(np.ones((4, 1, 1)), np.ones((2, 1, 1)), np.array([[[5.0]], [[6.0]]])).ravel()
    array([5., 5., 6., 6.])
    """
    raise NotImplementedError
