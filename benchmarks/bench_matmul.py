"""matmul: our kernel against NumPy's BLAS and PyTorch on the shapes of small models. This decides `use_kernel`.

python benchmarks/bench_matmul.py            # needs the extra `compare` for PyTorch
"""

from __future__ import annotations

import argparse
import importlib.util
import json

import numpy as np
from interleave import Side, machine, medians, serve
from rich.console import Console
from rich.table import Table

from tinygrad_llm.ops.matmul import multiply, set_matmul

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


def products(rng, rows, inputs, outputs):
    """The three products of a linear layer, as (name, a, b): y = x Wᵀ, dx = dy W, dW = dyᵀ x."""
    x = rng.standard_normal((rows, inputs)).astype(np.float32)
    weight = rng.standard_normal((outputs, inputs)).astype(np.float32)
    dy = rng.standard_normal((rows, outputs)).astype(np.float32)
    return [("A·Bᵀ", x, weight.T), ("A·B", dy, weight), ("Aᵀ·B", dy.T, x)]


def served_product(side: str, case: str):
    """One product, as a call: what a side's process measures."""
    shape, name = json.loads(case)
    a, b = next((a, b) for other, a, b in products(np.random.default_rng(0), *shape) if other == name)
    out = np.empty((a.shape[0], b.shape[1]), np.float32)
    if side == "PyTorch":
        import torch

        ta, tb, tout = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(out)
        return lambda: torch.matmul(ta, tb, out=tout)
    set_matmul("kernel" if side == "kernel" else "blas")
    return lambda: multiply(a, b, out=out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(lambda case: served_product(options.serve, case))
    names = ["kernel", "BLAS", *(["PyTorch"] if importlib.util.find_spec("torch") else [])]
    sides = {name: Side(__file__, name) for name in names}
    table = Table(title=f"matmul, float32, GFLOP/s (median)\n{machine()}")
    for column in ("rows × in × out", "product", *names, "kernel / BLAS"):
        table.add_column(column, justify="left" if column == "product" else "right")
    ratios = []
    for shape in SHAPES:
        for product in ("A·Bᵀ", "A·B", "Aᵀ·B"):
            times = medians(sides, json.dumps([shape, product]), options.rounds, calls=10)
            ratios.append(times["BLAS"] / times["kernel"])
            cells = [f"{2 * np.prod(shape) / times[name] / 1e9:.0f}" for name in names]
            table.add_row(" × ".join(map(str, shape)), product, *cells, f"{ratios[-1]:.2f}")
    table.add_section()
    mean = f"{np.exp(np.mean(np.log(ratios))):.2f}"
    table.add_row("geometric mean", "", *[""] * len(names), mean)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
