"""Time until a small GPT on characters is as good as nanoGPT's: our preset `shakespeare-cpu` against PyTorch.

python benchmarks/bench_time_to_loss.py [--quick]                      # needs the extra `compare`
CORPUS=shakespeare.txt python benchmarks/bench_time_to_loss.py         # a text of your own

Both train the same model (4 layers, 4 heads, 128 channels, context 64, batches of 12) on the first nine tenths of the
text, and are measured on all of the last tenth. PyTorch trains by nanoGPT's recipe, 2,000 steps of AdamW; ours by the
preset. The loss that PyTorch ends with is the target, and for a Shakespeare also 1.88, which nanoGPT names in its
README. Only the steps are timed, not the evaluations, nor imports, compilation and the first step. Both sides train in
turn, some steps each, so that they see the same machine; each in a process of its own.
"""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from report import Row, command_line

CHARACTERS = 1_115_394  # of the embedded text, if there is no CORPUS: as many as tiny Shakespeare has
NANOGPT = {"steps": 2000, "warmup": 100, "lr": 1e-3, "final_lr": 1e-4, "batch": 12}
README_LOSS = 1.88
SEEDS = 3  # trainings of ours: the median counts
SLICES = 40  # turns of each side, with an evaluation after each


def rows(quick: bool = False) -> list[Row]:
    """About 4 minutes."""
    name, tokens, vocab_size = corpus()
    sides = ["PyTorch", *(f"ours, seed {seed}" for seed in range(1 if quick else SEEDS))]
    curves = train_in_turn(sides, tokens, vocab_size, turns=1 if quick else SLICES)
    peer, ours = curves[sides[0]], [curves[side] for side in sides[1:]]
    found = [row(f"loss {peer[-1][2]:.3f}, PyTorch's after 2,000 steps, on {name}", peer[-1][2], ours, peer)]
    if "CORPUS" in os.environ:
        found.append(row(f"loss {README_LOSS} on {name}", README_LOSS, ours, peer))
    return [replace(each, note="only the first steps: a try") if quick else each for each in found]


def row(what: str, target: float, ours: list[list[tuple]], peer: list[tuple]) -> Row:
    """Ours is the median over the seeds, of the time until the target; the peer always takes all of its steps."""
    reached = [next(((steps, seconds) for steps, seconds, loss in curve if loss <= target), None) for curve in ours]
    ends = ", ".join(f"{curve[-1][2]:.3f}" for curve in ours)
    note = f"our seeds end at {ends}; steps to the target: {', '.join(str(at and at[0]) for at in reached)}"
    seconds = float(np.median([math.inf if at is None else at[1] for at in reached]))
    return Row(
        "time_to_loss",
        what,
        "PyTorch eager, nanoGPT's recipe",
        seconds if math.isfinite(seconds) else None,
        peer[-1][1],
        "s",
        "lower",
        reach=0.4,
        note=note,
    )


def corpus() -> tuple[str, np.ndarray, int]:
    """A name, the ids of its characters, and how many different ones there are."""
    if path := os.environ.get("CORPUS"):
        name, text = Path(path).name, Path(path).read_text(encoding="utf-8")
    else:
        from tinygrad_llm.data import embedded_corpus

        name, text = "Python's documentation", "\n".join(document.text for document in embedded_corpus("prose"))
        text = text[:CHARACTERS]
    alphabet, ids = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    return name, ids.astype(np.int64), len(alphabet)


def train_in_turn(sides: list[str], tokens: np.ndarray, vocab_size: int, turns: int) -> dict[str, list[tuple]]:
    """Of each side the curve [(steps done, seconds for them, validation loss), …] after each turn."""
    cut = int(0.9 * len(tokens))
    workers = {
        side: ProcessPoolExecutor(1, get_context("spawn"), begin, (side, tokens[:cut], tokens[cut:], vocab_size))
        for side in sides
    }
    curves: dict[str, list[tuple]] = {side: [] for side in sides}
    for _ in range(turns):
        for side, worker in workers.items():
            curves[side].append(worker.submit(train_on).result())
    for worker in workers.values():
        worker.shutdown()
    return curves


