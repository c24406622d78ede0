"""Generation with int8 weights against float32, on models beyond the cache: tokens per second, memory, and how fast a
matrix of int8 is read.

    python benchmarks/bench_int8.py            # PyTorch's column needs the extra `compare`
    python benchmarks/bench_int8.py --quick
    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/bench_int8.py     # on one core

At batch 1 each token reads all weights once. Those of GPT-2 small take 498 MB as float32 and 125 MB as int8, more than
any cache of a laptop. Weights are random: no time depends on what a model has learned.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
from interleave import Side, medians
from report import Row, command_line

from tinygrad_llm.generate import generate
from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import quantize, weight_bytes
from tinygrad_llm.ops.int8_linear import Int8Linear, quantize_rows
from tinygrad_llm.ops.linear import Linear

MODELS = {
    "GPT-2 small, 124 M": (GPT, GPTConfig(dropout=0.0)),
    "SmolLM2's shape, 135 M": (Llama, LlamaConfig(max_seq_len=1024)),
}
SPEEDUP, MEMORY = 1.5, 0.3  # of float32's: the least that makes int8 worth it
PROMPT, NEW = 8, 32  # tokens
SHAPES = {"a layer of GPT-2 small": (2304, 768), "its head": (50257, 768)}  # (N, K)
BEYOND_CACHE = 96 << 20  # bytes of int8 that are read before the same matrix comes again
ROUNDS, CALLS = 5, 3


def rows(quick: bool = False) -> list[Row]:
    """About 4 minutes."""
    rounds, calls = (1, 1) if quick else (ROUNDS, CALLS)
    models = list(MODELS)[:1] if quick else list(MODELS)
    return [row for name in models for row in of_model(name, rounds, calls)] + of_kernels(rounds, calls)


def of_model(name: str, rounds: int, calls: int) -> list[Row]:
    with Side(__file__, "int8") as int8, Side(__file__, "float32") as float32:
        seconds = medians([int8, float32], ["generate", name], rounds, calls)
    speeds = [NEW / seconds[side] for side in ("int8", "float32")]
    sizes = [weight_bytes(build("int8", name)) / 1e6, weight_bytes(build("float32", name)) / 1e6]
    build.cache_clear()
    return [
        Row("int8", f"{name}: greedy, batch 1", "float32", *speeds, "tokens/s", "higher", SPEEDUP),
        Row("int8", f"{name}: weights in memory", "float32", *sizes, "MB", "lower", MEMORY),
    ]


def of_kernels(rounds: int, calls: int) -> list[Row]:
    peers = {"float32": "our float32", "numpy": "NumPy float32"}
    if importlib.util.find_spec("torch"):
        peers["torch"] = "PyTorch float32"
    found = []
    for what, (N, K) in SHAPES.items():
        sides = [Side(__file__, name) for name in ("int8", *peers)]
        try:
            seconds = medians(sides, ["product", N, K], rounds, calls)
        finally:
            for side in sides:
                side.close()
        per_product = {name: each / n_matrices(N, K) for name, each in seconds.items()}
        speed = f"int8 read at {N * K / per_product['int8'] / 1e9:.0f} GB/s"
        for name, peer in peers.items():
            note = f"{speed}, float32 at {4 * N * K / per_product[name] / 1e9:.0f}"
            times = per_product["int8"] * 1e3, per_product[name] * 1e3
            found.append(Row("int8", f"1 row · {what} ({N}, {K})", peer, *times, "ms", "lower", None, note))
    return found


def n_matrices(N: int, K: int) -> int:
    return -(-BEYOND_CACHE // (N * K))


def make(side: str, case: list):
    """What a side's process measures: `NEW` tokens after a prompt, or one row times each of several matrices."""
    kind, *case = case
    return make_generate(side, *case) if kind == "generate" else make_product(side, *case)


@cache
def build(side: str, name: str) -> GPT | Llama:
    kind, config = MODELS[name]
    model = kind(config, np.random.default_rng(0)).eval()
    return quantize(model) if side == "int8" else model


def make_generate(side: str, name: str):
    model = build(side, name)
    prompt = np.random.default_rng(1).integers(0, model.config.vocab_size, PROMPT)
    return lambda: generate(model, prompt, NEW, temperature=0)


def make_product(side: str, N: int, K: int):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, K), np.float32)
    weights = [rng.standard_normal((N, K), np.float32) for _ in range(n_matrices(N, K))]
    if side == "int8":
        pairs = [quantize_rows(weight) for weight in weights]
        return lambda: [Int8Linear.forward(x, *pair) for pair in pairs]
    if side == "float32":
        return lambda: [Linear.forward(x, weight) for weight in weights]
    if side == "numpy":
        return lambda: [x @ weight.T for weight in weights]
    import torch

    x, weights = torch.from_numpy(x), [torch.from_numpy(weight) for weight in weights]
    return lambda: [torch.nn.functional.linear(x, weight) for weight in weights]


if __name__ == "__main__":
    command_line(__doc__, rows, make)
