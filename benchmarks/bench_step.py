"""A whole training step (forward, backward, clip, AdamW): ours against PyTorch, with the same weights and batches.

python benchmarks/bench_step.py [--quick]     # needs the extra `compare`, and torch.compile a C++ compiler

That both sides compute the same is what `agreement.py` shows. Each side's process imports its own library only: ours
changes a setting of malloc, which would change PyTorch's times and memory too.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from interleave import Side, medians, peak_memory
from report import Row, command_line

# name: (batch size, context, layers, heads, d_model, vocabulary)
MODELS = {
    "nano": (12, 64, 4, 4, 128, 65),  # nanoGPT's CPU setting
    "baby": (4, 256, 6, 6, 384, 65),
    "vocab4k": (8, 256, 4, 8, 256, 4096),
    "gpt2-vocabulary": (2, 256, 2, 12, 768, 50257),
}
WARM_UP = (2, 32, 1, 2, 128, 65)  # loads the kernels, ours or PyTorch's, before memory is measured
# name: (largest time as a part of eager's, of torch.compile's, largest peak memory as a part of eager's)
REACH = {
    "nano": (0.67, 0.8, None),
    "baby": (0.75, None, None),
    "vocab4k": (0.75, None, 0.6),
    "gpt2-vocabulary": (0.75, None, 0.6),
}
CALLS = {"nano": 40, "baby": 4, "vocab4k": 4, "gpt2-vocabulary": 3}  # per round: some 2 seconds of each side
ROUNDS = 6


def rows(quick: bool = False) -> list[Row]:
    """About 4 minutes, the compiler's own included."""
    models = ["nano", "vocab4k"] if quick else list(REACH)
    found = []
    with Side(__file__, "ours") as ours, Side(__file__, "eager") as eager, Side(__file__, "torch.compile") as compiled:
        for name in models:
            sides = [ours, eager] if quick and name != "nano" else [ours, eager, compiled]
            times = medians(sides, MODELS[name], *((1, 3) if quick else (ROUNDS, CALLS[name])))
            for peer, reach in zip([side.name for side in sides[1:]], REACH[name], strict=False):
                milliseconds = times["ours"] * 1e3, times[peer] * 1e3
                found.append(Row("step", label(name), f"PyTorch {peer}", *milliseconds, "ms", "lower", reach))
    for name in models:
        megabytes = [peak_memory(__file__, side, MODELS[name], WARM_UP) / 1e6 for side in ("ours", "eager")]
        what = f"{label(name)}: peak memory"
        found.append(Row("step", what, "PyTorch eager", *megabytes, "MB", "lower", REACH[name][2]))
    return found


def label(name: str) -> str:
    return "training step {}, B{} T{} L{} H{} C{} V{}".format(name, *MODELS[name])


def make(side: str, sizes: tuple):
    """One step of a model of these sizes with fixed data: what a side's process measures."""
    batch_size, seq_len, *_, vocab_size = sizes
    x, y = np.random.default_rng(1).integers(0, vocab_size, (2, batch_size, seq_len))
    step = our_step(our_model(sizes)) if side == "ours" else torch_step(torch_model(sizes), side == "torch.compile")
    return lambda: step(x, y)


def settings(sizes: tuple) -> dict:
    """The sizes as the fields of a GPTConfig."""
    _, seq_len, n_layers, n_heads, d_model, vocab_size = sizes
    model = {"max_seq_len": seq_len, "n_layers": n_layers, "n_heads": n_heads, "d_model": d_model}
    return {"vocab_size": vocab_size, **model, "dropout": 0.0, "bias": False}


def our_model(sizes: tuple):
    from tinygrad_llm.models.gpt import GPT, GPTConfig

    return GPT(GPTConfig(**settings(sizes)), np.random.default_rng(0))


def torch_model(sizes: tuple):
    from torch_gpt import TorchGPT

    return TorchGPT(SimpleNamespace(**settings(sizes)))


def our_step(model, lr: float = 1e-3):
    from tinygrad_llm.optim import AdamW, clip_grad_norm_, decay_matrices

    parameters = list(model.parameters())
    optimizer = AdamW(decay_matrices(parameters, weight_decay=0.1), lr=lr, betas=(0.9, 0.99))

    def step(x, y) -> float:
        optimizer.zero_grad()
        loss = model.loss(x, y)
        loss.backward()
        clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step


def torch_step(model, compiled: bool = False, lr: float = 1e-3):
    import torch
    import torch_gpt

    optimizer = torch_gpt.adamw(model, lr)
    loss_of = torch.compile(model.loss) if compiled else model.loss

    def step(x, y) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(torch.from_numpy(x), torch.from_numpy(y))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    command_line(__doc__, rows, make)
