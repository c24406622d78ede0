"""How the exercises of lesson 05 are graded."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.cross_entropy import cross_entropy_ref
from tinygrad_llm.ops.softmax import softmax_ref
from tinygrad_llm.school import demand, exercise, expect, for_all, search
from tinygrad_llm.school.checks import call_answer, call_text
from tinygrad_llm.testing import float_arrays

paper = np.log([[1.0, 2.0, 5.0]])
scores = st.tuples(st.integers(1, 2), st.integers(1, 3)).flatmap(float_arrays)


@st.composite
def scores_and_classes(draw):
    """Scores (N, V), and a right class for each row."""
    x = draw(scores)
    return x, np.array(draw(st.lists(st.integers(0, x.shape[1] - 1), min_size=len(x), max_size=len(x))))


@exercise(
    "e^1000 is inf. What may be subtracted from all scores of a row without changing its probabilities?",
    "Each row has its own maximum: keepdims=True keeps it as a column (N, 1) that broadcasts.",
)
def softmax(answer):
    why = "the example of the lesson"
    with np.errstate(all="ignore"):
        expect(answer, paper, equals=np.array([[0.125, 0.25, 0.625]]), why=why)
        why = "each row sums to 1 by itself"
        expect(answer, np.log([[1.0, 1.0], [1.0, 3.0]]), equals=np.array([[0.5, 0.5], [0.25, 0.75]]), why=why)
        for_all(answer, scores, equals=softmax_ref)
        why = "a shift of all scores changes nothing"
        expect(answer, paper + 1000, equals=np.array([[0.125, 0.25, 0.625]]), why=f"{why}: nothing may overflow")
        expect(answer, paper - 1000, equals=np.array([[0.125, 0.25, 0.625]]), why=f"{why}: not all may become 0")
        far_apart = np.array([[0.0, 0.0], [1000.0, 1000.0]])
        expect(answer, far_apart, equals=np.full((2, 2), 0.5), why="no row depends on another")


@exercise(
    "−log p_y = log Σ e^x − x_y. Do you take the logarithm of something that may have become 0 or inf?",
    "With z = x − its row's maximum, the loss of a row is log Σ e^z − z_y, and the sum is never below 1.",
)
def cross_entropy(answer):
    with np.errstate(all="ignore"):
        expect(answer, paper, np.array([1]), equals=math.log(4), why="−log(2/8)")
        two = np.concatenate([paper, paper])
        expect(answer, two, np.array([1, 0]), equals=(math.log(4) + math.log(8)) / 2, why="the mean of ln 4 and ln 8")

        def check(drawn):
            expect(answer, *drawn, equals=float(cross_entropy_ref(*drawn)))

        search(check, scores_and_classes())
        right, wrong = np.array([1]), np.array([0])
        far = np.array([[0.0, 1000.0]])
        expect(answer, far, right, equals=0.0, why="certain and right costs nothing: nothing may overflow")
        expect(answer, far, wrong, equals=1000.0, why="its probability is 0 in floats, the loss is still finite")


@exercise(
    "What is the gradient of one row's loss? And how much of the mean is one row?",
    "softmax(x) − onehot(y), divided by the number of rows. np.eye(V)[y] has the rows onehot(y).",
)
def cross_entropy_gradient(answer):
    expect(answer, paper, np.array([1]), equals=np.array([[0.125, -0.75, 0.625]]), why="p is (1/8, 2/8, 5/8)")
    expect(answer, paper, np.array([2]), equals=np.array([[0.125, 0.25, -0.375]]), why="now the third class is right")
    two = np.log([[1.0, 1.0], [1.0, 3.0]])
    gradient = np.array([[-0.25, 0.25], [0.125, -0.125]])
    expect(answer, two, np.array([0, 1]), equals=gradient, why="the mean of two rows counts each by half")

    def check(drawn):
        x = Tensor(drawn[0], requires_grad=True)
        F.cross_entropy(x, Tensor(drawn[1])).backward()
        expect(answer, *drawn, equals=x.grad.data)

    search(check, scores_and_classes())


@exercise(
    "For which x is 1 + x + x²/2 + x³/6 + … exact after few terms, and how does e^(n ln 2) look without e?",
    "n = round(x / ln 2), r = x − n ln 2: then e^x = 2^n e^r with |r| ≤ 0.35, where eight terms of the series do.",
)
def exponential(answer):
    names = _names(answer)
    forbidden = sorted(names & {"exp", "exp2", "expm1", "e", "pow", "power", "sinh", "cosh", "tanh", "fast_exp"})
    demand(not forbidden, f"it uses {', '.join(forbidden)}: build e^x from arithmetic")
    for x in (0.0, math.log(2), 1.0, -1.0, 10.0, 80.0, -80.0):
        check_exponential(answer, x)
    search(lambda x: check_exponential(answer, x), st.integers(-800, 800).map(lambda tenths: tenths / 10))


def check_exponential(answer, x):
    call, expected = call_text(answer, (x,)), math.exp(x)
    got = call_answer(answer, (x,), call)
    demand(isinstance(got, (int, float, np.number)), "a number was expected", call, expected, got)
    what = f"the relative error is {abs(got / expected - 1):.1e}, it has to be below 1e-6"
    demand(abs(got / expected - 1) < 1e-6, what, call, expected, got)


def _names(function) -> set[str]:
    """The names that a function's code uses, and those of the functions in it."""
    code = [function.__code__]
    for each in code:
        code += [constant for constant in each.co_consts if hasattr(constant, "co_names")]
    return {name for each in code for name in each.co_names}
