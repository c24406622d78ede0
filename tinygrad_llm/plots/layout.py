"""Where to put the boxes and arrows of a graph without cycles, after Sugiyama, Tagawa and Toda (1981).

1. Layers: each box goes one layer beyond the farthest of its inputs; then later, just before its first user, where
   that makes arrows shorter or keeps their length.
2. An arrow over several layers gets a waypoint in each that it passes, so that the boxes there make room for it.
3. Order in each layer: sorted by the mean place of the neighbours, sweep after sweep, then neighbours swapped;
   the order with the fewest crossings stays.
4. Places: each box as near to the mean of its neighbours as the order and the boxes beside it allow; then chains of
   boxes and waypoints without a branch are put on one line.
5. Arrows run straight beside the boxes of a layer and bend between layers only, so they meet no box.

"Along" is the direction of the arrows and "across" the other; sizes and places are in inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .layout_order import best_order
from .layout_places import best_places

GAP_ALONG = 0.3  # between layers, at least
PORT_SPACING = 0.16  # between the ends of two arrows at one box


@dataclass(frozen=True)
class Layout:
    """A finished layout. y grows downwards."""

    boxes: np.ndarray  # (N, 4): left, top, right, bottom
    curves: list[np.ndarray]  # per edge (3K + 1, 2): the points of K cubic Bézier pieces
    layers: list[int]  # per box
    crossings: int
    size: tuple[float, float]


def layered_layout(
    sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]], direction: str = "down"
) -> Layout:
    """Place boxes of these sizes (width, height) so that all edges (from, to) point `direction`: "down" or "right".

    Raises ValueError for edges that are not between two different boxes, or that run in a circle.
    """
    if direction not in ("down", "right"):
        raise ValueError(f'a layout points "down" or "right", not {direction!r}')
    sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
    across_axis = 0 if direction == "down" else 1
    layers = _layers(len(sizes), edges)
    chains, layer_of = _chains(layers, edges)
    segments = [pair for chain in chains for pair in pairwise(chain)]
    order, crossings = best_order(layer_of, segments)
    breadths = np.concatenate([sizes[:, across_axis], np.full(len(layer_of) - len(sizes), 0.06)])
    across = best_places(order, breadths, segments, n_boxes=len(sizes))
    ports = _ports(chains, across, breadths)
    depths = sizes[:, 1 - across_axis]
    starts, ends = _bands(order, depths, layer_of, chains, ports)
    middles = np.array([(starts[layer] + ends[layer]) / 2 for layer in layers])
    low, high = middles - depths / 2, middles + depths / 2
    curves = [_curve(chain, ports[edge], layer_of, starts, ends, low, high) for edge, chain in enumerate(chains)]
    boxes = np.stack([across[: len(sizes)] - breadths[: len(sizes)] / 2, low, breadths[: len(sizes)], depths], axis=1)
    boxes[:, 2:] += boxes[:, :2]
    return _finish(boxes, curves, layers, crossings, across_axis)


def _layers(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    inputs, users = [[] for _ in range(n)], [[] for _ in range(n)]
    for start, end in edges:
        if not (0 <= start < n and 0 <= end < n) or start == end:
            raise ValueError(f"edge ({start}, {end}) is not between two different boxes of {n}, numbered from 0")
        inputs[end].append(start)
        users[start].append(end)
    waiting = [len(each) for each in inputs]
    layers, ready, order = [0] * n, [box for box in range(n) if not waiting[box]], []
    while ready:
        box = ready.pop()
        order.append(box)
        for user in users[box]:
            layers[user] = max(layers[user], layers[box] + 1)
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(order) < n:
        circle = next(box for box in range(n) if waiting[box])
        raise ValueError(f"the edges run in a circle, or into one, at box {circle}: there is no first layer")
    for box in reversed(order):
        if users[box] and len(users[box]) >= len(inputs[box]):
            layers[box] = min(layers[user] for user in users[box]) - 1
    return layers


def _chains(layers: list[int], edges: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[int]]:
    """Per edge the boxes and waypoints it leads through, and the layer of each; waypoints are numbered after boxes."""
    layer_of, chains = list(layers), []
    for start, end in edges:
        passed = range(layers[start] + 1, layers[end])
        waypoints = range(len(layer_of), len(layer_of) + len(passed))
        layer_of.extend(passed)
        chains.append([start, *waypoints, end])
    return chains, layer_of


def _ports(chains: list[list[int]], across: np.ndarray, breadths: np.ndarray) -> list[np.ndarray]:
    """Per edge, where it passes each item of its chain: arrows at one side of a box stand beside each other."""
    ports = [across[chain] for chain in chains]
    for side, other in ((0, 1), (-1, -2)):
        at_box: dict[int, list[int]] = {}
        for edge, chain in enumerate(chains):
            at_box.setdefault(chain[side], []).append(edge)
        for box, edges in at_box.items():
            edges.sort(key=lambda edge: (across[chains[edge][other]], edge))
            spacing = min(PORT_SPACING, 0.8 * breadths[box] / len(edges))
            for i, edge in enumerate(edges):
                ports[edge][side] += (i - (len(edges) - 1) / 2) * spacing
    return ports


def _bands(order, depths: np.ndarray, layer_of: list[int], chains, ports) -> tuple[list[float], list[float]]:
    """Where each layer starts and ends along: the gap before it is wider where arrows bend more."""
    bend = np.zeros(len(order))
    for chain, across in zip(chains, ports, strict=True):
        for item, step in zip(chain[1:], np.abs(np.diff(across)), strict=True):
            bend[layer_of[item]] = max(bend[layer_of[item]], step)
    starts, ends = [], []
    for layer, items in enumerate(order):
        gap = GAP_ALONG + 0.12 * min(bend[layer], 5.0)
        starts.append(ends[-1] + gap if ends else 0.0)
        ends.append(starts[-1] + max((depths[item] for item in items if item < len(depths)), default=0.0))
    return starts, ends


def _curve(chain: list[int], across: np.ndarray, layer_of: list[int], starts, ends, low, high) -> np.ndarray:
    """The points (across, along): straight within layers, an S between them."""
    points = [(across[0], high[chain[0]])]
    for i in range(1, len(chain)):
        leave, arrive = ends[layer_of[chain[i - 1]]], starts[layer_of[chain[i]]]
        _line_to(points, leave)
        half = (leave + arrive) / 2
        points += [(across[i - 1], half), (across[i], half), (across[i], arrive)]
    _line_to(points, low[chain[-1]])
    return np.array(points)


def _line_to(points: list[tuple[float, float]], along: float) -> None:
    x, start = points[-1]
    if along - start > 1e-9:
        points += [(x, start + (along - start) / 3), (x, along - (along - start) / 3), (x, along)]


def _finish(boxes, curves, layers: list[int], crossings: int, across_axis: int) -> Layout:
    """From (across, along) to (x, y), with the left and upper edge of everything at 0."""
    everything = np.concatenate([boxes[:, :2], boxes[:, 2:], *curves]) if len(boxes) else np.zeros((1, 2))
    corner = everything.min(axis=0)
    size = everything.max(axis=0) - corner
    boxes, curves = boxes - np.tile(corner, 2), [curve - corner for curve in curves]
    if across_axis == 1:
        boxes, curves, size = boxes[:, [1, 0, 3, 2]], [curve[:, ::-1] for curve in curves], size[::-1]
    return Layout(boxes, curves, layers, crossings, (float(size[0]), float(size[1])))
