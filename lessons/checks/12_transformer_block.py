"""How the exercises of lesson 12 are graded."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import strategies as st

import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.layer_norm import layer_norm_ref
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, call_text, compare, show
from tinygrad_llm.testing import float_arrays


def split_heads_ref(x, n_heads):
    """Head by head, as the lesson's picture of it."""
    D = x.shape[-1] // n_heads
    return np.stack([x[:, :, h * D : (h + 1) * D] for h in range(n_heads)], axis=1)


@exercise(
    "In which order do the numbers lie in memory? Which shape keeps that order, and has a dim for heads?",
    "A reshape never moves a number: it can cut C into (H, D). To bring H before T, two dims have to be swapped.",
)
def split_heads(answer):
    tokens = np.arange(1, 9).reshape(1, 2, 4)
    why = "head 0 has the first features of every token"
    expect(answer, tokens, 2, equals=np.array([[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]]), why=why)
    expect(answer, tokens, 1, equals=tokens[:, None], why="one head has all features")
    expect(answer, tokens, 4, equals=split_heads_ref(tokens, 4), why="here each head has one feature")
    check_refusal(answer, np.arange(20).reshape(1, 2, 10), 3)

    def check(sizes):
        B, T, H, D = sizes
        x = np.arange(1.0, B * T * H * D + 1).reshape(B, T, H * D)
        expect(answer, x, H, equals=split_heads_ref(x, H))

    search(check, st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)))


def check_refusal(answer, x, n_heads):
    call = call_text(answer, (x, n_heads))
    what = f"a ValueError was expected that names both numbers: {x.shape[-1]} features, {n_heads} heads"
    try:
        got = answer(x.copy(), n_heads)
    except NotImplementedError:
        raise
    except Exception as error:
        named = {int(number) for number in re.findall("[0-9]+", str(error))}
        demand(type(error) is ValueError and {x.shape[-1], n_heads} <= named, what, call, got=error)
    else:
        demand(False, what, call, got=got)


class Draws:
    """Stands in for a generator: `random(shape)` gives known numbers, and only once."""

    def __init__(self, numbers):
        self.numbers, self.calls = np.asarray(numbers, float), 0

    def random(self, size=None):
        self.calls += 1
        shape = (size,) if isinstance(size, (int, np.integer)) else size
        demand(shape == self.numbers.shape, f"draw rng.random(x.shape), x has the shape {self.numbers.shape}")
        return self.numbers.copy()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        demand(False, f"it uses rng.{name}: draw with rng.random(x.shape)")


@exercise(
    "Of 1,000 ones about p · 1,000 become 0. What must the others be, so that the mean is still 1?",
    "Keep where the draw is not below p, and scale by 1 / (1 − p). Which values of p need no draw, or no division?",
)
@np.errstate(all="ignore")
def dropout(answer):
    check_dropout(answer, np.array([1.0, 1.0, 3.0]), 0.5, [0.6, 0.2, 0.5])
    check_dropout(answer, np.array([[1.0, 2.0], [3.0, -4.0]]), 0.75, [[0.8, 0.7], [0.76, 0.99]])
    check_dropout(
        answer, np.array([1.0, -2.0]), 0.25, [0.1, 0.3], why="p is the part that is dropped, not the part kept"
    )
    check_dropout(answer, np.array([3.0, 5.0]), 0.999, [0.9995, 0.5], why="near 1 little is left, and it is scaled up")
    check_dropout(
        answer, np.array([3.0, 5.0]), 0.5, [0.1, 0.9], training=False, why="when not training nothing changes"
    )
    check_dropout(answer, np.array([3.0, 5.0]), 0.0, [0.0, 0.9], why="with p = 0 nothing is dropped")
    check_dropout(answer, np.array([3.0, 0.0]), 1.0, [0.0, 0.9], why="with p = 1 all are 0, and nothing is divided")

    def check(pairs, p, training):
        x, draws = (np.array(each, float) for each in zip(*pairs, strict=True))
        check_dropout(answer, x, p, draws / 8, training)

    pairs = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 7)), min_size=1, max_size=4)
    search(check, pairs, st.sampled_from([0.25, 0.5, 0.75]), st.booleans())
    check_statistics(answer)


def check_dropout(answer, x, p, draws, training=True, why=""):
    draws = np.asarray(draws, float)
    rng = Draws(draws)
    call = f"dropout({show(x)}, {p:g}, training={training}, rng) with the draws {show(draws)}"
    got = call_answer(_with(answer, rng), (x, p, training), call)
    off = not training or p == 0
    expected = x if off else np.where(draws >= p, x / (1 - p) if p < 1 else 0.0, 0.0)
    compare(got, expected, call, why=why)
    demand(not (off and rng.calls), "numbers are drawn where nothing is dropped", call)
    demand(off or p == 1 or rng.calls == 1, "draw once, for all elements", call)


def check_statistics(answer):
    """With a real generator: it must be the one given, and the mean must hold."""
    x, expected = np.ones((100, 50)), np.random.default_rng(3).random((100, 50)) >= 0.25
    call = "dropout(np.ones((100, 50)), 0.25, training=True, rng=np.random.default_rng(3))"
    got = call_answer(_with(answer, np.random.default_rng(3)), (x, 0.25, True), call)
    compare(got, expected / 0.75, call, why="these are not the draws of the rng that was given")


