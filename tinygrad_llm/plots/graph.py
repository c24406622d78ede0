"""The computation graph of a tensor as a picture: what backward will walk, from the leaves to the result."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from ..autograd import Tensor
from ..autograd.graph import Node, topological_order
from .layered import layered_graph
from .layout import Layout

MAX_NODES = 80


def graph(
    path: str | os.PathLike,
    tensor: Tensor,
    *,
    names: Mapping[str, Tensor] | None = None,
    values: bool = True,
    title: str = "",
    direction: str = "down",
) -> Layout:
    """Draw the ops that made `tensor` (dark) and the leaves they began with (light), with shapes.

    Leaves, the tensors in `names` and the result itself also show their name, their value and, where there is one,
    their gradient; for a tensor between, call its `retain_grad()` before `backward()`. `values=False` leaves numbers
    out. An input that needs no gradient is no part of the graph: it is a grey box "no gradient". After a backward
    pass the graph is there only if that kept it: `backward(retain_graph=True)`.

    Raises ValueError where there is no graph (any more), or one too large for a picture.
    """
    boxes = graph_boxes(tensor, names or {}, values)
    return layered_graph(path, *boxes, title=title, direction=direction)


def graph_boxes(
    tensor: Tensor, names: Mapping[str, Tensor], values: bool = True
) -> tuple[list[str], list[tuple[int, int]], list[str]]:
    """The labels, edges and kinds of the boxes that `graph` draws."""
    nodes = _nodes(tensor)
    names_of = _names_by_origin(names)
    shown = {id(each.node): each for each in (tensor, *names.values()) if each.node is not None}
    labels, edges, kinds, box_of = [], [], [], {}

    def add(label: str, kind: str) -> int:
        labels.append(label)
        kinds.append(kind)
        return len(labels) - 1

    for node in nodes:
        inputs = []
        for edge in node.edges:
            if edge is None:
                inputs.append(add("no gradient", "constant"))
                continue
            if id(edge) not in box_of:  # a leaf: the nodes come in the order in which they were made
                box_of[id(edge)] = add(_describe(edge, names_of.get(id(edge), ""), values), "leaf")
            inputs.append(box_of[id(edge)])
        op = add(_lines(node.function.__name__, _shape_text(node.shape)), "op")
        edges += [(box, op) for box in inputs]
        box_of[id(node)] = op
        if id(node) in shown:
            label = _describe(shown[id(node)], names_of.get(id(node), ""), values, with_shape=False)
            if label:
                box_of[id(node)] = add(label, "result" if node is tensor.node else "value")
                edges.append((op, box_of[id(node)]))
    return labels, edges, kinds


def _nodes(tensor: Tensor) -> list[Node]:
    """The nodes behind `tensor` in the order in which they were made. Raises ValueError if there is no picture."""
    if tensor.node is None:
        why = "it is a leaf" if tensor.requires_grad else "no input had requires_grad=True, or it was made in no_grad()"
        raise ValueError(f"graph: this tensor of shape {tensor.shape} has no graph: {why}")
    if tensor.node.saved is None:
        raise ValueError("graph: backward() has freed this graph; draw it before, or call backward(retain_graph=True)")
    nodes = topological_order(tensor.node)[::-1]
    if len(nodes) > MAX_NODES:
        raise ValueError(
            f"graph: {len(nodes)} nodes are too many for a picture (at most {MAX_NODES}): draw a part of it, such as "
            "one layer on a leaf of its own (x.detach().requires_grad_())"
        )
    return nodes


def _names_by_origin(names: Mapping[str, Tensor]) -> dict[int, str]:
    """For each node or leaf the names that it has: its tensors may be other objects with the same node."""
    found: dict[int, str] = {}
    for name, tensor in names.items():
        origin = id(tensor.node or tensor)
        found[origin] = f"{found[origin]} = {name}" if origin in found else name
    return found


def _describe(tensor: Tensor, name: str, values: bool, with_shape: bool = True) -> str:
    facts = [name, _shape_text(tensor.shape) if with_shape else ""]
    if values:
        facts.append(_value_text(tensor.data))
        if tensor.grad is not None:
            facts.append(f"gradient {_gradient_text(tensor.grad.data)}")
    text = _lines(*facts)
    return text or ("leaf" if with_shape else "")


def _shape_text(shape: tuple[int, ...]) -> str:
    return str(shape) if shape else ""


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _value_text(array: np.ndarray) -> str:
    """A number, a few numbers, or their mean and standard deviation."""
    if array.size == 0:
        return "empty"
    if array.size == 1:
        return f"{array.item():.4g}"
    if array.size <= 4:
        return np.array2string(array, formatter={"float_kind": lambda x: f"{x:.3g}"}, separator=", ").replace("\n", "")
    return f"mean {array.mean():.3g}, std {array.std():.3g}"


def _gradient_text(array: np.ndarray) -> str:
    return _value_text(array) if array.size <= 4 else f"norm {np.linalg.norm(array):.3g}"
