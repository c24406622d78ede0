"""Plausible wrong answers to the exercises of lesson 11: each must fail its check."""

import math

import numpy as np


def logsumexp_of_chunks__overflows(chunks):
    """No maximum at all: e^1000 is inf."""
    with np.errstate(all="ignore"):
        return float(np.log(sum(np.exp(s).sum() for s in chunks)))


def logsumexp_of_chunks__does_not_rescale(chunks):
    """A larger maximum, but the old sum keeps the old one's factor."""
    m, total = -math.inf, 0.0
    for s in chunks:
        m = max(m, s.max())
        total += np.exp(s - m).sum()
    return m + math.log(total) if total > 0 else -math.inf


def logsumexp_of_chunks__is_nan_where_a_chunk_is_hidden(chunks):
    """−∞ − (−∞), where the first chunk has no visible score."""
    m, total = -np.inf, 0.0
    for s in chunks:
        larger = np.maximum(m, s.max())
        total = total * np.exp(m - larger) + np.exp(s - larger).sum()
        m = larger
    return float(m + np.log(total))


def logsumexp_of_chunks__takes_the_first_maximum(chunks):
    """The first chunk's maximum for ever: a later score of 1000 more overflows."""
    m, total = None, 0.0
    for s in chunks:
        if m is None:
            m = s.max() if s.max() > -np.inf else 0.0
        total += np.exp(s - m).sum()
    return float(m + np.log(total)) if total > 0 else -math.inf


def logsumexp_of_chunks__keeps_the_chunks(chunks):
    """list() keeps views of memory that the next chunk overwrites."""
    s = np.concatenate([np.empty(0), *chunks])
    m = s.max(initial=-np.inf)
    return float(m + np.log(np.exp(s - m).sum())) if m > -np.inf else -math.inf


def logsumexp_of_chunks__copies_all_scores(chunks):
    """Right, but all of the scores are in memory at once."""
    s = np.concatenate([np.empty(0), *(chunk.copy() for chunk in chunks)])
    m = s.max(initial=-np.inf)
    return float(m + np.log(np.exp(s - m).sum())) if m > -np.inf else -math.inf


def merge__does_not_rescale(m1, l1, o1, m2, l2, o2):
    """Adds sums that are relative to different maxima."""
    return np.maximum(m1, m2), l1 + l2, o1 + o2


def merge__rescales_only_the_first(m1, l1, o1, m2, l2, o2):
    """Takes it for granted that the second maximum is the larger one."""
    m = np.maximum(m1, m2)
    shrink = np.where(m1 == -np.inf, 0, np.exp(m1 - np.where(m == -np.inf, 0, m)))
    return m, l1 * shrink + l2, o1 * shrink[:, None] + o2


def merge__overflows(m1, l1, o1, m2, l2, o2):
    """Back to absolute sums, then to the new maximum."""
    m = np.maximum(m1, m2)
    finite = np.where(m == -np.inf, 0, m)
    total = (l1 * np.exp(m1) + l2 * np.exp(m2)) * np.exp(-finite)
    o = (o1 * np.exp(m1)[:, None] + o2 * np.exp(m2)[:, None]) * np.exp(-finite)[:, None]
    return m, total, o


def merge__is_nan_where_nobody_has_seen_a_key(m1, l1, o1, m2, l2, o2):
    """−∞ − (−∞)."""
    m = np.maximum(m1, m2)
    one, other = np.exp(m1 - m), np.exp(m2 - m)
    return m, l1 * one + l2 * other, o1 * one[:, None] + o2 * other[:, None]


def merge__takes_one_maximum_for_all_queries(m1, l1, o1, m2, l2, o2):
    """max() of all, so that m is no longer each query's own."""
    m = np.maximum(m1, m2).max(keepdims=True) + 0 * l1
    finite = np.where(m == -np.inf, 0, m)
    one, other = np.exp(m1 - finite), np.exp(m2 - finite)
    return m, l1 * one + l2 * other, o1 * one[:, None] + o2 * other[:, None]


def merge__divides_by_the_sum(m1, l1, o1, m2, l2, o2):
    """The weighted mean: it can be merged no further."""
    m = np.maximum(m1, m2)
    finite = np.where(m == -np.inf, 0, m)
    one, other = np.exp(m1 - finite), np.exp(m2 - finite)
    total = l1 * one + l2 * other
    o = o1 * one[:, None] + o2 * other[:, None]
    return m, total, o / np.where(total == 0, 1, total)[:, None]


def merge__changes_its_inputs(m1, l1, o1, m2, l2, o2):
    """In place: whoever still needs the first part has lost it."""
    m = np.maximum(m1, m2)
    finite = np.where(m == -np.inf, 0, m)
    one, other = np.exp(m1 - finite), np.exp(m2 - finite)
    l1 *= one
    o1 *= one[:, None]
    return m, l1 + l2 * other, o1 + o2 * other[:, None]


