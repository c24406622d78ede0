"""A matrix as a map of colours: attention weights, probabilities, counts. The colours are cividis, which grow lighter
with the value for every kind of colour vision, and in print."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from .figures import new_figure, save

COLOURS = "cividis"


def attention_map(
    path: str | os.PathLike, weights: np.ndarray, tokens: Sequence[str], title: str = "attention"
) -> None:
    """Draw attention weights (T, T) or per head (H, T, T): row = the token that looks, column = where it looks.

    Raises ValueError where the weights' shape and the number of tokens differ.
    """
    weights = np.asarray(weights)
    heads = weights[None] if weights.ndim == 2 else weights  # (H, T, T)
    if heads.ndim != 3 or heads.shape[1:] != (len(tokens), len(tokens)):
        raise ValueError(f"attention_map: weights of shape {weights.shape} do not fit {len(tokens)} tokens")
    labels = token_labels(tokens)
    size = 1.5 + 0.25 * len(tokens)
    figure, axes_by_head = new_figure(width=size * len(heads) + 1, height=size + 0.5, n_axes=len(heads))
    for head, (axes, values) in enumerate(zip(np.atleast_1d(axes_by_head), heads, strict=True)):
        image = axes.imshow(values, vmin=0, vmax=1, cmap=COLOURS)
        axes.set_xticks(range(len(tokens)), labels, rotation=90)
        axes.set_yticks(range(len(tokens)), labels if head == 0 else [])
        axes.set(title=title if len(heads) == 1 else f"{title}, head {head}", xlabel="looks at")
    figure.colorbar(image, ax=axes_by_head, shrink=0.8)
    save(figure, path)


def token_labels(tokens: Sequence[str]) -> list[str]:
    """As Python would write them, without the quotes; a character that the pictures' font lacks by its number."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    drawn = get_font(findfont(FontProperties())).get_charmap()
    return [
        "".join(character if ord(character) in drawn else f"U+{ord(character):04X}" for character in repr(token)[1:-1])
        for token in tokens
    ]


def heat_map(
    path: str | os.PathLike,
    matrix: np.ndarray,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str = "",
    *,
    row_title: str = "",
    column_title: str = "",
    unit: str = "",
    numbers: str = "",
) -> None:
    """Draw a matrix (R, C); NaN stays white. `numbers` is a format such as ".2f" in which each value is written too.

    Raises ValueError where the shape and the numbers of labels differ.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (len(row_labels), len(column_labels)):
        labels = f"{len(row_labels)} row labels and {len(column_labels)} column labels"
        raise ValueError(f"heat_map: a matrix of shape {matrix.shape} does not fit {labels}")
    n_rows, n_columns = matrix.shape
    cell = 0.5 if numbers else 0.25
    width, height = max(3.5, 2.2 + cell * n_columns), max(2.5, 1.4 + min(cell, 0.3) * n_rows)
    figure, axes = new_figure(width, height)
    image = axes.imshow(matrix, cmap=COLOURS, aspect="auto")
    axes.set_xticks(range(n_columns), column_labels, rotation=90 if max(map(len, column_labels)) > 2 else 0)
    axes.set_yticks(range(n_rows), row_labels)
    axes.set(title=title, xlabel=column_title, ylabel=row_title)
    if numbers:
        middle = (np.nanmin(matrix) + np.nanmax(matrix)) / 2
        for row, column in zip(*np.nonzero(np.isfinite(matrix)), strict=True):
            value = matrix[row, column]
            colour = "black" if value > middle else "white"
            axes.text(column, row, format(value, numbers), ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label=unit)
    save(figure, path)
