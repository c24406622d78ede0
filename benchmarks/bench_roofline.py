"""Roofline (Williams et al. 2009): how near each kernel comes to what the machine could do.

python benchmarks/bench_roofline.py [--quick]

A kernel that does I operations for each byte it moves can run at min(peak, I · bandwidth) operations per second. The
peak is the best matrix product seen, the bandwidth that of a triad a = b + s·c over arrays too large for any cache:
both measured here, so that nothing depends on a data sheet. A kernel above that roof works on data that stay in cache.
"""

from __future__ import annotations

import bench_kernels
import kernel_cases
import numpy as np
from interleave import Side, medians
from report import Row, command_line

from tinygrad_llm.kernel import kernel, prange

PEAK_SIZE = 1536  # rows and columns of the product that gives the peak
IN_MEMORY, IN_CACHE = 32 << 20, 512 << 10  # elements of each of the triad's three arrays: 384 MB and 6 MB in all
FLOAT = 4
MATMULS = [[768, 128, 512], [1024, 384, 1536], [2048, 256, 4096]]


@kernel(parallel=True)
def triad(a, b, c, scale):
    """STREAM's loop (McCalpin 1995): two reads and a write for two operations."""
    for i in prange(a.shape[0]):
        a[i] = b[i] + scale * c[i]


def rows(quick: bool = False) -> list[Row]:
    """About 1 minute. The peer of a kernel is the roof above it; x is its operations per byte."""
    with Side(__file__, "ours") as ours, Side(__file__, "BLAS") as blas:
        peak = max(gigaflops([side], ("matmul", [PEAK_SIZE] * 3), quick) for side in (ours, blas))
        memory, cache = (3 * FLOAT * n / seconds([ours], ("triad", [n]), quick) / 1e9 for n in (IN_MEMORY, IN_CACHE))
        found = [
            Row("roofline", f"peak: best product of {PEAK_SIZE} × {PEAK_SIZE}", "", peak, None, "GFLOP/s", "higher"),
            Row("roofline", "bandwidth: triad in memory", "", memory, None, "GB/s", "higher"),
            Row("roofline", "bandwidth: triad in cache", "", cache, None, "GB/s", "higher"),
        ]
        for kind, sizes, text in cases():
            operations, moved = kernel_cases.cost(kind, sizes)
            intensity = operations / moved
            roof = min(peak, intensity * memory)
            speed = gigaflops([ours], (kind, sizes), quick)
            found.append(Row("roofline", f"{kind} {text}", "roof", speed, roof, "GFLOP/s", "higher", x=intensity))
    return found


def cases() -> list[tuple]:
    """(kernel, sizes, text) of the matrix products and of bench_kernels.py's cases."""
    products = [("matmul", sizes, " × ".join(map(str, sizes))) for sizes in MATMULS]
    return products + [case[:3] for case in bench_kernels.CASES]


def seconds(sides: list[Side], case: tuple, quick: bool) -> float:
    (trial,) = sides[0].measure(case, 1)
    calls = 2 if quick else max(2, min(50, round(0.1 / trial)))
    return medians(sides, case, 1 if quick else 6, calls)[sides[0].name]


def gigaflops(sides: list[Side], case: tuple, quick: bool) -> float:
    operations, _ = kernel_cases.cost(*case)
    return operations / seconds(sides, case, quick) / 1e9


def make(side: str, case: tuple):
    kind, sizes = case
    if kind == "triad":
        a, b, c = np.ones((3, *sizes), np.float32)
        return lambda: triad(a, b, c, np.float32(3))
    if side == "BLAS":
        a, b, out = np.random.default_rng(0).standard_normal((3, PEAK_SIZE, PEAK_SIZE), np.float32)
        return lambda: np.matmul(a, b, out=out)
    return kernel_cases.make(side, case)


if __name__ == "__main__":
    command_line(__doc__, rows, make)
