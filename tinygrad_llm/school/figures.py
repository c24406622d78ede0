"""The pictures of the lessons: where they are kept, and how they are shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .catalogue import lessons_folder

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
    figure.savefig(figure_path(name))
    show_figure(name)


def show_figure(name: str) -> None:
    """In a notebook show the picture, elsewhere say where it is."""
    path = figure_path(name)
    if _in_notebook():
        from IPython.display import Image, display

        display(Image(filename=str(path)))
    else:
        folder = Path.cwd()
        print(f"figure: {path.relative_to(folder) if path.is_relative_to(folder) else path}")


def _in_notebook() -> bool:
    import sys

    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")
