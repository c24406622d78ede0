"""`GPT`: GPT-2's architecture (Radford et al. 2019), a decoder-only Transformer that predicts the next token.

    ids (B, T) → token + position embedding → n_layers pre-norm blocks → norm → scores over the vocabulary (B, T, V)

The scores come from the token embedding itself, used backwards (weight tying, Press and Wolf 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..nn import (
    GELU,
    CausalSelfAttention,
    Dropout,
    Embedding,
    FeedForward,
    KVCache,
    LayerNorm,
    Module,
    ModuleList,
    PreNormBlock,
    init,
)
from ..nn.attention import require_heads
from ..nn.dropout import require_probability
from .decoder import check_init_std, checked_ids, initialise, packed, run_blocks


@dataclass(frozen=True)
class GPTConfig:
    """The shape of the model; the defaults are GPT-2 small. Raises ValueError for impossible values."""

    vocab_size: int = 50257  # V: how many different tokens there are
    max_seq_len: int = 1024  # T: how many tokens the model can see at once; one learned vector for each position
    n_layers: int = 12  # blocks on top of each other
    n_heads: int = 12  # attention heads per block; must divide d_model
    d_model: int = 768  # C: numbers per token between the blocks; the feed-forward layers have 4 times as many
    dropout: float = 0.1  # part of the values zeroed in training; 0 where the data are plenty
    bias: bool = True  # biases in linear layers and norms, as in GPT-2; without is a little smaller and faster
    layer_norm_eps: float = 1e-5  # keeps the norms from dividing by zero
    init_std: float = 0.02  # spread of the initial weights; narrow models learn faster from a wider one

    def __post_init__(self):
        init.require_positive(
            "GPTConfig", vocab_size=self.vocab_size, max_seq_len=self.max_seq_len, n_layers=self.n_layers
        )
        require_heads("GPTConfig", self.d_model, self.n_heads)
        require_probability("GPTConfig", self.dropout)
        if not self.layer_norm_eps > 0:
            raise ValueError(f"GPTConfig: layer_norm_eps must be above 0, not {self.layer_norm_eps!r}.")
        check_init_std("GPTConfig", self.init_std)


class GPT(Module):
    """Initial weights and dropout masks come from `rng`.

    With `checkpoint_activations` set to True, training keeps no more of a block than its input, and computes the rest
    again for the backward pass: the same gradients in less memory.
    """

    def __init__(self, config: GPTConfig, rng: np.random.Generator | None = None):
        self.config = config
        self.rng = init.generator(rng)
        self.checkpoint_activations = False
        self.token_embedding = Embedding(config.vocab_size, config.d_model, rng=self.rng)
        self.position_embedding = Embedding(config.max_seq_len, config.d_model, rng=self.rng)
        self.dropout = Dropout(config.dropout, self.rng)
        self.blocks = ModuleList(self._block() for _ in range(config.n_layers))
        self.norm = LayerNorm(config.d_model, config.layer_norm_eps, bias=config.bias)
        initialise(self, config.init_std, config.n_layers, self.rng)

    def _block(self) -> PreNormBlock:
        c = self.config
        return PreNormBlock(
            norm1=LayerNorm(c.d_model, c.layer_norm_eps, bias=c.bias),
            attention=CausalSelfAttention(c.d_model, c.n_heads, c.dropout, c.bias, self.rng),
            norm2=LayerNorm(c.d_model, c.layer_norm_eps, bias=c.bias),
            feed_forward=FeedForward(c.d_model, 4 * c.d_model, GELU("tanh"), c.bias, self.rng),
            dropout=Dropout(c.dropout, self.rng),
        )

    def forward(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """Scores (B, T, V) of the token after each of ids (B, T). With a cache, ids follow the tokens in it.

        Raises ValueError where the context is longer than max_seq_len, IndexError for ids outside the vocabulary.
        """
        return self.scores(self.hidden(ids, cache))

    def scores(self, hidden: Tensor) -> Tensor:
        """(…, C) -> (…, V)."""
        return self.token_embedding.as_linear(hidden)

    def loss(
        self, ids: Tensor | np.ndarray, targets: Tensor | np.ndarray, documents: np.ndarray | None = None
    ) -> Tensor:
        """Mean cross-entropy, in nats, of targets (B, T) given ids (B, T); never holds the (B, T, V) scores.

        Targets of −100 do not count. For `documents` see `hidden`.
        """
        return F.linear_cross_entropy(self.hidden(ids, documents=documents), self.token_embedding.weight, targets)

    def hidden(
        self, ids: Tensor | np.ndarray, cache: KVCache | None = None, documents: np.ndarray | None = None
    ) -> Tensor:
        """The vectors (B, T, C) from which `forward` makes scores.

        `documents` (B, T) numbers the texts where a row holds several: none of them sees another, and positions begin
        anew in each. It does not go with a cache.
        """
        ids, mask = checked_ids("GPT", ids, cache, self.config.max_seq_len), {}
        T = ids.shape[1]
        positions = np.arange(T) if cache is None else cache.positions(T)  # (T,), or (B, T) with padding
        if documents is not None:
            positions, mask["attn_mask"] = packed("GPT", ids, documents)  # (B, T), (B, 1, T, T)
        x = self.dropout(self.token_embedding(ids) + self.position_embedding(positions))  # (B, T, C)
        return self.norm(run_blocks(self, x, cache, **mask))

    def next_token_logits(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """Scores (B, V) of the token after the last one only: what generation needs."""
        return self.scores(self.hidden(ids, cache)[:, -1])

    def new_cache(self, batch_size: int) -> KVCache:
        c = self.config
        dtype = self.norm.weight.dtype
        return KVCache(c.n_layers, batch_size, c.n_heads, c.max_seq_len, c.d_model // c.n_heads, dtype)