def _with(answer, rng):
    """The answer with its last argument set, known under the answer's own module."""

    def run(x, p, training):
        return answer(x, p, training, rng)

    run.__module__ = answer.__module__
    return run


rows = st.tuples(st.integers(1, 2), st.integers(1, 3)).flatmap(float_arrays)


@st.composite
def norm_inputs(draw):
    """dout, x (N, C), and weight, bias (C,)."""
    x = draw(rows)
    N, C = x.shape
    return draw(float_arrays((N, C))), x, draw(float_arrays((C,))), draw(float_arrays((C,)))


@exercise(
    "Which numbers are averaged: those of one vector, or those of one feature over all vectors?",
    "Mean over the last axis with keepdims=True; then subtract it before you square. eps is added to the variance.",
)
@np.errstate(all="ignore")
def layer_norm(answer):
    paper, ones, zeros = np.array([[1.0, 1.0, 5.0, 5.0]]), np.ones(4), np.zeros(4)
    unit = np.array([[-1.0, -1.0, 1.0, 1.0]])
    expect(answer, paper, ones, zeros, 0.0, equals=unit, why="the mean is 3 and the variance 4")
    expect(answer, paper, np.array([1.0, 2, 3, 4]), zeros, 0.0, equals=unit * [1, 2, 3, 4], why="weight stretches")
    expect(answer, paper, ones, np.array([1.0, 2, 3, 4]), 0.0, equals=unit + np.arange(1, 5), why="then bias shifts")
    expect(answer, paper, ones, zeros, 12.0, equals=unit / 2, why="4 + 12 is 16: eps is added to the variance")
    two = np.array([[1.0, 1, 5, 5], [9.0, 9, 7, 7]])
    expect(answer, two, ones, zeros, 0.0, equals=np.concatenate([unit, -unit]), why="each vector by itself")
    expect(answer, paper + 1e9, ones, zeros, 0.0, equals=unit, why="the mean of x² minus μ² cancels: subtract μ first")
    expect(answer, np.full((1, 4), 7.0), ones, zeros, 1e-5, equals=np.zeros((1, 4)), why="equal numbers become 0")
    expect(answer, paper[0], ones, zeros, 0.0, equals=unit[0], why="x may be one vector (C,)")
    expect(
        answer, two.reshape(1, 2, 4), ones, zeros, 0.0, equals=np.stack([unit[0], -unit[0]])[None], why="or (B, T, C)"
    )

    def check(inputs, eps):
        _, x, weight, bias = inputs
        expect(answer, x, weight, bias, eps, equals=layer_norm_ref(x, weight.shape, weight, bias, eps))

    search(check, norm_inputs(), st.sampled_from([0.1, 1.0]))


@exercise(
    "x acts on the result in three ways: directly, through the mean, and through the variance. Which two means does dx "
    "subtract, and over which axis? Over which axis are dweight and dbias sums?",
    "With g = dout · weight there are three terms: g, minus a mean of its row, minus x̂ times another one; r "
    "multiplies them all. dweight and dbias take dout, not g.",
)
@np.errstate(all="ignore")
def layer_norm_backward(answer):
    paper, first = np.array([[1.0, 1, 5, 5]]), np.array([[4.0, 0, 0, 0]])
    check_backward(answer, first, paper, np.ones(4), 0.0, why="the example of the lesson")
    check_backward(
        answer, first / 2, paper, np.array([2.0, 1, 1, 1]), 0.0, why="g = dout · weight is (4, 0, 0, 0) again"
    )
    check_backward(answer, first, paper, np.ones(4), 12.0, why="r is 1 / √(4 + 12) here")
    check_backward(answer, np.ones((1, 4)), paper, np.ones(4), 0.0, why="a shift of the result needs no change of x")
    two = np.concatenate([first, -2 * first]), np.concatenate([paper, [[9.0, 9, 7, 7]]])
    check_backward(
        answer, *two, np.ones(4), 0.0, why="rows have their own dx; dweight and dbias are sums over the rows"
    )

    def check(inputs, eps):
        dout, x, weight, _ = inputs
        check_backward(answer, dout, x, weight, eps)

    search(check, norm_inputs(), st.sampled_from([0.1, 1.0]))


def check_backward(answer, dout, x, weight, eps, why=""):
    tensors = [Tensor(each, requires_grad=True) for each in (x, weight, np.zeros_like(weight))]
    F.layer_norm(tensors[0], weight.size, *tensors[1:], eps).backward(dout)
    inputs = (dout, x, weight, eps)
    call = call_text(answer, inputs)
    got = call_answer(answer, inputs, call)
    demand(
        isinstance(got, (tuple, list)) and len(got) == 3,
        "three results are expected: dx, dweight, dbias",
        call,
        got=got,
    )
    for name, one, each in zip(("dx", "dweight", "dbias"), got, tensors, strict=True):
        compare(one, each.grad.data, call, rtol=1e-6, atol=1e-8, why=f"{name}: {why}" if why else name)
