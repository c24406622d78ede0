"""The pictures of the lessons: where they are kept, and how they are shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..plots import save
from .catalogue import lessons_folder, short_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_path(name: str) -> Path:
    """`lessons/figures/NAME.png`; the variable TINYGRAD_LLM_FIGURES names another folder."""
    own = os.environ.get("TINYGRAD_LLM_FIGURES")
    folder = Path(own) if own else lessons_folder() / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.png"


def save_figure(name: str, figure: Figure) -> None:
    """Write a figure of matplotlib to `figure_path(name)`, and show it."""
    save(figure, figure_path(name))
    show_figure(name)


def show_figure(name: str) -> None:
    """In a notebook show the picture, elsewhere say where it is."""
    path = figure_path(name)
    if _in_notebook():
        from IPython.display import Image, display

        display(Image(filename=str(path)))
    else:
        print(f"figure: {short_path(path)}")


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")
