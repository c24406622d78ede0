"""Lines over steps: how the loss falls."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from .figures import BLUE, GREEN, ORANGE, PURPLE, new_figure, save


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
    figure, axes = new_figure(width=7.5, height=4.5)
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
    save(figure, path)


def running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """Mean of each value and up to `reach` neighbours on either side: (N,) -> (N,)."""
    sums = np.cumsum(np.insert(np.asarray(values, np.float64), 0, 0.0))
    places = np.arange(len(sums) - 1)
    start = np.maximum(places - reach, 0)
    end = np.minimum(places + reach + 1, len(places))
    return (sums[end] - sums[start]) / (end - start)
