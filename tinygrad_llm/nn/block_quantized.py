"""Layers of weights in blocks: 4 or 8 bits for each, and 32 of them share a scale. What GGUF files hold.

    load_pretrained("model.gguf", keep_quantized=True)     # with BlockLinear and BlockEmbedding

A scale for 32 weights instead of a row leaves 4 bits enough: a large weight spoils its block only. As in `quantize`,
the weights are frozen; `add_lora` trains corrections beside them. They are not part of state_dict: dequantize() the
model to save it.
"""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..ops.block_linear import BlockWeight
from ..ops.embedding import checked_ids
from .embedding import Embedding
from .linear import Linear
from .module import Parameter
from .quantized import Quantized


class BlockQuantized(Quantized):
    """What both share: `blocks`, a matrix (N, K)."""

    blocks: BlockWeight

    def floats(self) -> np.ndarray:
        return self.blocks.rows(np.arange(self.blocks.shape[0]))

    def block_bytes(self) -> int:
        return self.blocks.nbytes


class BlockLinear(BlockQuantized, Linear):
    """(…, in_features) -> (…, out_features), as `Linear`, with `blocks` (out, in)."""

    def __init__(self, blocks: BlockWeight, bias: Parameter | None = None):
        self.blocks, self.bias = blocks, bias

    def forward(self, x: Tensor) -> Tensor:
        y = F.block_linear(x, self.blocks)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        out_features, in_features = self.blocks.shape
        return (
            f"{in_features}, {out_features}, bits={self.blocks.bits}{'' if self.bias is not None else ', bias=False'}"
        )


class BlockEmbedding(BlockQuantized, Embedding):
    """Integer ids (…,) -> vectors (…, embedding_dim), as `Embedding`, with `blocks` (ids, embedding_dim)."""

    padding_idx = None

    def __init__(self, blocks: BlockWeight):
        self.blocks = blocks

    def forward(self, ids: Tensor | np.ndarray) -> Tensor:
        ids = checked_ids("embedding", ids.data if isinstance(ids, Tensor) else np.asarray(ids), self.blocks.shape[0])
        return Tensor._from_array(self.blocks.rows(ids.reshape(-1)).reshape(*ids.shape, self.blocks.shape[1]))

    def as_linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        y = F.block_linear(x, self.blocks)
        return y if bias is None else y + bias

    def extra_repr(self) -> str:
        return f"{self.blocks.shape[0]}, {self.blocks.shape[1]}, bits={self.blocks.bits}"
