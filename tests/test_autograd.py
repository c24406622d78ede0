"""The backward pass: which gradient arrives where, in which order, in whose memory."""

from __future__ import annotations

import gc

import numpy as np
from toy_functions import flip, leaf, plus, square, times

from tinygrad_llm.autograd import tensor
from tinygrad_llm.autograd.graph import topological_order
from tinygrad_llm.testing import gradcheck


def test_a_function_as_in_the_docstring():
    x = leaf(1.0, -2.0)
    out = square(x)
    out.backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.data, [2.0, -40.0])
    assert gradcheck(square, x)


def test_paths_that_meet_again_are_summed():
    """y = (x² + x) · x² at 3: dy/dx = (2x + 1)x² + (x² + x)·2x = 63 + 72."""
    x = leaf(3.0)
    squared = square(x)
    times(plus(squared, x), squared).backward()
    assert x.grad.item() == 135.0


def test_each_node_is_visited_once():
    """Thirty diamonds in a row have 2³⁰ paths."""
    x = leaf(1.0)
    y = x
    for _ in range(30):
        y = plus(y, y)
    y.backward()
    assert x.grad.item() == 2.0**30


def test_one_tensor_as_both_inputs():
    x = leaf(3.0)
    times(x, x).backward()
    assert x.grad.item() == 6.0


def test_a_graph_of_100_000_nodes_does_not_recurse():
    x, zero = leaf(1.0), tensor(np.zeros(1))
    y = x
    for _ in range(100_000):
        y = plus(y, zero)
    y.backward()
    assert x.grad.item() == 1.0


def test_a_deep_graph_can_be_dropped_without_backward():
    x, zero = leaf(1.0), tensor(np.zeros(1))
    y = x
    for _ in range(100_000):
        y = plus(y, zero)
    del y
    gc.collect()


def test_order_is_topological_and_the_same_in_each_run():
    def numbers():
        x = leaf(1.0)
        a = square(x)
        b, c = square(a), times(a, x)
        order = topological_order(plus(times(b, c), a).node)
        first = min(node.number for node in order)
        return [(node.function.__name__, node.number - first) for node in order]

    once = numbers()
    assert once == numbers()
    assert [name for name, _ in once] == ["Plus", "Times", "Times", "Square", "Square"]


def test_gradients_add_up_over_backward_calls_out_of_place():
    x = leaf(3.0)
    square(x).backward()
    first = x.grad
    square(x).backward()
    assert first.item() == 6.0
    assert x.grad.item() == 12.0


def test_gradients_of_different_leaves_do_not_share_memory():
    a, b, dout = leaf(1.0, 2.0), leaf(3.0, 4.0), np.ones(2)
    plus(flip(a), b).backward(dout)
    for x, y in ((a.grad.data, b.grad.data), (a.grad.data, dout), (b.grad.data, dout)):
        assert not np.shares_memory(x, y)


def test_the_upstream_gradient_is_not_changed():
    x, dout = leaf(1.0, 2.0), np.array([1.0, 2.0])
    plus(plus(x, x), x).backward(dout)
    np.testing.assert_array_equal(dout, [1.0, 2.0])
    np.testing.assert_array_equal(x.grad.data, [3.0, 6.0])


def test_constants_get_no_gradient():
    x, constant = leaf(2.0), tensor(np.array([5.0]))
    times(x, constant).backward()
    assert x.grad.item() == 5.0
    assert constant.grad is None


def test_an_op_on_constants_records_nothing():
    out = square(tensor([1.0]))
    assert not out.requires_grad
    assert out.is_leaf


def test_backward_of_a_leaf_gives_it_the_upstream_gradient():
    x, dout = leaf(1.0, 2.0), np.array([3.0, 4.0])
    x.backward(dout)
    np.testing.assert_array_equal(x.grad.data, dout)
    assert not np.shares_memory(x.grad.data, dout)


def test_upstream_gradient_may_be_a_tensor_or_a_list_of_any_dtype():
    for dout in (tensor([1.0, 2.0]), np.array([1, 2]), [1.0, 2.0]):
        x = leaf(1.0, 1.0)
        square(x).backward(dout)
        assert x.grad.dtype == np.float64
        np.testing.assert_array_equal(x.grad.data, [2.0, 4.0])


def test_retain_grad_keeps_an_intermediate_gradient():
    x = leaf(3.0)
    kept, other = square(x), square(x)
    kept.retain_grad()
    times(kept, other).backward()
    assert kept.grad.item() == 9.0
    assert other.grad is None
    x.retain_grad()  # a leaf keeps its own anyway
    assert x.grad.item() == 4 * 27.0


def test_detach_cuts_the_graph_and_shares_memory():
    x = leaf(3.0)
    squared = square(x)
    constant = squared.detach()
    assert not constant.requires_grad
    assert np.shares_memory(constant.data, squared.data)
    times(squared, constant).backward()
    assert x.grad.item() == 9.0 * 6.0
