"""Compile the kernels of a training step ahead of time, on all cores.

Numba compiles one function at a time: within a process a lock allows no more. But what it has compiled is kept on disk,
so several processes can each compile a share, and the one that waits for them then loads all of it.

    python -m tinygrad_llm.warm_up          # once after an installation, if a first run should start at once

The main job does this by itself, also on one core: a process that compiles a kernel may round otherwise than one that
loads it, so the one that trains should only load. Nothing is computed that matters: each task calls a few ops on very
small arrays.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import functional as F
from . import optim
from .autograd import Tensor, no_grad
from .kernel import is_kept, jit_enabled
from .ops.attention import QKVAttention
from .ops.attention_kernels import attention_backward, attention_forward
from .ops.attention_layout import Options
from .ops.matmul import multiply
from .ops.matmul_kernels import matmul_kernel


def _numbers(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def _options() -> Options:
    return Options((1, 1), 1, scale=1.0, is_causal=True)


def forward_of_attention() -> None:
    with no_grad():
        F.qkv_attention(_numbers(1, 16, 48), 1)


def backward_of_attention() -> None:
    """With results of forward that are made up, so that forward need not be compiled."""
    out, lse = np.ones((1, 16, 16), np.float32), np.zeros((1, 16), np.float32)
    QKVAttention.backward(out, (np.ones((1, 16, 48), np.float32), None, out, lse, _options()))


def matrix_product() -> None:
    multiply(np.ones((64, 64), np.float32), np.ones((64, 64), np.float32))


def the_rest_of_gpt() -> None:
    """Embedding, norm, activation, loss and optimizer."""
    _embedding_loss_and_optimizer(lambda x: F.gelu(F.layer_norm(x, (8,), _numbers(8), _numbers(8)), "tanh"))


def the_rest_of_llama() -> None:
    """The same, and what turns queries and keys."""
    angles = np.ones((2, 4), np.float32)
    _embedding_loss_and_optimizer(
        lambda x: F.rotary_embedding(F.silu(F.rms_norm(x, (8,), _numbers(8))).reshape(1, 2, 1, 8), angles, angles)
    )


def the_rest_of_bert() -> None:
    """The same, but with the exact GELU, and where tokens are hidden; attention looks both ways. Of Seq2Seq, too."""
    _embedding_loss_and_optimizer(lambda x: F.gelu(F.layer_norm(x, (8,), _numbers(8), _numbers(8))))


def _embedding_loss_and_optimizer(between: Callable[[Tensor], Tensor]) -> None:
    ids, weight = np.zeros((1, 2), np.int64), _numbers(4, 8)
    x = between(F.embedding(ids, weight))
    x.backward(np.ones(x.shape, np.float32))
    F.cross_entropy(_numbers(2, 4), ids[0]).backward()
    optim.clip_grad_norm_([weight], 1.0)
    for parameter in (weight, _numbers(optim.adamw.CHUNK + 1)):  # a large one is updated by several threads
        parameter.grad = Tensor(np.ones(parameter.shape, np.float32))
        optim.AdamW([parameter]).step()


OF_ALL = (backward_of_attention, forward_of_attention, matrix_product)
TASKS = {task.__name__: task for task in (*OF_ALL, the_rest_of_gpt, the_rest_of_llama, the_rest_of_bert)}
TASKS_OF = {  # as in pretrain --model
    "gpt": (*OF_ALL, the_rest_of_gpt),
    "llama": (*OF_ALL, the_rest_of_llama),
    "bert": (*OF_ALL, the_rest_of_bert),
    "seq2seq": (*OF_ALL, the_rest_of_bert),
}


def is_needed() -> bool:
    """Whether the kernels that take longest to compile have not been compiled yet."""
    return jit_enabled() and not all(map(is_kept, (attention_forward, attention_backward, matmul_kernel)))


def compile_kernels(model: str = "gpt") -> None:
    """Compile what a training step of a model in float32 needs, in other processes than this one.

    A process that fails does no harm: what is missing is compiled when it is needed.
    """
    n_cores, tasks = os.cpu_count() or 1, [task.__name__ for task in TASKS_OF[model]]
    with ThreadPoolExecutor(n_cores) as pool:
        list(pool.map(_in_a_process, [[task] for task in tasks] if n_cores > 1 else [tasks]))


def _in_a_process(tasks: list[str]) -> None:
    command = [sys.executable, "-m", "tinygrad_llm.warm_up", *tasks]
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        TASKS[name]()
    if not sys.argv[1:]:
        for model in TASKS_OF:
            compile_kernels(model)
