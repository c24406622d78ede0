"""Activation checkpointing: the same gradients bit for bit, in less memory, and errors where it cannot hold that."""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial

import numpy as np
import pytest

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import checkpoint, no_grad, tensor
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.testing import gradcheck

RNG = np.random.default_rng(0)


def random(*shape, requires_grad=True):
    return tensor(RNG.normal(size=shape), requires_grad=requires_grad)


def gradients(loss, leaves) -> list[np.ndarray]:
    for leaf in leaves:
        leaf.grad = None
    loss.backward()
    return [leaf.grad.data for leaf in leaves]


def assert_same(function, *inputs, leaves=None):
    """Value and gradients of a sum of squares, with the input and the result used elsewhere as well."""
    leaves = inputs if leaves is None else leaves

    def loss(call):
        hidden = [x * 1.5 for x in inputs]
        out = call(*hidden)
        return sum(((out + x).square() * x).sum() for x in hidden)

    plain, light = loss(function), loss(lambda *hidden: checkpoint(function, *hidden))
    assert plain.item() == light.item()
    for one, two in zip(gradients(plain, leaves), gradients(light, leaves), strict=True):
        np.testing.assert_array_equal(one, two)


def test_gradients_are_the_same_bit_for_bit():
    assert_same(lambda x, y: ((x @ y).tanh() * x).exp() - y, random(3, 3), random(3, 3))


def test_parameters_of_the_function_get_their_gradients_too():
    """They are no inputs of the call; PyTorch's reentrant variant would need an input that requires grad."""
    weight, x = random(4, 4), random(2, 4, requires_grad=False)
    plain, light = ((x @ weight).tanh().sum() for _ in range(2))
    light = checkpoint(lambda x: (x @ weight).tanh(), x).sum()
    np.testing.assert_array_equal(*(gradients(loss, [weight])[0] for loss in (plain, light)))


@pytest.mark.parametrize("depth", [2, 3])
def test_nested(depth):
    calls = []

    def body(x, y):
        calls.append(1)
        return (x * y).tanh() @ y

    def nested(x, y):
        inner = body
        for _ in range(depth - 1):
            inner = (lambda f: lambda x, y: checkpoint(f, checkpoint(f, x, y).sin(), y))(inner)
        return inner(x, y)

    assert_same(nested, random(3, 3), random(3, 3))
    assert len(calls) > 3 * 2 ** (depth - 1), "it was recomputed"


def test_several_results_and_one_that_is_an_input():
    x, y = random(3), random(3)

    def function(x, y):
        return x.exp() * y, x, (x + y).sin()

    def loss(call):
        first, second, third = call(x * 2, y)
        return (first * third + second).sum()

    results = [
        gradients(loss(call), [x, y]) for call in (function, lambda *inputs: tuple(checkpoint(function, *inputs)))
    ]
    np.testing.assert_array_equal(results[0], results[1])


def test_gradcheck():
    assert gradcheck(lambda x, y: checkpoint(lambda x, y: (x * y).tanh() * x, x, y), random(2, 3), random(3))


def test_under_no_grad_it_is_the_plain_call():
    x = random(3)
    with no_grad():
        out = checkpoint(lambda x, scale: x * scale, x, scale=2)
    assert not out.requires_grad
    np.testing.assert_array_equal(out.data, 2 * x.data)


def test_a_part_without_parameters_makes_no_graph():
    assert not checkpoint(lambda x: x.exp(), random(3, requires_grad=False)).requires_grad


def dropout_losses(call, seed=3):
    """Two rounds of dropout, one of them in a checkpoint, and what the generator gives afterwards."""
    rng, x = np.random.default_rng(seed), tensor(np.ones((40, 40)), requires_grad=True)

    def function(x):
        return F.dropout(F.dropout(x.exp(), 0.3, True, rng) * x, 0.5, True, rng)

    out = call(function, x, rng)
    loss = (F.dropout(out, 0.2, True, rng) * x).sum()
    before = rng.bit_generator.state
    (gradient,) = gradients(loss, [x])
    assert rng.bit_generator.state == before, "backward leaves the generator where it was"
    return loss.item(), gradient, rng.random()


def test_dropout_is_replayed_exactly():
    plain = dropout_losses(lambda function, x, rng: function(x))
    light = dropout_losses(lambda function, x, rng: checkpoint(function, x, rng=rng))
    assert plain[0] == light[0]
    np.testing.assert_array_equal(plain[1], light[1])
    assert plain[2] == light[2]
    assert plain[0] != dropout_losses(lambda function, x, rng: function(x), seed=4)[0]


