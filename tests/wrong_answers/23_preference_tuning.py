"""Plausible wrong answers to the exercises of lesson 23: each must fail its check."""

from itertools import pairwise

import numpy as np


def _log_softmax(scores):
    z = scores - scores.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def answer_log_probs__does_not_shift(scores, ids, is_answer):
    """Takes scores[t] for the token at t, which the model has already read."""
    of_tokens = np.take_along_axis(_log_softmax(scores), ids[..., None], axis=-1)[..., 0]
    return np.where(is_answer, of_tokens, 0.0).sum(axis=1)


def answer_log_probs__shifts_the_mask_wrongly(scores, ids, is_answer):
    """The mask of the token before: the answer's first token is lost, and one too many at its end counts."""
    of_tokens = np.take_along_axis(_log_softmax(scores[:, :-1]), ids[:, 1:, None], axis=-1)[..., 0]
    return np.where(is_answer[:, :-1], of_tokens, 0.0).sum(axis=1)


def answer_log_probs__counts_the_prompt(scores, ids, is_answer):
    """The log-probability of everything, padding included."""
    return np.take_along_axis(_log_softmax(scores[:, :-1]), ids[:, 1:, None], axis=-1)[..., 0].sum(axis=1)


def answer_log_probs__is_the_mean(scores, ids, is_answer):
    """Per token: another quantity, which does not depend on the length."""
    of_tokens = np.take_along_axis(_log_softmax(scores[:, :-1]), ids[:, 1:, None], axis=-1)[..., 0]
    return np.where(is_answer[:, 1:], of_tokens, 0.0).sum(axis=1) / np.maximum(is_answer[:, 1:].sum(axis=1), 1)


def answer_log_probs__takes_the_log_of_a_softmax(scores, ids, is_answer):
    """ln 0 where a probability is too small for a float."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))[:, :-1]
    p = np.take_along_axis(e / e.sum(axis=-1, keepdims=True), ids[:, 1:, None], axis=-1)[..., 0]
    return np.where(is_answer[:, 1:], np.log(p), 0.0).sum(axis=1)


def answer_log_probs__multiplies_by_the_mask(scores, ids, is_answer):
    """0 · (−inf) is NaN."""
    of_tokens = np.take_along_axis(_log_softmax(scores[:, :-1]), ids[:, 1:, None], axis=-1)[..., 0]
    return (is_answer[:, 1:] * of_tokens).sum(axis=1)


def dpo__overflows(chosen, rejected, ref_chosen, ref_rejected, beta):
    """The formula as it stands in the paper."""
    margins = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    loss, w = -np.log(1 / (1 + np.exp(-margins))), beta / (1 + np.exp(margins)) / len(margins)
    return float(loss.mean()), np.stack([-w, w, w, -w])


def dpo__forgets_the_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    """Rewards of the model's log-probabilities alone."""
    margins = beta * (chosen - rejected)
    w = beta * np.exp(-np.logaddexp(0, margins)) / len(margins)
    return float(np.logaddexp(0, -margins).mean()), np.stack([-w, w, 0 * w, 0 * w])


def dpo__forgets_beta_in_the_gradient(chosen, rejected, ref_chosen, ref_rejected, beta):
    """The gradient by the margin, not by the log-probabilities."""
    margins = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    w = np.exp(-np.logaddexp(0, margins)) / len(margins)
    return float(np.logaddexp(0, -margins).mean()), np.stack([-w, w, w, -w])


def dpo__forgets_the_mean_in_the_gradient(chosen, rejected, ref_chosen, ref_rejected, beta):
    """The gradient of the sum."""
    margins = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    w = beta * np.exp(-np.logaddexp(0, margins))
    return float(np.logaddexp(0, -margins).mean()), np.stack([-w, w, w, -w])


def dpo__weighs_right_pairs(chosen, rejected, ref_chosen, ref_rejected, beta):
    """σ(m) in place of σ(−m): what is right already would teach most."""
    margins = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
    w = beta * np.exp(-np.logaddexp(0, -margins)) / len(margins)
    return float(np.logaddexp(0, -margins).mean()), np.stack([-w, w, w, -w])


