"""Layers against PyTorch: outputs, gradients and parameter names, from tests/golden/make_nn_golden.py."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm import functional as F
from tinygrad_llm import nn
from tinygrad_llm.autograd import Tensor, no_grad

GOLDEN = dict(np.load(Path(__file__).parent / "golden" / "nn.npz"))
MASKS = ("no_mask", "bool_mask", "float_mask", "mask_per_head", "padding", "mask_and_padding")
C, HEADS, HIDDEN = 4, 2, 8


def golden(case: str) -> dict:
    """The arrays below `case/`, without it."""
    found = {k.removeprefix(case + "/"): v for k, v in GOLDEN.items() if k.startswith(case + "/")}
    assert found, case
    return found


def state(case: dict) -> dict:
    return {k.removeprefix("state/"): v for k, v in case.items() if k.startswith("state/")}


def load(module: nn.Module, weights: dict) -> nn.Module:
    """In float64, under PyTorch's own names: strict loading shows that they are the same."""
    module.to("float64").load_state_dict(weights)
    return module


def leaf(array: np.ndarray) -> Tensor:
    return Tensor(array, requires_grad=array.dtype.kind == "f")


def assert_close(actual, expected):
    actual = actual.data if isinstance(actual, Tensor) else actual
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


def assert_gradients(case: dict, module: nn.Module, **inputs: Tensor):
    """Every gradient that PyTorch has, and no other."""
    tensors = {**dict(module.named_parameters()), **{k: x for k, x in inputs.items() if x.requires_grad}}
    expected = {k.removeprefix("grad/"): v for k, v in case.items() if k.startswith("grad/")}
    assert set(tensors) == set(expected)
    for name, tensor in tensors.items():
        assert_close(tensor.grad, expected[name])


SIMPLE = {
    "linear": lambda: nn.Linear(4, 5),
    "linear_no_bias": lambda: nn.Linear(4, 5, bias=False),
    "embedding": lambda: nn.Embedding(5, 4),
    "embedding_padding": lambda: nn.Embedding(5, 4, padding_idx=0),
    "layer_norm": lambda: nn.LayerNorm(4),
    "layer_norm_no_bias": lambda: nn.LayerNorm((3, 4), eps=0.1, bias=False),
    "rms_norm": lambda: nn.RMSNorm(4),
    "gelu": lambda: nn.GELU(),
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_simple_layer(name):
    case = golden(name)
    module, x = load(SIMPLE[name](), state(case)), leaf(case["x"])
    out = module(x)
    out.backward(case["dout"])
    assert_close(out, case["out"])
    assert_gradients(case, module, x=x)


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_self_attention(mask, average):
    shared, case = golden("attention"), golden(f"attention/self-{mask}")
    module, query = load(nn.MultiheadAttention(C, HEADS, batch_first=True), state(shared)), leaf(shared["query"])
    masks = {k: case[k] for k in ("attn_mask", "key_padding_mask") if k in case}
    out, weights = module(query, query, query, average_attn_weights=average, **masks)
    out.backward(shared["dout"])
    assert_close(out, case["out"])
    assert_close(weights, case["weights" if average else "weights_per_head"])
    assert_gradients(case, module, query=query)


@pytest.mark.parametrize("mask", MASKS)
def test_without_weights_the_kernel_gives_the_same(mask):
    shared, case = golden("attention"), golden(f"attention/self-{mask}")
    module, query = load(nn.MultiheadAttention(C, HEADS, batch_first=True), state(shared)), leaf(shared["query"])
    masks = {k: case[k] for k in ("attn_mask", "key_padding_mask") if k in case}
    out, weights = module(query, query, query, need_weights=False, **masks)
    out.backward(shared["dout"])
    assert weights is None
    assert_close(out, case["out"])
    assert_gradients(case, module, query=query)


@pytest.mark.parametrize("batch_first", [True, False])
def test_cross_attention(batch_first):
    shared, case = golden("attention"), golden("attention/cross")
    module = load(nn.MultiheadAttention(C, HEADS, batch_first=batch_first), state(shared))
    query, memory = leaf(shared["query"]), leaf(shared["memory"])
    q, m = (x if batch_first else x.transpose(0, 1) for x in (query, memory))
    out, weights = module(q, m, m)
    out = out if batch_first else out.transpose(0, 1)
    ((out + weights.sum()) * Tensor(shared["dout"])).sum().backward()
    assert_close(out, case["out"])
    assert_close(weights, case["weights"])
    assert_gradients(case, module, query=query, memory=memory)


def test_attention_without_a_batch_is_a_batch_of_one():
    shared = golden("attention")
    module = load(nn.MultiheadAttention(C, HEADS, batch_first=True), state(shared))
    x = Tensor(shared["query"])
    out, weights = module(x[0], x[0], x[0])
    batched_out, batched_weights = module(x[:1], x[:1], x[:1])
    assert_close(out, batched_out.detach().numpy()[0])
    assert_close(weights, batched_weights.detach().numpy()[0])


@pytest.mark.parametrize("need_weights", [True, False])
def test_causal_attention_is_the_boolean_mask(need_weights):
    shared, case = golden("attention"), golden("attention/self-bool_mask")
    module = load(nn.MultiheadAttention(C, HEADS, batch_first=True), state(shared))
    query = leaf(shared["query"])
    assert_close(module(query, query, query, need_weights=need_weights, is_causal=True)[0], case["out"])


ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "silu": F.silu}
ENCODER_CASES = [
    (activation, norm_first, mask)
    for activation, norm_first, mask in product(ACTIVATIONS, (False, True), MASKS)
    if activation != "silu" or mask == "padding"
]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("activation", "norm_first", "mask"), ENCODER_CASES)
def test_encoder_layer(activation, norm_first, mask, batch_first):
    shared, case = golden("encoder"), golden(f"encoder/{activation}-{norm_first}-{mask}")
    settings = {"activation": ACTIVATIONS[activation], "norm_first": norm_first, "batch_first": batch_first}
    module = load(nn.TransformerEncoderLayer(C, HEADS, HIDDEN, 0.0, **settings), state(shared))
    src = leaf(shared["src"])
    x = src if batch_first else src.transpose(0, 1)
    out = module(x, case.get("attn_mask"), case.get("key_padding_mask"))
    out = out if batch_first else out.transpose(0, 1)
    out.backward(shared["dout"])
    assert_close(out, case["out"])
    assert_gradients(case, module, src=src)


