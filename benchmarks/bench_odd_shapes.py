"""Sizes just beside a round one must not be much slower: matmul and attention at 63, 65, 127 and 129.

python benchmarks/bench_odd_shapes.py [--quick]
"""

from __future__ import annotations

import numpy as np
from interleave import Side
from kernel_cases import cost, make
from report import Row, command_line

NEIGHBOURS = {63: 64, 65: 64, 127: 128, 129: 128}
CASES = {
    "matmul {rows} × {n} × {n}": lambda n: ("matmul", [8 * n, n, n]),
    "attention B8 H4 T{n} D64": lambda n: ("attention", [8, 4, n, 64]),
}
NO_CLIFF = 0.75  # of the operations per second at the round size


def rows(quick: bool = False) -> list[Row]:
    """About half a minute. The peer is our own kernel at the round size."""
    found = []
    with Side(__file__, "ours") as side:
        for name, case in CASES.items():
            for odd, even in NEIGHBOURS.items():
                speeds = in_turn(side, [case(odd), case(even)], rounds=2 if quick else 10)
                what, against = name.format(n=odd, rows=8 * odd), f"the same at {even}"
                found.append(Row("odd_shapes", what, against, *speeds, "GFLOP/s", "higher", NO_CLIFF))
    return found


def in_turn(side: Side, cases: list[tuple], rounds: int) -> list[float]:
    """GFLOP/s of each case, medians."""
    seconds = [[] for _ in cases]
    for _ in range(rounds):
        for times, case in zip(seconds, cases, strict=True):
            times += side.measure(case, 20)
    return [cost(*case)[0] / float(np.median(times)) / 1e9 for times, case in zip(seconds, cases, strict=True)]


if __name__ == "__main__":
    command_line(__doc__, rows, make)
