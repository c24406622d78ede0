"""`BidirectionalSelfAttention`: each position looks at all others, before and after it. BERT's layout."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from .attention import SelfAttention


class BidirectionalSelfAttention(SelfAttention):
    """(B, T, C) -> (B, T, C), C = d_model = n_heads · D. `CausalSelfAttention` without the rule that hides the future.

    Padding is hidden by an `attn_mask` that broadcasts to (B, n_heads, T, T), True where a position may be looked at.
    """

    def forward(self, x: Tensor, attn_mask: Tensor | np.ndarray | None = None) -> Tensor:
        dropout_p = self.dropout if self.training else 0.0
        options = {"is_causal": False, "dropout_p": dropout_p, "rng": self.rng}
        return self.out(F.qkv_attention(self.qkv(x), self.n_heads, attn_mask, **options))
