"""Plausible wrong answers to the exercises of lesson 19: each must fail its check."""

import re

import numpy as np


def _f1(y_true, y_pred, k):
    hits = np.sum((y_true == k) & (y_pred == k))
    return 2 * hits / max(np.sum(y_true == k) + np.sum(y_pred == k), 1)


def macro_f1__is_the_accuracy(y_true, y_pred):
    """Micro-F1: the counts of all classes together."""
    return float(np.mean(y_true == y_pred))


def macro_f1__leaves_out_what_was_never_predicted(y_true, y_pred):
    """The classes that it misses altogether would cost nothing."""
    return float(np.mean([_f1(y_true, y_pred, k) for k in np.unique(y_pred)]))


def macro_f1__leaves_out_what_was_never_true(y_true, y_pred):
    """Only the true classes: an invented class is free."""
    return float(np.mean([_f1(y_true, y_pred, k) for k in np.unique(y_true)]))


def macro_f1__counts_classes_that_do_not_occur(y_true, y_pred):
    """All from 0 to the largest, though one in between occurs nowhere."""
    return float(np.mean([_f1(y_true, y_pred, k) for k in range(max(y_true.max(), y_pred.max()) + 1)]))


def macro_f1__weights_by_support(y_true, y_pred):
    """A rare class hardly counts."""
    classes, n = np.unique(y_true, return_counts=True)
    return float(np.average([_f1(y_true, y_pred, k) for k in classes], weights=n))


def macro_f1__averages_precision_and_recall_first(y_true, y_pred):
    """F1 of the mean precision and the mean recall is another number."""
    classes = np.union1d(y_true, y_pred)
    hits = np.array([np.sum((y_true == k) & (y_pred == k)) for k in classes])
    p = np.mean(hits / np.maximum([np.sum(y_pred == k) for k in classes], 1))
    r = np.mean(hits / np.maximum([np.sum(y_true == k) for k in classes], 1))
    return float(2 * p * r / (p + r)) if p + r else 0.0


def grouped_split__tears_groups_apart(labels, groups, fraction):
    """The first examples of each class, whatever their group."""
    test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        test[members[: int(fraction * len(members))]] = True
    return test


def grouped_split__does_not_stratify(labels, groups, fraction):
    """Groups stay together, but the shares of the classes are left to chance."""
    test, room = np.zeros(len(labels), bool), fraction * len(labels)
    numbers, sizes = np.unique(groups, return_counts=True)
    for i in np.argsort(-sizes, kind="stable"):
        if sizes[i] <= room:
            test[groups == numbers[i]], room = True, room - sizes[i]
    return test


def grouped_split__stops_at_the_first_that_does_not_fit(labels, groups, fraction):
    """One large group, and the class has no test at all."""
    test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        numbers, sizes = np.unique(groups[labels == k], return_counts=True)
        room = fraction * np.sum(labels == k)
        for i in np.argsort(-sizes, kind="stable"):
            if sizes[i] > room:
                break
            test[groups == numbers[i]], room = True, room - sizes[i]
    return test


def grouped_split__counts_groups_not_examples(labels, groups, fraction):
    """The share of groups: a large group makes the test much too large."""
    test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        numbers, sizes = np.unique(groups[labels == k], return_counts=True)
        order = np.argsort(-sizes, kind="stable")
        test |= np.isin(groups, numbers[order[: int(fraction * len(numbers))]])
    return test


def grouped_split__takes_the_last_of_equal_ones(labels, groups, fraction):
    """The reverse of an ascending order turns ties round."""
    test = np.zeros(len(labels), bool)
    for k in np.unique(labels):
        numbers, sizes = np.unique(groups[labels == k], return_counts=True)
        room = fraction * np.sum(labels == k)
        for i in np.argsort(sizes, kind="stable")[::-1]:
            if sizes[i] <= room:
                test[groups == numbers[i]], room = True, room - sizes[i]
    return test


def _rates(names, n_blocks, rate, decay, n_frozen, depth_of):
    depths = {name: depth_of(name) for name in names}
    return {
        name: 0.0 if n_frozen > 0 and depth <= n_frozen else float(rate * decay ** (n_blocks + 1 - depth))
        for name, depth in depths.items()
    }


def layer_rates__reads_one_digit(names, n_blocks, rate, decay, n_frozen):
    """Block 10 becomes block 1."""

    def depth(name):
        block = re.match(r"base\.blocks\.(\d)", name)
        before = "embedding" in name or name.startswith("base.norm.")
        return int(block[1]) + 1 if block else 0 if before else n_blocks + 1

    return _rates(names, n_blocks, rate, decay, n_frozen, depth)


