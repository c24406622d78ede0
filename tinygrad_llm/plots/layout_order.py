"""Step 3 of a layout: the order in each layer, with few crossings of arrows.

"Items" are boxes and the waypoints of long arrows, all by number; "segments" go from one layer to the next.
"""

from __future__ import annotations

import numpy as np

SWEEPS = 24


def best_order(layer_of: list[int], segments: list[tuple[int, int]]) -> tuple[list[list[int]], int]:
    """The items of each layer in the order with the fewest crossings found, and their number."""
    n_layers = max(layer_of, default=-1) + 1
    before, after = [[] for _ in layer_of], [[] for _ in layer_of]
    for start, end in segments:
        after[start].append(end)
        before[end].append(start)
    best, fewest = None, None
    for first in (range(len(layer_of)), range(len(layer_of) - 1, -1, -1), _depth_first(before, after)):
        order = [[item for item in first if layer_of[item] == layer] for layer in range(n_layers)]
        for sweep in range(SWEEPS):
            place = _place_in(order)
            layers, neighbours = (
                (range(1, n_layers), before) if sweep % 2 == 0 else (range(n_layers - 2, -1, -1), after)
            )
            for layer in layers:
                order[layer].sort(key=lambda item: _mean_place(neighbours[item], place, place[item]))
                place.update((item, i) for i, item in enumerate(order[layer]))
            _swap_neighbours(order, before, after)
            crossings = sum(_crossings(items, before, _place_in(order)) for items in order)
            if fewest is None or crossings < fewest:
                best, fewest = [list(items) for items in order], crossings
            if fewest == 0:
                return best, 0
    return best or [], fewest or 0


def _depth_first(before: list[list[int]], after: list[list[int]]) -> list[int]:
    """The items in the order of a walk from the last ones to their inputs, which keeps subtrees together."""
    found, stack = {}, [item for item in range(len(after) - 1, -1, -1) if not after[item]]
    while stack:
        item = stack.pop()
        if item not in found:
            found[item] = None
            stack.extend(reversed(before[item]))
    return list(found)


def _place_in(order: list[list[int]]) -> dict[int, int]:
    return {item: i for items in order for i, item in enumerate(items)}


def _mean_place(neighbours: list[int], place: dict[int, int], own: int) -> float:
    return sum(place[each] for each in neighbours) / len(neighbours) if neighbours else own


def _crossings(items: list[int], neighbours: list[list[int]], place: dict[int, int]) -> int:
    """How many pairs of segments from these items to their neighbours cross, with the items in this order."""
    ends = [[place[each] for each in neighbours[item]] for item in items]
    flat = np.array([end for each in ends for end in each])
    own = np.array([i for i, each in enumerate(ends) for _ in each])
    return int(((own[:, None] < own) & (flat[:, None] > flat)).sum())


def _swap_neighbours(order: list[list[int]], before: list[list[int]], after: list[list[int]]) -> None:
    """Swap items that stand side by side as long as that saves crossings."""
    place, improved = _place_in(order), True
    while improved:
        improved = False
        for items in order:
            for i in range(len(items) - 1):
                pair = items[i : i + 2]
                now = sum(_crossings(pair, neighbours, place) for neighbours in (before, after))
                swapped = sum(_crossings(pair[::-1], neighbours, place) for neighbours in (before, after))
                if swapped < now:
                    items[i : i + 2] = pair[::-1]
                    place[pair[0]], place[pair[1]] = i + 1, i
                    improved = True
