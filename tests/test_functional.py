"""Calls written for PyTorch: its keywords are known, and what has another place there is not mistaken for another."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import nn, optim
from tinygrad_llm.autograd import Tensor

# The leading parameters of torch.nn.functional's functions, as far as they are known here, in PyTorch 2.13.
PYTORCH = {
    "binary_cross_entropy_with_logits": "input target weight",
    "cross_entropy": "input target weight",
    "dropout": "input p training",
    "embedding": "input weight padding_idx",
    "gelu": "input",
    "kl_div": "input target",
    "layer_norm": "input normalized_shape weight bias eps",
    "leaky_relu": "input negative_slope",
    "linear": "input weight bias",
    "linear_cross_entropy": "input linear_weight target",
    "log_softmax": "input dim",
    "mse_loss": "input target",
    "nll_loss": "input target weight",
    "relu": "input",
    "rms_norm": "input normalized_shape weight eps",
    "scaled_dot_product_attention": "query key value attn_mask dropout_p is_causal scale enable_gqa",
    "sigmoid": "input",
    "silu": "input",
    "softmax": "input dim",
    "softplus": "input beta threshold",
    "tanh": "input",
}


@pytest.mark.parametrize("name", sorted(PYTORCH))
def test_parameters_have_pytorchs_names_and_order(name):
    wanted = PYTORCH[name].split()
    assert list(inspect.signature(getattr(F, name)).parameters)[: len(wanted)] == wanted


def test_every_function_is_compared():
    ours = {"qkv_attention", "rotary_embedding", "int8_linear", "block_linear"}
    assert set(F.__all__) - set(PYTORCH) == ours


X, CLASSES = Tensor(np.zeros((2, 3))), Tensor(np.zeros(2, int))


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.cross_entropy(X, CLASSES, None, True),  # PyTorch's size_average
        lambda: F.nll_loss(X, CLASSES, None, True),
        lambda: F.mse_loss(X, X, True),
        lambda: F.kl_div(X, X, True),
        lambda: F.binary_cross_entropy_with_logits(X, X, None, True),
        lambda: F.linear_cross_entropy(X, X, CLASSES, None),
        lambda: F.dropout(X, 0.1, True, True),  # inplace
        lambda: nn.MultiheadAttention(4, 2, 0.0, True, True),  # add_bias_kv
        lambda: optim.clip_grad_norm_([X], 1.0, 2.0),  # norm_type
        lambda: optim.Muon([X], 1e-3, 0.1, 0.95, True, (3.4445, -4.775, 2.0315)),  # ns_coefficients
    ],
)
def test_what_pytorch_has_at_another_place_is_refused(call):
    with pytest.raises(TypeError):
        call()


ARRAY = np.ones((2, 2))


@pytest.mark.parametrize(
    ("name", "call"),
    [(name, getattr(F, name)) for name in ("relu", "leaky_relu", "silu", "softplus", "gelu", "softmax", "log_softmax")]
    + [
        ("dropout", lambda x: F.dropout(x, rng=np.random.default_rng(0))),
        ("linear", lambda x: F.linear(x, Tensor(ARRAY))),
        ("linear", lambda x: F.linear(Tensor(ARRAY), x)),
        ("embedding", lambda x: F.embedding(np.array([0]), x)),
        ("layer_norm", lambda x: F.layer_norm(x, 2)),
        ("rms_norm", lambda x: F.rms_norm(x, 2)),
        ("cross_entropy", lambda x: F.cross_entropy(x, CLASSES)),
        ("mse_loss", lambda x: F.mse_loss(x, Tensor(ARRAY))),
        ("scaled_dot_product_attention", lambda x: F.scaled_dot_product_attention(x, x, x)),
        ("qkv_attention", lambda x: F.qkv_attention(x, 1)),
        ("rotary_embedding", lambda x: F.rotary_embedding(x, ARRAY, ARRAY)),
        ("neg", tg.neg),
        ("clone", tg.clone),
        ("var", tg.var),
        ("masked_fill", lambda x: tg.masked_fill(x, ARRAY > 0, 0.0)),
        ("tril", tg.tril),
    ],
)
def test_an_array_is_no_tensor(name, call):
    with pytest.raises(TypeError, match=f"^{name}: expected a Tensor, not ndarray; make one with tensor"):
        call(ARRAY)


def test_arguments_of_wrong_types():
    with pytest.raises(TypeError, match=r"layer_norm: normalized_shape: expected ints, got 3\.0"):
        F.layer_norm(X, 3.0)
    with pytest.raises(TypeError, match=r"triu: diagonal must be an int, not 1\.5"):
        X.triu(1.5)
    with pytest.raises(TypeError, match="masked_fill: value must be a number or a 0-d tensor, not 'x'"):
        X.masked_fill(X > 0, "x")
    with pytest.raises(TypeError, match="tensor: the data cannot become an array of dtype 'no such'"):
        tg.tensor([1], dtype="no such")
    assert not nn.Parameter(ARRAY, False).requires_grad  # PyTorch's order
