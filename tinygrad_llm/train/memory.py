"""How much memory a pretraining run needs, by formula, and a refusal before it starts where the machine has less.

With N = B·T tokens in a batch, a vector per token has u = 4·N·C bytes. Training holds, at the same time or in turn,

    parameters    P: the embeddings (V, C) and (T, C), and 12 C² (and biases, norms) in each of the L blocks
    optimizer     2 P for AdamW; Muon keeps one number per matrix element of a block, not two
    gradients     P; they come as the activations go, so that the peak is before or after, except where several
                  batches are accumulated: then they are there from the second batch on
    activations   16 u in a block, what its ops save for backward: norm1 1 + 1, queries, keys, values 3, attention 1,
                  norm2 1 + 1, feed-forward 4 + 4; with dropout two masks of C bytes per token
                  and u each for the last norm and its gradient

Checkpointed, a block keeps u, and one block at a time has its 16 u. Besides, an op in work has its result beside its
inputs: some 5 u in backward, and in the loss a piece of the scores over the vocabulary.

Measured: the peak of all arrays is 0.94 to 1.06 of the estimate; that of the process, less the program itself, 1.0 to
1.1 of it from 150 MB on, for the allocator leaves gaps.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..ops.linear_cross_entropy import CHUNK_BYTES, MIN_CHUNK_ROWS
from .recipes import PretrainConfig

FLOAT = 4  # bytes of a float32
PROGRAM = 320 << 20  # Numba, LLVM and kernels being compiled, after the estimate is made; half, once they are cached
GAPS = 0.1  # of the estimate: memory that the allocator holds but cannot use


@dataclass(frozen=True)
class MemoryEstimate:
    """In bytes. `total` is the peak: less than the sum where gradients and activations take turns."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    total: int

    def parts(self) -> str:
        names = ("parameters", "gradients", "optimizer", "activations")
        return ", ".join(f"{name} {format_bytes(getattr(self, name))}" for name in names)

    def __str__(self) -> str:
        return f"{format_bytes(self.total)} ({self.parts()})"


def estimate_memory(config: PretrainConfig, vocab_size: int, resume: bool = False) -> MemoryEstimate:
    """The peak of a run with these settings, beyond what the program itself takes.

    `resume`: the run begins by loading a checkpoint, which is in memory together with what it is copied to.
    """
    C, L, u = config.d_model, config.n_layers, FLOAT * config.batch_size * config.max_seq_len * config.d_model
    table = FLOAT * vocab_size * C  # the largest parameter as a rule
    parameters = FLOAT * count_parameters(config, vocab_size)
    by_muon = FLOAT * 12 * C * C * L if config.optimizer == "muon" else 0
    optimizer = 2 * parameters - by_muon
    fixed = parameters + optimizer

    block = _block_activations(config)
    saved = (L * u if config.checkpoint_activations else L * block) + 2 * u + table
    again = block - u if config.checkpoint_activations else 0
    rows = min(config.batch_size * config.max_seq_len, max(MIN_CHUNK_ROWS, CHUNK_BYTES // (FLOAT * vocab_size)))
    in_work = max(2 * u + FLOAT * rows * vocab_size, again + _backward_in_work(config) * u)
    activations = saved + in_work
    if config.accumulate > 1:
        fixed += parameters  # the gradients of the batches before
        activations += 2 * table  # the table's gradient is scaled, and added out of place
    update = parameters + 2 * table + u  # gradients, the last of them a sum of two
    total = fixed + max(activations, update)
    if resume:
        total = max(total, 2 * (parameters + optimizer))
    return MemoryEstimate(parameters, parameters, optimizer, activations, total)


def count_parameters(config: PretrainConfig, vocab_size: int) -> int:
    """As model.num_parameters(), without a model."""
    C = config.d_model
    biases = 9 * C + 2 * C if config.bias else 0  # of the four linear layers, and of the norms
    block = 12 * C * C + 2 * C + biases
    return (vocab_size + config.max_seq_len) * C + config.n_layers * block + (2 if config.bias else 1) * C


def _block_activations(config: PretrainConfig) -> int:
    n_tokens = config.batch_size * config.max_seq_len
    statistics = 4 + config.n_heads  # mean and spread of two norms, and the attention's sum of exponentials
    masks = 2 * config.d_model if config.dropout else 0
    return n_tokens * (FLOAT * (16 * config.d_model + statistics) + masks)


def _backward_in_work(config: PretrainConfig) -> int:
    """In vectors per token: in the feed-forward network 4 in, 1 beside; or in attention, where few heads are cut into
    parts (ops/attention_layout.py), each of which has its own dq, dk and dv, while 10 are freed already."""
    n_parts = min(math.ceil(8 / (config.batch_size * config.n_heads)), math.ceil(config.max_seq_len / 64))
    return max(5, 3 * n_parts - 5)


def require_memory(
    config: PretrainConfig,
    vocab_size: int,
    available: int | None,
    changeable: Collection[str] | None = None,
    resume: bool = False,
) -> MemoryEstimate:
    """The estimate. Raises ValueError where it does not fit into `available` bytes (None: unknown, nothing is refused).

    The error says which options would make the run fit, of those that are `changeable` (None: all).
    """
    estimate = estimate_memory(config, vocab_size, resume)
    if available is None or _needed(estimate) <= available:
        return estimate
    problem = (
        f"this run needs about {format_bytes(_needed(estimate))} of memory ({estimate.parts()}), but "
        f"{format_bytes(available)} are available"
    )
    fitting = _fitting(config, vocab_size, available, changeable, resume)
    if fitting:
        raise ValueError(f"{problem}: it would fit with {', or with '.join(map(_as_options, fitting))}")
    if changeable is not None:
        raise ValueError(f"{problem}: close other programs, or go on with it on a machine with more memory")
    raise ValueError(f"{problem}: make the model smaller by --d-model, --n-layers, --vocab-size or --max-seq-len")


def _needed(estimate: MemoryEstimate) -> int:
    return round(estimate.total * (1 + GAPS)) + PROGRAM


def _fitting(config, vocab_size, available, changeable, resume) -> list[dict[str, Any]]:
    """The smallest changes that teach the same in less memory: activations computed twice, batches cut into parts; or,
    where neither is enough, both."""

    def first(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for changes in candidates:
            allowed = changeable is None or changes.keys() <= set(changeable)
            if allowed and _needed(estimate_memory(config.override(**changes), vocab_size, resume)) <= available:
                return [changes]
        return []

    B = config.batch_size
    cuts = [{"batch_size": B // n, "accumulate": config.accumulate * n} for n in range(2, B + 1) if B % n == 0]
    twice = {} if config.checkpoint_activations else {"checkpoint_activations": True}
    return first([twice]) + first(cuts) or first([twice | cut for cut in cuts])


def _as_options(changes: dict[str, Any]) -> str:
    given = {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return " ".join(option if value is True else f"{option} {value}" for option, value in given.items())


def format_bytes(n: float) -> str:
    """
    >>> format_bytes(1_530_000), format_bytes(25_000_000_000)
    ('2 MB', '25.0 GB')
    """
    return f"{n / 1e9:,.1f} GB" if n >= 1e9 else f"{math.ceil(n / 1e6):,} MB"
