"""What all pictures share: colours, an empty figure, and how it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import replacing

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, "Color Universal Design" (2008)
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442"


def new_figure(width: float = 7.0, height: float = 4.5, n_axes: int = 1) -> tuple[Figure, Axes | np.ndarray]:
    """An empty figure (inches) and its axes, an array of them side by side where `n_axes` is more than one.

    These are matplotlib's objects rather than pyplot: no display, no state that outlives the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, n_axes)


def picture_format(path: str | os.PathLike) -> str:
    """ "png" or "svg", as the path ends. Raises ValueError where it ends otherwise."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise ValueError(f"a picture is a .png or an .svg file, so {os.fspath(path)!r} needs such an ending")
    return suffix[1:]


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write the figure to `path`, as PNG or SVG by its ending. The same figure gives the same file; one of that name
    is replaced when the new one is safe on the disk."""
    import matplotlib

    kind = picture_format(path)
    with matplotlib.rc_context({"svg.hashsalt": "tinygrad_llm"}), replacing(path) as temporary:
        figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