def dpo__clips_the_margin(chosen, rejected, ref_chosen, ref_rejected, beta):
    """No inf any more, but a wrong loss where it is largest."""
    margins = np.clip(beta * ((chosen - ref_chosen) - (rejected - ref_rejected)), -500, 500)
    w = beta / (1 + np.exp(margins)) / len(margins)
    return float(np.log(1 + np.exp(-margins)).mean()), np.stack([-w, w, w, -w])


def kl_per_token__is_the_other_way_round(scores, ref_scores, counts):
    """KL(p_ref ‖ p)."""
    log_p, log_q = _log_softmax(scores[counts]), _log_softmax(ref_scores[counts])
    return float((np.exp(log_q) * (log_q - log_p)).sum(axis=-1).mean())


def kl_per_token__counts_every_place(scores, ref_scores, counts):
    """Forgets the mask."""
    log_p, log_q = _log_softmax(scores), _log_softmax(ref_scores)
    return float((np.exp(log_p) * (log_p - log_q)).sum(axis=-1).mean())


def kl_per_token__divides_by_every_place(scores, ref_scores, counts):
    """Masks the sum, but takes the mean over all places."""
    log_p, log_q = _log_softmax(scores), _log_softmax(ref_scores)
    return float(((np.exp(log_p) * (log_p - log_q)).sum(axis=-1) * counts).mean())


def kl_per_token__is_the_mean_over_the_vocabulary(scores, ref_scores, counts):
    """Divides by V as well."""
    log_p, log_q = _log_softmax(scores[counts]), _log_softmax(ref_scores[counts])
    return float((np.exp(log_p) * (log_p - log_q)).mean())


def kl_per_token__takes_the_mean_of_rows(scores, ref_scores, counts):
    """A mean of means: places of short answers count more."""
    log_p, log_q = _log_softmax(scores), _log_softmax(ref_scores)
    each = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    return float(np.mean([row[mask].mean() for row, mask in zip(each, counts, strict=True) if mask.any()]))


def kl_per_token__takes_the_log_of_a_softmax(scores, ref_scores, counts):
    """0 · (−inf) where a probability is too small for a float."""
    p, q = np.exp(_log_softmax(scores[counts])), np.exp(_log_softmax(ref_scores[counts]))
    return float((p * np.log(p / q)).sum(axis=-1).mean())


def ranking_accuracy__ranks_by_likelihood(policy, reference, grades, beta):
    """Which answer is likelier, not which one gained."""
    right = (np.sign(policy[:, None] - policy[None, :]) + 1) / 2
    return beta * (policy - reference), float(right[grades[:, None] > grades[None, :]].mean())


def ranking_accuracy__calls_ties_wrong(policy, reference, grades, beta):
    """A tie counts 0: an untrained model would seem to prefer the bad answers."""
    rewards = beta * (policy - reference)
    right = rewards[:, None] > rewards[None, :]
    return rewards, float(right[grades[:, None] > grades[None, :]].mean())


def ranking_accuracy__counts_equal_grades(policy, reference, grades, beta):
    """Pairs of which neither is better."""
    rewards = beta * (policy - reference)
    same = np.sign(rewards[:, None] - rewards[None, :]) == np.sign(grades[:, None] - grades[None, :])
    return rewards, float(same[np.triu_indices(len(grades), 1)].mean())


def ranking_accuracy__compares_neighbours_only(policy, reference, grades, beta):
    """In the order of the grades, each with the next one."""
    rewards, order = beta * (policy - reference), np.argsort(-grades, kind="stable")
    right = [(np.sign(rewards[i] - rewards[j]) + 1) / 2 for i, j in pairwise(order) if grades[i] > grades[j]]
    return rewards, float(np.mean(right))


def ranking_accuracy__forgets_beta(policy, reference, grades, beta):
    """The ranking is right, the rewards are not."""
    rewards = policy - reference
    right = (np.sign(rewards[:, None] - rewards[None, :]) + 1) / 2
    return rewards, float(right[grades[:, None] > grades[None, :]].mean())
