"""Plausible wrong answers to the exercises of lesson 20: each must fail its check."""

import math
import re
import string
from collections import Counter

import numpy as np


def _words(text):
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return [word for word in kept.split() if word not in ("a", "an", "the")]


def _f1(predicted, gold):
    if not predicted or not gold:
        return float(predicted == gold)
    return 2 * sum((Counter(predicted) & Counter(gold)).values()) / (len(predicted) + len(gold))


def token_f1__counts_words_once(prediction, gold_answers):
    """Sets instead of multisets in the numerator."""

    def f1(predicted, gold):
        if not predicted or not gold:
            return float(predicted == gold)
        return 2 * len(set(predicted) & set(gold)) / (len(predicted) + len(gold))

    return max(f1(_words(prediction), _words(gold)) for gold in gold_answers or [""])


def token_f1__cuts_articles_out_of_words(prediction, gold_answers):
    """re.sub without word boundaries."""

    def words(text):
        kept = "".join(character for character in text.lower() if character not in string.punctuation)
        return re.sub("the|an|a", "", kept).split()

    return max(_f1(words(prediction), words(gold)) for gold in gold_answers or [""])


def token_f1__takes_the_first_gold_answer(prediction, gold_answers):
    """The others are not looked at."""
    return _f1(_words(prediction), _words((list(gold_answers) or [""])[0]))


def token_f1__makes_spaces_of_punctuation(prediction, gold_answers):
    """well-known becomes two words."""

    def words(text):
        return [word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the")]

    return max(_f1(words(prediction), words(gold)) for gold in gold_answers or [""])


def token_f1__gives_nothing_for_no_answer(prediction, gold_answers):
    """Without words in common it returns 0, even where none was right."""
    if not gold_answers or not _words(prediction):
        return 0.0
    return max(_f1(_words(prediction), _words(gold)) for gold in gold_answers)


def best_span__takes_both_argmaxes(start, end, max_length):
    """The end may come before the start."""
    return int(start.argmax()), int(end.argmax())


def best_span__takes_the_best_start_first(start, end, max_length):
    """Greedy: the best end for the best start is not the best span."""
    first = int(start.argmax())
    return first, first + int(end[first : first + max_length].argmax())


def best_span__allows_one_token_too_many(start, end, max_length):
    """last − first ≤ max_length is a span of max_length + 1 tokens."""
    pairs = [(f, g) for f in range(len(start)) for g in range(f, min(f + max_length + 1, len(end)))]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])


def best_span__starts_its_best_at_zero(start, end, max_length):
    """Sums below 0 are never found."""
    best, span = 0.0, (0, 0)
    for first in range(len(start)):
        for last in range(first, min(first + max_length, len(end))):
            if start[first] + end[last] > best:
                best, span = start[first] + end[last], (first, last)
    return span


def best_span__multiplies(start, end, max_length):
    """Scores are logarithms: they add up."""
    pairs = [(f, g) for f in range(len(start)) for g in range(f, min(f + max_length, len(end)))]
    return max(pairs, key=lambda pair: np.nan_to_num(start[pair[0]] * end[pair[1]], nan=-np.inf))


def window_starts__without_overlap(n_tokens, room, max_answer):
    """An answer at a border is torn."""
    return list(range(0, max(n_tokens, 1), room))


def window_starts__strides_one_too_far(n_tokens, room, max_answer):
    """The overlap is one token short of max_answer − 1."""
    if n_tokens <= room:
        return [0]
    return [*range(0, n_tokens - room, room - max_answer + 2), n_tokens - room]


def window_starts__overlaps_one_too_much(n_tokens, room, max_answer):
    """An overlap of max_answer: right, but not the fewest; and no stride is left where max_answer is room."""
    if n_tokens <= room:
        return [0]
    return [*range(0, n_tokens - room, max(room - max_answer, 1)), n_tokens - room]


def window_starts__forgets_the_end(n_tokens, room, max_answer):
    """What is left after the last whole stride is in no window."""
    return list(range(0, max(n_tokens - room, 0) + 1, room - max_answer + 1))


def quadratic_kappa__is_linear(y_true, y_pred, n_grades):
    """|i − j| for a weight."""
    return _kappa(y_true, y_pred, n_grades, np.abs)


def quadratic_kappa__has_no_weights(y_true, y_pred, n_grades):
    """All errors are alike."""
    return _kappa(y_true, y_pred, n_grades, lambda distance: distance != 0)


def quadratic_kappa__drops_grades_that_do_not_occur(y_true, y_pred, n_grades):
    """The neighbours of a missing grade move together."""
    _, both = np.unique(np.concatenate([y_true, y_pred]), return_inverse=True)
    return _kappa(both[: len(y_true)], both[len(y_true) :], int(both.max()) + 1, np.square)


def quadratic_kappa__expects_all_grades_equally_often(y_true, y_pred, n_grades):
    """Chance without the graders' own frequencies."""
    grades = np.arange(n_grades)
    expected = ((grades[:, None] - grades) ** 2).mean()
    return float(1 - ((y_true - y_pred) ** 2).mean() / expected)


def _kappa(y_true, y_pred, n_grades, weigh):
    observed = np.zeros((n_grades, n_grades))
    np.add.at(observed, (y_true, y_pred), 1)
    by_chance = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(y_true)
    weights = weigh(np.subtract.outer(np.arange(n_grades), np.arange(n_grades)))
    expected = (weights * by_chance).sum()
    return float(1 - (weights * observed).sum() / expected) if expected else math.nan
