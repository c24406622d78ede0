"""How the exercises of lesson 03 are graded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.school import exercise, expect, for_all, search
from tinygrad_llm.testing import float_arrays, shapes


@dataclass(frozen=True)
class Formula:
    """A function that is shown as it is written."""

    text: str
    function: Callable

    def __call__(self, *inputs):
        return self.function(*inputs)

    def __repr__(self) -> str:
        return self.text


square = Formula("x²", lambda x: x * x)
cube = Formula("x³", lambda x: x * x * x)
numbers = st.integers(-3, 3).map(float)
sizes = st.sampled_from([0.5, 0.25, 1.0, 2.0])
small_arrays = float_arrays(shapes(0, 2, 1, 3))


@exercise(
    "On paper, with f(x) = x³, x = 1 and h = 0.1: which two values of f do you need, and how far apart are they?",
    "From x − h to x + h it is a distance of 2h.",
)
def central_difference(answer):
    expect(answer, square, 3.0, 0.5, equals=6.0, why="of a parabola it is the exact slope, whatever h is")
    expect(answer, cube, 1.0, 0.1, equals=3.01, why="the example of the lesson")
    for_all(answer, st.just(cube), numbers, sizes, equals=lambda f, x, h: 3 * x * x + h * h)


@exercise(
    "Take the elements one after the other. What do all the other elements do while one is moved?",
    "np.ndindex(x.shape) walks over all indices of an array of any shape. Move one element of a fresh copy each time.",
)
def numerical_gradient(answer):
    total = Formula("Σ x²", lambda x: float((x * x).sum()))
    expect(answer, total, np.array([1.0, 2.0]), 0.5, equals=np.array([2.0, 4.0]))
    expect(answer, total, np.array([[1.0, 2.0, 3.0]]), 0.5, equals=np.array([[2.0, 4.0, 6.0]]), why="a matrix")
    product = Formula("Π x", lambda x: float(x.prod()))
    expect(
        answer, product, np.array([2.0, 5.0]), 0.5, equals=np.array([5.0, 2.0]), why="each slope is the other factor"
    )
    expect(answer, total, np.array(3.0), 0.5, equals=np.array(6.0), why="an array of shape () has one element")
    cubes = Formula("Σ x³", lambda x: float((x * x * x).sum()))
    for_all(answer, st.just(cubes), small_arrays, sizes, equals=lambda f, x, h: np.asarray(3 * x * x + h * h))


@exercise(
    "Which shapes do u, v, Jᵀu and Jv have? Two of them have the shape of x, the other two that of y.",
    "Jv is how the outputs move when x moves along v: compare forward at x + h v with forward at x − h v.",
)
def dot_products(answer):
    rule = Formula("u ↦ 2 x u", lambda u, x: 2 * x * u)
    x, u, v, h = np.array([1.0, 2.0]), np.array([1.0, 0.0]), np.array([1.0, 1.0]), 0.25
    why = "v moves x² by (2, 4) · h, and u looks at the first"
    expect(answer, square, rule, x, u, v, h, equals=(2.0, 2.0), why=why)
    x, u, v = np.array([3.0, 1.0]), np.array([1.0, 2.0]), np.array([5.0, 0.0])
    expect(answer, square, rule, x, u, v, h, equals=(30.0, 30.0), why="u weighs the outputs, v moves the inputs")
    half = Formula("u ↦ x u", lambda u, x: x * u)
    expect(answer, square, half, x, u, v, h, equals=(15.0, 30.0), why="here the rule is wrong, and that must show")
    row_sums = Formula("row sums of x", lambda x: x.sum(axis=-1))
    spread = Formula("u in each column", lambda u, x: np.repeat(u[:, None], x.shape[1], axis=1))
    x, u, v = np.zeros((1, 2)), np.array([3.0]), np.array([[1.0, 2.0]])
    expect(answer, row_sums, spread, x, u, v, h, equals=(9.0, 9.0), why="y has another shape than x: u goes with y")
    product = Formula("[x₀ x₁]", lambda x: x[:1] * x[1:])
    rule = Formula("u ↦ u [x₁, x₀]", lambda u, x: u * x[::-1])
    pairs, ones = float_arrays((2,)), float_arrays((1,))

    def check(x, u, v):
        both = u.item() * (x[1] * v[0] + x[0] * v[1])
        expect(answer, product, rule, x, u, v, h, equals=(both, both))

    search(check, pairs, ones, pairs)


@exercise(
    "Write D(h) = f' + c h² and D(2h) = f' + ? c h². Which multiple of the first has the c-part of the second?",
    "4 D(h) and D(2h) have the same part with c. What is their difference, in multiples of f'?",
)
def extrapolated_difference(answer):
    expect(answer, square, 3.0, 0.5, equals=6.0, why="a slope that a central difference has exactly must stay exact")
    expect(answer, cube, 1.0, 0.1, equals=3.0, why="for x³ nothing is left of the error but rounding")
    fifth = Formula("x⁵", lambda x: x**5)
    expect(answer, fifth, 0.0, 1.0, equals=-4.0, why="here the error is −4 h⁴, and nothing of h²")
    for_all(answer, st.just(cube), numbers, sizes, equals=lambda f, x, h: 3 * x * x)
