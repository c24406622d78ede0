"""The pictures of the benchmarks, drawn from the rows alone: speed beside the peers', roofline, growth.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart; shape or place differ as well.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from report import Row, number

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#999999"
NO_PEER = ("scaling", "odd_shapes", "roofline")  # they compare with theory, ourselves or the machine


def draw_all(rows: list[Row], folder: Path) -> list[Path]:
    """Write the pictures for which there are rows, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"ratios.png": ratio_bars, "roofline.png": roofline, "scaling.png": growth}
    drawn = {folder / name: draw(rows) for name, draw in pictures.items()}
    for path, figure in drawn.items():
        if figure is not None:
            figure.savefig(path, dpi=120)
    return [path for path, figure in drawn.items() if figure is not None]


def new_figure(width: float, height: float) -> Figure:
    """Matplotlib's objects rather than pyplot: no display, no state that outlives the figure."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def ratio_bars(rows: list[Row]) -> Figure | None:
    """A bar for each row with a reach: how many times as good as the peer, and where the reach is."""
    rows = [row for row in rows if row.reach is not None and row.peer and row.ours and row.bench not in NO_PEER][::-1]
    if not rows:
        return None
    figure = new_figure(10, 0.3 * len(rows) + 1.6)
    axes = figure.subplots()
    places = np.arange(len(rows))
    values = np.array([row.times_better for row in rows])
    goals = np.array([row.reach if row.better == "higher" else 1 / row.reach for row in rows])
    reached = np.array([row.reached for row in rows])
    for chosen, colour, label in ((reached, BLUE, "reached"), (~reached, VERMILLION, "missed")):
        widths = values[chosen] - 1
        axes.barh(places[chosen], widths, left=1, height=0.68, color=colour, label=label)
    axes.vlines(goals, places - 0.45, places + 0.45, color=BLACK, linewidth=2.5, label="reach")
    for y, value, goal in zip(places, values, goals, strict=True):
        axes.annotate(f"{number(value)}×", (max(value, goal, 1), y), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [f"{row.case}  |  {row.against}" for row in rows], fontsize=8.5)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.axvline(1, color=GREY, linewidth=1, zorder=0)
    axes.set_xscale("log")
    low, high = min(values.min(), 1) / 1.08, max(values.max(), goals.max()) * 1.35
    axes.set_xlim(low, high)
    fine = (1, 1.5, 2, 3, 5, 7) if high < 30 * low else (1, 2, 5) if high < 300 * low else (1,)
    steps = [x for exponent in range(-3, 5) for x in np.multiply(fine, 10.0**exponent) if low <= x <= high]
    axes.set_xticks(steps, [f"{x:g}×" for x in steps])
    axes.minorticks_off()
    axes.set_xlabel("times as fast as the peer,\nor its memory divided by ours")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def roofline(rows: list[Row]) -> Figure | None:
    """Speed of each kernel over the operations it does for each byte, under the machine's limits."""
    rows = [row for row in rows if row.bench == "roofline" and row.ours is not None]
    limits = {row.case.partition(":")[2].strip(): row.ours for row in rows if row.x is None}
    points = [row for row in rows if row.x is not None]
    if not points:
        return None
    figure = new_figure(10, 6)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="operations per byte that has to move", ylabel="GFLOP/s")
    x = np.geomspace(min(row.x for row in points) / 2, max(row.x for row in points) * 2, 200)
    (peak,) = (value for name, value in limits.items() if name.startswith("best"))
    for place, style in (("memory", "-"), ("cache", "--")):
        bandwidth = limits[f"triad in {place}"]
        label = (
            f"roof: {number(peak)} GFLOP/s, {number(bandwidth)} GB/s {'from ' if place == 'memory' else 'in '}{place}"
        )
        axes.plot(x, np.minimum(peak, bandwidth * x), style, color=BLACK, linewidth=1.5, label=label)
    kinds = defaultdict(list)
    for row in points:
        kinds[row.case[: row.case.index(next(c for c in row.case if c.isdigit()))].rstrip(" BT")].append(row)
    colours = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
    for i, (kind, members) in enumerate(kinds.items()):
        marker = "osD^vP"[i // len(colours) * 3 % 6 + i % 3]
        axes.scatter(
            [row.x for row in members],
            [row.ours for row in members],
            s=55,
            marker=marker,
            color=colours[i % len(colours)],
            edgecolor="white",
            linewidth=0.6,
            label=kind,
            zorder=3,
        )
    axes.set_xlim(x[0], x[-1])
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def growth(rows: list[Row]) -> Figure | None:
    """Time above, memory below, for each size that grows; dotted: the theory's slope through our largest point."""
    points = [row for row in rows if row.bench == "scaling" and row.x is not None]
    fits = {row.case: row for row in rows if row.bench == "scaling" and row.x is None}
    if not points:
        return None
    names = list(dict.fromkeys(row.case.rpartition(":")[0] for row in points))
    figure = new_figure(3.6 * len(names), 6.6)
    grid = figure.subplots(2, len(names), squeeze=False)
    for column, name in enumerate(names):
        for axes, what in zip(grid[:, column], ("time", "memory"), strict=True):
            fit = next(row for case, row in fits.items() if case.startswith(name) and case.endswith(what))
            size = fit.case.partition("exponent of ")[2].partition(",")[0]
            draw_growth(axes, [row for row in points if row.case == f"{name}: {what}"], fit, size)
        grid[0, column].set_title(name, fontsize=10)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_growth(axes, points: list[Row], fit: Row, size: str) -> None:
    x = np.array([row.x for row in points])
    axes.plot(x, [row.ours for row in points], "o-", color=BLUE, label="ours")
    axes.plot(x, [row.peer for row in points], "s--", color=VERMILLION, label=points[0].against)
    axes.plot(x, points[-1].ours * (x / x[-1]) ** fit.peer, ":", color=BLACK, label="theory's slope")
    axes.set(xscale="log", yscale="log", xlabel=size, ylabel=points[0].unit)
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [f"{int(v):,}" for v in x], rotation=45, fontsize=8)
    text = f"ours ${size}^{{{fit.ours:.2f}}}$, theory ${size}^{{{fit.peer:.2f}}}$"
    axes.text(0.03, 0.98, text, transform=axes.transAxes, va="top", fontsize=10)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.15)  # room for the text
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 50 * low else (1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.10g}")
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
