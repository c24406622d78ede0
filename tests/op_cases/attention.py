"""Cases for scaled_dot_product_attention and qkv_attention: masks, lengths, grouped heads, broadcasting, packing."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.attention import (
    Attention,
    QKVAttention,
    attention_ref,
    qkv_attention,
    scaled_dot_product_attention,
)
from tinygrad_llm.testing import float_arrays

from .case import OpCase

FEWER_KEY_HEADS = 2


@st.composite
def inputs(draw, group=1, mask_dims=None):
    """q (B, H, T, D), k (B, H/group, S, D), v (B, H/group, S, Dv), and a mask of the dims named by `mask_dims`."""
    sizes = {"B": draw(st.integers(0, 2)), "H": draw(st.integers(1, 2)) * group, "1": 1}
    sizes |= {"T": draw(st.integers(0, 5)), "S": draw(st.integers(0, 5)), "D": draw(st.integers(1, 4))}
    sizes |= {"h": sizes["H"] // group, "V": draw(st.integers(1, 3))}
    dims = ["BHTD", "BhSD", "BhSV"] + ([] if mask_dims is None else [mask_dims])
    return tuple(draw(float_arrays(tuple(sizes[d] for d in each), -2, 2)) for each in dims)


def example(*dims):
    """Random arrays of the given shapes; sizes beyond one tile are in the cases that say so."""
    return lambda rng: tuple(rng.standard_normal(shape) for shape in dims)


def some_mask(q, k):
    """True for about half of the pairs, and for none of query 1."""
    queries, keys = np.arange(q.shape[-2])[:, None], np.arange(k.shape[-2])
    return ((3 * queries + 5 * keys) % 4 < 2) & (queries != 1)


def padding(qkv):
    """False for the last position of the first text, and the last three of the second, (B, 1, 1, T)."""
    T = qkv.shape[1]
    return (np.arange(T) < np.array([[T - 1], [T - 3]]))[:, None, None]


def packed_ref(qkv, n_heads, **options):
    B, T, C3 = qkv.shape
    q, k, v = qkv.reshape(B, T, 3, n_heads, C3 // (3 * n_heads)).transpose(2, 0, 3, 1, 4)
    return attention_ref(q, k, v, **options).transpose(0, 2, 1, 3).reshape(B, T, C3 // 3)


def packed_torch(torch, qkv, n_heads, **options):
    B, T, C3 = qkv.shape
    q, k, v = qkv.view(B, T, 3, n_heads, C3 // (3 * n_heads)).permute(2, 0, 3, 1, 4)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, **options).transpose(1, 2).reshape(B, T, C3 // 3)


def torch_sdpa(**options):
    return lambda torch, *qkv: torch.nn.functional.scaled_dot_product_attention(*qkv, **options)


FOUR_DIMS = example((2, 2, 4, 3), (2, 2, 5, 3), (2, 2, 5, 2))

CASES = [
    OpCase(
        name="attention",
        function=Attention,
        call=scaled_dot_product_attention,
        ref=attention_ref,
        inputs=inputs(),
        example=FOUR_DIMS,
        torch=torch_sdpa(),
        kernels=True,
    ),
    OpCase(
        name="attention-causal",
        function=Attention,
        call=lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7),
        ref=lambda q, k, v: attention_ref(q, k, v, is_causal=True, scale=0.7),
        inputs=inputs(),
        example=FOUR_DIMS,
        torch=torch_sdpa(is_causal=True, scale=0.7),
        kernels=True,
    ),
    OpCase(
        name="attention-causal-many-tiles",
        function=Attention,
        call=lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True),
        ref=lambda q, k, v: attention_ref(q, k, v, is_causal=True),
        inputs=st.tuples(*(float_arrays((1, 1, n, 2), -2, 2) for n in (66, 65, 65))),
        example=example((1, 1, 70, 2), (1, 1, 68, 2), (1, 1, 68, 2)),
        torch=torch_sdpa(is_causal=True),
        kernels=True,
    ),
    OpCase(
        name="attention-bool-mask",
        function=Attention,
        call=lambda q, k, v: scaled_dot_product_attention(q, k, v, some_mask(q, k)),
        ref=lambda q, k, v: attention_ref(q, k, v, some_mask(q, k)),
        inputs=inputs(),
        example=FOUR_DIMS,
        torch=lambda torch, q, k, v: torch_sdpa(attn_mask=torch.tensor(some_mask(q, k)))(torch, q, k, v),
        kernels=True,
    ),
    OpCase(
        name="attention-added-mask",
        function=Attention,
        call=scaled_dot_product_attention,
        ref=attention_ref,
        inputs=inputs(mask_dims="BHTS"),
        example=example((2, 2, 4, 3), (2, 2, 5, 3), (2, 2, 5, 2), (2, 2, 4, 5)),
        torch=torch_sdpa(),
        kernels=True,
    ),
    OpCase(
        name="attention-broadcast-mask-causal",
        function=Attention,
        call=lambda q, k, v, mask: scaled_dot_product_attention(q, k, v, mask, is_causal=True),
        ref=lambda q, k, v, mask: attention_ref(q, k, v, mask, is_causal=True),
        inputs=inputs(mask_dims="B1TS"),
        example=example((2, 2, 4, 3), (2, 2, 5, 3), (2, 2, 5, 2), (1, 1, 5)),
        kernels=True,
    ),
    OpCase(
        name="attention-gqa-causal",
        function=Attention,
        call=lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        ref=lambda q, k, v: attention_ref(q, k, v, is_causal=True, enable_gqa=True),
        inputs=inputs(group=FEWER_KEY_HEADS),
        example=example((2, 4, 4, 3), (2, 2, 5, 3), (2, 2, 5, 2)),
        torch=torch_sdpa(is_causal=True, enable_gqa=True),
        kernels=True,
    ),
    OpCase(
        name="attention-broadcast",
        function=Attention,
        call=scaled_dot_product_attention,
        ref=attention_ref,
        inputs=st.tuples(
            float_arrays((2, 1, 2, 3, 2)),
            float_arrays((2, 1, 3, 2)),
            float_arrays(st.sampled_from([(3, 1), (2, 3, 2)])),
        ),
        example=example((2, 1, 2, 3, 2), (3, 1, 4, 2), (2, 4, 3)),
        torch=torch_sdpa(),
        kernels=True,
    ),
    OpCase(
        name="attention-without-heads",
        function=Attention,
        call=lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True),
        ref=lambda q, k, v: attention_ref(q, k, v, is_causal=True),
        inputs=st.tuples(float_arrays((3, 2)), float_arrays((4, 2)), float_arrays((4, 3))),
        example=example((5, 3), (4, 3), (4, 2)),
        kernels=True,
    ),
    OpCase(
        name="qkv_attention",
        function=QKVAttention,
        call=lambda qkv: qkv_attention(qkv, n_heads=2),
        ref=lambda qkv: packed_ref(qkv, 2, is_causal=True),
        inputs=st.tuples(
            st.tuples(st.integers(0, 2), st.integers(0, 4), st.sampled_from((6, 18))).flatmap(
                lambda shape: float_arrays(shape, -2, 2)
            )
        ),
        example=example((2, 5, 18)),
        torch=lambda torch, qkv: packed_torch(torch, qkv, 2, is_causal=True),
        kernels=True,
    ),
    OpCase(
        name="qkv_attention-not-causal",
        function=QKVAttention,
        call=lambda qkv: qkv_attention(qkv, n_heads=3, is_causal=False, scale=0.5),
        ref=lambda qkv: packed_ref(qkv, 3, scale=0.5),
        inputs=st.tuples(float_arrays((1, 5, 9), -2, 2)),
        example=example((1, 5, 18)),
        torch=lambda torch, qkv: packed_torch(torch, qkv, 3, scale=0.5),
        kernels=True,
    ),
    OpCase(
        name="qkv_attention-padding",
        function=QKVAttention,
        call=lambda qkv: qkv_attention(qkv, 2, padding(qkv), is_causal=False),
        ref=lambda qkv: packed_ref(qkv, 2, attn_mask=padding(qkv)),
        inputs=st.tuples(float_arrays((2, 5, 6), -2, 2)),
        example=example((2, 5, 12)),
        torch=lambda torch, qkv: packed_torch(torch, qkv, 2, attn_mask=torch.tensor(padding(qkv))),
        kernels=True,
    ),
]
