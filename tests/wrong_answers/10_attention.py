"""Plausible wrong answers to the exercises of lesson 10: each must fail its check."""

import math

import numpy as np


def _softmax(scores, axis=-1):
    e = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _masked(scores):
    return np.where(np.tri(len(scores), dtype=bool), scores, -np.inf)


def causal_weights__divides_by_the_window(T, window):
    """The first rows do not sum to 1."""
    distance = np.arange(T)[:, None] - np.arange(T)
    return ((distance >= 0) & (distance < window)) / window


def causal_weights__is_one_too_long(T, window):
    """distance ≤ window: window + 1 tokens."""
    distance = np.arange(T)[:, None] - np.arange(T)
    seen = (distance >= 0) & (distance <= window)
    return seen / seen.sum(axis=1, keepdims=True)


def causal_weights__looks_ahead(T, window):
    """Rows and columns exchanged."""
    distance = np.arange(T) - np.arange(T)[:, None]
    seen = (distance >= 0) & (distance < window)
    return seen / seen.sum(axis=1, keepdims=True)


def causal_weights__forgets_the_window(T, window):
    """All of the past."""
    return np.tri(T) / np.arange(1, T + 1)[:, None]


def attention__has_no_scale(q, k, v):
    """Right for D = 1 only."""
    return _softmax(_masked(q @ k.T)) @ v


def attention__divides_by_d(q, k, v):
    """1/D instead of 1/√D."""
    return _softmax(_masked(q @ k.T / q.shape[1])) @ v


def attention__masks_after_the_softmax(q, k, v):
    """Rows do not sum to 1, and depend on the future."""
    return np.tril(_softmax(q @ k.T / math.sqrt(q.shape[1]))) @ v


def attention__masks_with_zero(q, k, v):
    """A score of 0 is not a weight of 0."""
    return _softmax(np.tril(q @ k.T / math.sqrt(q.shape[1]))) @ v


def attention__normalises_over_the_queries(q, k, v):
    """The columns sum to 1."""
    return _softmax(_masked(q @ k.T / math.sqrt(q.shape[1])), axis=0) @ v


def attention__does_not_see_itself(q, k, v):
    """The triangle is off by one: the first token, which sees nothing then, gets zeros."""
    scores = np.where(np.tri(len(q), k=-1, dtype=bool), q @ k.T / math.sqrt(q.shape[1]), -1e30)
    return np.tril(_softmax(scores), -1) @ v


def attention__sees_one_token_of_the_future(q, k, v):
    """The triangle is off by one, on the other side."""
    scores = np.where(np.tri(len(q), k=1, dtype=bool), q @ k.T / math.sqrt(q.shape[1]), -np.inf)
    return _softmax(scores) @ v


def attention__exchanges_queries_and_keys(q, k, v):
    """k qᵀ is the transposed table."""
    return _softmax(_masked(k @ q.T / math.sqrt(q.shape[1]))) @ v


def attention__renormalises_after_a_softmax_of_all(q, k, v):
    """The same on paper; but one large score of the future makes all that is left 0/0."""
    weights = np.tril(_softmax(q @ k.T / math.sqrt(q.shape[1])))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def attention__overflows(q, k, v):
    """No maximum is subtracted."""
    e = np.exp(_masked(q @ k.T / math.sqrt(q.shape[1])))
    return e / e.sum(axis=1, keepdims=True) @ v


def _gradient(q, k, v, dout, scale=None, centre=True):
    scale = 1 / math.sqrt(q.shape[1]) if scale is None else scale
    p = _softmax(_masked(q @ k.T / math.sqrt(q.shape[1])))
    dp = dout @ v.T
    ds = p * (dp - (p * dp).sum(axis=1, keepdims=True) if centre else dp)
    return scale * ds @ k, scale * ds.T @ q, p.T @ dout


def attention_gradient__forgets_the_scale(q, k, v, dout):
    """The scale is a factor of the scores, so of their gradients too."""
    return _gradient(q, k, v, dout, scale=1.0)


def attention_gradient__forgets_the_mean(q, k, v, dout):
    """As if softmax worked on each score by itself."""
    return _gradient(q, k, v, dout, centre=False)


def attention_gradient__takes_the_plain_mean(q, k, v, dout):
    """The mean of dP over the columns, not under the weights."""
    p = _softmax(_masked(q @ k.T / math.sqrt(q.shape[1])))
    dp = dout @ v.T
    ds = p * (dp - dp.mean(axis=1, keepdims=True)) / math.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dout


def attention_gradient__does_not_transpose(q, k, v, dout):
    """P and dS where Pᵀ and dSᵀ belong: the shapes fit all the same."""
    p = _softmax(_masked(q @ k.T / math.sqrt(q.shape[1])))
    dp = dout @ v.T
    ds = p * (dp - (p * dp).sum(axis=1, keepdims=True)) / math.sqrt(q.shape[1])
    return ds @ k, ds @ q, p @ dout


def attention_gradient__exchanges_dq_and_dk(q, k, v, dout):
    """The right arrays in the wrong order."""
    dq, dk, dv = _gradient(q, k, v, dout)
    return dk, dq, dv


def attention_gradient__forgets_the_mask(q, k, v, dout):
    """Tokens of the future get gradients."""
    p = _softmax(q @ k.T / math.sqrt(q.shape[1]))
    dp = dout @ v.T
    ds = p * (dp - (p * dp).sum(axis=1, keepdims=True)) / math.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dout


def _scores(q, k):
    return q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])


def padded_attention__is_nan_where_nothing_is_seen(q, k, v, is_token):
    """0/0 for a sentence without tokens."""
    return _softmax(np.where(is_token[:, None], _scores(q, k), -np.inf)) @ v


def padded_attention__sees_all_where_nothing_is_seen(q, k, v, is_token):
    """A large negative number instead of −∞: a sentence of padding becomes the mean of its padding."""
    return _softmax(np.where(is_token[:, None], _scores(q, k), -1e9)) @ v


def padded_attention__takes_the_mask_the_other_way_round(q, k, v, is_token):
    """True means "is a token", not "is masked"."""
    weights = np.where(is_token.any(axis=1)[:, None, None], np.where(is_token[:, None], -1e30, _scores(q, k)), 0)
    return np.where(is_token.any(axis=1)[:, None, None], _softmax(weights) @ v, 0)


def padded_attention__only_clears_the_padding(q, k, v, is_token):
    """Keys and values of 0 have scores of 0, and these have weights."""
    keep = is_token[:, :, None]
    return _softmax(_scores(q, np.where(keep, k, 0))) @ np.where(keep, v, 0)


def padded_attention__multiplies_and_renormalises(q, k, v, is_token):
    """The mask after the softmax: a huge key in the padding leaves nothing to renormalise."""
    weights = _softmax(_scores(q, k)) * is_token[:, None]
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def padded_attention__is_causal_too(q, k, v, is_token):
    """A mask that nobody asked for."""
    seen = is_token[:, None] & np.tri(q.shape[1], k.shape[1], dtype=bool)
    weights = np.where(seen, np.exp(np.minimum(_scores(q, k), 50)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def padded_attention__uses_the_first_sentences_mask(q, k, v, is_token):
    """One mask for the whole batch."""
    seen = np.broadcast_to(is_token[0], (len(q), 1, k.shape[1]))
    table = np.where(seen, _scores(q, k), -1e30)
    return np.where(seen.any(axis=-1, keepdims=True), _softmax(table), 0) @ v