# What follows runs in the process of a side.


class State:
    """The training of this process: `step` does one step, `loss` is the mean loss on a batch without training."""

    step = loss = validation = None
    steps = n_steps = seconds = 0


def begin(side: str, train: np.ndarray, validation: np.ndarray, vocab_size: int) -> None:
    make = torch_training if side == "PyTorch" else our_training
    seed = int(side.rpartition(" ")[2]) if side != "PyTorch" else 0
    step, _, _ = make(train, vocab_size, seed)
    step()  # of a training that is thrown away: compiles, and starts the threads
    State.step, State.loss, State.n_steps = make(train, vocab_size, seed)
    State.validation = validation


def train_on() -> tuple[int, float, float]:
    """One slice of the training, and an evaluation."""
    n = State.n_steps // SLICES
    start = time.perf_counter()
    for _ in range(n):
        State.step()
    State.seconds += time.perf_counter() - start
    State.steps += n
    return State.steps, State.seconds, validation_loss()


def validation_loss(seq_len: int = 64, rows: int = 128) -> float:
    """Mean over all windows of the validation text, one after the other."""
    n = (len(State.validation) - 1) // seq_len * seq_len
    x = State.validation[:n].reshape(-1, seq_len)
    y = State.validation[1 : n + 1].reshape(-1, seq_len)
    losses = [State.loss(x[i : i + rows], y[i : i + rows]) * len(x[i : i + rows]) for i in range(0, len(x), rows)]
    return sum(losses) / len(x)


def our_training(train: np.ndarray, vocab_size: int, seed: int):
    from tinygrad_llm import no_grad
    from tinygrad_llm.data import RandomBatches
    from tinygrad_llm.train import (
        build_model,
        build_optimizer,
        build_schedule,
        language_modelling,
        preset,
        train_steps,
    )

    config = preset("shakespeare-cpu").override(seed=seed)
    model = build_model(config, vocab_size)
    batches = RandomBatches(train, config.batch_size, config.max_seq_len, seed)
    steps = train_steps(
        model,
        batches,
        language_modelling,
        build_optimizer(config, model),
        build_schedule(config),
        n_steps=config.steps,
        clip=config.clip,
    )

    def loss(x, y) -> float:
        with no_grad():
            return model.loss(x, y).item()

    return lambda: next(steps), loss, config.steps


def torch_training(train: np.ndarray, vocab_size: int, seed: int):
    """nanoGPT's train.py with the settings its README gives for a CPU, except that biases are off on both sides."""
    from types import SimpleNamespace

    import torch
    import torch_gpt

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sizes = {"max_seq_len": 64, "n_layers": 4, "n_heads": 4, "d_model": 128, "bias": False}
    model = torch_gpt.TorchGPT(SimpleNamespace(vocab_size=vocab_size, **sizes))
    optimizer = torch_gpt.adamw(model, NANOGPT["lr"])
    done = iter(range(NANOGPT["steps"]))

    def step() -> None:
        lr = nanogpt_lr(next(done))
        for group in optimizer.param_groups:
            group["lr"] = lr
        starts = rng.integers(0, len(train) - 64, (NANOGPT["batch"], 1))
        windows = torch.from_numpy(train[starts + np.arange(65)])
        optimizer.zero_grad(set_to_none=True)
        model.loss(windows[:, :-1], windows[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def loss(x, y) -> float:
        with torch.no_grad():
            return model.loss(torch.from_numpy(x), torch.from_numpy(y)).item()

    return step, loss, NANOGPT["steps"]


def nanogpt_lr(step: int) -> float:
    warmup, steps, high, low = NANOGPT["warmup"], NANOGPT["steps"], NANOGPT["lr"], NANOGPT["final_lr"]
    if step < warmup:
        return high * (step + 1) / (warmup + 1)
    return low + (high - low) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


if __name__ == "__main__":
    command_line(__doc__, rows)
