"""Solutions of lesson 15."""

from collections.abc import Callable

import numpy as np


def repetition_penalty(scores: np.ndarray, ids: list[int], penalty: float) -> np.ndarray:
    lowered = scores.copy()
    of_text = scores[ids]
    lowered[ids] = np.where(of_text < 0, of_text * penalty, of_text / penalty)
    return lowered


def nucleus(p: np.ndarray, top_p: float) -> np.ndarray:
    order = np.argsort(-p, axis=1, kind="stable")  # (B, V)
    ranked = np.take_along_axis(p, order, axis=1)
    likelier = np.cumsum(ranked, axis=1) - ranked  # the sum of all before each
    kept = np.zeros_like(p)
    np.put_along_axis(kept, order, np.where(likelier < top_p, ranked, 0), axis=1)
    return kept / kept.sum(axis=1, keepdims=True)


def attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, keys: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (T, D), S = q.shape, len(keys)
    keys, values = np.concatenate([keys, k]), np.concatenate([values, v])  # (S + T, D)
    scores = np.where(np.tri(T, S + T, S, dtype=bool), q @ keys.T / np.sqrt(D), -np.inf)  # (T, S + T)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ values, keys, values


def beam_search(
    log_probs: Callable[[list[int]], np.ndarray],
    num_beams: int,
    end: int,
    max_new_tokens: int,
    length_penalty: float,
) -> tuple[list[int], float]:
    running, finished = [([], 0.0)], []
    for _ in range(max_new_tokens):
        candidates = [
            ([*tokens, token], total + float(log_p))
            for tokens, total in running
            for token, log_p in enumerate(log_probs(tokens))
        ]
        best = sorted(candidates, key=lambda text: -text[1])[:num_beams]
        finished += [text for text in best if text[0][-1] == end]
        running = [text for text in best if text[0][-1] != end]
    scored = [(tokens, total / len(tokens) ** length_penalty) for tokens, total in finished + running]
    return max(scored, key=lambda text: text[1])
