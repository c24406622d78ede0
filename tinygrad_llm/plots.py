"""Pictures: the loss curve of a run, and where attention looks. Each function writes a PNG.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart; lines differ in style as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def loss_curve(
    path: str | os.PathLike,
    train: Sequence[tuple[int, float]],
    validation: Sequence[tuple[int, float]],
    baselines: Mapping[str, float] | None = None,
    unit: str = "bits per byte",
    title: str = "",
) -> None:
    """Draw (step, loss) pairs of training and validation, and a level line for each named baseline.

    Raises ValueError where there is nothing to draw.
    """
    if not train and not validation:
        raise ValueError("loss_curve: there are no losses to draw")
    figure, axes = _figure(width=7.5, height=4.5)
    if train:
        steps, losses = np.transpose(train)
        axes.plot(steps, losses, color=BLUE, alpha=0.3, linewidth=0.8)
        axes.plot(steps, running_mean(losses, len(losses) // 80), color=BLUE, linewidth=1.8, label="training")
    if validation:
        steps, losses = np.transpose(validation)
        axes.plot(steps, losses, color=ORANGE, marker="o", markersize=4, linewidth=1.5, label="validation")
        text = f"{losses[-1]:.3f}"
        axes.annotate(text, (steps[-1], losses[-1]), (0, -14), textcoords="offset points", ha="right", color=ORANGE)
    for (name, level), colour, style in zip((baselines or {}).items(), (PURPLE, GREEN), ("--", ":"), strict=False):
        axes.axhline(level, color=colour, linestyle=style, linewidth=1.5, label=f"{name} {level:.2f}")
    axes.set(xlabel="step", ylabel=unit, title=title)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    _save(figure, path)


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
    size = 1.5 + 0.25 * len(tokens)
    figure, axes_by_head = _figure(width=size * len(heads) + 1, height=size + 0.5, n_axes=len(heads))
    for head, (axes, values) in enumerate(zip(np.atleast_1d(axes_by_head), heads, strict=True)):
        image = axes.imshow(values, vmin=0, vmax=1, cmap="cividis")
        axes.set_xticks(range(len(tokens)), [repr(token)[1:-1] for token in tokens], rotation=90)
        axes.set_yticks(range(len(tokens)), [repr(token)[1:-1] for token in tokens] if head == 0 else [])
        axes.set(title=title if len(heads) == 1 else f"{title}, head {head}", xlabel="looks at")
    figure.colorbar(image, ax=axes_by_head, shrink=0.8)
    _save(figure, path)


def running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """Mean of each value and up to `reach` neighbours on either side: (N,) -> (N,)."""
    sums = np.cumsum(np.insert(np.asarray(values, np.float64), 0, 0.0))
    places = np.arange(len(sums) - 1)
    start = np.maximum(places - reach, 0)
    end = np.minimum(places + reach + 1, len(places))
    return (sums[end] - sums[start]) / (end - start)


def _figure(width: float, height: float, n_axes: int = 1) -> tuple[Figure, Axes | np.ndarray]:
    """Matplotlib's objects rather than pyplot: no display, no state that outlives the figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, n_axes)


def _save(figure: Figure, path: str | os.PathLike) -> None:
    figure.savefig(path, format="png")
