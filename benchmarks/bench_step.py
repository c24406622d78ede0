"""A whole training step (forward, backward, clip, AdamW): ours against PyTorch, with the same weights and batches.

python benchmarks/bench_step.py [--model nano|baby|vocab4k|gpt2] [--compile]        # needs the extra `compare`
python benchmarks/bench_step.py --agree                      # the two loss curves over the first 100 steps
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch_gpt
from interleave import Side, machine, medians, serve
from rich.console import Console
from rich.table import Table

from tinygrad_llm.data import RandomBatches
from tinygrad_llm.models.gpt import GPT, GPTConfig
from tinygrad_llm.optim import AdamW, clip_grad_norm_

# name: (batch size, context, layers, heads, d_model, vocabulary)
MODELS = {
    "nano": (12, 64, 4, 4, 128, 65),
    "baby": (4, 256, 6, 6, 384, 65),
    "vocab4k": (8, 256, 4, 8, 256, 4096),
    "gpt2": (2, 256, 12, 12, 768, 50257),
}


def build(name: str):
    batch_size, seq_len, n_layers, n_heads, d_model, vocab_size = MODELS[name]
    config = GPTConfig(vocab_size, seq_len, n_layers, n_heads, d_model, dropout=0.0, bias=False)
    model = GPT(config, np.random.default_rng(0))
    return model, torch_gpt.like(model), (batch_size, seq_len), vocab_size


def our_step(model, lr: float = 1e-3):
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=lr, betas=(0.9, 0.99))

    def step(x, y) -> float:
        optimizer.zero_grad()
        loss = model.loss(x, y)
        loss.backward()
        clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step


def torch_step(model, lr: float = 1e-3, compiled: bool = False):
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


def served_step(side: str, name: str):
    """One step of the model with fixed data: what a side's process measures."""
    model, twin, shape, vocab_size = build(name)
    x, y = np.random.default_rng(1).integers(0, vocab_size, (2, *shape))
    step = our_step(model) if side == "ours" else torch_step(twin, compiled=side == "torch.compile")
    return lambda: step(x, y)


def compare_losses(corpus: str | None, n_steps: int) -> float:
    """The largest difference of the two losses on the way, in nanoGPT's setting: same initial weights, same batches."""
    model, twin, (batch_size, seq_len), vocab_size = build("nano")
    ids = markov_chain(vocab_size) if corpus is None else characters(corpus, vocab_size)
    batches = RandomBatches(ids, batch_size, seq_len, seed=2)
    ours, theirs = our_step(model), torch_step(twin)
    worst = 0.0
    for step in range(1, n_steps + 1):
        x, y = next(batches)
        a, b = ours(x, y), theirs(x, y)
        worst = max(worst, abs(a - b))
        if step % 100 == 0:
            print(f"step {step}: ours {a:.6f}, PyTorch {b:.6f}, largest difference so far {worst:.1e}", flush=True)
    return worst


def markov_chain(vocab_size: int, n: int = 100_000) -> np.ndarray:
    """Token ids in which each depends on the one before: something to learn, without a file."""
    rng = np.random.default_rng(3)
    transitions = rng.dirichlet(np.full(vocab_size, 0.05), vocab_size).cumsum(axis=1)
    ids = np.zeros(n, np.int64)
    for t, chance in enumerate(rng.random(n - 1)):
        ids[t + 1] = min(np.searchsorted(transitions[ids[t]], chance), vocab_size - 1)
    return ids


def characters(path: str, vocab_size: int) -> np.ndarray:
    """A text as ids of its characters; the rarest share the last id where there are more than vocab_size."""
    text = Path(path).read_text(encoding="utf-8")
    alphabet = [character for character, _ in Counter(text).most_common()]
    index = {character: min(i, vocab_size - 1) for i, character in enumerate(alphabet)}
    return np.array([index[character] for character in text])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--compile", action="store_true", help="also time torch.compile (needs a C++ compiler)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--agree", action="store_true", help="compare loss curves instead of times")
    parser.add_argument("--corpus", help="with --agree: a text to train on, by characters")
    parser.add_argument("--steps", type=int, default=100, help="with --agree: how many")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(lambda name: served_step(options.serve, name))
    if options.agree:
        raise SystemExit(compare_losses(options.corpus, options.steps) > 1e-3)
    names = ["ours", "PyTorch", *(["torch.compile"] if options.compile else [])]
    sides = {name: Side(__file__, name) for name in names}
    table = Table(title=f"training step, float32, milliseconds (median)\n{machine()}, PyTorch {torch.__version__}")
    for column in ("model", *names, *(f"ours / {name}" for name in names[1:])):
        table.add_column(column, justify="right")
    for model in options.model or ["nano", "baby"]:
        times = medians(sides, model, options.rounds, calls=40 if model == "nano" else 5)
        cells = [f"{times[name] * 1e3:.1f}" for name in names]
        table.add_row(model, *cells, *(f"{times['ours'] / times[name]:.2f}" for name in names[1:]))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
