"""The kernels that are measured: one definition for ours and PyTorch's, since the names are the same; and their cost.

A case is `(kernel, sizes)`, as in ("attention", [12, 4, 64, 32]). Costs are those of the algorithm, by formula: each
multiplication, addition, comparison, exponential or root is one operation; each array is read or written once where
forward or backward needs it.
"""

from __future__ import annotations

import math

import numpy as np

FLOAT = 4  # bytes of a float32


def make(side: str, case: tuple):
    """The call to time: forward and backward of one kernel on one side, "ours" or "PyTorch"."""
    kernel, sizes = case
    rng = np.random.default_rng(0)
    if side == "ours":
        import tinygrad_llm as library
        import tinygrad_llm.functional as F
    else:
        import torch as library
        from torch.nn import functional as F
    return BUILD[kernel](library, F, rng, *sizes)


def leaf(library, rng, *shape):
    return library.from_numpy(rng.standard_normal(shape).astype(np.float32)).requires_grad_()


def forward_backward(library, forward, *leaves):
    """A call that runs both passes with an upstream gradient of ones."""
    dout = library.from_numpy(np.ones(tuple(forward(*leaves).shape), np.float32))

    def call():
        for x in leaves:
            x.grad = None
        forward(*leaves).backward(dout)

    return call


def attention(library, F, rng, B, H, T, D):
    """q, k and v as a model makes them: (B, T, H, D) in memory."""
    arrays = [rng.standard_normal((B, T, H, D)).astype(np.float32).transpose(0, 2, 1, 3) for _ in range(3)]
    leaves = [library.from_numpy(array).requires_grad_() for array in arrays]
    return forward_backward(library, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *leaves)


def cross_entropy(library, F, rng, N, V):
    target = library.from_numpy(rng.integers(0, V, N))
    return forward_backward(library, lambda x: F.cross_entropy(x, target), leaf(library, rng, N, V))


def linear_cross_entropy(library, F, rng, N, C, V):
    """Ours is one op; PyTorch has two."""
    target = library.from_numpy(rng.integers(0, V, N))
    fused = getattr(F, "linear_cross_entropy", lambda x, w, target: F.cross_entropy(F.linear(x, w), target))
    leaves = leaf(library, rng, N, C), leaf(library, rng, V, C)
    return forward_backward(library, lambda x, w: fused(x, w, target), *leaves)


def layer_norm(library, F, rng, N, C):
    leaves = leaf(library, rng, N, C), leaf(library, rng, C), leaf(library, rng, C)
    return forward_backward(library, lambda x, w, b: F.layer_norm(x, (C,), w, b), *leaves)


def rms_norm(library, F, rng, N, C):
    return forward_backward(
        library, lambda x, w: F.rms_norm(x, (C,), w), leaf(library, rng, N, C), leaf(library, rng, C)
    )


def softmax(library, F, rng, N, V):
    return forward_backward(library, lambda x: F.softmax(x, dim=-1), leaf(library, rng, N, V))


def gelu(library, F, rng, N, C):
    return forward_backward(library, F.gelu, leaf(library, rng, N, C))


def gelu_tanh(library, F, rng, N, C):
    return forward_backward(library, lambda x: F.gelu(x, approximate="tanh"), leaf(library, rng, N, C))


def embedding_backward(library, F, rng, N, V, C):
    weight = leaf(library, rng, V, C)
    out = F.embedding(library.from_numpy(rng.integers(0, V, N)), weight)
    dout = library.from_numpy(np.ones((N, C), np.float32))

    def call():
        weight.grad = None
        out.backward(dout, retain_graph=True)

    return call


def adamw(library, F, rng, n_layers, C):
    """One update of the parameters of a small GPT."""
    parameters = [leaf(library, rng, *shape) for shape in gpt_shapes(n_layers, C)]
    for p in parameters:
        p.grad = library.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32))
    fused = {"fused": True} if library.__name__ == "torch" else {}
    return library.optim.AdamW(parameters, lr=1e-6, **fused).step


def gpt_shapes(n_layers: int, C: int) -> list[tuple[int, ...]]:
    return [(65, C), (64, C)] + [(C,), (C,), (3 * C, C), (C, C), (4 * C, C), (C, 4 * C)] * n_layers


def matmul(library, F, rng, M, K, N):
    """A product alone, into memory that is there already."""
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((M, K), (K, N)))
    out = np.empty((M, N), np.float32)
    if library.__name__ == "torch":
        ta, tb, tout = (library.from_numpy(x) for x in (a, b, out))
        return lambda: library.matmul(ta, tb, out=tout)
    from tinygrad_llm.ops.matmul import multiply

    return lambda: multiply(a, b, out=out)


BUILD = {
    "attention": attention,
    "cross-entropy": cross_entropy,
    "linear + cross-entropy": linear_cross_entropy,
    "softmax": softmax,
    "layer norm": layer_norm,
    "RMS norm": rms_norm,
    "GELU": gelu,
    "GELU (tanh)": gelu_tanh,
    "embedding backward": embedding_backward,
    "AdamW": adamw,
    "matmul": matmul,
}


def cost(kernel: str, sizes: list[int]) -> tuple[float, float]:
    """(operations, bytes) of one call, forward and backward."""
    if kernel == "attention":
        B, H, T, D = sizes
        pairs = B * H * T * (T + 1) / 2  # causal: a query sees itself and what is before it
        # Forward has 2 products for each pair, backward 5: the scores again, and dv, dp, dq, dk.
        # q, k, v → out; q, k, v, out, dout → dq, dk, dv.
        return 7 * 2 * D * pairs, 12 * B * H * T * D * FLOAT
    if kernel == "linear + cross-entropy":
        N, C, V = sizes
        return 3 * 2 * N * C * V, 3 * (N * C + V * C) * FLOAT  # x, W in both passes, dx and dW
    if kernel == "matmul":
        M, K, N = sizes
        return 2 * M * K * N, (M * K + K * N + M * N) * FLOAT
    if kernel == "embedding backward":
        N, V, C = sizes
        return N * C, (3 * N * C + V * C) * FLOAT  # reads dout, adds to the rows it names, and clears all rows before
    if kernel == "AdamW":
        size = sum(math.prod(shape) for shape in gpt_shapes(*sizes))
        return 15 * size, 7 * size * FLOAT  # p, g, m, v → p, m, v
    operations, arrays = PER_ELEMENT[kernel]
    return operations * math.prod(sizes), arrays * math.prod(sizes) * FLOAT


# Operations per element in both passes, and arrays of the input's size that they read or write.
PER_ELEMENT = {
    "cross-entropy": (4 + 3, 3),  # maximum, subtract, exp, add; subtract, exp, multiply. x; x → dx
    "softmax": (5 + 4, 5),  # the same and a division; multiply, add, subtract, multiply. x → y; y, dout → dx
    "layer norm": (8 + 12, 5),  # mean, variance, normalise, scale, shift. x → y; x, dout → dx
    "RMS norm": (4 + 9, 5),
    "GELU": (20 + 25, 5),  # erf as a polynomial of some 14 operations, its derivative an exp
    "GELU (tanh)": (9 + 16, 5),
}
