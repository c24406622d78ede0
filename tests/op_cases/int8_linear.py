"""Cases for int8_linear: the inputs are x and the bias; int8 weights and scales are data, and depend on the shape."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.int8_linear import FEW_ROWS, Int8Linear, int8_linear, int8_linear_ref
from tinygrad_llm.testing import float_arrays

from .case import OpCase
from .matmul import normal, torch_linear, with_kernel

SIDE = st.integers(0, 5)


def weight_for(N, K):
    """All over the range of int8, and one row of zeros."""
    weight = np.arange(N * K).reshape(N, K) * 37 % 255 - 127
    weight[1:2] = 0
    return weight.astype(np.int8)


def scale_for(N):
    return np.linspace(0.001, 0.03, N).astype(np.float32)


@st.composite
def x_and_bias(draw, leading=(2,), rows=SIDE):
    k, n = draw(SIDE), draw(SIDE)
    return draw(float_arrays((*leading, draw(rows), k))), draw(float_arrays((n,)))


def shapes_of(x, bias):
    return (len(bias) if bias is not None else 3), x.shape[-1]


def call(x, bias=None):
    N, K = shapes_of(x, bias)
    return int8_linear(x, Tensor(weight_for(N, K)), Tensor(scale_for(N)), bias)


def ref(x, bias=None):
    N, K = shapes_of(x, bias)
    return int8_linear_ref(x, weight_for(N, K), scale_for(N), bias)


def in_torch(torch, x, bias=None):
    N, K = shapes_of(x, bias)
    weight = torch.tensor(weight_for(N, K)) * torch.tensor(scale_for(N)).to(x.dtype)[:, None]
    return torch_linear(torch, x, weight, bias)


def case(name, inputs, example, call=call, torch=in_torch):
    return OpCase(f"int8_linear-{name}", Int8Linear, call, ref, inputs, example, torch, kernels=True)


CASES = [
    case("few-rows", x_and_bias(), normal((2, 3, 4), (5,))),
    case("few-rows-kernel", x_and_bias(), normal((1, 3, 6), (7,)), with_kernel(call)),
    case("no-bias", x_and_bias(()).map(lambda arrays: arrays[:1]), normal((3, 4))),
    case("many-rows", x_and_bias((), st.just(FEW_ROWS + 1)), normal((FEW_ROWS + 1, 2), (3,))),
    # What the kernels do for float32: here by name, in float64 and in plain Python too.
    case("no-bias-kernel", x_and_bias(()).map(lambda arrays: arrays[:1]), normal((3, 4)), with_kernel(call), None),
    case("some-rows-kernel", x_and_bias((), st.integers(5, 7)), normal((6, 5), (9,)), with_kernel(call), None),
    case("many-rows-kernel", x_and_bias((), st.just(FEW_ROWS + 1)), normal((65, 3), (5,)), with_kernel(call), None),
]
