"""`BidirectionalSelfAttention`: each position looks at all others, before and after it. BERT's layout."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .attention import require_heads
from .dropout import require_probability
from .linear import Linear
from .module import Module


class BidirectionalSelfAttention(Module):
    """(B, T, C) -> (B, T, C), C = d_model = n_heads · D. `CausalSelfAttention` without the rule that hides the future.

    Padding is hidden by an `attn_mask` that broadcasts to (B, n_heads, T, T), True where a position may be looked at.
    Raises ValueError where n_heads does not divide d_model.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ):
        require_heads("BidirectionalSelfAttention", d_model, n_heads)
        self.n_heads = n_heads
        self.dropout = require_probability("BidirectionalSelfAttention", dropout)
        self.rng = init.generator(rng)
        self.qkv = Linear(d_model, 3 * d_model, bias, self.rng)
        self.out = Linear(d_model, d_model, bias, self.rng)

    def forward(self, x: Tensor, attn_mask: Tensor | np.ndarray | None = None) -> Tensor:
        dropout_p = self.dropout if self.training else 0.0
        options = {"is_causal": False, "dropout_p": dropout_p, "rng": self.rng}
        return self.out(F.qkv_attention(self.qkv(x), self.n_heads, attn_mask, **options))

    def extra_repr(self) -> str:
        return f"n_heads={self.n_heads}" + (f", dropout={self.dropout}" if self.dropout else "")
