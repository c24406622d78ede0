"""The graph and the backward pass, with ops made here, so that only the engine is under test."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from tinygrad_llm.autograd import Function, Tensor, enable_grad, is_grad_enabled, no_grad, tensor
from tinygrad_llm.autograd.graph import topological_order
from tinygrad_llm.testing import gradcheck


class Square(Function):
    @staticmethod
    def forward(x):
        return x * x, (x,)

    @staticmethod
    def backward(dout, saved):
        (x,) = saved
        return (2 * x * dout,)


def square(x: Tensor) -> Tensor:
    out, saved = Square.forward(x.data)
    return Square.record(out, saved, x)


class Plus(Function):
    """Hands one and the same array to both inputs."""

    @staticmethod
    def forward(a, b):
        return a + b, ()

    @staticmethod
    def backward(dout, saved):
        return dout, dout


def plus(a: Tensor, b: Tensor) -> Tensor:
    out, saved = Plus.forward(a.data, b.data)
    return Plus.record(out, saved, a, b)


class Times(Function):
    @staticmethod
    def forward(a, b):
        return a * b, (a, b)

    @staticmethod
    def backward(dout, saved):
        a, b = saved
        return dout * b, dout * a


def times(a: Tensor, b: Tensor) -> Tensor:
    out, saved = Times.forward(a.data, b.data)
    return Times.record(out, saved, a, b)


class Flip(Function):
    """Forward and backward give views."""

    @staticmethod
    def forward(x):
        return x[::-1], ()

    @staticmethod
    def backward(dout, saved):
        return (dout[::-1],)


def flip(x: Tensor) -> Tensor:
    out, saved = Flip.forward(x.data)
    return Flip.record(out, saved, x)


def leaf(*values, dtype="float64") -> Tensor:
    return tensor(np.array(values, dtype=dtype), requires_grad=True)


# The backward pass


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


# Freeing


def test_retain_graph_allows_a_second_pass():
    x = leaf(3.0)
    y = square(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


def test_a_second_pass_without_it_names_the_op_and_the_way_out():
    y = square(leaf(3.0))
    y.backward()
    with pytest.raises(RuntimeError, match=r"Square: .*freed by an earlier backward.*retain_graph=True"):
        y.backward()


def test_a_pass_through_a_freed_part_is_an_error_too():
    shared = square(leaf(3.0))
    one, two = square(shared), square(shared)
    one.backward()
    with pytest.raises(RuntimeError, match=r"Square: .*freed"):
        two.backward()


def test_saved_arrays_are_freed_as_the_pass_goes_on():
    freed_before_last = []

    class Watch(Function):
        @staticmethod
        def forward(x):
            return x + 0, ()

        @staticmethod
        def backward(dout, saved):
            freed_before_last.append(later.node.saved is None)
            return (dout,)

    x = leaf(1.0)
    watched = Watch.record(*Watch.forward(x.data), x)
    later = square(watched)
    later.backward()
    assert freed_before_last == [True]


def test_intermediate_memory_is_gone_after_backward_while_the_loss_lives():
    x = tensor(np.ones(1000), requires_grad=True)
    middle = square(x)
    loss = square(middle)
    tensor_alive, node_alive, array_alive = (
        weakref.ref(middle),
        middle.node,
        weakref.ref(middle.data),
    )
    loss.backward(np.ones(1000))
    assert node_alive.saved is None
    assert node_alive.edges == ()
    del middle, node_alive
    assert tensor_alive() is None, "freed without the garbage collector"
    assert array_alive() is None


@pytest.mark.parametrize("retain", [False, True])
def test_graphs_have_no_reference_cycles(retain):
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = square(x)
        if retain:
            y.retain_grad()
        z = square(y)
        z.backward()
        arrays = [weakref.ref(y.data), weakref.ref(z.data)]
        del y, z
        assert [array() for array in arrays] == [None, None]
    finally:
        gc.enable()


# Modes


def test_no_grad_as_a_context_and_as_a_decorator():
    x = leaf(2.0)

    @no_grad()
    def evaluate():
        assert not is_grad_enabled()
        return square(x)

    with no_grad():
        inside = square(x)
    for out in (inside, evaluate(), evaluate()):
        assert not out.requires_grad
        assert out.node is None
    assert is_grad_enabled()


def test_modes_nest_and_survive_errors():
    x = leaf(2.0)
    with no_grad():
        with enable_grad():
            assert square(x).requires_grad
        assert not is_grad_enabled()
        with pytest.raises(ValueError, match="inner"), enable_grad():
            raise ValueError("inner")
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_each_thread_has_its_own_mode():
    entered, leave, seen = threading.Event(), threading.Event(), []

    def evaluate():
        with no_grad():
            entered.set()
            leave.wait(30)
            seen.append(is_grad_enabled())

    thread = threading.Thread(target=evaluate)
    thread.start()
    assert entered.wait(30)
    assert is_grad_enabled()
    assert square(leaf(1.0)).requires_grad
    leave.set()
    thread.join(30)
    assert seen == [False]


def test_backward_itself_records_no_graph():
    seen = []

    class Watch(Function):
        @staticmethod
        def forward(x):
            return x + 0, ()

        @staticmethod
        def backward(dout, saved):
            seen.append(is_grad_enabled())
            return (dout,)

    x = leaf(1.0)
    Watch.record(*Watch.forward(x.data), x).backward()
    assert seen == [False]
    assert not x.grad.requires_grad


def test_threads_can_train_side_by_side():
    results = {}

    def train(number):
        x = leaf(float(number))
        for _ in range(50):
            times(square(x), x).backward()
        results[number] = x.grad.item()

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {number: 50 * 3.0 * number**2 for number in range(4)}