def key_tiles__visits_all(first, last, n_keys, width):
    """Masks what lies in the future, but computes it."""
    starts = range(0, n_keys, width)
    return [(start, min(start + width, n_keys), min(start + width, n_keys) - 1 > first) for start in starts]


def key_tiles__leaves_out_the_diagonal(first, last, n_keys, width):
    """Only what all of the queries see."""
    return [(start, start + width, False) for start in range(0, n_keys, width) if start + width - 1 <= first]


def key_tiles__masks_only_what_is_aligned(first, last, n_keys, width):
    """Right where tiles of queries and keys begin at the same places."""
    starts = range(0, min(last, n_keys), width)
    return [(start, min(start + width, n_keys), start == first and last - first > 1) for start in starts]


def key_tiles__compares_with_the_last_query(first, last, n_keys, width):
    """Asks whether the last query may see all keys; the first one sees fewer."""
    starts = range(0, min(last, n_keys), width)
    return [(start, min(start + width, n_keys), min(start + width, n_keys) > last) for start in starts]


def key_tiles__runs_over_the_end(first, last, n_keys, width):
    """Keys that do not exist."""
    return [(start, start + width, start + width - 1 > first) for start in range(0, min(last, n_keys), width)]


def _backward(dout, q, out, lse, tiles, scale=None, causal=True, hidden_before_exp=True, inner=None):
    scale, inner_of = 1 / math.sqrt(q.shape[1]) if scale is None else scale, inner
    dq, dk, dv = np.zeros_like(q), [], []
    for start, k, v in tiles:
        visible = start + np.arange(len(k)) <= np.arange(len(q))[:, None] if causal else np.bool_(True)
        s = scale * (q @ k.T)
        if hidden_before_exp:
            p = np.exp(np.where(visible, s, -np.inf) - lse[:, None])
        else:
            p = np.exp(s - lse[:, None]) * visible
        dp = dout @ v.T
        inner = (dout * out).sum(axis=1, keepdims=True) if inner_of is None else inner_of(p, dp)
        ds = p * (dp - inner)
        dq += scale * (ds @ k)
        dk.append(scale * (ds.T @ q))
        dv.append(p.T @ dout)
    return dq, np.concatenate(dk), np.concatenate(dv)


def attention_backward__forgets_the_scale(dout, q, out, lse, tiles):
    """As if D were 1."""
    return _backward(dout, q, out, lse, tiles, scale=1.0)


def attention_backward__forgets_the_scale_in_the_gradients(dout, q, out, lse, tiles):
    """The scale is in the scores, but not in dq and dk."""
    dq, dk, dv = _backward(dout, q, out, lse, tiles)
    return dq * math.sqrt(q.shape[1]), dk * math.sqrt(q.shape[1]), dv


def attention_backward__looks_into_the_future(dout, q, out, lse, tiles):
    """No mask: e^(S − lse) of a hidden score is no probability."""
    return _backward(dout, q, out, lse, tiles, causal=False)


def attention_backward__hides_after_exp(dout, q, out, lse, tiles):
    """0 · inf is NaN where a hidden score is large."""
    with np.errstate(all="ignore"):
        return _backward(dout, q, out, lse, tiles, hidden_before_exp=False)


def attention_backward__sums_over_its_tile_only(dout, q, out, lse, tiles):
    """Σ P dP over one tile is not D: it needs all keys, or out."""
    return _backward(dout, q, out, lse, tiles, inner=lambda p, dp: (p * dp).sum(axis=1, keepdims=True))


def attention_backward__forgets_the_sum(dout, q, out, lse, tiles):
    """dS = P dP: the softmax's rows could then change their sum."""
    return _backward(dout, q, out, lse, tiles, inner=lambda p, dp: 0.0)


def attention_backward__keeps_the_tiles(dout, q, out, lse, tiles):
    """list() keeps views of memory that the next tile overwrites."""
    return _backward(dout, q, out, lse, list(tiles))


def attention_backward__has_the_matrix(dout, q, out, lse, tiles):
    """Right, but copies all tiles and makes T × T arrays."""
    copies = [(k.copy(), v.copy()) for _, k, v in tiles]
    k, v = (np.concatenate(arrays) for arrays in zip(*copies, strict=True))
    return _backward(dout, q, out, lse, [(0, k, v)])


def attention_backward__changes_dout(dout, q, out, lse, tiles):
    """Scales dout in place, and what it computes from then on is wrong for others."""
    result = _backward(dout, q, out, lse, tiles)
    dout *= 0
    return result
