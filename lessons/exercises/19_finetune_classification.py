"""Exercises of lesson 19: an honest score, a split without a leak, rates by depth, and when to stop.

tinygrad-llm check 19
"""

from collections.abc import Callable

import numpy as np


def macro_f1(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """The mean of the classes' F1 = 2 TP / (2 TP + FP + FN), for true and predicted classes (N,), integers.

    Every class counts that occurs among the true ones or among the predicted ones, and no other; all count the same.

    >>> round(macro_f1(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])), 3)  # F1 of class 0: 6/7, of class 1: 0
    0.429
    """
    raise NotImplementedError


def grouped_split(labels: np.ndarray, groups: np.ndarray, fraction: float) -> np.ndarray:
    """Which examples are for the test, bool (N,): `fraction` of each class or a little less, and no group torn apart.

    labels (N,) are the classes and groups (N,) the numbers of the groups, both integers; all examples of a group have
    the same class. In each class take the groups from the largest to the smallest, of equal ones the smaller number
    first. A group goes to the test if all of it fits: the class then has at most fraction · (its examples) there. If
    it does not fit, go on with the next one.

    >>> grouped_split(np.array([0, 0, 0, 0, 1, 1]), np.array([7, 7, 7, 3, 4, 5]), 0.5)
    array([False, False, False,  True,  True, False])
    """
    raise NotImplementedError


def layer_rates(names: list[str], n_blocks: int, rate: float, decay: float, n_frozen: int) -> dict[str, float]:
    """The learning rate of each parameter of a classifier on top of a BERT, by its name.

        head.weight, base.pooler.bias …       rate
        base.blocks.5.attention.qkv.weight    rate · decay        the last of n_blocks = 6
        base.blocks.4. …                      rate · decay²       the one below it, and so on
        base.token_embedding.weight …         one more factor than block 0

    What stands before the blocks: names with "embedding" in them, and the base's own norm, base.norm.weight and
    base.norm.bias. With n_frozen above 0 the first so many blocks and all that stands before the blocks get 0.0.

    >>> names = ["head.bias", "base.blocks.0.norm1.bias", "base.norm.bias"]
    >>> layer_rates(names, n_blocks=1, rate=1, decay=0.5, n_frozen=0)
    {'head.bias': 1.0, 'base.blocks.0.norm1.bias': 0.5, 'base.norm.bias': 0.25}
    """
    raise NotImplementedError


def train_until_worse(
    weights: np.ndarray,
    train: Callable[[np.ndarray], None],
    score: Callable[[np.ndarray], float],
    max_rounds: int,
    patience: int,
) -> tuple[np.ndarray, int]:
    """Early stopping: the best weights, and the number of rounds that were trained.

    One round is `train(w)`, which changes the array w in place, and then one `score(w)`, the higher the better. Work
    on one copy w of `weights` from round to round. Stop after `max_rounds` rounds (at least 1), or earlier: after
    `patience` rounds in a row whose score was not above the best before them. The weights before the first round do
    not take part.

    >>> def train(w): w += 1
    >>> train_until_worse(np.array([0.0]), train, lambda w: -abs(w[0] - 2), max_rounds=9, patience=2)
    (array([2.]), 4)
    """
    raise NotImplementedError
