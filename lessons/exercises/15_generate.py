"""Exercises of lesson 15: a penalty, the nucleus, attention with a cache, beam search.

tinygrad-llm check 15
"""

from collections.abc import Callable

import numpy as np


def repetition_penalty(scores: np.ndarray, ids: list[int], penalty: float) -> np.ndarray:
    """The scores (V,) with those of all tokens in `ids`, the text so far, lowered: as an array of its own, (V,).

    A positive score is divided by the penalty, a negative one multiplied by it. A token that is in the text several
    times is penalised once.

    >>> repetition_penalty(np.array([2.0, -2.0, 2.0]), [0, 1, 0], 2.0)
    array([ 1., -4.,  2.])
    """
    raise NotImplementedError


def nucleus(p: np.ndarray, top_p: float) -> np.ndarray:
    """Top-p for each row of probabilities p (B, V), with 0 < top_p ≤ 1: probabilities (B, V).

    A row keeps the fewest tokens, the likeliest first, whose probabilities sum to at least top_p. Of equally likely
    ones the first come first. The others get 0, and those kept are divided by their sum.

    >>> nucleus(np.array([[0.125, 0.5, 0.125, 0.25]]), 0.75)
    array([[0.        , 0.66666667, 0.        , 0.33333333]])
    """
    raise NotImplementedError


def attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, keys: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One causal head of attention for T new tokens, after S tokens whose keys and values are known.

    q, k, v (T, D) are of the new tokens, keys and values (S, D) of those before. Returns out (T, D), and the keys and
    the values of all tokens, (S + T, D) each, in the order of the text. A new token looks at all tokens before it and
    at itself, not at later new ones. Scores are divided by √D. T may be 1, and S may be 0.

    >>> q, k, v = np.ones((1, 1)), np.log([[5.0]]), np.array([[0.0]])
    >>> out, keys, values = attend(q, k, v, np.log([[1.0], [2.0]]), np.array([[8.0], [16.0]]))
    >>> out, keys.shape, values.shape
    (array([[5.]]), (3, 1), (3, 1))
    """
    raise NotImplementedError


def beam_search(
    log_probs: Callable[[list[int]], np.ndarray],
    num_beams: int,
    end: int,
    max_new_tokens: int,
    length_penalty: float,
) -> tuple[list[int], float]:
    """The best text that is found, and its score.

    log_probs(tokens) gives the log-probabilities (V,) of the next token after the text so far; begin with [].
    In each step, continue every open text by every token. Of all these continuations (of all texts together), the
    num_beams with the largest sums of log-probabilities remain; the others are given up. Those of them whose last token
    is `end` are finished and put aside; the rest are the open texts of the next step. After max_new_tokens steps, open
    texts count as finished too. The best finished text has the highest score, sum / length ** length_penalty, where
    `end` counts as a token of its length.

    >>> after = np.log([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.9, 0.05, 0.05]])
    >>> tokens, score = beam_search(lambda tokens: after[tokens[-1] if tokens else 0], 2, 0, 4, 1.0)
    >>> tokens, round(score, 4)  # ln 0.36 / 2
    ([2, 0], -0.5108)
    """
    raise NotImplementedError
