"""Pictures: the loss curve of a run, where attention looks, the graph behind a gradient. Each function writes a file.

A path that ends in `.png` or `.svg` says which kind. Colours are Okabe and Ito's, which people with any kind of colour
vision can tell apart; lines differ in style as well.
"""

from .audit import audit_figure
from .calibration import reliability_diagram
from .curves import loss_curve, running_mean
from .figures import BLUE, GREEN, ORANGE, PURPLE, SKY, YELLOW, new_figure, save
from .graph import graph
from .layered import layered_graph
from .layout import Layout, layered_layout
from .maps import attention_map, heat_map

__all__ = [
    "BLUE",
    "GREEN",
    "ORANGE",
    "PURPLE",
    "SKY",
    "YELLOW",
    "Layout",
    "attention_map",
    "audit_figure",
    "graph",
    "heat_map",
    "layered_graph",
    "layered_layout",
    "loss_curve",
    "new_figure",
    "reliability_diagram",
    "running_mean",
    "save",
]
