"""The training loop: what a step does, what it reports, and what it leaves alone when the loss is not finite."""

import itertools
import math
from functools import partial

import numpy as np
import pytest

import tinygrad_llm as tg
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import Linear, Module
from tinygrad_llm.optim import SGD, AdamW, cosine
from tinygrad_llm.train import StepInfo, language_modelling, train_steps


def constant(step):
    return 1.0


def tiny_gpt(dropout=0.0):
    config = GPTConfig(vocab_size=11, max_seq_len=8, n_layers=2, n_heads=2, d_model=16, dropout=dropout)
    return GPT(config, np.random.default_rng(0))


def random_batches(batch_size, seed=0):
    rng = np.random.default_rng(seed)
    while True:
        tokens = rng.integers(0, 11, (batch_size, 9))
        yield tokens[:, :-1], tokens[:, 1:]


def weights_of(model):
    return {name: parameter.data.copy() for name, parameter in model.named_parameters()}


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Regression(Module):
    """loss = mean((w x − y)²): its gradient is known."""

    def __init__(self):
        self.layer = Linear(1, 1, bias=False, rng=np.random.default_rng(0))
        self.layer.weight.data[...] = 2.0


def squared_error(model, batch):
    x, y = batch
    return ((model.layer(tg.tensor(x)) - tg.tensor(y)) ** 2).mean()


def test_one_step_of_gradient_descent_by_hand():
    model = Regression()
    x, y = np.float32([[1], [3]]), np.float32([[1], [0]])
    steps = train_steps(model, iter([(x, y)]), squared_error, SGD(model.parameters(), lr=0.1), constant, n_steps=1)
    info = next(steps)
    # errors 1 and 6, so the loss is 37 / 2; its gradient is mean(2 · error · x) = (2 + 36) / 2
    assert (info.step, info.tokens, info.lr) == (1, 2, 0.1)
    assert info.loss == pytest.approx(18.5)
    assert info.grad_norm == pytest.approx(19)
    assert model.layer.weight.item() == pytest.approx(2 - 0.1 * 19)
    assert list(steps) == []


def test_clip_limits_the_step_and_reports_the_norm_before():
    model = Regression()
    batch = np.float32([[1], [3]]), np.float32([[1], [0]])
    optimizer = SGD(model.parameters(), lr=0.1)
    info = next(train_steps(model, iter([batch]), squared_error, optimizer, constant, n_steps=1, clip=0.5))
    assert info.grad_norm == pytest.approx(19)
    assert model.layer.weight.item() == pytest.approx(2 - 0.1 * 0.5)


def test_accumulated_small_batches_equal_one_large_batch():
    large, small = tiny_gpt(), tiny_gpt()
    batches = list(itertools.islice(random_batches(8), 3))
    halves = [(x[rows], y[rows]) for x, y in batches for rows in (slice(0, 4), slice(4, 8))]
    settings = {"n_steps": 3, "clip": 1.0}
    a = train_steps(large, iter(batches), language_modelling, SGD(large.parameters(), 0.5), constant, **settings)
    optimizer = SGD(small.parameters(), 0.5)
    b = train_steps(small, iter(halves), language_modelling, optimizer, constant, accumulate=2, **settings)
    for one, two in zip(a, b, strict=True):
        assert one.loss == pytest.approx(two.loss, rel=1e-5)
        assert one.grad_norm == pytest.approx(two.grad_norm, rel=1e-4)
        assert one.tokens == two.tokens == 64
    for name, weight in weights_of(large).items():
        np.testing.assert_allclose(weights_of(small)[name], weight, rtol=1e-4, atol=1e-6)


def test_steps_and_learning_rates_go_on_from_start_step():
    model = tiny_gpt()
    optimizer = AdamW(model.parameters(), lr=0.01)
    schedule = partial(cosine, n_steps=10, warmup_steps=2)
    steps = train_steps(model, random_batches(2), language_modelling, optimizer, schedule, n_steps=10, start_step=7)
    infos = list(steps)
    assert [info.step for info in infos] == [8, 9, 10]
    assert [info.lr for info in infos] == pytest.approx([0.01 * schedule(step) for step in (7, 8, 9)])
    assert all(isinstance(info, StepInfo) and info.seconds > 0 for info in infos)


def test_the_loop_learns_one_batch_by_heart():
    model = tiny_gpt()
    batch = next(random_batches(2))
    steps = train_steps(
        model,
        itertools.repeat(batch),
        language_modelling,
        AdamW(model.parameters(), lr=0.01, weight_decay=0),
        constant,
        n_steps=80,
        clip=1.0,
    )
    losses = [info.loss for info in steps]
    assert losses[0] == pytest.approx(math.log(11), abs=0.1)
    assert losses[-1] < 0.05


def test_parameters_that_the_optimizer_leaves_alone_do_not_pile_up_gradients():
    model = tiny_gpt()
    batch = next(random_batches(2))
    matrices = [p for p in model.parameters() if p.ndim == 2]
    steps = train_steps(model, itertools.repeat(batch), language_modelling, SGD(matrices, lr=0.0), constant, n_steps=3)
    assert len({info.grad_norm for info in steps}) == 1, "same weights, same batch, same gradient"


def test_the_model_trains_even_if_the_caller_left_it_in_eval_mode():
    model = tiny_gpt(dropout=0.5)
    steps = train_steps(model, random_batches(2), language_modelling, SGD(model.parameters(), 0.1), constant, n_steps=2)
    next(steps)
    model.eval()
    next(steps)
    assert model.training


def test_same_seed_same_losses_bit_for_bit():
    def losses():
        model = tiny_gpt(dropout=0.2)
        optimizer = AdamW(model.parameters(), lr=0.01)
        steps = train_steps(model, random_batches(4), language_modelling, optimizer, constant, n_steps=5, clip=1.0)
        return [info.loss for info in steps]

    assert losses() == losses()


@pytest.mark.parametrize("bad_value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(bad_value):
    model = tiny_gpt()
    factors = iter([1.0, 1.0, bad_value])

    def loss_fn(model, batch):
        return language_modelling(model, batch) * next(factors)

    optimizer = AdamW(model.parameters(), lr=0.01)
    steps = train_steps(model, random_batches(2), loss_fn, optimizer, constant, n_steps=9)
    next(steps)
    next(steps)
    before = weights_of(model)
    with pytest.raises(FloatingPointError, match=r"loss became (nan|inf) in step 3"):
        next(steps)
    assert_equal_weights(before, weights_of(model))


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change():
    model = Regression()

    def loss_fn(model, batch):
        return (model.layer.weight * 0).abs().sqrt().sum() * 0  # the loss is 0, its gradient 0 / 0

    steps = train_steps(model, iter([(np.zeros(1),)]), loss_fn, SGD(model.parameters(), 0.1), constant, n_steps=1)
    with pytest.raises(FloatingPointError, match="gradient norm became nan in step 1"):
        next(steps)
    assert model.layer.weight.item() == 2


@pytest.mark.parametrize("settings", [{"accumulate": 0}, {"start_step": 3}, {"start_step": -1}])
def test_impossible_settings(settings):
    model = tiny_gpt()
    optimizer = SGD(model.parameters(), 0.1)
    with pytest.raises(ValueError, match="accumulate must be at least 1 and start_step"):
        next(train_steps(model, random_batches(1), language_modelling, optimizer, constant, n_steps=2, **settings))
