"""Exercises of lesson 10: weights of the past, attention, its gradient, and padding. Then: tinygrad-llm check 10

NumPy is enough for all of them.
"""

import numpy as np


def causal_weights(T: int, window: int) -> np.ndarray:
    """The weights (T, T), float64, of a mean over the last `window` tokens: row t is the token that looks.

    A token sees itself and the window − 1 tokens before it, or as many of them as there are, with equal weights that
    sum to 1. T and window are at least 1; the window may be longer than the text. For T = 3 and window = 2:

        [[1,   0,   0  ],
         [0.5, 0.5, 0  ],
         [0,   0.5, 0.5]]
    """
    raise NotImplementedError


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One head with the causal mask: q (T, D), k (T, D), v (T, Dv) to (T, Dv).

    softmax(q kᵀ / √D) v, where token t looks at tokens 0 … t. Scores may be as large as 1000: do not overflow.

    >>> attention(np.zeros((2, 4)), np.zeros((2, 4)), np.array([[1.0], [3.0]]))
    array([[1.],
           [2.]])
    """
    raise NotImplementedError


def attention_gradient(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, dout: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients (dq, dk, dv) of Σ dout · attention(q, k, v), each of its input's shape.

    q (T, D), k (T, D), v (T, Dv), dout (T, Dv), with the causal mask and the scale 1/√D. By hand, from the weights.

    With D = 1, zeros for q, k = [[2], [0]], v = [[4], [0]] and dout = [[0], [1]], token 1 weighs both values by one
    half, so dv = [[0.5], [0.5]]. Its score for key 0 has the gradient 1/2 · (4 − 2) = 1, that for key 1 has −1. So
    dq = [[0], [2]], and dk = 0, since q is 0.
    """
    raise NotImplementedError


def padded_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, is_token: np.ndarray) -> np.ndarray:
    """Attention over sentences of different length: q (B, T, D), k (B, S, D), v (B, S, Dv) to (B, T, Dv), scale 1/√D.

    is_token (B, S), bool, is False where sentence b was filled up. No query of that sentence may look there, and
    whatever stands in k and v there, a thousand or a million, changes nothing. Else every query sees every key: no
    causal mask. A sentence without any token gives zeros.

    For one sentence, zeros for q and k, values 1, 3 and 100, and is_token = [[True, True, False]] each query gets 2.
    """
    raise NotImplementedError
