"""Cases for functions of one number, clamp, and the ops that choose by a mask."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops import elementwise as ops
from tinygrad_llm.ops.compare import Clamp, clamp
from tinygrad_llm.ops.gelu import Erf, erf, erf_ref
from tinygrad_llm.ops.masking import MaskedFill, Tril, Triu, Where, masked_fill, tril, triu, where
from tinygrad_llm.testing import broadcastable_shapes, float_arrays, shapes

from .case import OpCase


def one(low=-3, high=3, shape=None):
    return st.tuples(float_arrays(shapes() if shape is None else shape, low, high))


def unary(name, function, ref, low=-3, high=3, **more):
    """PyTorch, NumPy (mostly) and the package give the function the same name."""

    def example(rng):
        return (rng.uniform(low, high, (3, 4)),)

    return OpCase(
        name,
        function,
        getattr(ops, name, erf),
        ref,
        one(low, high),
        example,
        lambda torch, x: getattr(torch, name)(x),
        **more,
    )


def matrix_example(rng):
    return (rng.standard_normal((2, 3, 4)),)


def away_from(*kinks):
    return lambda x: all(np.all(np.abs(x - kink) > 1e-3) for kink in kinks)


def clamp_case(name, low, high):
    return OpCase(
        name,
        Clamp,
        lambda x: clamp(x, low, high),
        lambda x: np.clip(x, low, high),
        one(),
        lambda rng: (2 * rng.standard_normal((3, 4)),),
        lambda torch, x: torch.clamp(x, low, high),
        differentiable_at=away_from(*(kink for kink in (low, high) if kink is not None)),
    )


def triangle_cases(name, function, call, ref, diagonal):
    return OpCase(
        f"{name}{diagonal:+d}",
        function,
        lambda x: call(x, diagonal),
        lambda x: ref(x, diagonal),
        one(shape=shapes(min_dims=2)),
        matrix_example,
        lambda torch, x: getattr(torch, name)(x, diagonal),
    )


# Masks of a shape that broadcasts against the inputs' last dim, whatever its size.
def mask_for(*arrays):
    last = max((x.shape[-1] for x in arrays if x.ndim), key=lambda n: n != 1, default=1)
    return np.arange(last) % 3 == 0


TWO = broadcastable_shapes(2).flatmap(lambda pair: st.tuples(*map(float_arrays, pair)))

CASES = [
    unary("exp", ops.Exp, np.exp),
    unary("log", ops.Log, np.log, low=0.3),
    unary("log1p", ops.Log1p, np.log1p, low=-0.6),
    unary("sqrt", ops.Sqrt, np.sqrt, low=0.3),
    unary("rsqrt", ops.Rsqrt, lambda x: x**-0.5, low=0.3),
    unary("square", ops.Square, np.square),
    unary("reciprocal", ops.Reciprocal, lambda x: 1 / x, low=0.3),
    unary("abs", ops.Abs, np.abs, differentiable_at=away_from(0)),
    unary("sin", ops.Sin, np.sin),
    unary("cos", ops.Cos, np.cos),
    unary("tanh", ops.Tanh, np.tanh),
    unary("erf", Erf, erf_ref, kernels=True),
    clamp_case("clamp", -1, 1.5),
    clamp_case("clamp-min", 0.5, None),
    clamp_case("clamp-max", None, 0.5),
    OpCase(
        "where",
        Where,
        lambda x, y: where(mask_for(x, y), x, y),
        lambda x, y: np.where(mask_for(x, y), x, y),
        TWO,
        lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))),
        lambda torch, x, y: torch.where(torch.tensor(mask_for(x, y)), x, y),
    ),
    OpCase(
        "where-broadcast",
        Where,
        lambda x, y: where(Tensor(mask_for(x, y)), x, y),
        lambda x, y: np.where(mask_for(x, y), x, y),
        TWO,
        lambda rng: (rng.standard_normal((2, 1, 4)), rng.standard_normal((3, 1))),
        lambda torch, x, y: torch.where(torch.tensor(mask_for(x, y)), x, y),
    ),
    OpCase(
        "where-number",
        Where,
        lambda x: where(mask_for(x), x, 0.5),
        lambda x: np.where(mask_for(x), x, 0.5),
        one(),
        matrix_example,
        lambda torch, x: torch.where(torch.tensor(mask_for(x)), x, 0.5),
    ),
    OpCase(
        "masked_fill",
        MaskedFill,
        lambda x: masked_fill(x, Tensor(mask_for(x)), -7),
        lambda x: np.where(mask_for(x), -7, x),
        one(),
        matrix_example,
        lambda torch, x: x.masked_fill(torch.tensor(mask_for(x)), -7),
    ),
    OpCase(
        "masked_fill-stretched",
        MaskedFill,
        lambda x: masked_fill(x, np.eye(2, dtype=bool)[:, :1, None, None], 3.5),
        lambda x: np.where(np.eye(2, dtype=bool)[:, :1, None, None], 3.5, x),
        one(),
        matrix_example,
        lambda torch, x: x.masked_fill(torch.eye(2).bool()[:, :1, None, None], 3.5),
    ),
    *(triangle_cases("tril", Tril, tril, np.tril, diagonal) for diagonal in (-1, 0, 1)),
    *(triangle_cases("triu", Triu, triu, np.triu, diagonal) for diagonal in (-1, 0, 1)),
]
