"""matmul: our kernel against NumPy's BLAS and PyTorch on the shapes of small models. This decides `use_kernel`.

python benchmarks/bench_matmul.py            # needs the extra `compare` for PyTorch
"""

from __future__ import annotations

import numpy as np
from interleave import interleave, machine
from rich.console import Console
from rich.table import Table

from tinygrad_llm.ops.matmul import matmul_backend, multiply

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


def contenders(a, b, torch):
    out = np.empty((a.shape[0], b.shape[1]), np.float32)

    def kernel():
        with matmul_backend("kernel"):
            multiply(a, b, out=out)

    calls = {"kernel": kernel, "BLAS": lambda: np.matmul(a, b, out=out)}
    if torch:
        ta, tb, tout = torch.from_numpy(a), torch.from_numpy(b), torch.empty(out.shape)
        calls["PyTorch"] = lambda: torch.matmul(ta, tb, out=tout)
    return calls


def main() -> None:
    try:
        import torch
    except ImportError:
        torch = None
    rng = np.random.default_rng(0)
    table = Table(title=f"matmul, float32, GFLOP/s\n{machine()}")
    for column in ("rows × in × out", "product", "kernel", "BLAS", "PyTorch", "kernel / BLAS"):
        table.add_column(column, justify="left" if column == "product" else "right")
    ratios = []
    for shape in SHAPES:
        for name, a, b in products(rng, *shape):
            times = interleave(contenders(a, b, torch))
            gigaflops = {who: 2 * np.prod(shape) / seconds / 1e9 for who, seconds in times.items()}
            ratios.append(gigaflops["kernel"] / gigaflops["BLAS"])
            cells = [f"{gigaflops[who]:.0f}" if who in gigaflops else "–" for who in ("kernel", "BLAS", "PyTorch")]
            table.add_row(" × ".join(map(str, shape)), name, *cells, f"{ratios[-1]:.2f}")
    table.add_section()
    table.add_row("geometric mean", "", "", "", "", f"{np.exp(np.mean(np.log(ratios))):.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
