"""Kernels, forward and backward, against PyTorch's own, in turn in one run; as a table and a picture.

python benchmarks/bench_kernels.py [--plot FILE.png]         # needs the extra `compare`
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from interleave import Side, machine, medians, serve
from rich.console import Console
from rich.table import Table
from torch.nn import functional as TF

import tinygrad_llm.functional as F
from tinygrad_llm import tensor
from tinygrad_llm.optim import AdamW


def both(ours, theirs, *arrays):
    """Two calls that run forward and backward on the same float32 arrays."""
    a = [tensor(array, requires_grad=True) for array in arrays]
    b = [torch.from_numpy(array).requires_grad_() for array in arrays]
    dout = np.ones(ours(*a).shape, np.float32)
    dout_b = torch.from_numpy(dout)

    def run_ours():
        for x in a:
            x.grad = None
        ours(*a).backward(dout)

    def run_theirs():
        for x in b:
            x.grad = None
        theirs(*b).backward(dout_b)

    return run_ours, run_theirs


def attention(rng, B, H, T, D):
    qkv = [rng.standard_normal((B, T, H, D)).astype(np.float32).transpose(0, 2, 1, 3) for _ in range(3)]
    return both(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, is_causal=True),
        *qkv,
    )


def cross_entropy(rng, N, V):
    x, target = rng.standard_normal((N, V)).astype(np.float32), rng.integers(0, V, N)
    ours, theirs = tensor(target), torch.from_numpy(target)
    return both(lambda x: F.cross_entropy(x, ours), lambda x: TF.cross_entropy(x, theirs), x)


def linear_cross_entropy(rng, N, C, V):
    x, w = (rng.standard_normal(shape).astype(np.float32) * 0.1 for shape in ((N, C), (V, C)))
    target = rng.integers(0, V, N)
    other = torch.from_numpy(target)
    return both(lambda x, w: F.linear_cross_entropy(x, w, target), lambda x, w: TF.cross_entropy(x @ w.T, other), x, w)


def norm(rng, N, C, rms=False):
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((N, C), C, C)]
    if rms:
        return both(lambda x, w: F.rms_norm(x, (C,), w), lambda x, w: TF.rms_norm(x, (C,), w), *arrays[:2])
    return both(lambda x, w, b: F.layer_norm(x, (C,), w, b), lambda x, w, b: TF.layer_norm(x, (C,), w, b), *arrays)


def softmax(rng, N, V):
    return both(F.softmax, lambda x: TF.softmax(x, -1), rng.standard_normal((N, V)).astype(np.float32))


def gelu(rng, N, C, approximate):
    return both(
        lambda x: F.gelu(x, approximate=approximate),
        lambda x: TF.gelu(x, approximate=approximate),
        rng.standard_normal((N, C)).astype(np.float32),
    )


def embedding(rng, N, V, C):
    ids, weight = rng.integers(0, V, N), rng.standard_normal((V, C)).astype(np.float32)
    other = torch.from_numpy(ids)
    return both(lambda w: F.embedding(ids, w), lambda w: TF.embedding(other, w), weight)


def adamw(rng, n_layers, C):
    """The parameters of a small GPT, each with a gradient."""
    shapes = [(65, C), (64, C)] + [(C,), (C,), (3 * C, C), (C, C), (4 * C, C), (C, 4 * C)] * n_layers
    ours = [tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True) for shape in shapes]
    theirs = [torch.from_numpy(p.data.copy()) for p in ours]
    for a, b in zip(ours, theirs, strict=True):
        b.requires_grad_()
        a.grad = tensor(rng.standard_normal(a.shape).astype(np.float32))
        b.grad = torch.from_numpy(a.grad.data.copy())
    return AdamW(ours, lr=1e-6).step, torch.optim.AdamW(theirs, lr=1e-6, fused=True).step


CASES = {
    "attention B12 H4 T64 D32": lambda rng: attention(rng, 12, 4, 64, 32),
    "attention B4 H6 T256 D64": lambda rng: attention(rng, 4, 6, 256, 64),
    "attention B1 H6 T1024 D64": lambda rng: attention(rng, 1, 6, 1024, 64),
    "attention B1 H4 T4096 D64": lambda rng: attention(rng, 1, 4, 4096, 64),
    "cross-entropy 768 × 65": lambda rng: cross_entropy(rng, 768, 65),
    "cross-entropy 1024 × 4096": lambda rng: cross_entropy(rng, 1024, 4096),
    "cross-entropy 512 × 50257": lambda rng: cross_entropy(rng, 512, 50257),
    "linear + cross-entropy 2048 × 256 × 4096": lambda rng: linear_cross_entropy(rng, 2048, 256, 4096),
    "softmax 768 × 512": lambda rng: softmax(rng, 768, 512),
    "layer norm 768 × 128": lambda rng: norm(rng, 768, 128),
    "layer norm 1024 × 768": lambda rng: norm(rng, 1024, 768),
    "RMS norm 1024 × 768": lambda rng: norm(rng, 1024, 768, rms=True),
    "GELU 768 × 512": lambda rng: gelu(rng, 768, 512, "none"),
    "GELU (tanh) 768 × 512": lambda rng: gelu(rng, 768, 512, "tanh"),
    "GELU (tanh) 1024 × 3072": lambda rng: gelu(rng, 1024, 3072, "tanh"),
    "embedding 768 of 65 × 128": lambda rng: embedding(rng, 768, 65, 128),
    "embedding 2048 of 4096 × 256": lambda rng: embedding(rng, 2048, 4096, 256),
    "AdamW, 0.8 M parameters": lambda rng: adamw(rng, 4, 128),
    "AdamW, 10.6 M parameters": lambda rng: adamw(rng, 6, 384),
}


def plot(ratios: dict[str, float], path: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.32 * len(ratios) + 1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = list(ratios)[::-1]
    colours = ["#0072B2" if ratios[name] >= 1 else "#D55E00" for name in names]  # Okabe and Ito's palette
    bars = axes.barh(names, [ratios[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.1f×", padding=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("speed of our kernel, as a multiple of PyTorch's (forward + backward)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", help="write the ratios as a picture to this file")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        which = 0 if options.serve == "ours" else 1
        return serve(lambda name: CASES[name](np.random.default_rng(0))[which])
    sides = {name: Side(__file__, name) for name in ("ours", "PyTorch")}
    table = Table(title=f"forward + backward, float32, milliseconds (median)\n{machine()}, PyTorch {torch.__version__}")
    for column in ("case", "ours", "PyTorch", "PyTorch / ours"):
        table.add_column(column, justify="left" if column == "case" else "right")
    ratios = {}
    for name in CASES:
        if options.only.lower() not in name.lower():
            continue
        times = medians(sides, name, options.rounds, calls=20 if "4096 D64" not in name else 3)
        ratios[name] = times["PyTorch"] / times["ours"]
        table.add_row(name, f"{times['ours'] * 1e3:.3f}", f"{times['PyTorch'] * 1e3:.3f}", f"{ratios[name]:.2f}")
    Console(width=100).print(table)
    if options.plot:
        plot(ratios, options.plot)


if __name__ == "__main__":
    main()
