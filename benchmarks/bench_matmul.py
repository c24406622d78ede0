"""matmul: our kernel against NumPy's BLAS and PyTorch on the shapes of small models. This decides `use_kernel`.

python benchmarks/bench_matmul.py [--quick]          # needs the extra `compare` for PyTorch
"""

from __future__ import annotations

import importlib.util

import numpy as np
from interleave import Side, medians
from report import Row, command_line

# Rows (batch × time), inputs, outputs of the linear layers of GPTs with d_model 128, 384, 256 and 768.
SHAPES = [
    (256, 256, 256),
    (768, 128, 65),
    (768, 128, 128),
    (768, 128, 384),
    (768, 128, 512),
    (768, 512, 128),
    (1024, 384, 1152),
    (1024, 384, 1536),
    (1024, 1536, 384),
    (2048, 256, 1024),
    (2048, 256, 4096),
    (512, 768, 3072),
]
PRODUCTS = ("A·Bᵀ", "A·B", "Aᵀ·B")  # of a linear layer: y = x Wᵀ, dx = dy W, dW = dyᵀ x
ROUNDS, CALLS = 6, 40


def rows(quick: bool = False) -> list[Row]:
    """About 1.5 minutes."""
    found, speeds = [], []
    peers = ["BLAS", *(["PyTorch"] if importlib.util.find_spec("torch") else [])]
    sides = [Side(__file__, name) for name in ("ours", *peers)]
    for shape in SHAPES[:3] if quick else SHAPES:
        for product in PRODUCTS:
            times = medians(sides, (shape, product), *((1, 3) if quick else (ROUNDS, CALLS)))
            speeds.append({name: 2 * np.prod(shape) / seconds / 1e9 for name, seconds in times.items()})
            what = f"matmul {' × '.join(map(str, shape))}, {product}"
            found += [
                Row("matmul", what, peer, speeds[-1]["ours"], speeds[-1][peer], "GFLOP/s", "higher") for peer in peers
            ]
    for side in sides:
        side.close()
    mean = {name: float(np.exp(np.mean([np.log(each[name]) for each in speeds]))) for name in speeds[0]}
    what = f"matmul kernel, geometric mean of {len(speeds)} products"
    reaches = {"BLAS": 1.0, "PyTorch": None}
    means = [Row("matmul", what, peer, mean["ours"], mean[peer], "GFLOP/s", "higher", reaches[peer]) for peer in peers]
    return means + found


def make(side: str, case: tuple):
    """One product, as a call: what a side's process measures."""
    (rows, inputs, outputs), product = case
    rng = np.random.default_rng(0)
    x, weight, dy = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((rows, inputs), (outputs, inputs), (rows, outputs))
    )
    a, b = {"A·Bᵀ": (x, weight.T), "A·B": (dy, weight), "Aᵀ·B": (dy.T, x)}[product]
    out = np.empty((a.shape[0], b.shape[1]), np.float32)
    if side == "BLAS":
        return lambda: np.matmul(a, b, out=out)
    if side == "PyTorch":
        import torch

        ta, tb, tout = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(out)
        return lambda: torch.matmul(ta, tb, out=tout)
    from tinygrad_llm.ops.matmul import multiply, set_matmul

    set_matmul("kernel")
    return lambda: multiply(a, b, out=out)


if __name__ == "__main__":
    command_line(__doc__, rows, make)
