"""Plausible wrong answers to the exercises of lesson 21: each must fail its check."""

import itertools
import math
from collections import Counter

import numpy as np


def _attend(x, source, mask, w_query, w_key, w_value, n_heads, scale=None, axis=-1, stable=True):
    """Right, but for what the arguments change; mask (B, S) or None."""

    def heads(rows):
        return rows.reshape(*rows.shape[:2], n_heads, -1).transpose(0, 2, 1, 3)

    queries, keys, values = heads(x @ w_query), heads(source @ w_key), heads(source @ w_value)
    scores = queries @ keys.transpose(0, 1, 3, 2) / math.sqrt(scale or keys.shape[-1])
    scores = scores if mask is None else np.where(mask[:, None, None], scores, -np.inf)
    e = np.exp(scores - scores.max(axis=axis, keepdims=True)) if stable else np.exp(scores)
    return (e / e.sum(axis=axis, keepdims=True) @ values).transpose(0, 2, 1, 3).reshape(x.shape)


def cross_attention__forgets_the_mask(x, source, is_token, *rest):
    """Padding is looked at."""
    return _attend(x, source, None, *rest)


def cross_attention__sets_padding_to_zero(x, source, is_token, *rest):
    """Zero vectors have the score 0, not −∞: they still get weight."""
    return _attend(x, source * is_token[..., None], None, *rest)


def cross_attention__scales_by_all_columns(x, source, is_token, *rest):
    """√C instead of √D."""
    return _attend(x, source, is_token, *rest, scale=x.shape[-1])


def cross_attention__overflows(x, source, is_token, *rest):
    """e^1000."""
    return _attend(x, source, is_token, *rest, stable=False)


def cross_attention__has_one_head(x, source, is_token, w_query, w_key, w_value, n_heads):
    """All columns in one product, though scaled as if there were several heads."""
    return _attend(x, source, is_token, w_query, w_key, w_value, 1, scale=x.shape[-1] / n_heads)


def cross_attention__takes_values_from_x(x, source, is_token, w_query, w_key, w_value, n_heads):
    """Self-attention: the source is not read."""
    return _attend(x, x, None, w_query, w_key, w_value, n_heads)


def cross_attention__transposes_the_matrices(x, source, is_token, w_query, w_key, w_value, n_heads):
    """As `Linear` holds them."""
    return _attend(x, source, is_token, w_query.T, w_key.T, w_value.T, n_heads)


def _right_loss(logits, target, epsilon, share=None, rest=None, n=None):
    counts = target != -100
    V, n = logits.shape[1], n or counts.sum()
    q = np.full(logits.shape, epsilon / V if rest is None else rest)
    q[np.arange(len(q)), np.where(counts, target, 0)] = 1 - epsilon + epsilon / V if share is None else share
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    losses = -(q * log_p).sum(axis=1)
    return float(losses[counts].sum() / n), np.where(counts[:, None], (np.exp(log_p) - q) / n, 0.0)


def smoothed_loss__gives_the_right_class_no_share(logits, target, epsilon):
    """ε is spread over the other classes only."""
    return _right_loss(logits, target, epsilon, 1 - epsilon, epsilon / (logits.shape[1] - 1))


def smoothed_loss__counts_padding(logits, target, epsilon):
    """Divided by all rows."""
    return _right_loss(logits, target, epsilon, n=len(target))


def smoothed_loss__takes_padding_for_a_class(logits, target, epsilon):
    """−100 becomes class 0, and counts."""
    return _right_loss(logits, np.maximum(target, 0), epsilon)


def smoothed_loss__has_the_gradient_of_hard_labels(logits, target, epsilon):
    """softmax − onehot."""
    return _right_loss(logits, target, epsilon)[0], _right_loss(logits, target, 0.0)[1]


def smoothed_loss__takes_the_log_of_a_probability(logits, target, epsilon):
    """0 · −∞, or −∞ alone."""
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    counts = target != -100
    q = (1 - epsilon) * np.eye(logits.shape[1])[np.where(counts, target, 0)] + epsilon / logits.shape[1]
    losses = -(q * np.log(p)).sum(axis=1)
    return float(losses[counts].mean()), _right_loss(logits, target, epsilon)[1]


