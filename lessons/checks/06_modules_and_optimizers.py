"""Checks of lesson 06."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm import Tensor, tensor
from tinygrad_llm.nn import Module, Parameter
from tinygrad_llm.optim.muon import JORDAN, orthogonalise_ref
from tinygrad_llm.school import demand, exercise, expect, for_all, search
from tinygrad_llm.school.checks import call_answer, compare, show
from tinygrad_llm.testing import float_arrays, shapes


def run(answer, function, call):
    """`function()`, which uses the class `answer`; errors are told with the line of the answer that raised them."""

    def steps():
        return function()

    steps.__module__ = answer.__module__
    return call_answer(steps, (), call)


@exercise(
    "Which attribute of self holds the layers, and would a walk over vars(self) find them there?",
    "Make the layers in __init__, all from the one rng, as self.layers = ModuleList(...). In forward, loop over them "
    "and leave out relu after the last.",
)
def MLP(answer):
    demand(isinstance(answer, type) and issubclass(answer, Module), "MLP must be a class that inherits from Module")
    for sizes in ([1, 1], [2, 3, 1], [3, 2, 2, 4]):
        call = f"MLP({sizes}, rng)"
        model = run(answer, lambda sizes=sizes: answer(list(sizes), np.random.default_rng(0)), call)
        names = run(answer, lambda model=model: dict(model.named_parameters()), f"{call}.named_parameters()")
        check_parameters(names, sizes, call)
        again = run(answer, lambda sizes=sizes: answer(list(sizes), np.random.default_rng(0)), call)
        same = all(np.array_equal(p.data, q.data) for p, q in zip(names.values(), again.parameters(), strict=True))
        demand(same, "two networks from generators of the same seed differ: does every Linear get rng=rng?", call)
        check_layers_differ(list(names.values()), call)
        check_forward(answer, model, sizes)


def check_parameters(names, sizes, call):
    expected = [shape for n_in, n_out in pairwise(sizes) for shape in ((n_out, n_in), (n_out,))]
    got = [p.shape for p in names.values()]
    demand(got != [], "no parameters are found: are the layers attributes of self?", call)
    what = "the shapes of the parameters, each layer's weight and bias in their order, are other ones"
    demand(got == expected, what, call, expected, got)


def check_layers_differ(parameters, call):
    weights = [p.data for p in parameters if p.ndim == 2]
    for one, other in pairwise(weights):
        differ = one.shape != other.shape or not np.array_equal(one, other)
        demand(differ, "two layers of the same shape start with the same weights: does each draw from rng anew?", call)


def check_forward(answer, model, sizes):
    """With weights that are easy to follow: all 1 and −1 by turns, and x of both signs."""
    layers = list(model.parameters())
    for number, p in enumerate(layers):
        p.data[...] = np.resize([1.0, -1.0, -1.0] if number % 2 == 0 else [0.5, -0.5], p.shape)
    x = np.resize(np.array([1, -2, 3, 0.5, -1], np.float32), (4, sizes[0]))
    expected = x
    for number in range(0, len(layers), 2):
        weight, bias = layers[number].data, layers[number + 1].data
        expected = (np.maximum(expected, 0) if number else expected) @ weight.T + bias
    values = ", ".join(show(p.data) for p in layers)
    call = f"MLP({sizes}, rng)(x) for x = {show(x)}\nwith the parameters {values}"
    got = run(answer, lambda: model(tensor(x)), call)
    why = "relu comes after each layer but the last" if len(layers) > 2 else "a single layer is last: no relu"
    compare(got, Tensor(expected), call, rtol=1e-5, atol=1e-6, why=why)
    got.sum().backward()
    demand(all(p.grad is not None for p in layers), "backward() does not reach all parameters", call)


def clip_ref(gradients, max_norm):
    norm = float(np.linalg.norm(np.concatenate([g.ravel() for g in gradients])))
    return [g * min(1.0, max_norm / norm) if norm else g for g in gradients], norm


@exercise(
    "How long is the vector (3, 4)? And (3, 4, 12), if 12 is in another array?",
    "Add up the squares of all elements of all arrays, then take one root. Multiply all by max_norm / norm, but only "
    "if the norm is above max_norm.",
)
def clip_by_norm(answer):
    def check(gradients, max_norm, why=""):
        call = f"clip_by_norm([{', '.join(show(g) for g in gradients)}], {max_norm:g})"
        given = [g.copy() for g in gradients]
        got = run(answer, lambda: answer(given, max_norm), call)
        compare(got, clip_ref(gradients, max_norm), call, why=why)
        for before, after in zip(gradients, given, strict=True):
            untouched = np.array_equal(before, after)
            demand(untouched, "your answer changes a gradient in place: return new arrays", call, before, after)

    check([np.array([3.0]), np.array([4.0])], 1.0, "5 is the norm of both together")
    check([np.array([0.3]), np.array([0.4])], 1.0, "what is short enough stays as it is")
    check([np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([12.0])], 6.5)
    check([np.zeros(2)], 1.0, "zeros are short enough")
    one = float_arrays(shapes(1, 2, 1, 2))
    search(check, st.lists(one, min_size=1, max_size=3), st.sampled_from([0.5, 1.0, 2.0]))


def trapezoid_ref(step, n_steps, warmup_steps, decay_steps):
    corners = [-1, warmup_steps, n_steps - decay_steps, n_steps]
    return float(np.interp(step, corners, [0.0, 1.0, 1.0, 0.0]))


@exercise(
    "Write two straight lines, one that rises and one that falls. Which of them holds at a step, and when neither?",
    "(step + 1) / (warmup_steps + 1) rises, (n_steps − step) / decay_steps falls. The factor is the smallest of both "
    "and 1, but never below 0.",
)
def trapezoid(answer):
    for step, factor in enumerate([0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]):
        expect(answer, step, 8, 3, 2, equals=factor)
    expect(answer, 0, 4, 0, 4, equals=1.0, why="without warm-up the first factor is 1")

    def check(warmup_steps, plateau, decay_steps, step):
        n_steps = warmup_steps + plateau + decay_steps
        call = (step, n_steps, warmup_steps, decay_steps)
        expect(answer, *call, equals=trapezoid_ref(*call))

    search(check, st.integers(0, 5), st.integers(0, 5), st.integers(1, 5), st.integers(0, 20))


@exercise(
    "Start with one round on the example: is your X, after the division, 0.6 and 0.8 on the diagonal?",
    "X @ X.T is (m, m). Each round needs it, once and twice in a row, times X: with @ and not with *, from the X of "
    "the round before.",
)
def newton_schulz(answer):
    example = np.diag([3.0, 4.0])
    expect(answer, example, 0, 2.0, -1.0, 0.0, equals=example / 5, why="no round: only the division by the norm")
    expect(answer, example, 1, 2.0, -1.0, 0.0, equals=np.diag([0.984, 1.088]))
    expect(answer, example, 1, 0.0, 0.0, 1.0, equals=np.diag([0.6**5, 0.8**5]), why="c alone gives X⁵")
    expect(answer, np.array([[3.0, 4.0]]), 1, 2.0, -1.0, 0.0, equals=np.array([[0.6, 0.8]]), why="a row has one s, 1")
    expect(answer, np.array([[3.0], [4.0]]), 2, 1.5, -0.5, 0.0, equals=np.array([[0.6], [0.8]]), why="a column too")

    def reference(matrix):
        return orthogonalise_ref(matrix, (JORDAN,) * 5)

    def five_rounds(matrix):
        return answer(matrix, 5, *JORDAN)

    five_rounds.__module__ = answer.__module__
    five_rounds.__name__ = "five rounds with Jordan's a, b, c: newton_schulz"
    matrices = float_arrays(shapes(2, 2, 1, 3)).filter(lambda m: np.linalg.norm(m) > 0.1)
    for_all(five_rounds, matrices, equals=reference, rtol=1e-5)


def lion_ref(p, gradients, lr, betas, weight_decay):
    m = 0.0
    for g in gradients:
        c = betas[0] * m + (1 - betas[0]) * g
        p = p * (1 - lr * weight_decay) - lr * np.sign(c)
        m = betas[1] * m + (1 - betas[1]) * g
    return p


@exercise(
    "What is in the dict `state` at the first step, and at the second? Which m goes into c, the old or the new one?",
    "Read m with state.get(..., 0.0), compute c from it, change parameter with -= by lr · (weight_decay · parameter + "
    "sign(c)), and only then store the new m in state.",
)
def Lion(answer):
    def check(start, gradients, lr=0.1, betas=(0.9, 0.99), weight_decay=0.0, lr_factor=1.0, why=""):
        settings = f"lr={lr:g}, betas={betas}, weight_decay={weight_decay:g}"
        factor = f"lr_factor={lr_factor:g}" if lr_factor != 1 else ""
        steps = ", then ".join(show(g) for g in gradients)
        call = f"optimizer = Lion([p], {settings}), p = {show(start)},\noptimizer.step({factor}) with gradient {steps}"

        def take_steps():
            p = Parameter(start.copy())
            optimizer = answer([p], lr=lr, betas=betas, weight_decay=weight_decay)
            for g in gradients:
                p.grad = tensor(g.copy())
                optimizer.step(lr_factor)
                unchanged = np.array_equal(p.grad.data, g)
                demand(unchanged, "your update changes the gradient in place: it is only to be read", call)
            return p.data

        got = run(answer, take_steps, call)
        moved = not np.array_equal(got, start)
        expected = lion_ref(start, gradients, lr * lr_factor, betas, weight_decay)
        if not moved and not np.array_equal(expected, start):
            why = "p has not moved: `parameter` must be changed in place"
        compare(got, expected, call, why=why)

    check(np.array([1.0, 1.0]), [np.array([10.0, -0.001])])
    check(np.array([1.0]), [np.array([0.0])], weight_decay=0.5, why="without a gradient there is only the decay")
    check(np.array([1.0]), [np.array([-1.0])], weight_decay=0.5, why="the decay is not part of the gradient")
    check(np.array([1.0]), [np.array([1.0])], lr_factor=0.5, why="the rate is the argument lr, schedule included")
    check(np.array([0.0]), [np.array([1.0]), np.array([-0.05])], why="m remembers the first gradient")
    check(np.array([0.0]), [np.array([1.0]), np.array([-0.3])], betas=(0.5, 0.5), why="c takes the old m")
    two = st.lists(float_arrays((2,)), min_size=1, max_size=3)
    betas = st.sampled_from([(0.9, 0.99), (0.5, 0.5)])
    search(lambda p, gradients, b: check(p, gradients, betas=b, weight_decay=0.1), float_arrays((2,)), two, betas)
