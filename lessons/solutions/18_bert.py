"""Solutions of lesson 18."""

from collections.abc import Callable, Sequence

import numpy as np


def word_numbers(tokens: Sequence[str], special: set[str]) -> list[int]:
    numbers, words = [], 0
    for token in tokens:
        if token in special:
            numbers.append(-1)
            continue
        continues = token.startswith("##") and numbers and numbers[-1] >= 0
        words += not continues
        numbers.append(words - 1)
    return numbers


def mask_tokens(
    ids: np.ndarray,
    special_ids: set[int],
    mask_id: int,
    order: np.ndarray,
    draw: np.ndarray,
    others: np.ndarray,
    share: float = 0.15,
) -> tuple[np.ndarray, np.ndarray]:
    ordinary = ~np.isin(ids, list(special_ids))
    chosen = np.zeros(ids.shape, bool)
    for b in range(len(ids)):
        (places,) = np.nonzero(ordinary[b])
        n = max(round(share * len(places)), 1)
        chosen[b, places[np.argsort(order[b, places])[:n]]] = True
    seen = np.where(chosen & (draw < 0.8), mask_id, ids)
    seen = np.where(chosen & (draw >= 0.8) & (draw < 0.9), others, seen)
    return seen, np.where(chosen, ids, -100)


def pair_batch(
    pairs: Sequence[tuple[list[int], list[int] | None]], cls_id: int, sep_id: int, pad_id: int, max_len: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, row_segments = [], []
    for first, second in pairs:
        a, b = len(first), len(second or [])
        while a + b + (2 if second is None else 3) > max_len:
            if a > b:
                a -= 1
            else:
                b -= 1
        row = [cls_id, *first[:a], sep_id]
        tail = [] if second is None else [*second[:b], sep_id]
        rows.append(row + tail)
        row_segments.append([0] * len(row) + [1] * len(tail))
    shape = (len(rows), max(map(len, rows)))
    ids, mask, segments = np.full(shape, pad_id, np.int64), np.zeros(shape, bool), np.zeros(shape, np.int64)
    for b, row in enumerate(rows):
        ids[b, : len(row)], mask[b, : len(row)], segments[b, : len(row)] = row, True, row_segments[b]
    return ids, mask, segments


def pseudo_log_likelihood(
    logits_of: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, special_ids: set[int], mask_id: int
) -> float:
    places = np.flatnonzero(~np.isin(ids, list(special_ids)))
    if len(places) == 0:
        return 0.0
    rows = np.arange(len(places))
    hidden = np.tile(ids, (len(places), 1))  # (n, T), a row for each token that is hidden
    hidden[rows, places] = mask_id
    scores = logits_of(hidden)[rows, places]  # (n, V)
    scores = scores - scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return float(log_p[rows, ids[places]].sum())
