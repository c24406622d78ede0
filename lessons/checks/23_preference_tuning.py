"""How the exercises of lesson 23 are graded."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.school import exercise, expect, search
from tinygrad_llm.testing import float_arrays
from tinygrad_llm.train.dpo import PreferenceScores, dpo_loss


def log_softmax(scores):
    return F.log_softmax(Tensor(np.asarray(scores, np.float64)), dim=-1).data


@st.composite
def rows(draw):
    """Scores (B, T, V), ids (B, T) and which of them are of the answer, at least one for which there is a score."""
    B, T, V = draw(st.integers(1, 2)), draw(st.integers(2, 3)), draw(st.integers(1, 3))
    size = {"min_size": B * T, "max_size": B * T}
    ids = np.array(draw(st.lists(st.integers(0, V - 1), **size))).reshape(B, T)
    is_answer = np.array(draw(st.lists(st.booleans(), **size))).reshape(B, T)
    is_answer[0, 1] = True
    return draw(float_arrays((B, T, V))), ids, is_answer


def answer_log_probs_ref(scores, ids, is_answer):
    log_p = log_softmax(scores)
    return np.array(
        [
            sum((log_p[b, t - 1, ids[b, t]] for t in range(1, ids.shape[1]) if is_answer[b, t]), 0.0)
            for b in range(len(ids))
        ]
    )


@exercise(
    "Which scores predict the token at place t? Where do the prompt and the padding go?",
    "Take the log-softmax of scores[:, :-1], pick the tokens ids[:, 1:] from it, sum where is_answer[:, 1:] is True.",
)
def answer_log_probs(answer):
    scores = np.log([[[1.0, 3.0], [3.0, 1.0], [1.0, 1.0]]])
    ids, mask = np.array([[0, 1, 0]]), np.array([[False, True, True]])
    expect(answer, scores, ids, mask, equals=np.array([2 * math.log(3 / 4)]), why="the example: two tokens of 3/4 each")
    only = np.array([[False, False, True]])
    expect(answer, scores, ids, only, equals=np.array([math.log(3 / 4)]), why="the prompt's tokens do not count")
    padded = np.array([[False, True, False]])
    expect(answer, scores, ids, padded, equals=np.array([math.log(3 / 4)]), why="the padding's tokens do not count")
    none = np.array([[False, False, False]])
    expect(answer, scores, ids, none, equals=np.array([0.0]), why="an empty sum is 0")
    first = np.array([[True, True, False]])
    expect(answer, scores, ids, first, equals=np.array([math.log(3 / 4)]), why="nothing predicts the first token")
    with np.errstate(all="ignore"):
        search(lambda drawn: expect(answer, *drawn, equals=answer_log_probs_ref(*drawn)), rows())
        far = np.array([[[0.0, 1000.0], [0.0, 0.0]]])
        two, last = np.array([[0, 0]]), np.array([[False, True]])
        expect(answer, far, two, last, equals=np.array([-1000.0]), why="a probability may be too small for a float")
        outside = np.array([[[0.0, 0.0], [0.0, -np.inf]]])
        expect(
            answer,
            outside,
            np.array([[0, 1]]),
            last,
            equals=np.array([-math.log(2)]),
            why="the last scores predict nothing",
        )
        three = np.array([[[0.0, -np.inf], [0.0, 0.0], [0.0, 0.0]]])
        why = "what does not count adds nothing, not even where it is impossible: 0 · (−inf) is NaN"
        expect(answer, three, np.array([[0, 1, 0]]), only, equals=np.array([-math.log(2)]), why=why)


def dpo_ref(chosen, rejected, ref_chosen, ref_rejected, beta):
    policy = Tensor(np.concatenate([chosen, rejected]), requires_grad=True)
    loss, _ = dpo_loss(policy, np.concatenate([ref_chosen, ref_rejected]), beta)
    loss.backward()
    by_policy = policy.grad.data.reshape(2, -1)
    return loss.item(), np.concatenate([by_policy, -by_policy])


@exercise(
    "−ln σ(m) = ln(1 + e^(−m)). Where does that overflow, and which NumPy function computes ln(e^a + e^b)?",
    "The loss is the mean of np.logaddexp(0, −m). With w = β σ(−m) / B the rows are −w, w, w, −w: how does m depend on "
    "each of the four?",
)
def dpo(answer):
    def check(*arrays, beta, why=""):
        expect(answer, *map(np.array, arrays), beta, equals=dpo_ref(*map(np.array, arrays), beta), why=why)

    with np.errstate(all="ignore"):
        check([-3.0], [-5.0], [-3.0], [-5.0], beta=0.1, why="at the start the loss is ln 2 and the slopes are ±β/2")
        check([-1.0], [-5.0], [-3.0], [-5.0], beta=0.5, why="the chosen answer gained 2 nats, the margin is β · 2")
        check([-3.0], [-5.0], [-3.0], [-2.0], beta=0.5, why="the rejected answer lost 3 nats, the margin is β · 3")
        why = "loss and gradient are those of the mean over the pairs"
        check([0.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0], beta=1.0, why=why)
        four = st.integers(1, 2).flatmap(lambda n: st.tuples(*[float_arrays((n,))] * 4))
        search(lambda drawn, beta: check(*drawn, beta=beta), four, st.sampled_from([1.0, 0.5, 0.1]))
        for margin in (-10000.0, 10000.0):
            check([margin], [0.0], [0.0], [0.0], beta=1.0, why=f"for a margin of {margin:g} all has to stay finite")


def kl_ref(scores, ref_scores, counts):
    found = []
    for b, t in np.argwhere(counts):
        log_p, log_q = log_softmax(scores[b, t]), log_softmax(ref_scores[b, t])
        found.append(math.fsum(math.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True)))
    return math.fsum(found) / len(found)


@exercise(
    "Whose probabilities weigh the terms, the model's or the reference's? Do you take the logarithm of a 0?",
    "Take both log-softmaxes (lesson 05), weigh their difference by the exp of the first, sum over the vocabulary, and "
    "take the mean of the places chosen by [counts].",
)
def kl_per_token(answer):
    p, q = np.log([[[0.75, 0.25], [0.5, 0.5]]]), np.log([[[0.5, 0.5], [0.9, 0.1]]])
    one = np.array([[True, False]])
    with np.errstate(all="ignore"):
        expect(answer, p, q, one, equals=kl_ref(p, q, one), why="the example: 0.75 ln 1.5 + 0.25 ln 0.5")
        expect(answer, q, p, one, equals=kl_ref(q, p, one), why="KL(p ‖ q) is not KL(q ‖ p)")
        expect(answer, p, p, one, equals=0.0, why="a model that has not moved")
        both = np.array([[True, True]])
        expect(answer, p, q, both, equals=kl_ref(p, q, both), why="the mean over two places")
        shifted = p + np.array([[[5.0], [-3.0]]])
        expect(answer, shifted, q, both, equals=kl_ref(p, q, both), why="a shift of all scores changes no softmax")
        p3, q3 = (np.concatenate([each, each[:, ::-1]]) for each in (p, q))
        uneven = np.array([[True, False], [True, True]])
        why = "the mean is over all three places, not over rows first"
        expect(answer, p3, q3, uneven, equals=kl_ref(p3, q3, uneven), why=why)

        def check(drawn, others):
            scores, _, counts = drawn
            ref_scores = np.resize(others, scores.shape)
            expect(answer, scores, ref_scores, counts, equals=float(kl_ref(scores, ref_scores, counts)), atol=1e-7)

        search(check, rows(), float_arrays((3,)))
        far, near, here = np.array([[[1000.0, 0.0]]]), np.zeros((1, 1, 2)), np.array([[True]])
        expect(answer, far, near, here, equals=math.log(2), why="a probability of 0 adds nothing: 0 · (−inf) is NaN")
        expect(answer, near, far, here, equals=500 - math.log(2), why="finite, though the reference says almost never")


def ranking_ref(policy, reference, grades, beta):
    rewards, right = beta * (policy - reference), []
    for i in range(len(grades)):
        for j in range(len(grades)):
            if grades[i] > grades[j]:
                right.append(1.0 if rewards[i] > rewards[j] else 0.5 if rewards[i] == rewards[j] else 0.0)
    return rewards, sum(right) / len(right)


halves = st.integers(-4, 0).map(lambda n: n / 2)  # sums of these are exact, so that ties are ties


@st.composite
def graded(draw):
    """Log-probabilities under both models and grades of two to four answers, with at least two grades."""
    n = draw(st.integers(2, 4))
    size = {"min_size": n, "max_size": n}
    grades = draw(st.lists(st.integers(0, 2), **size).filter(lambda grades: len(set(grades)) > 1))
    return np.array(draw(st.lists(halves, **size))), np.array(draw(st.lists(halves, **size))), np.array(grades)


@exercise(
    "What did each answer gain over the reference? Which pairs (i, j) have grades[i] > grades[j]?",
    "rewards = β (policy − reference). Over the pairs with grades[i] > grades[j] take the mean of 1, ½ or 0: that is "
    "(sign(rewards[i] − rewards[j]) + 1) / 2.",
)
def ranking_accuracy(answer):
    def check(policy, reference, grades, beta, why=""):
        inputs = [np.array(each) for each in (policy, reference, grades)]
        expect(answer, *inputs, beta, equals=ranking_ref(*inputs, beta), why=why)

    check([-3.0, -4.0, -8.0], [-4.0, -5.0, -6.0], [2, 1, 1], 0.5, "the example: a tie, and one that is right")
    check([-1.0, -2.0], [-1.0, -4.0], [0, 1], 1.0, "the less likely answer gained more over the reference")
    check([-1.0, -1.0], [-1.0, -1.0], [0, 1], 0.1, "an untrained model knows nothing: all ties, a coin's accuracy")
    check([-1.0, -2.0, -3.0], [0.0, 0.0, 0.0], [1, 1, 0], 1.0, "a pair of equal grades does not count")
    check([-1.0, -2.0, -3.0], [0.0, 0.0, 0.0], [0, 5, 1], 1.0, "grades are only compared, not subtracted")
    search(lambda drawn, beta: check(*drawn, beta), graded(), st.sampled_from([1.0, 0.5, 0.25]))
    pair = PreferenceScores(np.array([[-2.0, -3.0]]), np.array([[-2.5, -1.0]]), 0.5)
    inputs = (pair.policy[0], pair.reference[0], np.array([1, 0]), 0.5)
    expect(answer, *inputs, equals=(pair.rewards[0], pair.reward_accuracy), why="of two answers it is the library's")
