"""GroupedQueryAttention and GatedFeedForward: the formulas in NumPy, gradients, the cache, error messages."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor, no_grad
from tinygrad_llm.nn import GatedFeedForward, GroupedQueryAttention, LayerCache, Module, RotaryEmbedding, SiLU
from tinygrad_llm.ops.attention import attention_ref
from tinygrad_llm.ops.rope import rotary_embedding_ref
from tinygrad_llm.testing import gradcheck

C, D, T_MAX = 12, 2, 48


def attention(n_kv_heads: int = 2, rotary: Module | None = None) -> GroupedQueryAttention:
    rotary = RotaryEmbedding(D, T_MAX) if rotary is None else rotary
    return GroupedQueryAttention(C, C // D, n_kv_heads, rotary, np.random.default_rng(0)).to("float64")


def inputs(T: int, B: int = 2) -> Tensor:
    return Tensor(np.random.default_rng(1).standard_normal((B, T, C)), requires_grad=True)


def by_formula(layer: GroupedQueryAttention, x: np.ndarray, start: int = 0) -> np.ndarray:
    """softmax(q kᵀ / √D) v for the last tokens from `start` on, with every key head repeated for its group."""
    B, T, _ = x.shape
    cos, sin = layer.rotary.cos[:T], layer.rotary.sin[:T]
    q, k, v = ((x @ part.weight.data.T).reshape(B, T, -1, D) for part in (layer.query, layer.key, layer.value))
    q, k = (rotary_embedding_ref(y, cos, sin) for y in (q, k))
    k, v = (np.repeat(y, layer.n_heads // layer.n_kv_heads, axis=2) for y in (k, v))
    q, k, v = (y.swapaxes(1, 2) for y in (q, k, v))
    mixed = attention_ref(q, k, v, is_causal=True)[:, :, start:]
    return mixed.swapaxes(1, 2).reshape(B, T - start, C) @ layer.out.weight.data.T


@pytest.mark.parametrize("n_kv_heads", [1, 2, 3, 6])
def test_attention_is_the_formula(n_kv_heads):
    layer, x = attention(n_kv_heads), inputs(7)
    np.testing.assert_allclose(layer(x).data, by_formula(layer, x.data), rtol=0, atol=1e-12)
    assert layer.key.weight.shape == layer.value.weight.shape == (n_kv_heads * D, C)


def test_gradients_of_attention():
    layer, x = attention(), inputs(3, B=1)
    assert gradcheck(lambda x, *_: layer(x), x, *layer.parameters())


@pytest.mark.parametrize("pieces", [(40,), (20, 20), (1, 39), (17, 1, 1, 21), (1,) * 20])
def test_attention_with_a_cache_is_the_formula(pieces):
    """Few queries and many, with and without tokens before them: each has a path of its own through the kernels."""
    layer, x, end = attention(), inputs(sum(pieces)), 0
    cache = LayerCache(2, layer.n_kv_heads, T_MAX, D, np.float64)
    with no_grad():
        for length in pieces:
            start, end = end, end + length
            got = layer(Tensor(x.data[:, start:end]), cache)
            np.testing.assert_allclose(got.data, by_formula(layer, x.data[:, :end], start), rtol=0, atol=1e-12)
    assert cache.length == end


class NoRotation(Module):
    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        return x


def test_attention_receives_its_rotation():
    """Without one, the last token sees the others as a set: their order does not matter."""
    x = inputs(5).data
    reversed_before_last = x[:, [3, 2, 1, 0, 4]]
    for layer, same in ((attention(rotary=NoRotation()), True), (attention(), False)):
        a, b = layer(Tensor(x)).data[:, -1], layer(Tensor(reversed_before_last)).data[:, -1]
        assert np.allclose(a, b, rtol=0, atol=1e-12) == same


def test_attention_says_what_it_is():
    assert repr(attention()).startswith("GroupedQueryAttention(n_heads=6, n_kv_heads=2\n")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((12, 5, 1), "n_heads must divide d_model, but 12 / 5 leaves a rest"),
        ((12, 6, 4), "n_kv_heads must divide n_heads, but 6 / 4 leaves a rest"),
        ((12, 6, 0), "n_kv_heads must be an integer of at least 1, not 0"),
        ((0, 6, 2), "d_model must be an integer of at least 1, not 0"),
    ],
)
def test_impossible_sizes(sizes, message):
    with pytest.raises(ValueError, match=f"^GroupedQueryAttention: {message}"):
        GroupedQueryAttention(*sizes, RotaryEmbedding(2, 4))


def test_gated_feed_forward_is_the_formula():
    layer = GatedFeedForward(4, 6, SiLU(), rng=np.random.default_rng(0)).to("float64")
    x = Tensor(np.random.default_rng(1).standard_normal((2, 4)), requires_grad=True)
    gate = x.data @ layer.gate.weight.data.T + layer.gate.bias.data
    up = x.data @ layer.up.weight.data.T + layer.up.bias.data
    expected = (gate / (1 + np.exp(-gate)) * up) @ layer.down.weight.data.T + layer.down.bias.data
    np.testing.assert_allclose(layer(x).data, expected, rtol=0, atol=1e-12)
    assert gradcheck(lambda x, *_: layer(x), x, *layer.parameters())
    without = GatedFeedForward(4, 6, SiLU(), bias=False)
    assert sorted(name for name, _ in without.named_parameters()) == ["down.weight", "gate.weight", "up.weight"]
