"""The losses of our GPT and of PyTorch's on the way, with the same initial weights and batches, in nanoGPT's setting.

python benchmarks/agreement.py [--steps 100] [--corpus TEXT]            # needs the extra `compare`
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch_gpt
from bench_step import MODELS, our_model, our_step, torch_step

from tinygrad_llm.data import RandomBatches

LARGEST_DIFFERENCE = 1e-3  # nats


def compare_losses(corpus: str | None, n_steps: int) -> float:
    """The largest difference of the two losses on the way."""
    batch_size, seq_len, *_, vocab_size = MODELS["nano"]
    model = our_model(MODELS["nano"])
    ours, theirs = our_step(model), torch_step(torch_gpt.like(model))
    ids = markov_chain(vocab_size) if corpus is None else characters(corpus, vocab_size)
    batches = RandomBatches(ids, batch_size, seq_len, seed=2)
    worst = 0.0
    for step in range(1, n_steps + 1):
        x, y = next(batches)
        a, b = ours(x, y), theirs(x, y)
        worst = max(worst, abs(a - b))
        if step % 100 == 0 or step == n_steps:
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
    parser.add_argument("--corpus", help="a text to train on, by characters, instead of a made-up chain of tokens")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    raise SystemExit(compare_losses(options.corpus, options.steps) > LARGEST_DIFFERENCE)


if __name__ == "__main__":
    main()
