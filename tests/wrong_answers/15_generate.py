"""Plausible wrong answers to the exercises of lesson 15: each must fail its check."""

import numpy as np


def repetition_penalty__divides_all(scores, ids, penalty):
    """As in the first paper on it: negative scores rise."""
    lowered = scores.copy()
    lowered[ids] = scores[ids] / penalty
    return lowered


def repetition_penalty__counts_repetitions(scores, ids, penalty):
    """Once for each time that a token occurs."""
    lowered = scores.copy()
    for i in ids:
        lowered[i] = lowered[i] * penalty if lowered[i] < 0 else lowered[i] / penalty
    return lowered


def repetition_penalty__writes_into_the_scores(scores, ids, penalty):
    """The caller's array is changed."""
    of_text = scores[ids]
    scores[ids] = np.where(of_text < 0, of_text * penalty, of_text / penalty)
    return scores


def repetition_penalty__lowers_every_token(scores, ids, penalty):
    """`ids` is not looked at."""
    return np.where(scores < 0, scores * penalty, scores / penalty)


def repetition_penalty__subtracts(scores, ids, penalty):
    """Another penalty, which OpenAI's API calls presence_penalty."""
    lowered = scores.copy()
    lowered[ids] -= penalty
    return lowered


def _nucleus(p, top_p, sums_of, divide=True):
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    kept = np.zeros_like(p)
    np.put_along_axis(kept, order, np.where(sums_of(ranked), ranked, 0), axis=1)
    total = kept.sum(axis=1, keepdims=True)
    return kept / np.where(total > 0, total, 1) if divide else kept


def nucleus__drops_the_token_that_crosses(p, top_p):
    """The sum with the token has to be at most top_p; often nothing is left."""
    return _nucleus(p, top_p, lambda ranked: np.cumsum(ranked, axis=1) <= top_p)


def nucleus__keeps_one_too_many(p, top_p):
    """≤ where < is right: a sum that reaches top_p exactly gets one more token."""
    return _nucleus(p, top_p, lambda ranked: np.cumsum(ranked, axis=1) - ranked <= top_p)


def nucleus__is_not_divided_by_the_sum(p, top_p):
    """The rows do not sum to 1."""
    return _nucleus(p, top_p, lambda ranked: np.cumsum(ranked, axis=1) - ranked < top_p, divide=False)


def nucleus__does_not_undo_the_sorting(p, top_p):
    """The probabilities of the sorted row, given to tokens 0, 1, 2, …"""
    ranked = -np.sort(-p, axis=1)
    kept = np.where(np.cumsum(ranked, axis=1) - ranked < top_p, ranked, 0)
    return kept / kept.sum(axis=1, keepdims=True)


def nucleus__does_not_sort(p, top_p):
    """The first tokens of the vocabulary, not the likeliest."""
    kept = np.where(np.cumsum(p, axis=1) - p < top_p, p, 0)
    return kept / kept.sum(axis=1, keepdims=True)


def nucleus__keeps_all_that_equal_the_least(p, top_p):
    """A threshold on the probability: of equally likely tokens all are kept."""
    ranked = -np.sort(-p, axis=1)
    n_kept = (np.cumsum(ranked, axis=1) - ranked < top_p).sum(axis=1, keepdims=True)
    kept = np.where(p >= np.take_along_axis(ranked, n_kept - 1, axis=1), p, 0)
    return kept / kept.sum(axis=1, keepdims=True)


def nucleus__breaks_ties_from_the_end(p, top_p):
    """argsort backwards: of equally likely tokens the last come first."""
    return _nucleus(p[:, ::-1], top_p, lambda ranked: np.cumsum(ranked, axis=1) - ranked < top_p)[:, ::-1]


def nucleus__is_one_for_all_rows(p, top_p):
    """As many tokens in each row as the first row needs."""
    n_kept = int((np.cumsum(-np.sort(-p[0])) < top_p).sum()) + 1
    return _nucleus(p, top_p, lambda ranked: np.arange(ranked.shape[1]) < n_kept)


def _attend(q, k, v, keys, values, visible, scale=None, largest=None):
    keys, values = np.concatenate([keys, k]), np.concatenate([values, v])
    scores = q @ keys.T * (q.shape[1] ** -0.5 if scale is None else scale)
    scores = np.where(visible(*scores.shape), scores, -np.inf)
    weights = np.exp(scores - (scores.max(axis=1, keepdims=True) if largest is None else largest))
    return weights / weights.sum(axis=1, keepdims=True) @ values, keys, values


def _causal(T, n):
    return np.tri(T, n, n - T, dtype=bool)


def attend__without_a_mask(q, k, v, keys, values):
    """Right for one new token; of several, the first looks at the last."""
    return _attend(q, k, v, keys, values, lambda T, n: np.ones((T, n), bool))


def attend__masks_from_the_first_key(q, k, v, keys, values):
    """New token t sees keys 0 … t only, as if there were no old ones."""
    return _attend(q, k, v, keys, values, lambda T, n: np.tri(T, n, dtype=bool))


