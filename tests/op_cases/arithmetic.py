"""Cases for + - * / − and powers, and for maximum and minimum: all broadcast."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.arithmetic import Add, Div, Mul, Neg, Pow, Sub, add, div, mul, neg, pow, sub
from tinygrad_llm.ops.compare import Maximum, Minimum, maximum, minimum
from tinygrad_llm.testing import broadcastable_shapes, float_arrays, shapes

from .case import OpCase


def two(low=-3, high=3, low_other=None, high_other=None):
    low_other, high_other = low if low_other is None else low_other, high if high_other is None else high_other
    return broadcastable_shapes(2).flatmap(
        lambda pair: st.tuples(float_arrays(pair[0], low, high), float_arrays(pair[1], low_other, high_other))
    )


def one(low=-3, high=3):
    return st.tuples(float_arrays(shapes(), low, high))


def examples(*dims, positive=False):
    def example(rng):
        arrays = (rng.standard_normal(shape) for shape in dims)
        return tuple(np.abs(x) + 0.5 if positive else x for x in arrays)

    return example


def whole_numbers(x):
    """Exponents for `x`, one for each element: 0, 1, 2, 3, 0, 1, …"""
    return np.arange(np.prod(x.shape, dtype=int)).reshape(x.shape) % 4


def differ(x, y):
    return not np.any(x == y)


SAME = ((3, 4), (3, 4))
STRETCHED = ((2, 1, 4), (3, 1))

CASES = [
    OpCase("add", Add, add, np.add, two(), examples(*SAME), lambda torch, x, y: x + y),
    OpCase("add-broadcast", Add, add, np.add, two(), examples(*STRETCHED), lambda torch, x, y: x + y),
    OpCase("add-number", Add, lambda x: add(2.5, x), lambda x: x + 2.5, one(), examples((3, 4))),
    OpCase("sub", Sub, sub, np.subtract, two(), examples(*SAME), lambda torch, x, y: x - y),
    OpCase("sub-broadcast", Sub, sub, np.subtract, two(), examples(*STRETCHED), lambda torch, x, y: x - y),
    OpCase("mul", Mul, mul, np.multiply, two(), examples(*SAME), lambda torch, x, y: x * y),
    OpCase("mul-broadcast", Mul, mul, np.multiply, two(), examples(*STRETCHED), lambda torch, x, y: x * y),
    OpCase("mul-0d", Mul, mul, np.multiply, two(), examples((), (3,)), lambda torch, x, y: x * y),
    OpCase("div", Div, div, np.divide, two(low_other=0.3), examples(*SAME), lambda torch, x, y: x / y),
    OpCase(
        "div-broadcast",
        Div,
        div,
        np.divide,
        two(low_other=-2, high_other=-0.5),
        examples(*STRETCHED),
        lambda torch, x, y: x / y,
    ),
    OpCase(
        "div-number",
        Div,
        lambda x: div(1, x),
        lambda x: 1 / x,
        one(0.3, 3),
        examples((3, 4)),
        lambda torch, x: 1 / x,
    ),
    OpCase("neg", Neg, neg, np.negative, one(), examples((3, 4)), lambda torch, x: -x),
    OpCase(
        "pow",
        Pow,
        pow,
        np.power,
        two(0.3, 3, -2, 2),
        examples(*SAME, positive=True),
        lambda torch, x, y: x**y,
    ),
    OpCase(
        "pow-broadcast",
        Pow,
        pow,
        np.power,
        two(0.3, 3, -2, 2),
        examples(*STRETCHED, positive=True),
        lambda torch, x, y: x**y,
    ),
    *(
        OpCase(
            f"pow-{exponent}",
            Pow,
            lambda x, n=exponent: pow(x, n),
            lambda x, n=exponent: x**n,
            one(),
            examples((3, 4)),
            lambda torch, x, n=exponent: x**n,
        )
        for exponent in (0, 1, 2, 3)
    ),
    *(
        OpCase(
            f"pow-{exponent}",
            Pow,
            lambda x, n=exponent: pow(x, n),
            lambda x, n=exponent: x**n,
            one(0.3, 3),
            examples((3, 4), positive=True),
            lambda torch, x, n=exponent: x**n,
        )
        for exponent in (-1, 0.5, -1.5)
    ),
    OpCase(
        "pow-of-negatives",
        Pow,
        lambda x: pow(x, whole_numbers(x)),
        lambda x: x ** whole_numbers(x),
        one(),
        examples((3, 4)),
        lambda torch, x: x ** torch.tensor(whole_numbers(x)),
    ),
    OpCase(
        "pow-number-base",
        Pow,
        lambda x: pow(2, x),
        lambda x: 2.0**x,
        one(),
        examples((3, 4)),
        lambda torch, x: 2**x,
    ),
    OpCase(
        "maximum",
        Maximum,
        maximum,
        np.maximum,
        two(),
        examples(*SAME),
        lambda torch, x, y: torch.maximum(x, y),
        differentiable_at=differ,
    ),
    OpCase(
        "maximum-broadcast",
        Maximum,
        maximum,
        np.maximum,
        two(),
        examples(*STRETCHED),
        lambda torch, x, y: torch.maximum(x, y),
        differentiable_at=differ,
    ),
    OpCase(
        "minimum",
        Minimum,
        minimum,
        np.minimum,
        two(),
        examples(*SAME),
        lambda torch, x, y: torch.minimum(x, y),
        differentiable_at=differ,
    ),
]
