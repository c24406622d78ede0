"""Cases for matmul, linear and linear_cross_entropy; products through BLAS and through our kernel."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.linear import Linear, linear, linear_ref
from tinygrad_llm.ops.linear_cross_entropy import (
    LinearCrossEntropy,
    linear_cross_entropy,
    linear_cross_entropy_ref,
)
from tinygrad_llm.ops.matmul import MatMul, matmul, matmul_backend
from tinygrad_llm.testing import float_arrays

from .case import OpCase

SIDE = st.integers(0, 5)


@st.composite
def matrices(draw, a_leading=(), b_leading=(), shared=SIDE):
    """A (…, M, K) and B (…, K, N), K drawn from `shared`."""
    m, k, n = draw(SIDE), draw(shared), draw(SIDE)
    return draw(float_arrays((*a_leading, m, k))), draw(float_arrays((*b_leading, k, n)))


@st.composite
def vector_and_matrix(draw):
    k, n = draw(st.integers(1, 5)), draw(SIDE)
    return draw(float_arrays((k,))), draw(float_arrays((k, n)))


@st.composite
def layer(draw, leading=(2,)):
    """x (…, C_in), weight (C_out, C_in), bias (C_out,)."""
    c_in, c_out, rows = draw(SIDE), draw(SIDE), draw(SIDE)
    shapes = ((*leading, rows, c_in), (c_out, c_in), (c_out,))
    return tuple(draw(float_arrays(shape)) for shape in shapes)


@st.composite
def head(draw):
    """x (6, C), weight (5, C) for the fixed targets."""
    c = draw(st.integers(1, 4))
    return draw(float_arrays((6, c))), draw(float_arrays((5, c)))


def with_kernel(op):
    """Forward by our kernel, also in float64. Backward has the same products in other layouts: see test_matmul.py."""

    def call(*tensors):
        with matmul_backend("kernel"):
            return op(*tensors)

    return call


def normal(*shapes):
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def torch_linear(torch, x, weight, bias=None):
    return torch.nn.functional.linear(x, weight, bias)


TARGET = np.array([0, 4, -100, 2, 2, 1])


def loss_case(name, reduction, label_smoothing):
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    return OpCase(
        name=f"linear_cross_entropy-{name}",
        function=LinearCrossEntropy,
        call=lambda x, w: linear_cross_entropy(x, w, TARGET, **options),
        ref=lambda x, w: linear_cross_entropy_ref(x, w, TARGET, **options),
        inputs=head(),
        example=normal((6, 3), (5, 3)),
        torch=lambda torch, x, w: torch.nn.functional.cross_entropy(x @ w.T, torch.tensor(TARGET), **options),
        kernels=True,
    )


def matmul_case(name, inputs, example, call=matmul, kernels=False):
    return OpCase(
        name=f"matmul-{name}",
        function=MatMul,
        call=call,
        ref=np.matmul,
        inputs=inputs,
        example=example,
        torch=lambda torch, a, b: torch.matmul(a, b),
        kernels=kernels,
    )


CASES = [
    matmul_case("2d", matrices(), normal((3, 4), (4, 5))),
    matmul_case("2d-kernel", matrices(), normal((6, 7), (7, 5)), with_kernel(matmul), kernels=True),
    matmul_case("3d-by-2d", matrices((2,)), normal((2, 3, 4), (4, 5))),
    matmul_case("batched", matrices((2, 3), (2, 3)), normal((2, 3, 4), (2, 4, 5))),
    matmul_case("batched-kernel", matrices((3,), (3,)), normal((2, 3, 4), (2, 4, 5)), with_kernel(matmul), True),
    matmul_case("broadcast", matrices((2, 1), (3,)), normal((2, 1, 3, 4), (3, 4, 2))),
    matmul_case("2d-by-3d", matrices((), (3,)), normal((3, 4), (2, 4, 2))),
    matmul_case("vector-matrix", vector_and_matrix(), normal((4,), (4, 3))),
    matmul_case("matrix-vector", vector_and_matrix().map(lambda p: (p[1].T, p[0])), normal((3, 4), (4,))),
    matmul_case("vectors", vector_and_matrix().map(lambda p: (p[0], p[0] * 2)), normal((4,), (4,))),
    OpCase(
        name="linear",
        function=Linear,
        call=linear,
        ref=linear_ref,
        inputs=layer(),
        example=normal((2, 3, 4), (5, 4), (5,)),
        torch=torch_linear,
    ),
    OpCase(
        name="linear-no-bias",
        function=Linear,
        call=linear,
        ref=linear_ref,
        inputs=layer(()).map(lambda arrays: arrays[:2]),
        example=normal((3, 4), (5, 4)),
        torch=torch_linear,
    ),
    OpCase(
        name="linear-kernel",
        function=Linear,
        call=with_kernel(linear),
        ref=linear_ref,
        inputs=layer(),
        example=normal((2, 3, 4), (5, 4), (5,)),
        torch=torch_linear,
        kernels=True,
    ),
    loss_case("mean", "mean", 0.0),
    loss_case("sum", "sum", 0.0),
    loss_case("smoothed", "mean", 0.2),
]
