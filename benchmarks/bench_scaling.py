"""How time and memory grow with context T, width C, vocabulary V and batch B, beside what theory says.

python benchmarks/bench_scaling.py [--quick]         # needs the extra `compare`

Each series doubles one size. Where the sizes are large enough for start-up costs not to show, a straight line through
log(cost) over log(size) has the exponent as its slope: 1 for linear, 2 for quadratic. Theory is the slope of a formula
over the same sizes: operations for time, bytes of the arrays that have to exist for memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import bench_step
import kernel_cases
import numpy as np
from interleave import Side, medians, peak_memory
from report import Row, command_line

FLOAT = 4  # bytes of a float32
FITTED = 4  # the largest sizes of a series, from which the exponent is taken; memory is measured at these only
NO_WORSE = 1.1  # memory's exponent, as a multiple of the theory's


@dataclass(frozen=True)
class Series:
    name: str
    size: str  # which size grows: T, C, V or B
    values: tuple[int, ...]
    case: Callable[[int], tuple]  # for one value: ("step", sizes) or a case of kernel_cases.py
    operations: Callable[[int], float]
    stored: Callable[[int], float]  # bytes


def step_operations(sizes: tuple) -> float:
    """2 for each multiply-add of the products, 3 products for each weight: forward, dx, dW; attention's 7."""
    B, T, L, _, C, V = sizes
    return 6 * B * T * (12 * L * C * C + V * C) + 14 * B * L * C * T * (T + 1) / 2


def step_stored(sizes: tuple) -> float:
    """Parameters, gradients, AdamW's two averages; per block some 16 numbers for each of B T C, for backward."""
    B, T, L, _, C, V = sizes
    return FLOAT * (4 * (12 * L * C * C + (V + T) * C) + 16 * L * B * T * C)


def wide(C: int) -> tuple:
    return (4, 128, 2, C // 32, C, 65)


def batch(B: int) -> tuple:
    return (B, 64, 4, 4, 128, 65)


SERIES = (
    Series(
        "causal attention, H2 D64",
        "T",
        (256, 512, 1024, 2048, 4096, 8192, 16384),
        lambda T: ("attention", [1, 2, T, 64]),
        lambda T: kernel_cases.cost("attention", [1, 2, T, 64])[0],
        lambda T: FLOAT * 8 * 2 * T * 64,  # q, k, v, out and the gradients of all four
    ),
    Series(
        "linear + cross-entropy, N512 C256",
        "V",
        (1024, 2048, 4096, 8192, 16384, 32768, 65536),
        lambda V: ("linear + cross-entropy", [512, 256, V]),
        lambda V: kernel_cases.cost("linear + cross-entropy", [512, 256, V])[0],
        lambda V: FLOAT * 2 * (V * 256 + 512 * 256),  # W, x and their gradients
    ),
    Series(
        "training step, B4 T128 L2 V65",
        "C",
        (64, 128, 256, 512, 1024),
        lambda C: ("step", wide(C)),
        lambda C: step_operations(wide(C)),
        lambda C: step_stored(wide(C)),
    ),
    Series(
        "training step, T64 L4 C128 V65",
        "B",
        (1, 2, 4, 8, 16, 32, 64),
        lambda B: ("step", batch(B)),
        lambda B: step_operations(batch(B)),
        lambda B: step_stored(batch(B)),
    ),
)
# Small cases that load the same code, before memory is measured.
WARM_UP = {
    "attention": ("attention", [1, 2, 32, 64]),
    "linear + cross-entropy": ("linear + cross-entropy", [32, 32, 64]),
    "step": ("step", bench_step.WARM_UP),
}
PEER = "PyTorch"


def rows(quick: bool = False) -> list[Row]:
    """About 3.5 minutes, most of them for starting a process per figure of memory."""
    exponents, points = [], []
    for series in SERIES:
        values = series.values[:3] if quick else series.values
        times = seconds_of(series, values, quick)
        points += [point(series, "time", "ms", x, ours * 1e3, peer * 1e3) for x, (ours, peer) in times.items()]
        bytes_used = bytes_of(series, values[-2:] if quick else values[-FITTED:])
        points += [point(series, "memory", "MB", x, ours / 1e6, peer / 1e6) for x, (ours, peer) in bytes_used.items()]
        exponents.append(exponent(series, "time", {x: ours for x, (ours, _) in times.items()}, series.operations))
        exponents.append(exponent(series, "memory", {x: ours for x, (ours, _) in bytes_used.items()}, series.stored))
    return exponents + points


def seconds_of(series: Series, values: tuple[int, ...], quick: bool) -> dict[int, tuple[float, float]]:
    found = {}
    with Side(__file__, "ours") as ours, Side(__file__, PEER) as peer:
        for x in values:
            (trial,) = ours.measure(series.case(x), 1)
            calls = 1 if quick else max(1, min(20, round(0.2 / trial)))
            times = medians([ours, peer], series.case(x), 1 if quick else 3, calls)
            found[x] = times["ours"], times[PEER]
    return found


def bytes_of(series: Series, values: tuple[int, ...]) -> dict[int, tuple[float, float]]:
    cases = {x: series.case(x) for x in values}
    return {
        x: tuple(peak_memory(__file__, side, case, WARM_UP[case[0]], 2) for side in ("ours", PEER))
        for x, case in cases.items()
    }


def slope(costs: dict[int, float]) -> float:
    """Exponent of the power law through the largest sizes: least squares on logarithms."""
    x, y = np.array(list(costs.items())[-FITTED:], float).T
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def exponent(series: Series, what: str, costs: dict[int, float], theory: Callable[[int], float]) -> Row:
    expected = slope({x: theory(x) for x in costs})
    sizes = list(costs)[-FITTED:]
    note = f"{series.size} {sizes[0]:,} to {sizes[-1]:,}"
    name = f"{series.name}: exponent of {series.size}, {what}"
    # Linear memory is a promise; the exponent of time also grows where a small size was slow.
    reach = NO_WORSE if what == "memory" and series.size == "T" else None
    return Row("scaling", name, "theory", slope(costs), expected, "", "lower", reach, note)


def point(series: Series, what: str, unit: str, x: int, ours: float, peer: float) -> Row:
    return Row("scaling", f"{series.name}: {what}", PEER, ours, peer, unit, "lower", x=x)


def make(side: str, case: tuple):
    kind, sizes = case
    return bench_step.make(side, sizes) if kind == "step" else kernel_cases.make(side, case)


if __name__ == "__main__":
    command_line(__doc__, rows, make)
