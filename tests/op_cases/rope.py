"""Cases for rotary_embedding: with the angles of positions, and with any angles."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.nn.rotary import RotaryEmbedding as Rotary
from tinygrad_llm.ops.rope import RotaryEmbedding, rotary_embedding, rotary_embedding_ref
from tinygrad_llm.testing import float_arrays

from .case import OpCase


def tables(x):
    """Cosines and sines (T, D/2) of angles that are all different and go several times around."""
    angles = 0.7 + np.arange(x.shape[-3])[:, None] * 2.0 ** np.arange(x.shape[-1] // 2)
    return np.cos(angles), np.sin(angles)


def hugging_face(torch, x, cos, sin):
    """`apply_rotary_pos_emb` of transformers' Llama, for (…, T, H, D)."""
    cos, sin = (torch.tensor(np.concatenate([table, table], -1)[:, None], dtype=x.dtype) for table in (cos, sin))
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], -1) * sin


@st.composite
def inputs(draw, leading):
    sizes = draw(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 3)))
    return (draw(float_arrays((*leading, *sizes[:2], 2 * sizes[2]), -2, 2)),)


def positions(x):
    rotary = Rotary(x.shape[-1], 8, theta=10.0)
    return rotary.cos[2 : 2 + x.shape[1]], rotary.sin[2 : 2 + x.shape[1]]


CASES = [
    OpCase(
        name="rotary_embedding",
        function=RotaryEmbedding,
        call=lambda x: rotary_embedding(x, *tables(x)),
        ref=lambda x: rotary_embedding_ref(x, *tables(x)),
        inputs=inputs(leading=(2,)),
        example=lambda rng: (rng.standard_normal((2, 5, 3, 6)),),
        torch=lambda torch, x: hugging_face(torch, x, *tables(x)),
        kernels=True,
    ),
    OpCase(
        name="rotary_embedding-no-batch",
        function=RotaryEmbedding,
        call=lambda x: rotary_embedding(x, *tables(x)),
        ref=lambda x: rotary_embedding_ref(x, *tables(x)),
        inputs=inputs(leading=()),
        example=lambda rng: (rng.standard_normal((3, 1, 4)),),
        torch=lambda torch, x: hugging_face(torch, x, *tables(x)),
        kernels=True,
    ),
    OpCase(
        name="rotary_embedding-module",
        function=RotaryEmbedding,
        call=lambda x: Rotary(x.shape[-1], 8, theta=10.0)(x, start=2),
        ref=lambda x: rotary_embedding_ref(x, *positions(x)),
        inputs=inputs(leading=(2,)),
        example=lambda rng: (rng.standard_normal((2, 5, 3, 6)),),
        torch=lambda torch, x: hugging_face(torch, x, *positions(x)),
        kernels=True,
    ),
]
