"""Whether a model is as often right as it is sure."""

from __future__ import annotations

import os

import numpy as np

from .figures import BLUE, ORANGE, SKY, new_figure, save


def reliability_diagram(
    path: str | os.PathLike,
    confidence: np.ndarray,
    accuracy: np.ndarray,
    interval: tuple[np.ndarray, np.ndarray],
    n_examples: np.ndarray,
    title: str = "",
) -> None:
    """Draw the accuracy of each bin over its mean confidence, and below how many examples it has; all are (M,).

    Of an empty bin both means are nan. `interval`, two arrays, holds the accuracy with 95 %. On the diagonal the model
    is calibrated, below it is too sure of itself.
    Raises ValueError where every bin is empty.
    """
    filled = np.asarray(n_examples) > 0
    if not filled.any():
        raise ValueError("reliability_diagram: all bins are empty, so there is nothing to draw")
    columns = confidence, accuracy, n_examples, *interval
    x, y, n, low, high = (np.asarray(each, np.float64)[filled] for each in columns)
    figure, (left, right) = new_figure(width=10, height=4.2, n_axes=2)
    left.plot([0, 1], [0, 1], color=ORANGE, linestyle="--", label="calibrated")
    errors = np.maximum([y - low, high - y], 0)
    left.errorbar(x, y, errors, color=BLUE, marker="o", capsize=3, label="model, with 95 % intervals")
    left.set(xlabel="mean confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02), title=title)
    left.grid(alpha=0.25)
    left.legend(frameon=False)
    right.bar(x, n, width=0.06, color=SKY, edgecolor=BLUE)
    right.set(xlabel="mean confidence", ylabel="examples", xlim=(0, 1.02), title="how sure it is, how often")
    save(figure, path)