def attend__does_not_look_at_itself(q, k, v, keys, values):
    """One key too few; the first token of all sees nothing."""
    with np.errstate(all="ignore"):
        return _attend(q, k, v, keys, values, lambda T, n: np.tri(T, n, n - T - 1, dtype=bool))


def attend__forgets_the_scale(q, k, v, keys, values):
    """Right for one feature."""
    return _attend(q, k, v, keys, values, _causal, scale=1.0)


def attend__divides_by_the_features(q, k, v, keys, values):
    """D instead of √D."""
    return _attend(q, k, v, keys, values, _causal, scale=1 / q.shape[1])


def attend__overflows(q, k, v, keys, values):
    """exp of the scores as they are."""
    with np.errstate(all="ignore"):
        return _attend(q, k, v, keys, values, _causal, largest=0)


def attend__puts_the_new_ones_first(q, k, v, keys, values):
    """The result is right for one token, the cache is in the wrong order."""
    out, _, _ = _attend(q, k, v, keys, values, _causal)
    return out, np.concatenate([k, keys]), np.concatenate([v, values])


def attend__returns_the_old_cache(q, k, v, keys, values):
    """The next call will not know of these tokens."""
    return _attend(q, k, v, keys, values, _causal)[0], keys, values


def _search(log_probs, num_beams, end, max_new_tokens, keep):
    running, finished = [([], 0.0)], []
    for _ in range(max_new_tokens):
        candidates = [[([*s, i], x + float(p)) for i, p in enumerate(log_probs(s))] for s, x in running]
        best = keep(candidates, num_beams)
        finished += [text for text in best if text[0][-1] == end]
        running = [text for text in best if text[0][-1] != end]
    return finished, running


def _best(candidates, num_beams):
    return sorted((text for texts in candidates for text in texts), key=lambda text: -text[1])[:num_beams]


def _winner(texts, length_penalty):
    scored = [(s, x / len(s) ** length_penalty) for s, x in texts]
    return max(scored, key=lambda text: text[1])


def beam_search__is_greedy(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """num_beams is not used."""
    finished, running = _search(log_probs, 1, end, max_new_tokens, _best)
    return _winner(finished + running, length_penalty)


def beam_search__has_no_length_penalty(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """The largest sum wins, and is returned."""
    finished, running = _search(log_probs, num_beams, end, max_new_tokens, _best)
    return _winner(finished + running, 0)


def beam_search__returns_the_sum(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """The right text, but what it is compared by is not its score."""
    finished, running = _search(log_probs, num_beams, end, max_new_tokens, _best)
    tokens, score = _winner(finished + running, length_penalty)
    return tokens, score * len(tokens) ** length_penalty


def beam_search__does_not_count_the_end(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """The length is that of the text without `end`."""
    finished, running = _search(log_probs, num_beams, end, max_new_tokens, _best)
    scored = [(s, x / max(len(s) - (s[-1] == end), 1) ** length_penalty) for s, x in finished + running]
    return max(scored, key=lambda text: text[1])


def beam_search__chooses_for_each_text(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """Each text keeps its own likeliest continuation, so that none crowds out another."""
    finished, running = _search(
        log_probs, num_beams, end, max_new_tokens, lambda all_of, n: [_best([texts], 1)[0] for texts in all_of]
    )
    return _winner(finished + running, length_penalty)


def beam_search__keeps_beams_for_each_text(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """num_beams of each text remain: they become more and more."""

    def keep(candidates, n):
        return [text for texts in candidates for text in _best([texts], n)]

    finished, running = _search(log_probs, num_beams, end, max_new_tokens, keep)
    return _winner(finished + running, length_penalty)


def beam_search__forgets_open_texts(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """What has not ended after the last step is lost."""
    finished, running = _search(log_probs, num_beams, end, max_new_tokens, _best)
    return _winner(finished or running, length_penalty)


def beam_search__takes_the_first_finished(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """It stops at the first text that ends."""
    for n in range(1, max_new_tokens + 1):
        finished, running = _search(log_probs, num_beams, end, n, _best)
        if finished:
            return _winner(finished, length_penalty)
    return _winner(running, length_penalty)


def beam_search__goes_on_after_the_end(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """`end` is a token like any other."""
    _, running = _search(log_probs, num_beams, None, max_new_tokens, _best)
    return _winner(running, length_penalty)


def beam_search__looks_at_the_last_token_only(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """Right for a chain, but a model reads the whole text."""
    finished, running = _search(lambda tokens: log_probs(tokens[-1:]), num_beams, end, max_new_tokens, _best)
    return _winner(finished + running, length_penalty)


def beam_search__fills_the_places_of_finished_texts(log_probs, num_beams, end, max_new_tokens, length_penalty):
    """num_beams open texts go on beside those that finish; here these take places among the num_beams."""
    running, finished = [([], 0.0)], []
    for _ in range(max_new_tokens):
        best = _best([[([*s, i], x + float(p)) for i, p in enumerate(log_probs(s))] for s, x in running], 10**6)
        finished += [text for text in best if text[0][-1] == end]
        running = [text for text in best if text[0][-1] != end][:num_beams]
    return _winner(finished + running, length_penalty)
