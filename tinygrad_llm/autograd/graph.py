"""The computation graph: nodes, the order of the backward pass, and the modes that change how it is recorded.

A `Node` is made by `Function.record` for each result that needs a gradient. It knows its `Function`, what the
forward pass saved, and where its gradients go: to the node of an intermediate input, or to a leaf tensor.
Nodes are numbered as they are made, so a node's inputs always have smaller numbers than the node itself.
Walking the nodes by falling number is therefore a topological order: without recursion, and the same in every
run.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_numbers = itertools.count()


def next_number() -> int:
    """Nodes made from now on have larger numbers."""
    return next(_numbers)


class _Modes(threading.local):
    """Each thread has its own modes: `no_grad` in one must not switch off the training in another."""

    grad_enabled = True
    detect_anomaly = False


modes = _Modes()


@contextmanager
def _mode(name: str, value: bool) -> Iterator[None]:
    previous = getattr(modes, name)
    setattr(modes, name, value)
    try:
        yield
    finally:
        setattr(modes, name, previous)


def no_grad():
    """Context (or function decorator) in which no graph is recorded: for evaluation and parameter updates."""
    return _mode("grad_enabled", False)


def enable_grad():
    """Context in which the graph is recorded, also inside a surrounding `no_grad`."""
    return _mode("grad_enabled", True)


def is_grad_enabled() -> bool:
    """Whether ops record the graph at this point, in this thread."""
    return modes.grad_enabled


def detect_anomaly():
    """Context that raises FloatingPointError at the first op that turns finite numbers into NaN or Inf.

    The error names the op and the line of your code that called it, for values made in the forward pass
    and for gradients made in the backward pass alike. It checks every result, so it is slow: use it to debug.
    """
    return _mode("detect_anomaly", True)


class Node:
    """One application of a `Function`: what backward needs, and where the gradients of its inputs go."""

    __slots__ = ("dtype", "edges", "function", "line", "number", "retained_by", "saved", "shape", "versions")

    def __init__(self, function, saved: tuple, edges: tuple, out: np.ndarray, versions: tuple, line):
        self.number = next(_numbers)
        self.function = function
        self.saved = saved  # the tuple, or a function that computes it once more: see recompute.py
        self.edges = edges  # per input: its Node, the leaf Tensor, or None where no gradient is needed
        self.shape, self.dtype = out.shape, out.dtype
        self.versions = versions  # (Version, count when saved) of each tensor that shares memory with `saved`
        self.retained_by = None  # the Tensor that asked with retain_grad() to see this node's gradient
        self.line = line

    def __repr__(self) -> str:
        return f"Node({self.function.__name__} #{self.number}, shape={self.shape}, dtype={self.dtype})"

    def input_gradients(self, dout: np.ndarray) -> tuple:
        """Run the function's backward, and check what it returns."""
        name = self.function.__name__
        if self.saved is None:
            raise RuntimeError(
                f"{name}: this part of the graph was freed by an earlier backward(). "
                "Call the first backward(retain_graph=True) to walk it twice."
            )
        for version, count in self.versions:
            if version.count != count:
                raise RuntimeError(
                    f"{name}: a tensor that backward needs was changed in place after the forward pass "
                    f"(version {version.count}, expected {count}). Change a clone, or do it after backward()."
                )
        saved = self.saved
        while callable(saved):
            saved = saved()
        gradients = self.function.backward(dout, saved)
        if not isinstance(gradients, tuple):
            got = type(gradients).__name__
            raise RuntimeError(f"{name}.backward must return a tuple, one gradient per input, not {got}.")
        if len(gradients) != len(self.edges):
            raise RuntimeError(f"{name}.backward returned {len(gradients)} gradients for {len(self.edges)} inputs.")
        for gradient, edge in zip(gradients, self.edges, strict=True):
            if edge is not None and getattr(gradient, "shape", None) != edge.shape:
                got = f"shape {gradient.shape}" if hasattr(gradient, "shape") else repr(gradient)
                raise RuntimeError(f"{name}.backward returned {got} for an input of shape {edge.shape}.")
        if modes.detect_anomaly:
            self._check_finite(dout, gradients)
        return gradients

    def _check_finite(self, dout: np.ndarray, gradients: tuple) -> None:
        for gradient in gradients:
            if gradient is not None and np.isfinite(dout).all() and not np.isfinite(gradient).all():
                where = f", whose forward ran at {self.line}" if self.line else ""
                raise FloatingPointError(
                    f"{self.function.__name__}: backward made the first NaN or Inf gradient{where}."
                )

    def free(self) -> None:
        self.saved, self.edges, self.versions, self.retained_by = None, (), (), None


def topological_order(root: Node, after: int = -1) -> list[Node]:
    """All nodes that `root` depends on, itself first, each before the nodes of its inputs.

    Only those with numbers above `after`: the part of the graph that was made since.
    """
    found = {root} if root.number > after else set()
    stack = list(found)
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, Node) and edge.number > after and edge not in found:
                found.add(edge)
                stack.append(edge)
    return sorted(found, key=lambda node: node.number, reverse=True)


def backward(root: Node, dout: np.ndarray, retain_graph: bool = False) -> None:
    """Send `dout`, the gradient of `root`'s output, down the graph and store the sums at the leaves.

    A node's own gradient is complete when its turn comes, since all nodes that use it come before it.
    Saved arrays are freed as the pass goes on, unless `retain_graph` keeps them for another pass.
    """
    gradients, nodes, hooked = {root: dout}, topological_order(root), {}
    for node in nodes:
        dout = gradients.pop(node, None)
        if dout is None:
            continue
        dout = np.asarray(dout)  # NumPy's arithmetic on 0-d arrays gives scalars
        if node.retained_by is not None:
            node.retained_by.accumulate_grad(dout, owned=False)
        for edge, gradient in zip(node.edges, node.input_gradients(dout), strict=True):
            if edge is None:
                continue
            if gradient.dtype != edge.dtype:
                gradient = gradient.astype(edge.dtype)
            if isinstance(edge, Node):
                earlier = gradients.get(edge)
                gradients[edge] = gradient if earlier is None else earlier + gradient
            else:
                owned = gradient is not dout and gradient.base is None and not retain_graph
                edge.accumulate_grad(gradient, owned)
                if edge.hooks and not hooked:
                    hooked = hooked_leaves(nodes)
        for leaf in hooked.get(node, ()):
            leaf.run_post_accumulate_grad_hooks()
        if not retain_graph:
            node.free()


def hooked_leaves(nodes: list[Node]) -> dict[Node, list]:
    """The leaves with hooks by the last of the nodes that use them: after it their gradients are complete."""
    last = {
        edge: node
        for node in nodes
        for edge in node.edges
        if edge is not None and not isinstance(edge, Node) and edge.hooks
    }
    leaves = {}
    for leaf, node in last.items():
        leaves.setdefault(node, []).append(leaf)
    return leaves
