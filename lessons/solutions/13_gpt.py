"""Solutions of lesson 13."""

import numpy as np


def inputs_and_targets(ids: np.ndarray, seq_len: int) -> tuple[np.ndarray, np.ndarray]:
    n = max(len(ids) - 1, 0) // seq_len  # the last input needs a token after it
    x, y = ids[: n * seq_len], ids[1 : n * seq_len + 1]
    return x.reshape(n, seq_len), y[: n * seq_len].reshape(n, seq_len)


def count_parameters(V: int, T: int, C: int, L: int, tied: bool = True, bias: bool = True) -> int:
    norm = 2 * C if bias else C
    weights = 3 * C * C + C * C + 4 * C * C + 4 * C * C  # qkv, out, up, down
    biases = 3 * C + C + 4 * C + C if bias else 0
    head = 0 if tied else V * C
    return (V + T) * C + L * (weights + biases + 2 * norm) + norm + head


def table_gradient(ids: np.ndarray, table: np.ndarray, positions: np.ndarray, dlogits: np.ndarray) -> np.ndarray:
    x = table[ids] + positions  # (T, C)
    gradient = dlogits.T @ x  # as output: (V, C)
    np.add.at(gradient, ids, dlogits @ table)  # as input: each place of a token adds to its row
    return gradient


def chunked_loss(x: np.ndarray, W: np.ndarray, y: np.ndarray, rows: int) -> tuple[float, np.ndarray, np.ndarray]:
    N, loss, dx, dW = len(x), 0.0, np.empty_like(x), np.zeros_like(W)
    for start in range(0, N, rows):
        part, right = x[start : start + rows], y[start : start + rows]
        here = np.arange(len(part))
        scores = part @ W.T  # (rows, V)
        scores -= scores.max(axis=1, keepdims=True)
        target = scores[here, right]
        np.exp(scores, out=scores)
        total = scores.sum(axis=1)
        loss += (np.log(total) - target).sum()
        scores /= total[:, None]
        scores[here, right] -= 1
        scores /= N  # now they are their own gradient
        dx[start : start + rows] = scores @ W
        dW += scores.T @ part
    return float(loss / N), dx, dW