def layer_rates__takes_every_norm_for_the_first(names, n_blocks, rate, decay, n_frozen):
    """The blocks have norms as well."""

    def depth(name):
        block = re.match(r"base\.blocks\.(\d+)\.", name)
        return 0 if "embedding" in name or "norm" in name else int(block[1]) + 1 if block else n_blocks + 1

    return _rates(names, n_blocks, rate, decay, n_frozen, depth)


def layer_rates__forgets_the_norm_before_the_blocks(names, n_blocks, rate, decay, n_frozen):
    """It is trained at the rate of the head."""

    def depth(name):
        block = re.match(r"base\.blocks\.(\d+)\.", name)
        return int(block[1]) + 1 if block else 0 if "embedding" in name else n_blocks + 1

    return _rates(names, n_blocks, rate, decay, n_frozen, depth)


def layer_rates__counts_from_the_input(names, n_blocks, rate, decay, n_frozen):
    """The lowest layers get the largest rates."""

    def depth(name):
        block = re.match(r"base\.blocks\.(\d+)\.", name)
        return n_blocks - int(block[1]) if block else 0 if name.startswith("base.") else n_blocks + 1

    return _rates(names, n_blocks, rate, decay, n_frozen, depth)


def layer_rates__freezes_one_block_too_few(names, n_blocks, rate, decay, n_frozen):
    """Counts the embeddings as the first block."""

    def depth(name):
        block = re.match(r"base\.blocks\.(\d+)\.", name)
        before = "embedding" in name or name.startswith("base.norm.")
        return int(block[1]) + 1 if block else 0 if before else n_blocks + 1

    rates = _rates(names, n_blocks, rate, decay, 0, depth)
    return {name: 0.0 if depth(name) < n_frozen else value for name, value in rates.items()}


def layer_rates__always_freezes_the_embeddings(names, n_blocks, rate, decay, n_frozen):
    """With n_frozen = 0 nothing is frozen."""

    def depth(name):
        block = re.match(r"base\.blocks\.(\d+)\.", name)
        before = "embedding" in name or name.startswith("base.norm.")
        return int(block[1]) + 1 if block else 0 if before else n_blocks + 1

    rates = _rates(names, n_blocks, rate, decay, 0, depth)
    return {name: 0.0 if depth(name) <= n_frozen else value for name, value in rates.items()}


def train_until_worse__keeps_no_copy(weights, train, score, max_rounds, patience):
    """`kept = w` is the same array: training goes on changing it."""
    w, best, kept, worse, rounds = weights.copy(), -np.inf, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value > best:
            best, kept, worse = value, w, 0
        else:
            worse += 1
    return kept, rounds


def train_until_worse__never_counts_anew(weights, train, score, max_rounds, patience):
    """All bad rounds are counted, not those in a row."""
    w, best, kept, worse, rounds = weights.copy(), -np.inf, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value > best:
            best, kept = value, w.copy()
        else:
            worse += 1
    return kept, rounds


def train_until_worse__takes_a_tie_for_progress(weights, train, score, max_rounds, patience):
    """A score that stays the same would train for ever."""
    w, best, kept, worse, rounds = weights.copy(), -np.inf, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value >= best:
            best, kept, worse = value, w.copy(), 0
        else:
            worse += 1
    return kept, rounds


def train_until_worse__compares_with_the_round_before(weights, train, score, max_rounds, patience):
    """Better than a bad round is not better than the best."""
    w, last, kept, worse, rounds = weights.copy(), -np.inf, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value > last:
            kept, worse = w.copy(), 0
        else:
            worse += 1
        last = value
    return kept, rounds


def train_until_worse__starts_from_zero(weights, train, score, max_rounds, patience):
    """Scores may be negative, such as minus a loss."""
    w, best, kept, worse, rounds = weights.copy(), 0.0, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value > best:
            best, kept, worse = value, w.copy(), 0
        else:
            worse += 1
    return kept, rounds


def train_until_worse__gives_back_the_last(weights, train, score, max_rounds, patience):
    """It stops in time, and then keeps the weights of the last round."""
    w, best, worse, rounds = weights.copy(), -np.inf, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value > best:
            best, worse = value, 0
        else:
            worse += 1
    return w, rounds


def train_until_worse__trains_the_given_weights(weights, train, score, max_rounds, patience):
    """Without a copy at the start, the caller's weights are changed."""
    w, best, kept, worse, rounds = weights, -np.inf, weights, 0, 0
    while rounds < max_rounds and worse < patience:
        train(w)
        rounds, value = rounds + 1, score(w)
        if value > best:
            best, kept, worse = value, w.copy(), 0
        else:
            worse += 1
    return kept, rounds
