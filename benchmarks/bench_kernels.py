"""Kernels, forward and backward, against PyTorch's own. The same code calls both: see kernel_cases.py.

python benchmarks/bench_kernels.py [--quick]         # needs the extra `compare`
"""

from __future__ import annotations

from interleave import Side, medians
from kernel_cases import make
from report import Row, command_line

# (kernel, its sizes, what they are, smallest speed as a multiple of PyTorch's)
CASES = [
    ("attention", [12, 4, 64, 32], "B12 H4 T64 D32", 1.5),
    ("attention", [4, 6, 256, 64], "B4 H6 T256 D64", 1.5),
    ("attention", [1, 6, 1024, 64], "B1 H6 T1024 D64", 1.5),
    ("attention", [1, 4, 4096, 64], "B1 H4 T4096 D64", 1.5),
    ("cross-entropy", [768, 65], "768 × 65", 2),
    ("cross-entropy", [1024, 4096], "1024 × 4096", 2),
    ("cross-entropy", [512, 50257], "512 × 50257", 2),
    ("linear + cross-entropy", [2048, 256, 4096], "2048 × 256 × 4096", None),
    ("softmax", [768, 512], "768 × 512", None),
    ("layer norm", [768, 128], "768 × 128", 1.2),
    ("layer norm", [1024, 768], "1024 × 768", 1.2),
    ("RMS norm", [1024, 768], "1024 × 768", None),
    ("GELU", [768, 512], "768 × 512", 1.2),
    ("GELU (tanh)", [768, 512], "768 × 512", 1.2),
    ("GELU (tanh)", [1024, 3072], "1024 × 3072", 1.2),
    ("embedding backward", [768, 65, 128], "768 of 65 × 128", 1.2),
    ("embedding backward", [2048, 4096, 256], "2048 of 4096 × 256", 1.2),
    ("AdamW", [4, 128], "0.8 M parameters", 1.2),
    ("AdamW", [6, 384], "10.6 M parameters", 1.2),
]
ROUNDS = 10


def rows(quick: bool = False) -> list[Row]:
    """About 1.5 minutes."""
    found = []
    with Side(__file__, "ours") as ours, Side(__file__, "PyTorch") as peer:
        for kernel, sizes, text, speed in CASES:
            (trial,) = ours.measure((kernel, sizes), 1)
            calls = 3 if quick else max(3, min(100, round(0.1 / trial)))
            times = medians([ours, peer], (kernel, sizes), 1 if quick else ROUNDS, calls)
            milliseconds = times["ours"] * 1e3, times["PyTorch"] * 1e3
            reach = speed and 1 / speed
            found.append(Row("kernels", f"{kernel} {text}", "PyTorch", *milliseconds, "ms", "lower", reach))
    return found


if __name__ == "__main__":
    command_line(__doc__, rows, make)
