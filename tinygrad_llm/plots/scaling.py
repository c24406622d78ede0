"""A scaling law: runs and the fitted curves over compute, and which size is best for some minutes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .figures import ORANGE, PURPLE, new_figure, save
from .maps import COLOURS

MARKERS = "osD^vP*X"
LINES = ("--", "-", ":", "-.")


@dataclass(frozen=True)
class SizeCurve:
    """The runs of one size, and the law's curve for it: arrays (R,) and (P,)."""

    compute: np.ndarray
    loss: np.ndarray
    curve_compute: np.ndarray
    curve_loss: np.ndarray


@dataclass(frozen=True)
class PredictedRun:
    """A run that was predicted, and then made."""

    compute: float
    predicted: float
    low: float
    high: float
    measured: float


@dataclass(frozen=True)
class BySize:
    """What each size would reach in the same time, for one time: arrays (P,), and the best of them."""

    n_parameters: np.ndarray
    loss: np.ndarray
    best: tuple[float, float] | None = field(default=None)


def scaling_plot(
    path: str | os.PathLike,
    sizes: Mapping[str, SizeCurve],
    frontier: tuple[np.ndarray, np.ndarray],
    by_size: Mapping[str, BySize],
    predicted: PredictedRun | None = None,
    unit: str = "held-out loss, nats per token",
) -> None:
    """Draw loss over compute, a line for each of `sizes` (name to runs), and the frontier (compute, loss), both (P,);
    beside it the loss over size for each of some times, `by_size`.

    Raises ValueError where there are no sizes.
    """
    if not sizes:
        raise ValueError("scaling_plot: there are no runs to draw")
    import matplotlib

    figure, (left, right) = new_figure(width=11.5, height=4.8, n_axes=2)
    shades = matplotlib.colormaps[COLOURS](np.linspace(0.0, 0.8, len(sizes)))
    for i, (name, size) in enumerate(sizes.items()):
        left.plot(size.curve_compute, size.curve_loss, color=shades[i], linewidth=1.3)
        marker = MARKERS[i % len(MARKERS)]
        left.plot(size.compute, size.loss, marker, color=shades[i], markersize=6, label=name)
    left.plot(*frontier, color="black", linestyle="--", linewidth=1.3, label="best size for the compute")
    if predicted is not None:
        errors = [[predicted.predicted - predicted.low], [predicted.high - predicted.predicted]]
        label = "predicted, 95 % interval"
        style = {"color": PURPLE, "marker": "_", "markersize": 12, "capsize": 5, "linestyle": "none"}
        left.errorbar([predicted.compute], [predicted.predicted], errors, label=label, **style)
        left.plot(predicted.compute, predicted.measured, "x", color=ORANGE, markersize=9, mew=2, label="measured")
    left.set(xscale="log", yscale="log", xlabel="compute 6ND, floating-point operations", ylabel=unit)
    left.set_title("the law and its runs")
    _draw_by_size(right, by_size)
    right.set(xscale="log", xlabel="parameters", ylabel=unit, title="what each size reaches in the same time")
    for axes in (left, right):
        _plain_ticks(axes)
        axes.grid(alpha=0.25, which="both")
        axes.legend(frameon=False, fontsize=8)
    save(figure, path)


def _draw_by_size(axes, by_size: Mapping[str, BySize]) -> None:
    starred = False
    for i, (name, curve) in enumerate(by_size.items()):
        axes.plot(curve.n_parameters, curve.loss, LINES[i % len(LINES)], color="black", linewidth=1.3, label=name)
        if curve.best is not None:
            label = None if starred else "recommended"
            axes.plot(*curve.best, "*", color=ORANGE, markersize=13, label=label)
            starred = True


def _plain_ticks(axes) -> None:
    """On a logarithmic axis of losses numbers such as 3.5, which lie between powers of ten."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())


def spaced(values: Sequence[float], beyond: float = 1.0, n: int = 60) -> np.ndarray:
    """n numbers from the lowest / beyond to the highest · beyond, evenly on a logarithmic axis."""
    return np.geomspace(min(values) / beyond, max(values) * beyond, n)
