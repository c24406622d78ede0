"""Activation checkpointing: trade time for memory. Forget what a part of the model saved, and compute it once more.

    x = checkpoint(block, x, rng=rng)          instead of  x = block(x)

After the forward pass of `block` its nodes stay in the graph, but what they saved is dropped. When the backward pass
comes to the first of them, `block` runs again on the same inputs, and each node gets what its twin has saved. From
there on everything is as it would have been, so the gradients are the same bit for bit. With every block of a
Transformer checkpointed, the memory for activations falls from n_layers blocks to one block and the blocks' inputs;
the time of a step grows by about a third, one more forward pass.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016; as torch.utils.checkpoint without reentry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .graph import Node, enable_grad, is_grad_enabled, next_number, topological_order
from .tensor import Tensor


def checkpoint(function: Callable, *inputs: Any, rng: np.random.Generator | None = None, **keywords: Any) -> Any:
    """`function(*inputs, **keywords)`, a Tensor or a tuple of Tensors, in less memory: see above.

    `function` must do the same when it is called again. `rng` is the generator that it draws from, for dropout say:
    it draws the same numbers again, and the generator's later numbers are as if it had drawn them once. Checkpoints
    may be nested. Under no_grad() there is nothing to forget, and this is the plain call.

    Raises TypeError for another result; the backward pass raises RuntimeError where the second result is another one.
    """
    if not is_grad_enabled():
        return function(*inputs, **keywords)
    call = _Call(functools.partial(function, *inputs, **keywords), rng)
    out, nodes = call.run()
    call.functions, call.fingerprint = [node.function for node in nodes], _fingerprint(out)
    for i, node in enumerate(nodes):
        node.saved = functools.partial(call.saved_of, i)
    return out


class _Call:
    """One checkpointed call: how to repeat it, and what the nodes of the repetition saved."""

    def __init__(self, function: Callable, rng: np.random.Generator | None):
        self.function = function
        self.rng = rng
        self.state = None if rng is None else rng.bit_generator.state
        self.saved: list[tuple | Callable | None] = []
        self.functions: list[type] = []  # of the first run's nodes,
        self.fingerprint: list[bytes] = []  # and of its result: the second run is compared with both

    def run(self) -> tuple[Any, list[Node]]:
        """The function's result and the nodes it made, in the order of their making."""
        start = next_number()
        out = self.function()
        roots = [tensor.node for tensor in _tensors(out) if tensor.node is not None]
        nodes = {node for root in roots for node in topological_order(root, after=start)}
        return out, sorted(nodes, key=lambda node: node.number)

    def saved_of(self, i: int) -> tuple | Callable:
        """What node i saved. It is handed out once: a graph that is walked twice computes it for each walk."""
        if not self.saved or self.saved[i] is None:
            self.saved = self.run_again()
        saved, self.saved[i] = self.saved[i], None
        return saved

    def run_again(self) -> list[tuple | Callable]:
        now = None if self.rng is None else self.rng.bit_generator.state
        try:
            if self.rng is not None:
                self.rng.bit_generator.state = self.state
            with enable_grad():
                out, nodes = self.run()
        finally:
            if self.rng is not None:
                self.rng.bit_generator.state = now
        if [node.function for node in nodes] != self.functions or _fingerprint(out) != self.fingerprint:
            raise RuntimeError(
                "checkpoint: the function gave another result when backward called it again. If it draws random "
                "numbers, give their generator as rng=; and change neither its inputs and parameters nor its mode "
                "between forward and backward."
            )
        return [node.saved for node in nodes]


def _tensors(out: Any) -> tuple[Tensor, ...]:
    tensors = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"checkpoint: the function must return a Tensor or a tuple of Tensors, not {type(tensor).__name__}."
            )
    return tensors


def _fingerprint(out: Any) -> list[bytes]:
    """Their sums: another choice of dropout, or another weight, changes them. Bytes, so that NaN equals NaN."""
    with np.errstate(all="ignore"):
        return [np.asarray(tensor.data.sum()).tobytes() for tensor in _tensors(out)]
