"""Exercises of lesson 18: whole words, blanks, pairs of texts in a batch, and how plausible BERT finds a text.

tinygrad-llm check 18
"""

from collections.abc import Callable, Sequence

import numpy as np


def word_numbers(tokens: Sequence[str], special: set[str]) -> list[int]:
    """For each token of a text the number of its word, from 0, so that whole words can be hidden.

    A token that begins with ## continues the word before it. It starts a new word where there is none: at the beginning
    of the text, and after a special token. A special token belongs to no word and has the number −1.

    >>> word_numbers(["[CLS]", "un", "##aff", "##able", "!", "[SEP]"], {"[CLS]", "[SEP]"})
    [-1, 0, 0, 0, 1, -1]
    """
    raise NotImplementedError


def mask_tokens(
    ids: np.ndarray,
    special_ids: set[int],
    mask_id: int,
    order: np.ndarray,
    draw: np.ndarray,
    others: np.ndarray,
    share: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    """What the model sees of ids (B, T), and the targets (B, T), by random numbers that are given, each (B, T).

    In each row n = round(share · k) of its k tokens that are not special are chosen, but at least one: those with the
    smallest numbers in `order`. A chosen token is seen as mask_id where its number in `draw` is below 0.8, as the token
    in `others` from 0.8 on, and as itself from 0.9 on. Its target is itself; all others have the target −100. Each row
    has a token that is not special, and the numbers of `order` in a row are all different.

    >>> order, others = np.array([[0.1, 0.4, 0.2, 0.3, 0.5]]), np.full((1, 5), 9)
    >>> seen, targets = mask_tokens(np.array([[2, 7, 8, 7, 3]]), {2, 3}, 4, order, np.full((1, 5), 0.5), others, 0.5)
    >>> seen.tolist(), targets.tolist()
    ([[2, 7, 4, 4, 3]], [[-100, -100, 8, 7, -100]])
    """
    raise NotImplementedError


def pair_batch(
    pairs: Sequence[tuple[list[int], list[int] | None]], cls_id: int, sep_id: int, pad_id: int, max_len: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids (int64), attention mask (bool) and segments (int64) of a batch, each (B, T), T as long as its longest row.

    A row is [CLS] first [SEP] second [SEP], or [CLS] first [SEP] where the second text is None, and then [PAD] up to T.
    The mask is True for tokens and False for padding. The segment is 1 in the second text and at its [SEP], else 0.
    A row with more than max_len tokens is cut: as long as it is too long, the longer of the two texts loses its last
    token, the second one if both are of equal length. (max_len has room for all of [CLS] and [SEP].)

    >>> ids, mask, segments = pair_batch([([7, 8], [9]), ([7], None)], cls_id=2, sep_id=3, pad_id=0, max_len=8)
    >>> ids.tolist()
    [[2, 7, 8, 3, 9, 3], [2, 7, 3, 0, 0, 0]]
    >>> mask.astype(int).tolist(), segments.tolist()
    ([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], [[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]])
    """
    raise NotImplementedError


def pseudo_log_likelihood(
    logits_of: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, special_ids: set[int], mask_id: int
) -> float:
    """How plausible a masked language model finds one text, ids (T,): Σ_t log p(token t | all the others), in nats.

    For each token that is not special: hide it, and it alone, and take the log of the probability that the model gives
    it there. `logits_of` is the model: ids (B, T) → scores (B, T, V), which may be large. A text of special tokens only
    has the sum 0.0. (Salazar et al. 2020. It ranks texts; it is no probability, since each token has seen the others.)

    >>> def says_7(ids):
    ...     return np.where(np.arange(10) == 7, np.log(3), 0.0) + np.zeros((*ids.shape, 1))  # p(7) = 3/12, others 1/12
    >>> round(pseudo_log_likelihood(says_7, np.array([2, 7, 8, 3]), {2, 3}, mask_id=4), 4)  # ln 3/12 + ln 1/12
    -3.8712
    """
    raise NotImplementedError
