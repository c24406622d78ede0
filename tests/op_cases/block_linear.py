"""Cases for block_linear: the input is x; weights in blocks of 4 and 8 bits are data, and depend on the shape."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.block_linear import (
    BLOCK,
    DIRECT_ROWS,
    TILE,
    BlockLinear,
    block_linear,
    block_linear_ref,
    pack_blocks,
)
from tinygrad_llm.testing import float_arrays

from .case import OpCase
from .matmul import normal, torch_linear, with_kernel

FEW_ROWS = st.integers(0, 3)


def weight_for(N, K, bits):
    """All over the range of the bits, scales and offsets that differ from block to block and from row to row."""
    n_bytes = N * K * bits // 8
    packed = (np.arange(n_bytes) * 37 % 251).astype(np.uint8).reshape(N, -1)
    blocks = np.arange(N * K // BLOCK, dtype=np.float32).reshape(N, -1)
    scale = 0.01 + 0.001 * np.cos(blocks)
    return pack_blocks(packed, scale, 0.1 * np.sin(blocks)) if bits == 4 else pack_blocks(packed.view(np.int8), scale)


def case(name, bits, N, K, inputs, example, kernel=False):
    weight = weight_for(N, K, bits)
    call = lambda x: block_linear(x, weight)  # noqa: E731

    def in_torch(torch, x):
        return torch_linear(torch, x, torch.tensor(weight.rows(np.arange(N), np.float64)).to(x.dtype))

    def ref(x):
        return block_linear_ref(x, weight)

    called = with_kernel(call) if kernel else call
    return OpCase(f"block_linear-{name}", BlockLinear, called, ref, inputs, example, in_torch, kernels=True)


def rows(K, n=FEW_ROWS):
    return n.flatmap(lambda n: float_arrays((n, K))).map(lambda x: (x,))


CASES = [
    case("4-bits", 4, 5, 2 * BLOCK, rows(2 * BLOCK), normal((2, 3, 2 * BLOCK)), kernel=True),
    case("8-bits", 8, 5, 2 * BLOCK, rows(2 * BLOCK), normal((2, 3, 2 * BLOCK)), kernel=True),
    case("two-tiles", 4, TILE + 1, BLOCK, rows(BLOCK), normal((3, BLOCK)), kernel=True),
    case(
        "many-rows", 8, TILE + 1, BLOCK, rows(BLOCK, st.just(DIRECT_ROWS + 1)), normal((DIRECT_ROWS + 1, BLOCK)), True
    ),
    case(
        "many-rows-4-bits", 4, 3, BLOCK, rows(BLOCK, st.just(DIRECT_ROWS + 1)), normal((DIRECT_ROWS + 1, BLOCK)), True
    ),
    case("vector", 4, 5, BLOCK, float_arrays((BLOCK,)).map(lambda x: (x,)), normal((BLOCK,))),
]
