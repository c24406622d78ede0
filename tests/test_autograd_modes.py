"""When the graph is recorded and when it is freed: retain_graph, memory, no_grad, threads."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from toy_functions import apply, leaf, square, times

from tinygrad_llm.autograd import Function, enable_grad, is_grad_enabled, no_grad, tensor


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
    watched = apply(Watch, x)
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
    apply(Watch, x).backward()
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
