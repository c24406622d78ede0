"""How the exercises of lesson 14 are graded."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.optim import cosine
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer
from tinygrad_llm.testing import float_arrays

sizes = st.integers(1, 3)


@exercise(
    "Two formulas: which of them holds at step `warmup_steps`, and do they meet there?",
    "The line is highest · (step + 1) / (warmup_steps + 1). For the cosine take the share of the way from "
    "warmup_steps to n_steps, at most 1: cos(π · share) falls from 1 to −1, and must become a factor from 1 to 0.",
)
def learning_rate(answer):
    for step, rate in enumerate([1.0, 2.0, 1 + (1 + math.sqrt(0.5)) / 2, 1.5, 1 + (1 - math.sqrt(0.5)) / 2, 1.0, 1.0]):
        expect(answer, step, 5, 1, 2.0, 1.0, equals=rate)
    expect(answer, 0, 4, 0, 3.0, 1.0, equals=3.0, why="without warm-up the first step has the highest rate")
    expect(answer, 0, 9, 3, 1.0, 0.5, equals=0.25, why="the warm-up starts near 0, not at the lowest rate")
    expect(answer, 3, 9, 3, 1.0, 0.5, equals=1.0, why="the highest rate comes at step warmup_steps")
    expect(answer, 6, 9, 3, 1.0, 0.0, equals=0.5, why="half-way down, counted from the end of the warm-up")
    expect(answer, 50, 9, 3, 1.0, 0.5, equals=0.5, why="it stays at the lowest rate after n_steps")

    def check(warmup_steps, falling, step):
        n_steps = warmup_steps + falling
        rate = 2 * cosine(step, n_steps, warmup_steps, final_factor=0.25)
        expect(answer, step, n_steps, warmup_steps, 2.0, 0.5, equals=rate)

    search(check, st.integers(0, 5), st.integers(1, 6), st.integers(0, 15))


def mean_gradient(gradients, n_targets):
    kept = [(g, n) for g, n in zip(gradients, n_targets, strict=True) if n]
    return np.average([g for g, _ in kept], axis=0, weights=[n for _, n in kept])


@exercise(
    "How much of all targets is in batch k? With 1 and 3 targets the second batch counts three times as much.",
    "Sum n_targets[k] · gradients[k] over the batches that have targets, into a new array, and divide once by all "
    "targets. 0 · NaN is NaN, so skip a batch that has none.",
)
def accumulate(answer):
    def check(gradients, n_targets, why=""):
        given = copy.deepcopy(gradients)

        def call(n_targets):
            return answer(given, n_targets)

        call.__module__, call.__name__ = answer.__module__, answer.__name__
        shown = f"{answer.__name__}({[g.tolist() for g in gradients]}, {n_targets})"
        got = call_answer(call, (n_targets,), shown)
        same = all(map(lambda a, b: np.array_equal(a, b, equal_nan=True), gradients, given))
        demand(same, "your answer changes the gradients it was given: add up in a new array", shown)
        demand(
            isinstance(got, np.ndarray), "a NumPy array was expected", shown, mean_gradient(gradients, n_targets), got
        )
        expected = mean_gradient(gradients, n_targets)
        right = got.shape == expected.shape and np.allclose(got, expected)
        demand(right, why or "this is not the gradient of the mean over all targets", shown, expected, got)

    two = [np.array([1.0, 0.0]), np.array([3.0, 4.0])]
    check(two, [2, 2], "batches of the same size count the same")
    check(two, [1, 3], "the second batch has three of four targets")
    check([np.array([[2.0], [4.0]])], [7], "the gradient of a mean over one batch is as it was")
    check([*two, np.array([np.nan, np.nan])], [1, 3, 0], "a batch without targets must not count")
    check([np.array([np.nan]), np.array([2.0])], [0, 5], "the first batch may be the one without targets")
    check([np.array([6.0]), np.array([0.0])], [1, 2], "a gradient of zero counts, if there are targets")

    def drawn(pair):
        check(*pair)

    batches = st.lists(st.tuples(float_arrays((2, 1)), st.integers(1, 5)), min_size=1, max_size=4)
    search(drawn, batches.map(lambda each: ([g for g, _ in each], [n for _, n in each])))


def evaluate_ref(losses, n_targets, n_bytes):
    nats = float(np.dot(losses, n_targets))
    loss = nats / sum(n_targets)
    return loss, math.exp(loss), nats / math.log(2) / n_bytes


@exercise(
    "How many nats are in the text, all batches together? A batch of one token has one of them.",
    "nats = Σ loss · targets. The loss is nats / Σ targets, the perplexity e to the power of that loss (not a mean of "
    "perplexities), and nats / ln 2 are the bits, to be shared among the bytes.",
)
def evaluate(answer):
    example = [math.log(4), math.log(16)], [2, 1], 4
    expect(answer, *example, equals=evaluate_ref(*example), why="8 bits in 4 bytes; the last batch is smaller")
    one = [math.log(8)], [5], 5
    expect(answer, *one, equals=(math.log(8), 8.0, 3.0), why="log2(8) = 3 bits for each token, and each is a byte")
    even = [1.0, 3.0], [2, 2], 8
    expect(answer, *even, equals=evaluate_ref(*even), why="e to the mean loss, not the mean of e to each")
    expect(answer, [0.0], [3], 6, equals=(0.0, 1.0, 0.0), why="certain and right: perplexity 1, no bits at all")

    def check(pairs, n_bytes):
        losses, n_targets = [loss / 4 for loss, _ in pairs], [n for _, n in pairs]
        expect(answer, losses, n_targets, n_bytes, equals=evaluate_ref(losses, n_targets, n_bytes))

    search(check, st.lists(st.tuples(st.integers(0, 20), sizes), min_size=1, max_size=4), st.integers(1, 9))


def run(answer, function, call):
    """`function()`, which uses the class `answer`; errors are told with the line of the answer that raised them."""

    def steps():
        return function()

    steps.__module__ = answer.__module__
    return call_answer(steps, (), call)


PARTS = ("w", "velocity", "step", "order", "rng")


def part(training, name):
    value = getattr(training, name)
    return value.bit_generator.state if name == "rng" else np.asarray(value).tolist()


@exercise(
    "Which attributes does train_step read? Each of them that changes has to be in the snapshot.",
    "Five parts: w, velocity, step, order and the state of rng. order is a list that train_step changes in place, so "
    "snapshot and restore each need a copy of it; arrays become lists by tolist(), and arrays again by np.array.",
)
def Training(answer):
    whole = run(answer, lambda: steps(answer(0), 20), "20 steps of Training(0)")
    demand(len(set(whole)) == 20, "its losses do not change: train_step must stay as it was", "20 steps of Training(0)")
    for n_before in (0, 1, 7, 10):
        check_resume(answer, whole, n_before)


def steps(training, n):
    return [training.train_step() for _ in range(n)]


def check_resume(answer, whole, n_before):
    after, call = whole[n_before:], f"{n_before} steps of Training(0), then snapshot()"
    training = answer(0)
    steps(training, n_before)
    state = run(answer, training.snapshot, call)
    demand(state is not None, "your function returned None: is there a `return`?", call)
    demand(isinstance(state, dict), "snapshot must return a dict", call, None, state)
    at_snapshot, shown = {name: part(training, name) for name in PARTS}, repr(state)
    demand(steps(training, len(after)) == after, "taking a snapshot must not change the training", call)
    demand(repr(state) == shown, "the snapshot changes when training goes on: copy what is changed in place", call)
    text = run(answer, lambda: json.dumps(state), f"json.dumps(…) after {call}")
    state = json.loads(text)
    for seed, n_other in ((1, 3), (0, 0)):
        call = f"{n_before} steps of Training(0), snapshot(), and restore() after {n_other} steps of Training({seed})"
        other = answer(seed)
        steps(other, n_other)
        run(answer, lambda other=other: other.restore(state), call)
        for name in PARTS:
            got, expected = part(other, name), at_snapshot[name]
            demand(got == expected, f"{name} is not what it was when the snapshot was taken", call, expected, got)
        losses = run(answer, lambda other=other: steps(other, len(after)), call)
        demand(losses == after, "the losses are not those of the run that went on, bit for bit", call, after, losses)
        unchanged = json.dumps(state) == text
        demand(unchanged, "the state given to restore changes when training goes on: copy it", call)
