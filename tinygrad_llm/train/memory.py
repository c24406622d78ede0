"""How much memory a pretraining run needs, by formula, and a refusal before it starts where the machine has less.

With N = B·T tokens in a batch, a vector per token has u = 4·N·C bytes. Training holds, at the same time or in turn,

    parameters    P: the embeddings (V, C) and, but in a Llama, (T, C), and in each of the L blocks 12 C² (and biases,
                  norms), in a Llama (2 + 2 g) C² + 3 C F: g = n_kv_heads / n_heads, and F = d_ff, about 8/3 C
    optimizer     2 P for AdamW; Muon keeps one number per matrix element of a block, not two
    gradients     P; they come as the activations go, so that the peak is before or after, except where several
                  batches are accumulated: then they are there from the second batch on
    activations   16 u in a block of a GPT or BERT, what its ops save for backward: norm1 1 + 1, queries, keys, values
                  3, attention 1, norm2 1 + 1, feed-forward 4 + 4; with dropout two masks of C bytes per token
                  6 + 2 g + 4 F / C in one of a Llama: fewer keys and values, and of the feed-forward network gate, its
                  SiLU, up and their product
                  6 u more in a block of a decoder that reads a source: norm 2, queries, keys, values 3, attention 1
                  and u each for the norm outside the blocks and its gradient

Checkpointed, a block keeps u, and one block at a time has all of it. Besides, an op in work has its result beside its
inputs: some 5 u in backward, and in the loss a piece of the scores over the vocabulary; of a BERT all those scores that
there are, at the blanks, and their gradients.

Measured: the peak of all arrays is 0.93 to 1.06 of the estimate; that of a GPT's process, less the program itself, 1.0
to 1.1 of it from 150 MB on, for the allocator leaves gaps.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from ..ops.linear_cross_entropy import chunk_rows
from .build import model_config
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
    n_tokens, shape = config.batch_size * config.max_seq_len, model_shape(config, vocab_size)
    L = shape.halves * config.n_layers
    u = FLOAT * n_tokens * config.d_model
    table = FLOAT * vocab_size * config.d_model  # the largest parameter as a rule
    parameters = FLOAT * count_parameters(config, vocab_size)
    by_muon = FLOAT * shape.matrices * L if config.optimizer == "muon" else 0
    optimizer = 2 * parameters - by_muon
    fixed = parameters + optimizer

    block = n_tokens * shape.saved
    saved = (L * u if config.checkpoint_activations else L * block) + 2 * u + table
    again = block - u if config.checkpoint_activations else 0
    in_work = max(shape.loss, again + n_tokens * shape.in_work)
    activations = saved + in_work
    if config.accumulate > 1:
        fixed += parameters  # the gradients of the batches before
        activations += shape.table_copies * table
    update = parameters + 2 * table + u  # gradients, the last of them a sum of two
    total = fixed + max(activations, update)
    if resume:
        total = max(total, 2 * (parameters + optimizer))
    return MemoryEstimate(parameters, parameters, optimizer, activations, total)


def count_parameters(config: PretrainConfig, vocab_size: int) -> int:
    """As model.num_parameters(), without a model."""
    shape = model_shape(config, vocab_size)
    in_blocks = shape.halves * config.n_layers * (shape.matrices + shape.vectors)
    return vocab_size * config.d_model + in_blocks + shape.besides


@dataclass(frozen=True)
class ModelShape:
    """What the estimate must know of a model: numbers, and bytes per token."""

    matrices: int  # numbers in the matrices of a block,
    vectors: int  # in its norms and biases,
    besides: int  # and outside the blocks, without the table of tokens
    saved: int  # bytes that the ops of a block save for backward,
    in_work: int  # and that one of them in backward has at most, beside what is not freed yet
    loss: int  # bytes that the last layer and the loss have in all, beside the gradient of the table
    table_copies: int = 2  # of that gradient, where batches are accumulated: it is scaled, and added out of place
    halves: int = 1  # each with n_layers blocks; of an encoder-decoder the numbers above are means of both


def model_shape(config: PretrainConfig, vocab_size: int) -> ModelShape:
    shapes = {"gpt": _gpt_shape, "llama": _llama_shape, "bert": _bert_shape, "seq2seq": _seq2seq_shape}
    return shapes[config.model](config, vocab_size)


def _gpt_shape(config: PretrainConfig, vocab_size: int) -> ModelShape:
    C, n_norms = config.d_model, 2 if config.bias else 1
    besides = (config.max_seq_len + n_norms) * C
    return _with_two_matrices(config, config.bias, besides, _next_token_loss(config, vocab_size))


def _bert_shape(config: PretrainConfig, vocab_size: int) -> ModelShape:
    """Its blocks are a GPT's but for the places of the norms; its head sees only the blanks, but all their scores."""
    C, n_blanks = config.d_model, config.batch_size * max(round(config.mask_share * config.max_seq_len), 1)
    besides = (config.max_seq_len + 4) * C + C * C + 3 * C + vocab_size  # positions, segments, norm; head
    scores, table = FLOAT * n_blanks * vocab_size, FLOAT * vocab_size * C
    loss = 4 * FLOAT * n_blanks * C + max(scores, 2 * scores - table)  # with their gradients, before the table has one
    return replace(_with_two_matrices(config, True, besides, loss), table_copies=1)  # scaled are the scores


