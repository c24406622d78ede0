"""A graph without cycles as a picture: labelled boxes in layers, and arrows between them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .figures import BLUE, GREEN, ORANGE, PURPLE, new_figure, picture_format, save
from .layout import Layout, layered_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_SIZE, TITLE_SIZE = 9, 11  # points
LINE = FONT_SIZE * 1.3 / 72  # inches from one line of a label to the next
PADDING = 0.09  # inches between the words and the edge of their box
MARGIN = 0.15  # inches around everything

# kind: (colour of the box, of its edge, of the words)
STYLES = {
    "op": ("#2F3640", "#2F3640", "white"),
    "leaf": ("#CFE6F5", BLUE, "black"),
    "value": ("#CBEBE0", GREEN, "black"),
    "result": ("#F9DCC8", ORANGE, "black"),
    "special": ("#F6E1EC", PURPLE, "black"),
    "constant": ("#F2F2F2", "#8A8A8A", "#404040"),
}


def layered_graph(
    path: str | os.PathLike,
    labels: Sequence[str],
    edges: Sequence[tuple[int, int]],
    kinds: Sequence[str],
    title: str = "",
    *,
    direction: str = "down",
) -> Layout:
    """Draw boxes with these labels (of one or more lines) and an arrow per edge (from, to), numbered from 0.

    `kinds` gives each box its look: op, leaf, value, result, special or constant (see STYLES). All arrows point
    `direction`, "down" or "right". Returns where everything is. Raises ValueError for another kind, for a wrong
    number of kinds, no box at all, an edge to nowhere, or edges in a circle.

    >>> layered_graph("sum.svg", ["a", "b", "Add"], [(0, 2), (1, 2)], ["leaf", "leaf", "op"])  # doctest: +SKIP
    """
    picture_format(path)
    if not labels or len(labels) != len(kinds):
        raise ValueError(f"layered_graph: {len(labels)} labels and {len(kinds)} kinds, expected one of each per box")
    unknown = sorted(set(kinds) - set(STYLES))
    if unknown:
        raise ValueError(f"layered_graph: there is no kind {unknown[0]!r}, only {', '.join(STYLES)}")
    layout = layered_layout([_size(label) for label in labels], edges, direction)
    axes = _axes(layout, title)
    for curve in layout.curves:
        _draw_arrow(axes, curve)
    for box, label, kind in zip(layout.boxes, labels, kinds, strict=True):
        _draw_box(axes, box, label, *STYLES[kind])
    save(axes.figure, path)
    return layout


def _size(label: str) -> tuple[float, float]:
    """Width and height of a box for these words, in inches."""
    lines = label.split("\n")
    widest = max(_width(line, FONT_SIZE) for line in lines)
    return max(widest, 0.2) + 2 * PADDING, LINE * len(lines) + 2 * PADDING


def _width(line: str, font_size: float) -> float:
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), line, size=font_size).get_extents().width / 72 if line.strip() else 0.0


def _axes(layout: Layout, title: str) -> Axes:
    """Axes in inches, y downwards, that fill the figure."""
    head = 0.35 if title else 0.0
    wanted = max(layout.size[0], 1.15 * _width(title, TITLE_SIZE))  # bold
    width, height = wanted + 2 * MARGIN, layout.size[1] + 2 * MARGIN + head
    figure, axes = new_figure(width, height)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    left = (wanted - layout.size[0]) / 2 + MARGIN
    axes.set(xlim=(-left, width - left), ylim=(layout.size[1] + MARGIN, -MARGIN - head))
    if title:
        axes.text(
            width / 2 - left, -head / 2 - 0.05, title, ha="center", va="center", fontsize=TITLE_SIZE, fontweight="bold"
        )
    return axes


def _draw_arrow(axes: Axes, curve) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    codes = [Path.MOVETO] + [Path.CURVE4] * (len(curve) - 1)
    look = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 1.1, "color": "#5A5A5A", "capstyle": "butt"}
    axes.add_patch(FancyArrowPatch(path=Path(curve, codes), shrinkA=0, shrinkB=0, **look))


def _draw_box(axes: Axes, box, label: str, fill: str, edge: str, words: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, top, right, bottom = box
    shape = "round,pad=0,rounding_size=0.07"
    axes.add_patch(
        FancyBboxPatch((left, top), right - left, bottom - top, shape, facecolor=fill, edgecolor=edge, linewidth=1.3)
    )
    lines = label.split("\n")
    for i, line in enumerate(lines):
        y = (top + bottom) / 2 + (i - (len(lines) - 1) / 2) * LINE
        axes.text((left + right) / 2, y, line, ha="center", va="center", fontsize=FONT_SIZE, color=words)