def _score(hypothesis, references, join=Counter.__or__, orders=(1, 2, 3, 4), clip=True, length=None):
    def n_grams(words, n):
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    precisions = []
    for n in orders:
        found, wanted = n_grams(hypothesis, n), Counter()
        for reference in references:
            wanted = join(wanted, n_grams(reference, n))
        right = (found & wanted).total() if clip else sum(k for gram, k in found.items() if gram in wanted)
        if right == 0:
            return 0.0
        precisions.append(right / found.total())
    c, lengths = len(hypothesis), [len(reference) for reference in references]
    r = length(c, lengths) if length else min(lengths, key=lambda each: (abs(each - c), each))
    return 100 * math.exp(min(0.0, 1 - r / c)) * math.prod(precisions) ** (1 / len(orders))


def bleu__does_not_clip(hypothesis, references):
    """A word that is repeated counts each time."""
    return _score(hypothesis, references, clip=False)


def bleu__adds_the_references(hypothesis, references):
    """A word that each of two references has once may come twice."""
    return _score(hypothesis, references, join=Counter.__add__)


def bleu__has_no_penalty(hypothesis, references):
    """What is short and safe has 100."""
    return _score(hypothesis, references, length=lambda c, lengths: c)


def bleu__takes_the_shortest_reference(hypothesis, references):
    """Not the nearest."""
    return _score(hypothesis, references, length=lambda c, lengths: min(lengths))


def bleu__prefers_the_longer_of_two(hypothesis, references):
    """Where two lengths are as near."""
    return _score(hypothesis, references, length=lambda c, lengths: min(lengths, key=lambda r: (abs(r - c), -r)))


def bleu__has_pairs_at_most(hypothesis, references):
    """Orders 1 and 2 only."""
    return _score(hypothesis, references, orders=(1, 2))


def bleu__takes_the_best_reference(hypothesis, references):
    """One reference for the whole sentence."""
    return max(_score(hypothesis, [reference]) for reference in references)


def likeliest_text__is_greedy(log_probs, end, max_new_tokens):
    """The likeliest token, again and again."""
    return _beams(log_probs, end, max_new_tokens, 1)


def likeliest_text__keeps_two_beams(log_probs, end, max_new_tokens):
    """Better, but it promises nothing."""
    return _beams(log_probs, end, max_new_tokens, 2)


def likeliest_text__keeps_three_beams(log_probs, end, max_new_tokens):
    """Right in all small examples."""
    return _beams(log_probs, end, max_new_tokens, 3)


def _beams(log_probs, end, max_new_tokens, num_beams):
    running, finished = [([], 0.0)], []
    for length in range(1, max_new_tokens + 1):
        longer = [([*text, i], total + float(p)) for text, total in running for i, p in enumerate(log_probs(text))]
        best = sorted(longer, key=lambda each: -each[1])[:num_beams]
        finished += [each for each in best if each[0][-1] == end or length == max_new_tokens]
        running = [each for each in best if each[0][-1] != end]
    return max(finished, key=lambda each: each[1])


def likeliest_text__tries_all(log_probs, end, max_new_tokens):
    """Right, and too slow."""
    texts, running = [], [([], 0.0)]
    for length in range(1, max_new_tokens + 1):
        longer = [([*text, i], total + float(p)) for text, total in running for i, p in enumerate(log_probs(text))]
        texts += [each for each in longer if each[0][-1] == end or length == max_new_tokens]
        running = [each for each in longer if each[0][-1] != end]
    return max(texts, key=lambda each: each[1])


def likeliest_text__compares_means(log_probs, end, max_new_tokens):
    """The best log-probability per token."""
    best = ([], -math.inf)
    for length in range(1, max_new_tokens + 1):
        for text in itertools.product(range(len(log_probs([]))), repeat=length):
            if end in text[:-1] or (length < max_new_tokens and text[-1] != end):
                continue
            total = sum(float(log_probs(list(text[:i]))[token]) for i, token in enumerate(text))
            best = max(best, (list(text), total), key=lambda each: each[1] / max(len(each[0]), 1))
    return best


def likeliest_text__stops_at_the_first(log_probs, end, max_new_tokens):
    """It takes the first complete text that it makes, not the first that it takes from the heap."""
    waiting = [([], 0.0)]
    while True:
        waiting.sort(key=lambda each: -each[1])
        text, total = waiting.pop(0)
        after = log_probs(text)
        for token in np.argsort(-after):
            longer = [*text, int(token)], total + float(after[token])
            if token == end or len(longer[0]) == max_new_tokens:
                return longer
            waiting.append(longer)
