"""Exercises of lesson 12: heads, LayerNorm in both directions, and dropout, on NumPy arrays.

tinygrad-llm check 12
"""

import numpy as np


def split_heads(x: np.ndarray, n_heads: int) -> np.ndarray:
    """Cut the features of each position into heads: x (B, T, C) to (B, H, T, D) with H = n_heads and D = C / H.

    Head h has the features h · D to (h + 1) · D − 1 of every position. With two heads, the tokens (1, 2, 3, 4) and
    (5, 6, 7, 8) become (1, 2), (5, 6) in head 0 and (3, 4), (7, 8) in head 1:

    >>> split_heads(np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]]), 2).tolist()
    [[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]]

    If n_heads does not divide C, raise a ValueError whose message names both numbers.
    """
    raise NotImplementedError


def dropout(x: np.ndarray, p: float, training: bool, rng: np.random.Generator) -> np.ndarray:
    """Inverted dropout on x, of any shape: each element is 0 with probability p, and the mean stays the same.

    Draw one number from 0 to 1 for each element with `rng.random(x.shape)`, once; elements whose number is below p
    become 0. With the draws (0.6, 0.2, 0.5) and p = 0.5, x = (1, 1, 3) becomes (2, 0, 6). When not training, or with
    p = 0, the result is x itself, and nothing is drawn. With p = 1 all elements are 0.
    """
    raise NotImplementedError


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """Each vector of x (…, C) to mean 0 and variance 1, then times weight (C,), plus bias (C,). Shape (…, C).

    The variance is the mean of the squared differences from the mean; eps is added to it, under the root.
    Right also for vectors far from 0, such as 10⁹ + (1, 1, 5, 5).

    >>> layer_norm(np.array([[1.0, 1.0, 5.0, 5.0]]), np.ones(4), np.zeros(4), eps=0.0)
    array([[-1., -1.,  1.,  1.]])
    """
    raise NotImplementedError


def layer_norm_backward(
    dout: np.ndarray, x: np.ndarray, weight: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients (dx, dweight, dbias) of layer_norm, from dout, the gradient of its result.

    dout and x have the shape (N, C), weight (C,); so dx is (N, C), dweight and dbias are (C,). Use NumPy alone,
    with the formula of the lesson. Its example on paper:

    >>> layer_norm_backward(np.array([[4.0, 0, 0, 0]]), np.array([[1.0, 1, 5, 5]]), np.ones(4), 0.0)[0].tolist()
    [[1.0, -1.0, 0.0, 0.0]]
    """
    raise NotImplementedError
