"""Solutions of lesson 21."""

import heapq
import math
from collections import Counter
from collections.abc import Callable

import numpy as np


def cross_attention(
    x: np.ndarray,
    source: np.ndarray,
    is_token: np.ndarray,
    w_query: np.ndarray,
    w_key: np.ndarray,
    w_value: np.ndarray,
    n_heads: int,
) -> np.ndarray:
    def heads(rows):
        return rows.reshape(*rows.shape[:2], n_heads, -1).transpose(0, 2, 1, 3)  # (B, H, T, D)

    queries, keys, values = heads(x @ w_query), heads(source @ w_key), heads(source @ w_value)
    scores = queries @ keys.transpose(0, 1, 3, 2) / math.sqrt(keys.shape[-1])  # (B, H, T, S)
    scores = np.where(is_token[:, None, None], scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = e / e.sum(axis=-1, keepdims=True) @ values  # (B, H, T, D)
    return mixed.transpose(0, 2, 1, 3).reshape(x.shape)


def smoothed_loss(logits: np.ndarray, target: np.ndarray, epsilon: float) -> tuple[float, np.ndarray]:
    counts = target != -100
    V, n = logits.shape[1], counts.sum()
    q = (1 - epsilon) * np.eye(V)[np.where(counts, target, 0)] + epsilon / V
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    losses = -(q * log_p).sum(axis=1)
    return float(losses[counts].sum() / n), np.where(counts[:, None], (np.exp(log_p) - q) / n, 0.0)


def bleu(hypothesis: list[str], references: list[list[str]]) -> float:
    def n_grams(words, n):
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    logs = []
    for n in range(1, 5):
        found, wanted = n_grams(hypothesis, n), Counter()
        for reference in references:
            wanted |= n_grams(reference, n)
        right = (found & wanted).total()
        if right == 0:
            return 0.0
        logs.append(math.log(right / found.total()))
    c = len(hypothesis)
    r = min((len(reference) for reference in references), key=lambda length: (abs(length - c), length))
    return 100 * math.exp(min(0.0, 1 - r / c) + sum(logs) / 4)


def likeliest_text(
    log_probs: Callable[[list[int]], np.ndarray], end: int, max_new_tokens: int
) -> tuple[list[int], float]:
    waiting = [(0.0, [])]  # the likeliest first: what comes out complete, nothing that waits can beat
    while True:
        cost, tokens = heapq.heappop(waiting)
        if len(tokens) == max_new_tokens or tokens[-1:] == [end]:
            return tokens, -cost
        for token, log_p in enumerate(log_probs(tokens)):
            heapq.heappush(waiting, (cost - float(log_p), [*tokens, token]))
