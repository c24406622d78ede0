"""Cases for relu, leaky_relu, sigmoid, silu, softplus and gelu."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.activations import (
    LeakyRelu,
    Relu,
    Sigmoid,
    Silu,
    Softplus,
    leaky_relu,
    leaky_relu_ref,
    relu,
    relu_ref,
    sigmoid,
    sigmoid_ref,
    silu,
    silu_ref,
    softplus,
    softplus_ref,
)
from tinygrad_llm.ops.gelu import Gelu, GeluTanh, gelu, gelu_ref, gelu_tanh_ref
from tinygrad_llm.testing import float_arrays, shapes

from .case import OpCase

INPUTS = st.tuples(float_arrays(shapes(), -5, 5))


def example(rng):
    return (3 * rng.standard_normal((4, 33)),)


def away_from(kink):
    return lambda x: bool(np.all(np.abs(x - kink) > 1e-3))


CASES = [
    OpCase(
        "relu",
        Relu,
        relu,
        relu_ref,
        INPUTS,
        example,
        lambda torch, x: torch.relu(x),
        differentiable_at=away_from(0),
        kernels=True,
    ),
    OpCase(
        "leaky_relu",
        LeakyRelu,
        leaky_relu,
        leaky_relu_ref,
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.leaky_relu(x),
        differentiable_at=away_from(0),
        kernels=True,
    ),
    OpCase(
        "leaky_relu-slope",
        LeakyRelu,
        lambda x: leaky_relu(x, negative_slope=-0.5),
        lambda x: leaky_relu_ref(x, -0.5),
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.leaky_relu(x, -0.5),
        differentiable_at=away_from(0),
        kernels=True,
    ),
    OpCase(
        "sigmoid",
        Sigmoid,
        sigmoid,
        sigmoid_ref,
        INPUTS,
        example,
        lambda torch, x: torch.sigmoid(x),
        kernels=True,
    ),
    OpCase(
        "silu",
        Silu,
        silu,
        silu_ref,
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.silu(x),
        kernels=True,
    ),
    OpCase(
        "softplus",
        Softplus,
        softplus,
        softplus_ref,
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.softplus(x),
    ),
    OpCase(
        "softplus-beta",
        Softplus,
        lambda x: softplus(x, beta=2, threshold=3),
        lambda x: softplus_ref(x, 2, 3),
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.softplus(x, 2, 3),
        differentiable_at=away_from(1.5),
    ),
    OpCase(
        "gelu",
        Gelu,
        gelu,
        gelu_ref,
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.gelu(x),
        kernels=True,
    ),
    OpCase(
        "gelu-tanh",
        GeluTanh,
        lambda x: gelu(x, approximate="tanh"),
        gelu_tanh_ref,
        INPUTS,
        example,
        lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
        kernels=True,
    ),
]
