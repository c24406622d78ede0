"""What a model sees, in one picture: how likely it held what it wrote, what each block would have said, and where the
heads of a block look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .figures import BLUE, ORANGE, new_figure, save
from .maps import COLOURS, token_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

SMALLEST_LABEL = 4.5  # points: beside maps where tokens would be smaller, there are their places
LONGEST_LABEL = 10  # characters of a token
CELL, SMALLEST_MAP = 0.72, 3.2  # inches


class Columns(NamedTuple):
    """What is drawn of each of N places of the text."""

    came: Sequence[str]  # N tokens
    probabilities: Sequence[float]  # N: what the model gave them; NaN where none came yet
    likeliest: Sequence[tuple[str, float]]  # N: the model's own choice, and its probability
    lens_tokens: Sequence[Sequence[str]]  # (R, N): the likeliest of each row of the lens, the first block's input first
    lens_probabilities: np.ndarray  # (R, N)


def look_picture(
    path: str | os.PathLike,
    columns: Columns,
    attention: np.ndarray,
    tokens: Sequence[str],
    heads: Sequence[int],
    layer: int,
    title: str = "",
) -> None:
    """Draw the columns, and below them the attention (H, T, T) of some heads of a layer to T tokens.

    Raises ValueError where shapes and numbers do not fit.
    """
    lens = np.asarray(columns.lens_probabilities)
    n_columns, n_maps = len(columns.came), len(heads)
    if lens.ndim != 2 or lens.shape[1] != n_columns or attention.shape != (n_maps, len(tokens), len(tokens)):
        raise ValueError(
            f"look_picture: a lens of shape {lens.shape} and attention of shape {attention.shape} do not fit "
            f"{n_columns} columns, {n_maps} heads and {len(tokens)} tokens"
        )
    width = max(11.0, 1.8 + CELL * n_columns)
    n_rows = -(-n_maps // int(width // SMALLEST_MAP))
    per_row = -(-n_maps // n_rows)
    size = min(width / per_row, 7.0)
    heights = [3.6 + 0.24 * len(lens), n_rows * size]
    figure, axes = new_figure(width, sum(heights))
    axes.remove()
    figure.suptitle(_plain(token_labels([title])[0]))
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    upper, lower = top.subplots(2, 1, height_ratios=[2.2, heights[0] - 2.2])
    _probabilities(upper, columns)
    image = _lens(lower, columns, lens)
    top.colorbar(image, ax=[upper, lower], shrink=0.6, label="probability", pad=0.01)
    maps = np.ravel(bottom.subplots(n_rows, per_row, squeeze=False))
    label_size = min(8.0, 0.8 * 72 * (size - 0.9) / len(tokens))  # in points
    _attention(maps, attention, tokens, [f"block {layer}, head {head}" for head in heads], label_size)
    save(figure, path)


def _probabilities(axes: Axes, columns: Columns) -> None:
    places = np.arange(len(columns.came))
    of_likeliest = np.array([probability for _, probability in columns.likeliest])
    came = np.asarray(columns.probabilities)
    axes.bar(places, came, 0.7, color=BLUE, label="the token that came")
    other = ~np.isclose(came, of_likeliest)  # also where nothing came yet
    label = "the likeliest, where that is another one"
    axes.plot(places[other], of_likeliest[other], "_", ms=22, mew=2, color=ORANGE, label=label)
    for place, (name, probability) in enumerate(columns.likeliest):
        if np.isfinite(came[place]):
            axes.text(place, probability + 0.03, f"{came[place]:.0%}", ha="center", fontsize=8)
        if other[place]:
            axes.text(place, probability + 0.15, _short([name])[0], ha="center", fontsize=8, color=ORANGE)
    axes.set(ylim=(0, 1.3), yticks=np.linspace(0, 1, 6), ylabel="probability")
    axes.set_title("how likely the model held each token", loc="left")
    axes.set_xticks(places, _short(columns.came), fontsize=8)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", ncols=2, fontsize=8, bbox_to_anchor=(1, 1.22), frameon=False)


def _lens(axes: Axes, columns: Columns, lens: np.ndarray) -> AxesImage:
    image = axes.imshow(lens, vmin=0, vmax=1, cmap=COLOURS, aspect="auto", origin="lower")
    for row, names in enumerate(columns.lens_tokens):
        for column, name in enumerate(_short(names)):
            bold = "bold" if names[column] == columns.came[column] else "normal"
            colour = "black" if lens[row, column] > 0.5 else "white"
            axes.text(column, row, name, ha="center", va="center", fontsize=7, color=colour, weight=bold)
    axes.set_yticks(range(len(lens)), ["input", *(f"block {i}" for i in range(len(lens) - 1))], fontsize=8)
    axes.set_xticks(range(len(columns.came)), _short(columns.came), fontsize=8)
    title = "logit lens: the likeliest token after each block, to be read upwards; bold: the token that came"
    axes.set_title(title, loc="left")
    return image


def _attention(
    maps: Sequence[Axes], attention: np.ndarray, tokens: Sequence[str], titles: Sequence[str], size: float
) -> None:
    """The colour grows with the square root: most of a head's attention is often on the first token."""
    from matplotlib.colors import PowerNorm

    for axes in maps[len(titles) :]:
        axes.remove()
    shown = maps[: len(titles)]
    for axes, weights, title in zip(shown, attention, titles, strict=True):
        image = axes.imshow(weights, norm=PowerNorm(0.5, 0, 1), cmap=COLOURS)
        axes.set_title(title, fontsize=9)
        if size >= SMALLEST_LABEL:
            axes.set_xticks(range(len(tokens)), _short(tokens), rotation=90, fontsize=size)
            axes.set_yticks(range(len(tokens)), _short(tokens), fontsize=size)
    shown[0].figure.colorbar(image, ax=list(shown), shrink=0.6, pad=0.01, label="attention: row looks at column")


def _short(tokens: Sequence[str]) -> list[str]:
    """Labels in which nothing is a formula, none of them too long for its column."""
    labels = [each if len(each) <= LONGEST_LABEL else f"{each[: LONGEST_LABEL - 1]}…" for each in token_labels(tokens)]
    return [_plain(each) for each in labels]


def _plain(text: str) -> str:
    """Two dollar signs would begin and end a formula."""
    return text.replace("$", r"\$")
