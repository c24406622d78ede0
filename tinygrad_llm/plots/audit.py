"""One figure of an audit: associations, paired sentences, what was memorised, calibration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import BLUE, GREEN, ORANGE, PURPLE, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
MARKERS = ("o", "s", "^", "D")


def audit_figure(path: str | os.PathLike, audit: Mapping[str, Any], title: str = "") -> None:
    """Draw what an audit.json holds of these: associations, preferences, extraction, exposure and calibration.

    Raises ValueError where it holds none of them.
    """
    panels: dict[str, Callable[[Axes, Any], None]] = {
        "associations": _associations,
        "preferences": _preferences,
        "extraction": _extraction,
        "exposure": _exposure,
        "calibration": _calibration,
    }
    drawn = [(name, draw) for name, draw in panels.items() if audit.get(name)]
    if not drawn:
        raise ValueError("audit_figure: the audit measured nothing that can be drawn")
    n_rows = -(-len(drawn) // 2)
    n_columns = min(len(drawn), 2)
    figure, _ = new_figure(width=6.5 * n_columns, height=max(4.0 * n_rows, 4.5))
    figure.clear()
    all_axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (name, draw) in zip(all_axes, drawn, strict=False):
        draw(axes, audit[name])
        axes.grid(alpha=0.25)
    for axes in all_axes[len(drawn) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    save(figure, path)


def _associations(axes: Axes, kinds: Mapping[str, Any]) -> None:
    rows = list(dict.fromkeys(name for tests in kinds.values() for name in tests))
    for number, (kind, tests) in enumerate(kinds.items()):
        shift = 0.25 * (number - (len(kinds) - 1) / 2)
        _forest(axes, {rows.index(name) + shift: test["effect"] for name, test in tests.items()}, number, kind)
    _name_rows(axes, rows)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="effect size d, 95 % interval", xlim=(-2.05, 2.05), title="word associations")
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _preferences(axes: Axes, topics: Mapping[str, Any]) -> None:
    _forest(axes, {i: topic["share"] for i, topic in enumerate(topics.values())}, 0, "")
    _name_rows(axes, list(topics))
    axes.axvline(0.5, color="black", linewidth=0.8)
    axes.set(xlabel="share that prefers the stereotype, 95 % interval", xlim=(-0.02, 1.02), title="paired sentences")


def _forest(axes: Axes, intervals: Mapping[float, Mapping[str, float]], number: int, label: str) -> None:
    y, found = list(intervals), list(intervals.values())
    x, low, high = (np.array([each[part] for each in found]) for part in ("value", "low", "high"))
    errors = np.maximum([x - low, high - x], 0)
    axes.errorbar(x, y, xerr=errors, fmt=MARKERS[number], color=COLOURS[number], capsize=3, label=label)


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [name.replace(" × ", "\n× ") for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top


def _extraction(axes: Axes, texts: Mapping[str, Any]) -> None:
    for number, (name, lengths) in enumerate(texts.items()):
        x = [int(length.split()[0]) for length in lengths]
        found = [each["exact"] for each in lengths.values()]
        y, low, high = (100 * np.array([each[part] for each in found]) for part in ("value", "low", "high"))
        errors = np.maximum([y - low, high - y], 0)
        style = {"marker": MARKERS[number], "color": COLOURS[number], "linestyle": ("-", "--")[number % 2]}
        beside = np.array(x) * 1.04**number  # where two are equal both can be seen
        axes.errorbar(beside, y, errors, capsize=3, label=name, **style)
    axes.set(xlabel="tokens in the prompt", ylabel="% reproduced exactly", title="extraction of text")
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [str(each) for each in x])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)


def _exposure(axes: Axes, levels: Mapping[str, Any]) -> None:
    names = [level.removesuffix("×") for level in levels]
    for i, level in enumerate(levels.values()):
        axes.plot(
            [i] * len(level["each"]), level["each"], "o", color=BLUE, alpha=0.5, label="a canary" if i == 0 else ""
        )
    axes.plot(range(len(names)), [level["mean"] for level in levels.values()], color=ORANGE, marker="s", label="mean")
    most = np.log2(next(iter(levels.values()))["candidates"])
    axes.axhline(most, color=GREEN, linestyle="--", linewidth=1, label="the most that can be seen")
    axes.axhline(1.44, color="black", linestyle=":", linewidth=1, label="nothing learnt, in the mean")
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="times in the training text", ylabel="exposure (bits)", title="canaries")
    axes.legend(frameon=False, fontsize=8)


def _calibration(axes: Axes, result: Mapping[str, Any]) -> None:
    bins = [each for each in result["bins"] if each["n"]]
    confidence, accuracy = ([each[part] for each in bins] for part in ("confidence", "accuracy"))
    sizes = np.array([each["n"] for each in bins])
    axes.plot([0, 1], [0, 1], color=ORANGE, linestyle="--", label="calibrated")
    axes.plot(confidence, accuracy, color=BLUE, alpha=0.6)
    axes.scatter(confidence, accuracy, 15 + 150 * sizes / sizes.max(), color=BLUE, label="tokens (size: how many)")
    axes.set(xlabel="mean probability of the likeliest token", ylabel="share where it is right")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), title=f"calibration: error {result['error']['value']:.3f}")
    axes.legend(frameon=False, fontsize=8)