def _with_two_matrices(config: PretrainConfig, bias: bool, besides: int, loss: int) -> ModelShape:
    """Of a model whose feed-forward networks have two matrices."""
    C = config.d_model
    n_norm = 2 * C if bias else C
    statistics = 4 + config.n_heads  # mean and spread of two norms, and the attention's sum of exponentials
    masks = 2 * C if config.dropout else 0
    return ModelShape(
        matrices=12 * C * C,
        vectors=2 * n_norm + (9 * C if bias else 0),  # the biases of the four linear layers
        besides=besides,
        saved=FLOAT * (16 * C + statistics) + masks,
        # in the feed-forward network 4 C in, 1 beside; or in attention each part's dq, dk and dv, while 10 are freed
        in_work=FLOAT * C * max(5, 3 * _n_parts(config) - 5),
        loss=loss,
    )


def _seq2seq_shape(config: PretrainConfig, vocab_size: int) -> ModelShape:
    """A decoder's block has cross-attention too: 4 C² numbers, and 6 C more per token. As if no text were padded, and
    all sources and targets as long as they may be."""
    C, n_tokens = config.d_model, config.batch_size * config.max_seq_len
    besides, loss = (2 * config.max_seq_len + 4) * C, _next_token_loss(config, vocab_size)
    encoder = _with_two_matrices(config, True, besides, loss + 2 * FLOAT * n_tokens * C)  # the memory and its gradient
    cross = FLOAT * (6 * C + 2 + config.n_heads) + (C if config.dropout else 0)
    return replace(
        encoder,
        matrices=encoder.matrices + 2 * C * C,
        vectors=encoder.vectors + 3 * C,
        saved=encoder.saved + cross // 2,
        in_work=encoder.in_work + cross // 2,  # a decoder's block has more than the mean
        halves=2,
    )


def _llama_shape(config: PretrainConfig, vocab_size: int) -> ModelShape:
    C, llama = config.d_model, model_config(config, vocab_size)
    C_kv, F = llama.n_kv_heads * llama.head_dim, llama.d_ff
    qkv = C + 2 * C_kv
    statistics = 2 + config.n_heads  # spread of two norms, and the attention's sum of exponentials
    return ModelShape(
        matrices=C * (C + qkv + 3 * F),
        vectors=2 * C,
        besides=C,
        saved=FLOAT * (5 * C + qkv + 4 * F + statistics),
        # in the product of gate and up; or in attention, where each part's gradients are added up
        in_work=FLOAT * max(2 * F + C, (_n_parts(config) + 1) * qkv - 4 * F),
        loss=_next_token_loss(config, vocab_size),
    )


def _next_token_loss(config: PretrainConfig, vocab_size: int) -> int:
    """Two vectors per token, and a piece of the scores (ops/linear_cross_entropy.py)."""
    n_tokens = config.batch_size * config.max_seq_len
    rows = min(n_tokens, chunk_rows(vocab_size, FLOAT))
    return FLOAT * (2 * n_tokens * config.d_model + rows * vocab_size)


def _n_parts(config: PretrainConfig) -> int:
    """Into how many parts attention cuts a head where there are few (ops/attention_layout.py)."""
    return min(math.ceil(8 / (config.batch_size * config.n_heads)), math.ceil(config.max_seq_len / 64))


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
