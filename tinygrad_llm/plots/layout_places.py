"""Step 4 of a layout: where each item is across, in the order that step 3 has found, so that arrows are straight."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

GAP_ACROSS = 0.22  # inches between the boxes of a layer
SWEEPS = 48


def best_places(order, breadths: np.ndarray, segments: list[tuple[int, int]], n_boxes: int) -> np.ndarray:
    """The middle of each item across: neighbours pull on it, waypoints more strongly, so that long arrows are straight.

    Weights after Gansner, Koutsofios, North and Vo (1993).
    """
    across = np.zeros(len(breadths))
    neighbours = [[] for _ in breadths]
    for start, end in segments:
        weight = (1.0, 2.0, 8.0)[(start >= n_boxes) + (end >= n_boxes)]
        neighbours[start].append((end, weight))
        neighbours[end].append((start, weight))
    distances = []  # per layer, from the first item's middle
    for items in order:
        steps = [(breadths[a] + breadths[b]) / 2 + GAP_ACROSS for a, b in pairwise(items)]
        distances.append(np.concatenate([[0.0], np.cumsum(steps)]))
        across[items] = distances[-1] - distances[-1][-1] / 2
    for _ in range(SWEEPS):
        for layers in (range(len(order)), range(len(order) - 1, -1, -1)):
            for layer in layers:
                items = order[layer]
                weights = np.array([sum(weight for _, weight in neighbours[item]) or 1.0 for item in items])
                wanted = [
                    sum(weight * across[other] for other, weight in neighbours[item]) / weights[i]
                    if neighbours[item]
                    else across[item]
                    for i, item in enumerate(items)
                ]
                across[items] = _rising(np.array(wanted) - distances[layer], weights) + distances[layer]
    _straighten(order, across, breadths, segments)
    return across


def _rising(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The numbers nearest to `values` (weighted squares) that never fall: pools of neighbours share their mean."""
    pools = []  # (mean, weight, how many)
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, w_one, n_one), (other, w_other, n_other) = pools[-2:]
            pools[-2:] = [((one * w_one + other * w_other) / (w_one + w_other), w_one + w_other, n_one + n_other)]
    return np.repeat([mean for mean, _, _ in pools], [n for _, _, n in pools])


def _straighten(order, across: np.ndarray, breadths: np.ndarray, segments: list[tuple[int, int]]) -> None:
    """Put each chain without a branch on one line, or on few, between the items beside it."""
    before, after = [[] for _ in across], [[] for _ in across]
    for start, end in segments:
        after[start].append(end)
        before[end].append(start)
    left, right = {}, {}
    for items in order:
        right.update(pairwise(items))
        left.update(pairwise(items[::-1]))

    def room(item: int) -> tuple[float, float]:
        one, other = left.get(item), right.get(item)
        low = -np.inf if one is None else across[one] + (breadths[one] + breadths[item]) / 2 + GAP_ACROSS
        high = np.inf if other is None else across[other] - (breadths[other] + breadths[item]) / 2 - GAP_ACROSS
        return low, high

    lines = _lines(before, after)
    for _ in range(SWEEPS // 4):
        for line in lines:
            while line:
                low, high = room(line[0])
                n = 1
                for item in line[1:]:
                    lower, higher = room(item)
                    if max(low, lower) > min(high, higher):
                        break
                    low, high, n = max(low, lower), min(high, higher), n + 1
                run, line = line[:n], line[n:]
                pulling = [across[each] for each in before[run[0]] + after[run[-1]]] or [across[run[0]]]
                across[run] = np.clip(np.mean(pulling), low, max(low, high))


def _lines(before: list[list[int]], after: list[list[int]]) -> list[list[int]]:
    """All items, in chains where each but the last has one arrow out, and each but the first one arrow in."""
    follower = {
        item: after[item][0] for item in range(len(after)) if len(after[item]) == 1 == len(before[after[item][0]])
    }
    lines = []
    for item in set(range(len(after))) - set(follower.values()):
        lines.append([item])
        while lines[-1][-1] in follower:
            lines[-1].append(follower[lines[-1][-1]])
    return lines
