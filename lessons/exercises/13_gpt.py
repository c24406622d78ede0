"""Exercises of lesson 13: what a GPT reads, how large it is, a table used twice, and a loss in pieces.

tinygrad-llm check 13
"""

import numpy as np


def inputs_and_targets(ids: np.ndarray, seq_len: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a text of N tokens into rows of `seq_len` for training: inputs x and targets y, (n, seq_len) each.

    The rows of x follow each other without gap or overlap. y[i, t] is the token that follows x[i, t] in the text, at
    the end of a row too. n is as large as the tokens allow; what is left at the end is dropped.

    >>> x, y = inputs_and_targets(np.array([5, 6, 7, 8, 9, 5, 6]), 3)
    >>> x.tolist(), y.tolist()
    ([[5, 6, 7], [8, 9, 5]], [[6, 7, 8], [9, 5, 6]])
    """
    raise NotImplementedError


def count_parameters(V: int, T: int, C: int, L: int, tied: bool = True, bias: bool = True) -> int:
    """How many parameters a GPT has: V tokens, T positions, L blocks of width C, a feed-forward network of width 4C.

    With `tied=False` the last layer has a weight (V, C) of its own, and no bias. With `bias=False` no linear layer and
    no norm has a bias; a norm still has its weight.

    >>> count_parameters(4, 2, 2, 1)
    90
    """
    raise NotImplementedError


def table_gradient(ids: np.ndarray, table: np.ndarray, positions: np.ndarray, dlogits: np.ndarray) -> np.ndarray:
    """The gradient of a tied token table (V, C), of the smallest GPT there is: no block, no norm, only

        x = table[ids] + positions       (T, C)
        logits = x @ table.T             (T, V)

    ids (T,) are integers, positions (T, C), and dlogits (T, V) is the loss's gradient by the logits. Returns (V, C).

    >>> table_gradient(np.array([0]), np.array([[1.0], [2.0]]), np.array([[0.0]]), np.array([[10.0, 100.0]]))
    array([[220.],
           [100.]])
    """
    raise NotImplementedError


def chunked_loss(x: np.ndarray, W: np.ndarray, y: np.ndarray, rows: int) -> tuple[float, np.ndarray, np.ndarray]:
    """The mean cross-entropy of the scores x Wᵀ, and its gradients: (loss, dx, dW).

    x (N, C), W (V, C), y (N,) the right classes; dx (N, C), dW (V, C). Scores exist for at most `rows` rows of x at a
    time (the last time fewer, where `rows` does not divide N), and no array has V × V elements. Scores may be huge.

    >>> loss, dx, dW = chunked_loss(np.ones((2, 1)), np.log([[1.0], [3.0]]), np.array([0, 1]), 1)
    >>> round(loss, 4), dW.round(4).tolist()  # (ln 4 + ln 4/3) / 2; dW is the mean of (−3/4, 3/4) and (1/4, −1/4)
    (0.837, [[-0.25], [0.25]])
    """
    raise NotImplementedError
