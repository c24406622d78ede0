"""Attention in plain Python with tiles of 8 × 8 or 16 × 16, so that small inputs reach every tile, panel and edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from dirty_memory import plain_python

from tinygrad_llm import Tensor
from tinygrad_llm.ops import attention_kernels, attention_tiles
from tinygrad_llm.ops.attention import Attention, qkv_attention, scaled_dot_product_attention
from tinygrad_llm.ops.attention_layout import Options


@dataclass(frozen=True)
class Sizes:
    B: int = 1
    H: int = 1
    G: int = 1  # query heads of a key head
    T: int = 5
    S: int = 7
    D: int = 3
    Dv: int = 2


CASES = {
    "one tile": (Sizes(), {}),
    "one query": (Sizes(1, 1, 1, 1, 7, 3, 2), {}),
    "one key": (Sizes(1, 1, 1, 5, 1, 3, 2), {}),
    "whole tiles": (Sizes(1, 2, 1, 16, 8, 8, 4), {}),
    "two panels": (Sizes(1, 2, 1, 17, 19, 20, 13), {"scale": 3.0}),
    "two whole panels": (Sizes(1, 2, 1, 9, 10, 16, 16), {"is_causal": True}),
    "causal": (Sizes(1, 2, 1, 21, 19, 4, 17), {"is_causal": True}),
    "causal, more keys": (Sizes(1, 2, 1, 11, 30), {"is_causal": True}),
    "causal, fewer keys": (Sizes(2, 1, 1, 30, 11), {"is_causal": True}),
    "groups": (Sizes(2, 4, 2, 10, 13, 9, 5), {"is_causal": True}),
    "added mask": (Sizes(2, 2, 1, 13, 20), {"mask": (2, 2, 13, 20), "is_causal": True}),
    "added mask, wide": (Sizes(2, 2, 2, 9, 18), {"mask": (1, 2, 9, 18)}),
    "bool mask": (Sizes(2, 2, 1, 10, 11), {"mask": (2, 1, 10, 11), "bool_mask": True}),
    "bool mask of queries": (Sizes(2, 2, 1, 9, 10), {"mask": (2, 1, 9, 1), "bool_mask": True}),
    "added mask of keys": (Sizes(2, 2, 1, 9, 10), {"mask": (2, 1, 1, 10), "is_causal": True}),
    "dropout": (Sizes(2, 2, 1, 11, 18), {"dropout_p": 0.4}),
    "dropout, causal": (Sizes(2, 4, 2, 18, 11, 9, 10), {"dropout_p": 0.3, "is_causal": True, "scale": 1.5}),
    "all at once": (Sizes(2, 2, 2, 12, 19, 3, 9), {"mask": (2, 1, 12, 19), "dropout_p": 0.2, "is_causal": True}),
    "parts": (Sizes(1, 1, 1, 66, 10), {"is_causal": True}),
    "parts of texts": (Sizes(2, 2, 1, 66, 3), {}),
    "parts of groups": (Sizes(1, 2, 2, 66, 3), {"dropout_p": 0.2, "mask": (1, 1, 66, 3)}),
}


def hashed(x):
    """The hash of two rounds, in numbers of 32 bits that overflow by themselves."""
    x = np.asarray(x).astype(np.uint32)
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97), (15, 1)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x


def random_bits(sizes, seed):
    """What dropout compares with p · 2³², for each weight (B, H, T, S)."""
    rows = np.arange(sizes.B * sizes.H * sizes.T).reshape(sizes.B, sizes.H, sizes.T, 1)
    return hashed(hashed(rows) ^ hashed(np.arange(sizes.S)) ^ np.uint32(seed))


def formula(q, k, v, dout, mask, is_causal, scale, factors):
    """The output and the gradients of q, k, v and the mask, with whole arrays of scores; `factors` of the dropout."""
    scores = scale * (q @ k.swapaxes(-1, -2)) + mask
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    largest = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
    total = weights.sum(-1, keepdims=True)
    weights /= np.where(total == 0, 1, total)
    dweights = (dout @ v.swapaxes(-1, -2)) * factors
    dscores = weights * (dweights - (weights * dweights).sum(-1, keepdims=True))
    used = weights * factors
    dq, dk = scale * dscores @ k, scale * dscores.swapaxes(-1, -2) @ q
    return used @ v, dq, dk, used.swapaxes(-1, -2) @ dout, dscores


@pytest.fixture(params=[8, 16])
def small_tiles(monkeypatch, request):
    for module in (attention_kernels, attention_tiles):
        monkeypatch.setattr(module, "WIDTH", request.param)
        monkeypatch.setattr(module, "VECTOR", 4)
    with plain_python():
        yield


def random_mask(rng, shape, bool_mask):
    """Numbers of which some are −∞; or booleans; both hide every key from query 3 of the first text."""
    visible = rng.random(shape) < 0.7
    visible[0, :, 3:4] = False
    return visible if bool_mask else np.where(visible, rng.standard_normal(shape), -np.inf)


@pytest.mark.parametrize("name", CASES)
def test_every_path_through_the_tiles_is_the_formula(small_tiles, name):
    sizes, options = CASES[name]
    options = {"mask": None, "bool_mask": False, "dropout_p": 0.0, "is_causal": False, "scale": 0.8} | options
    rng, p = np.random.default_rng(0), options["dropout_p"]
    B, H, G, T, S, D, Dv = (getattr(sizes, each) for each in ("B", "H", "G", "T", "S", "D", "Dv"))
    q, k, v = (rng.standard_normal(shape) for shape in ((B, H, T, D), (B, H // G, S, D), (B, H // G, S, Dv)))
    mask = None if options["mask"] is None else random_mask(rng, options["mask"], options["bool_mask"])
    dout = rng.standard_normal((B, H, T, Dv))

    tensors = [Tensor(x, requires_grad=True) for x in (q, k, v)]
    if mask is not None:
        tensors.append(Tensor(mask, requires_grad=not options["bool_mask"]))
    attend = {name: options[name] for name in ("dropout_p", "is_causal", "scale")}
    out = scaled_dot_product_attention(*tensors, **attend, enable_gqa=G > 1, rng=np.random.default_rng(7))
    out.backward(dout)

    kept = random_bits(sizes, seed=int(np.random.default_rng(7).integers(2**32))) >= round(p * 2**32)
    factors = kept / (1 - p)
    added = 0.0 if mask is None else np.where(mask, 0.0, -np.inf) if options["bool_mask"] else mask
    repeated = (np.repeat(x, G, axis=1) for x in (k, v))
    expected = formula(q, *repeated, dout, added, options["is_causal"], options["scale"], factors)
    got = [out.data, *(x.grad.data for x in tensors if x.requires_grad)]
    for ours, theirs in zip(got, expected, strict=False):
        if ours.shape != theirs.shape:  # key heads get the sum of their group, a mask that of all it stands for
            theirs = theirs.reshape(B, H // G, G, S, -1).sum(axis=2) if theirs.shape[2] == S else theirs
            axes = tuple(i for i in range(4) if ours.shape[i] != theirs.shape[i])
            theirs = theirs.sum(axis=axes, keepdims=True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_a_weight_at_the_very_threshold_stays(small_tiles):
    bits = random_bits(Sizes(), seed=int(np.random.default_rng(7).integers(2**32)))
    q, k, v = Tensor(np.zeros((1, 1, 5, 3))), Tensor(np.zeros((1, 1, 7, 3))), Tensor(np.eye(7)[None, None])
    p = bits[0, 0, 2, 4] / 2**32
    out = scaled_dot_product_attention(q, k, v, dropout_p=p, rng=np.random.default_rng(7)).data
    np.testing.assert_array_equal(out != 0, bits >= bits[0, 0, 2, 4])


@pytest.mark.parametrize("options", [{"seed": 0, "dropout_p": 0.4}, {"mask": 0.7}, {"mask": -np.inf}])
def test_a_seed_of_0_and_a_mask_of_one_number_count_too(small_tiles, options):
    sizes, mask, p = Sizes(), np.full((1, 1), options.get("mask", 0.0)), options.get("dropout_p", 0.0)
    q, k, v, dout = (np.random.default_rng(0).standard_normal((1, 1, n, 3)) for n in (5, 7, 7, 5))
    arguments = Options((1, 1), 1, 0.8, dropout_p=p, seed=0, mask_needs_grad=True)
    out, saved = Attention.forward(q, k, v, mask, arguments)
    factors = (random_bits(sizes, 0) >= round(p * 2**32)) / (1 - p)
    expected = formula(q, k, v, dout, mask, False, 0.8, factors)
    for ours, theirs in zip((out, *Attention.backward(dout, saved)[:3]), expected, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_dropout_of_everything_is_zero(small_tiles):
    x = [Tensor(np.ones((1, 1, n, 3)), requires_grad=True) for n in (5, 7, 7)]
    out = scaled_dot_product_attention(*x, dropout_p=1.0, rng=np.random.default_rng(7))
    out.backward(np.ones(out.shape))
    assert not any(array.any() for array in (out.data, *(each.grad.data for each in x)))


@pytest.mark.parametrize(("B", "T", "H", "D"), [(2, 9, 2, 3), (1, 66, 1, 2)])
def test_packed_heads_are_the_formula(small_tiles, B, T, H, D):
    rng = np.random.default_rng(0)
    qkv, dout = rng.standard_normal((B, T, 3 * H * D)), rng.standard_normal((B, T, H * D))
    leaf = Tensor(qkv, requires_grad=True)
    out = qkv_attention(leaf, H)
    out.backward(dout)
    q, k, v = qkv.reshape(B, T, 3, H, D).transpose(2, 0, 3, 1, 4)
    expected = formula(q, k, v, dout.reshape(B, T, H, D).swapaxes(1, 2), 0.0, True, D**-0.5, 1.0)
    np.testing.assert_allclose(out.data, expected[0].swapaxes(1, 2).reshape(B, T, -1), rtol=1e-10, atol=1e-12)
    gradient = np.stack(expected[1:4]).transpose(1, 3, 0, 2, 4).reshape(qkv.shape)
    np.testing.assert_allclose(leaf.grad.data, gradient, rtol=1e-10, atol=1e-12)


def test_few_heads_are_cut_into_parts():
    """Eight tasks if T allows it, and never by the number of threads."""
    parts = {((), 1): 1, ((), 64): 1, ((), 65): 2, ((), 1000): 8, ((3,), 1000): 3, ((2, 4), 1000): 1, ((0, 2), 0): 1}
    assert {(leading, T): Options(leading, 1, 1.0).n_parts(T) for leading, T in parts} == parts
