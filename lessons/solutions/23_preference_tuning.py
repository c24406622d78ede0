"""Solutions of lesson 23."""

import numpy as np


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    z = scores - scores.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def answer_log_probs(scores: np.ndarray, ids: np.ndarray, is_answer: np.ndarray) -> np.ndarray:
    log_p = _log_softmax(scores[:, :-1])  # (B, T − 1, V)
    of_tokens = np.take_along_axis(log_p, ids[:, 1:, None], axis=-1)[..., 0]  # (B, T − 1)
    return np.where(is_answer[:, 1:], of_tokens, 0.0).sum(axis=1)


def dpo(
    chosen: np.ndarray, rejected: np.ndarray, ref_chosen: np.ndarray, ref_rejected: np.ndarray, beta: float
) -> tuple[float, np.ndarray]:
    margins = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    loss = np.logaddexp(0, -margins).mean()  # −ln σ(m) = ln(1 + e^(−m))
    slope = beta * np.exp(-np.logaddexp(0, margins)) / len(margins)  # β σ(−m) / B
    return float(loss), np.stack([-slope, slope, slope, -slope])


def kl_per_token(scores: np.ndarray, ref_scores: np.ndarray, counts: np.ndarray) -> float:
    log_p, log_q = _log_softmax(scores[counts]), _log_softmax(ref_scores[counts])  # (n, V)
    return float((np.exp(log_p) * (log_p - log_q)).sum(axis=-1).mean())


def ranking_accuracy(
    policy: np.ndarray, reference: np.ndarray, grades: np.ndarray, beta: float
) -> tuple[np.ndarray, float]:
    rewards = beta * (policy - reference)
    better = grades[:, None] > grades[None, :]  # (n, n)
    right = (np.sign(rewards[:, None] - rewards[None, :]) + 1) / 2
    return rewards, float(right[better].mean())
