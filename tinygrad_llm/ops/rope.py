"""rotary_embedding (RoPE): queries and keys turned by an angle that grows with their position.

Forward    for each position t and each i < D/2, the pair (a, b) = (x_i, x_{i + D/2}) turns by the angle θ = t · f_i:
           a' = a cos θ − b sin θ        b' = b cos θ + a sin θ
Backward   turned back, by −θ:           da = da' cos θ + db' sin θ        db = db' cos θ − da' sin θ
Shapes     x (…, T, H, D), D even; cos and sin (T, D/2), the same for each head → (…, T, H, D)
Saved      cos, sin
Lesson     16_modern_blocks
Source     Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021), section 3.4

A turned query times a turned key depends on the difference of their angles only, that is on how far apart they are:
⟨R(t) q, R(s) k⟩ = ⟨q, R(s − t) k⟩. So a model needs no table of learned positions.

Which numbers make a pair is a matter of taste, but weights belong to one choice. Here it is the half-split layout of
Hugging Face's Llama (`rotate_half`): number i of the first half goes with number i of the second. Meta's own files and
GGUF have the interleaved layout of the paper, where neighbours (2i, 2i + 1) go together. To convert, move the rows of
each head in the weights of queries and keys: `rows.reshape(D // 2, 2, C).swapaxes(0, 1).reshape(D, C)`. Products of
queries and keys stay as they are, for both are moved alike.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Function, Tensor
from ..kernel import kernel, prange
from .common import require_float


def rotary_embedding_ref(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    first, second = np.split(x, 2, axis=-1)  # (…, T, H, D/2)
    cos, sin = cos[:, None], sin[:, None]  # (T, 1, D/2)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


@kernel(parallel=True)
def rotate(out, x, cos, sin):
    """x (N, H, 2, D/2), row n at position n mod T. The halves have an axis of their own, so that loops start at 0."""
    N, H, _, half = x.shape
    T = cos.shape[0]
    for n in prange(N):
        t = n % T
        for h in range(H):
            for i in range(half):
                a, b = x[n, h, 0, i], x[n, h, 1, i]
                out[n, h, 0, i] = a * cos[t, i] - b * sin[t, i]
                out[n, h, 1, i] = b * cos[t, i] + a * sin[t, i]


def rotated(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    H, D = x.shape[-2:]
    out = np.empty(x.shape, x.dtype)
    if x.size:
        rows = np.require(x, requirements=["C", "W"]).reshape(-1, H, 2, D // 2)
        rotate(out.reshape(rows.shape), rows, cos, sin)
    return out


class RotaryEmbedding(Function):
    @staticmethod
    def forward(x, cos, sin):
        cos, sin = (np.require(table, x.dtype, ["C", "W"]) for table in (cos, sin))
        return rotated(x, cos, sin), (cos, sin)

    @staticmethod
    def backward(dout, saved):
        """The inverse of a rotation is its transpose: the same loops, with −sin."""
        cos, sin = saved
        return (rotated(dout, cos, -sin),)


def rotary_embedding(input: Tensor, cos: np.ndarray, sin: np.ndarray) -> Tensor:
    """Turn each pair (i, i + D/2) of `input` (…, T, H, D) by the angle whose cosine and sine are in row t, column i.

    cos and sin are arrays (T, D/2), as `nn.RotaryEmbedding` keeps them. Raises ValueError where the shapes do not fit.

    >>> quarter_turn = np.array([[0.0]]), np.array([[1.0]])
    >>> rotary_embedding(tensor([[[3.0, 4.0]]]), *quarter_turn).tolist()
    [[[-4.0, 3.0]]]
    """
    op = "rotary_embedding"
    require_float(op, input)
    if input.ndim < 3 or input.shape[-1] % 2 or input.shape[-1] == 0:
        raise ValueError(f"{op}: expected an input (…, T, H, D) with an even D, got {input.shape}.")
    T, _, D = input.shape[-3:]
    if not cos.shape == sin.shape == (T, D // 2):
        raise ValueError(f"{op}: expected cos and sin (T, D/2) = {(T, D // 2)}, got {cos.shape} and {sin.shape}.")
    out, saved = RotaryEmbedding.forward(input.data, cos, sin)
    return RotaryEmbedding.record(out, saved, input)
