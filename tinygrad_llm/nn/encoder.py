"""`TransformerEncoderLayer` and `TransformerEncoder` with PyTorch's arguments, parameter names and results.

The same two steps as in `block.py`, attention and feed-forward, under the names of PyTorch's module. New models here
are built from `PreNormBlock` and `PostNormBlock`; this one is for weights and code that come from PyTorch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .multihead_attention import MultiheadAttention
from .norm import LayerNorm

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class TransformerEncoderLayer(Module):
    """src (T, N, C), or (N, T, C) with `batch_first`, or (T, C) -> the same shape; C = d_model.

    `activation` is "relu", "gelu" or any function of a tensor. With `norm_first` the layer norms come before
    attention and feed-forward network, else after the residual sums.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ):
        if not callable(activation) and activation not in ACTIVATIONS:
            raise ValueError(
                f'TransformerEncoderLayer: activation must be "relu", "gelu" or a function, not {activation!r}.'
            )
        rng = init.generator(rng)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, rng=rng)
        self.linear1 = Linear(d_model, dim_feedforward, bias, rng)
        self.dropout = Dropout(dropout, rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, rng)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout, rng)
        self.dropout2 = Dropout(dropout, rng)
        self.activation = activation if callable(activation) else ACTIVATIONS[activation]

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | np.ndarray | None = None,
        src_key_padding_mask: Tensor | np.ndarray | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Masks as in `MultiheadAttention`: True hides. src_mask (T, T) or (N·nhead, T, T), padding (N, T)."""
        masks = (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            src = src + self._attend(self.norm1(src), *masks)
            return src + self._feed_forward(self.norm2(src))
        src = self.norm1(src + self._attend(src, *masks))
        return self.norm2(src + self._feed_forward(src))

    def _attend(self, x: Tensor, mask, padding, is_causal: bool) -> Tensor:
        mixed, _ = self.self_attn(x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)
        return self.dropout1(mixed)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoder(Module):
    """`num_layers` copies of `encoder_layer`, which start with the same weights, then `norm` if given."""

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None):
        init.require_positive("TransformerEncoder", num_layers=num_layers)
        self.layers = ModuleList(_copy(encoder_layer) for _ in range(num_layers))
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | np.ndarray | None = None,
        src_key_padding_mask: Tensor | np.ndarray | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


def _copy(module: Module) -> Module:
    """A deep copy that shares the random generators: copied ones would give each layer the same dropout masks."""
    generators = [vars(each)["rng"] for each in module.modules() if "rng" in vars(each)]
    return copy.deepcopy(module, {id(generator): generator for generator in generators})