def test_dropout_with_a_forgotten_generator_is_an_error_not_a_wrong_gradient():
    with pytest.raises(RuntimeError, match=r"another result.*give their generator as rng="):
        dropout_losses(lambda function, x, rng: checkpoint(function, x))


def test_a_change_between_forward_and_backward_is_an_error():
    x, bias = random(3), random(3)
    loss = checkpoint(lambda x: x.exp() + bias, x).sum()
    bias.data += 1.0
    with pytest.raises(RuntimeError, match="another result when backward called it again"):
        loss.backward()
    loss = checkpoint(lambda x: x.exp() * bias, x).sum()
    with no_grad():
        bias.zero_()
    with pytest.raises(RuntimeError, match="changed in place after the forward pass"):
        loss.backward()


def test_another_path_the_second_time_is_an_error():
    x, calls = random(3), []

    def function(x):
        calls.append(1)
        return (x * 1).exp() if len(calls) == 1 else x.exp()

    with pytest.raises(RuntimeError, match="another result"):
        checkpoint(function, x).sum().backward()


@pytest.mark.parametrize("result", [None, {"x": 1}, (1.0, 2.0)])
def test_the_result_must_be_tensors(result):
    with pytest.raises(TypeError, match=r"must return a Tensor or a tuple of Tensors, not (NoneType|dict|float)"):
        checkpoint(lambda x: result, random(3))


def test_retain_graph_and_a_second_pass():
    x = random(3)
    loss = checkpoint(lambda x: x.exp().sin(), x).sum()
    loss.backward(retain_graph=True)
    once = x.grad.data
    loss.backward()
    np.testing.assert_array_equal(x.grad.data, once + once)
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        loss.backward()


def test_an_error_in_the_function_leaves_the_generator_as_it_was():
    rng, x, calls = np.random.default_rng(0), random(3), []

    def function(x):
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return x * float(rng.random())

    loss = checkpoint(function, x, rng=rng).sum()
    state = rng.bit_generator.state
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    assert rng.bit_generator.state == state


CONFIG = {"vocab_size": 50, "max_seq_len": 32, "n_layers": 6, "n_heads": 4, "d_model": 64}


def gpt_step(checkpointed: bool, dropout: float = 0.1):
    model = GPT(GPTConfig(**CONFIG, dropout=dropout), np.random.default_rng(0))
    model.checkpoint_activations = checkpointed
    ids = np.random.default_rng(1).integers(0, 50, (8, 33))
    loss = model.loss(ids[:, :-1], ids[:, 1:])
    loss.backward()
    return loss.item(), {name: p.grad.data for name, p in model.named_parameters()}


def test_a_gpt_with_dropout_learns_the_same():
    (plain, expected), (light, got) = gpt_step(False), gpt_step(True)
    assert plain == light
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        np.testing.assert_array_equal(gradient, got[name], err_msg=name)


def test_a_checkpointed_gpt_generates_and_evaluates_as_ever():
    model = GPT(GPTConfig(**CONFIG), np.random.default_rng(0)).eval()
    ids = np.random.default_rng(1).integers(0, 50, (2, 5))
    with no_grad():
        expected = model(ids).data
        model.checkpoint_activations = True
        np.testing.assert_array_equal(model(ids).data, expected)
        np.testing.assert_array_equal(model(ids, model.new_cache(2)).data.shape, expected.shape)


def peak_bytes(function) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_falls_from_all_blocks_to_one():
    gpt_step(False)  # whatever is made only once is there now
    plain, light = (peak_bytes(partial(gpt_step, checkpointed, dropout=0.0)) for checkpointed in (False, True))
    block, inputs = 16 * 8 * 32 * 64 * 4, 6 * 8 * 32 * 64 * 4
    assert plain - light == pytest.approx(6 * block - (block + inputs), rel=0.15)


def test_memory_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = tensor(np.ones(100_000), requires_grad=True)

        def step():
            checkpoint(lambda x: x.exp().sin(), x).sum().backward()
            x.grad = None

        step()
        tracemalloc.start()
        step()
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
        gc.enable()


def test_it_works_with_anomaly_mode():
    x = tensor([1.0, -1.0], requires_grad=True)
    with tg.detect_anomaly(), pytest.raises(FloatingPointError, match="Log: made the first NaN"):
        checkpoint(lambda x: x.log(), x)
    with tg.detect_anomaly():
        checkpoint(lambda x: x.exp(), x).sum().backward()
    np.testing.assert_allclose(x.grad.data, np.exp(x.data))