def test_encoder_stack():
    shared, case = golden("encoder"), golden("encoder/stack")
    layer = nn.TransformerEncoderLayer(C, HEADS, HIDDEN, 0.0, "gelu", 1e-5, True, True, False)
    module, src = load(nn.TransformerEncoder(layer, 2, nn.LayerNorm(C)), state(case)), leaf(shared["src"])
    out = module(src, case["attn_mask"], case["key_padding_mask"])
    out.backward(shared["dout"])
    assert_close(out, case["out"])
    assert_gradients(case, module, src=src)
    assert_close(module(src, None, case["key_padding_mask"], is_causal=True), case["out"])


def test_encoder_layers_start_alike_but_drop_differently():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, rng=np.random.default_rng(0))
    encoder = nn.TransformerEncoder(layer, 2)
    first, second = encoder.layers
    assert first.linear1.weight is not second.linear1.weight
    np.testing.assert_array_equal(first.linear1.weight.data, second.linear1.weight.data)
    ones = Tensor(np.ones((4, 8), np.float32))
    assert not np.array_equal(first.dropout(ones).data, second.dropout(ones).data)


def test_causal_self_attention_is_multihead_attention_with_the_causal_mask():
    rng = np.random.default_rng(0)
    fast, general = nn.CausalSelfAttention(8, 2, rng=rng), nn.MultiheadAttention(8, 2, batch_first=True)
    names = {"in_proj_weight": "qkv.weight", "in_proj_bias": "qkv.bias"}
    weights = fast.state_dict()
    names |= {f"out_proj.{part}": f"out.{part}" for part in ("weight", "bias")}
    general.load_state_dict({theirs: weights[ours] for theirs, ours in names.items()})
    x = Tensor(rng.standard_normal((2, 5, 8)).astype(np.float32))
    with no_grad():
        np.testing.assert_allclose(fast(x).data, general(x, x, x, is_causal=True)[0].data, atol=1e-6)


def test_float_masks_take_the_models_dtype_and_get_gradients():
    module = nn.MultiheadAttention(8, 2, batch_first=True, rng=np.random.default_rng(0))
    x = Tensor(np.random.default_rng(1).standard_normal((2, 5, 8)).astype(np.float32))
    for need_weights in (True, False):
        mask = Tensor(np.zeros((5, 5)), requires_grad=True)
        out, _ = module(x, x, x, need_weights=need_weights, attn_mask=mask)
        assert out.dtype == np.float32
        (out * out).sum().backward()
        assert mask.grad.shape == (5, 5)
        assert mask.grad.data.any()
