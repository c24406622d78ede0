"""Exercises of lesson 23: how likely an answer is, the loss of a choice, how far a model moved, and what it prefers.

tinygrad-llm check 23
"""

import numpy as np


def answer_log_probs(scores: np.ndarray, ids: np.ndarray, is_answer: np.ndarray) -> np.ndarray:
    """ln π of each row's answer: the sum of ln p(token | all before) over its tokens. Shape (B,).

    ids (B, T) are prompt, answer and padding; is_answer (B, T), booleans, is True at the answer's tokens. scores
    (B, T, V) are the model's: scores[b, t] are those of the token *after* ids[b, t]. So nothing predicts the first
    token of a row, which never counts. Right also where scores are huge.

    >>> scores = np.log([[[1.0, 3.0], [3.0, 1.0], [1.0, 1.0]]])
    >>> answer_log_probs(scores, np.array([[0, 1, 0]]), np.array([[False, True, True]])).round(4)  # 2 ln(3/4)
    array([-0.5754])
    """
    raise NotImplementedError


def dpo(
    chosen: np.ndarray, rejected: np.ndarray, ref_chosen: np.ndarray, ref_rejected: np.ndarray, beta: float
) -> tuple[float, np.ndarray]:
    """The mean DPO loss of B pairs, and its gradient (4, B) by the four arguments, a row for each in their order.

    All four are log-probabilities of answers, (B,): under the model, and under its reference. A pair that is badly
    wrong has a large loss, which must stay finite: a margin β Δ of −10000 costs 10000.

    >>> loss, gradient = dpo(np.array([-3.0]), np.array([-5.0]), np.array([-3.0]), np.array([-5.0]), beta=0.1)
    >>> round(loss, 4), gradient.tolist()  # ln 2, and ±β/2
    (0.6931, [[-0.05], [0.05], [0.05], [-0.05]])
    """
    raise NotImplementedError


def kl_per_token(scores: np.ndarray, ref_scores: np.ndarray, counts: np.ndarray) -> float:
    """The mean over the places that count of KL(p ‖ p_ref) = Σ_v p(v) ln(p(v) / p_ref(v)), in nats.

    scores and ref_scores (B, T, V) become distributions by softmax over the last axis; counts (B, T), booleans, is
    True at the places that count, at least one. All of them count alike, whichever row they are in. Where p(v) is too
    small for a float, its term is 0.

    >>> p, p_ref = np.log([[[0.75, 0.25], [0.5, 0.5]]]), np.log([[[0.5, 0.5], [0.9, 0.1]]])
    >>> round(kl_per_token(p, p_ref, np.array([[True, False]])), 4)  # 0.75 ln 1.5 + 0.25 ln 0.5
    0.1308
    """
    raise NotImplementedError


def ranking_accuracy(
    policy: np.ndarray, reference: np.ndarray, grades: np.ndarray, beta: float
) -> tuple[np.ndarray, float]:
    """The implicit rewards (n,) of n answers to one prompt, without the constant β ln Z, and how well they rank them.

    policy and reference (n,) are log-probabilities. grades (n,), integers, say how good the answers are; not all are
    the same. Of all pairs of answers with different grades: the share in which the better one has the higher reward. A
    tie of rewards counts ½. Pairs of equal grades do not count.

    >>> rewards, accuracy = ranking_accuracy(
    ...     np.array([-3.0, -4.0, -8.0]), np.array([-4.0, -5.0, -6.0]), np.array([2, 1, 1]), beta=0.5
    ... )
    >>> rewards.tolist(), accuracy  # the best ties with the second, and beats the third
    ([0.5, 0.5, -1.0], 0.75)
    """
    raise NotImplementedError
