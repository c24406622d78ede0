"""What tests/test_distributed_mpi.py runs on each rank: data parallel training beside the same training alone.

    mpiexec -n 4 python tests/mpi_worker.py FOLDER

Rank 0 prints, as JSON, for each case the largest difference of the gradients, as a part of the largest one of the
tensor that it is in, and the losses of both.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np

from tinygrad_llm import no_grad
from tinygrad_llm.data.masking import IGNORED, MaskedBatches, Masking
from tinygrad_llm.data.pair_batches import EncodedPair, PairBatches
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Seq2Seq, Seq2SeqConfig
from tinygrad_llm.optim import AdamW
from tinygrad_llm.train import language_modelling, load_checkpoint, save_checkpoint, train_steps
from tinygrad_llm.train.distributed import DataParallel
from tinygrad_llm.train.distributed_ranks import Ranks

V, T, B = 17, 6, 8
SIZES = {"vocab_size": V, "n_layers": 2, "n_heads": 2, "d_model": 8}


def gpt(seed: int, dropout: float = 0.0) -> GPT:
    return GPT(GPTConfig(**SIZES, max_seq_len=T, dropout=dropout), np.random.default_rng(seed))


def bert(seed: int) -> BERT:
    return BERT(BERTConfig(**SIZES, max_seq_len=T, d_ff=16, dropout=0.0), np.random.default_rng(seed))


def seq2seq(seed: int) -> Seq2Seq:
    lengths = {"max_source_len": 9, "max_target_len": 9}
    return Seq2Seq(
        Seq2SeqConfig(**SIZES, **lengths, d_ff=16, dropout=0.0, label_smoothing=0.1), np.random.default_rng(seed)
    )


def windows():
    rng = np.random.default_rng(0)
    while True:
        tokens = rng.integers(0, V, (B, T + 1))
        yield tokens[:, :-1], tokens[:, 1:]


def blanks():
    """Whole words of different lengths: the ranks' rows have different numbers of blanks."""
    tokens = np.random.default_rng(0).integers(3, V, 500)
    masking = Masking(2, V, frozenset((0, 1, 2)), frozenset(range(8, 13)), share=0.4, whole_words=True)
    return MaskedBatches(tokens, B, T, masking)


def pairs():
    """Of different lengths, and the last batch of a pass has two rows, for four ranks."""
    rng = np.random.default_rng(0)
    rows = [[rng.integers(3, V, rng.integers(2, 8)).tolist() for _ in range(2)] for _ in range(2 * B + 2)]
    return PairBatches([EncodedPair(*row) for row in rows], B, 0)


def steps_of(model, batches, gradients, n_steps, start_step=0, accumulate=1, optimizer=None):
    optimizer = optimizer or AdamW(model.parameters(), lr=0.01)
    how = {"n_steps": n_steps, "start_step": start_step, "accumulate": accumulate, "clip": 1.0}
    return train_steps(model, batches, language_modelling, optimizer, lambda step: 1.0, gradients=gradients, **how)


def compare(ranks, make, batches, dtype, n_steps=1, accumulate=1, recompute=False, **settings) -> dict:
    alone, shared = (make(seed).to(dtype) for seed in (0, ranks.rank))
    alone.checkpoint_activations = shared.checkpoint_activations = recompute
    parallel = DataParallel(shared, ranks, **settings)
    runs = [(alone, None), (shared, parallel.gradients)]
    losses = [[info.loss for info in steps_of(*run, n_steps, 0, accumulate)] for run in with_batches(runs, batches)]
    gradients = [[p.grad.data for p in model.parameters()] for model in (alone, shared)]
    smallest = 1e-3 * max(
        np.abs(gradient).max() for gradient in gradients[0]
    )  # biases of keys have only rounding errors
    worst = max(np.abs(a - b).max() / max(np.abs(a).max(), smallest) for a, b in zip(*gradients, strict=True))
    return {"difference": float(worst), "losses": losses, "n_buckets": len(parallel._buckets)}


def with_batches(runs, batches):
    return [(model, batches(), gradients) for model, gradients in runs]


def resumed_dropout(ranks, folder: Path) -> dict:
    """Six steps, and three and three more from a checkpoint that rank 0 wrote: the weights must be the same."""
    finished = []
    for stops in ((6,), (3, 6)):
        start = 0
        for stop in stops:
            model = gpt(0, dropout=0.3)
            optimizer = AdamW(model.parameters(), lr=0.01)
            batches = windows()
            if start:
                load_checkpoint(folder / "last.safetensors").restore(model, optimizer)
                batches = itertools.islice(batches, start, None)
            parallel = DataParallel(model, ranks, seed=5)
            list(steps_of(model, batches, parallel.gradients, stop, start, optimizer=optimizer))
            if ranks.is_first:
                save_checkpoint(folder / "last.safetensors", model, stop, optimizer)
            ranks.barrier()
            start = stop
        finished.append([p.data.copy() for p in model.parameters()])
    return {"equal": all(np.array_equal(a, b) for a, b in zip(*finished, strict=True))}


def same_weights_everywhere(ranks) -> dict:
    model = gpt(ranks.rank)
    parallel = DataParallel(model, ranks)
    list(steps_of(model, windows(), parallel.gradients, 5))
    with no_grad():
        own = np.concatenate([p.data.ravel() for p in model.parameters()])
    first = own.copy()
    ranks.broadcast(first)
    different = np.array([float(not np.array_equal(own, first))])
    ranks.wait(ranks.start_sum(different))
    return {"different": different[0], "others_cpu_seconds": parallel.others_cpu_seconds}


def main(folder: Path) -> None:
    ranks = Ranks()
    cases = {
        "gpt float64": (gpt, windows, "float64"),
        "gpt float32": (gpt, windows, "float32"),
        "bert float64": (bert, blanks, "float64", 1),
        "seq2seq float64": (seq2seq, pairs, "float64", 1),
        "seq2seq float64, a pass and its last batch": (seq2seq, pairs, "float64", 3),
        "accumulate 3": (gpt, windows, "float64", 1, 3),
        "recompute": (gpt, windows, "float64", 2, 1, True),
        "12 steps": (gpt, windows, "float32", 12),
    }
    found = {name: compare(ranks, *case) for name, case in cases.items()}
    found["smallest buckets"] = compare(ranks, gpt, windows, "float64", 2, bucket_bytes=1)
    found["one bucket"] = compare(ranks, gpt, windows, "float64", 2, bucket_bytes=1 << 30)
    found["dropout resumed"] = resumed_dropout(ranks, folder)
    found["weights"] = same_weights_everywhere(ranks)
    found["n_parameters"] = len(list(gpt(0).parameters()))
    assert (next(pairs()).target_out != IGNORED).any()
    if ranks.is_first:
        print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
