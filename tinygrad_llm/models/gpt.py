"""`GPT`: GPT-2's architecture (Radford et al. 2019), a decoder-only Transformer that predicts the next token.

    ids (B, T) → token + position embedding → n_layers pre-norm blocks → norm → scores over the vocabulary (B, T, V)

The scores come from the token embedding itself, used backwards (weight tying, Press and Wolf 2017).
"""

from __future__ import annotations

import math
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
    Linear,
    Module,
    ModuleList,
    PreNormBlock,
    init,
)
from ..nn.attention import require_heads
from ..nn.dropout import require_probability


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
        if not 0 < self.init_std < math.inf:
            raise ValueError(f"GPTConfig: init_std must be a number above 0, not {self.init_std!r}.")


class GPT(Module):
    """Initial weights and dropout masks come from `rng`."""

    def __init__(self, config: GPTConfig, rng: np.random.Generator | None = None):
        self.config = config
        self.rng = init.generator(rng)
        self.token_embedding = Embedding(config.vocab_size, config.d_model, rng=self.rng)
        self.position_embedding = Embedding(config.max_seq_len, config.d_model, rng=self.rng)
        self.dropout = Dropout(config.dropout, self.rng)
        self.blocks = ModuleList(self._block() for _ in range(config.n_layers))
        self.norm = LayerNorm(config.d_model, config.layer_norm_eps, bias=config.bias)
        self._initialise()

    def _block(self) -> PreNormBlock:
        c = self.config
        return PreNormBlock(
            norm1=LayerNorm(c.d_model, c.layer_norm_eps, bias=c.bias),
            attention=CausalSelfAttention(c.d_model, c.n_heads, c.dropout, c.bias, self.rng),
            norm2=LayerNorm(c.d_model, c.layer_norm_eps, bias=c.bias),
            feed_forward=FeedForward(c.d_model, 4 * c.d_model, GELU("tanh"), c.bias, self.rng),
            dropout=Dropout(c.dropout, self.rng),
        )

    def _initialise(self) -> None:
        """GPT-2's: N(0, init_std²), biases 0. Each block adds two terms to the sum that runs through the model, so
        the layers that write into it start smaller, and the sum's variance does not grow with depth."""
        residual_std = self.config.init_std / math.sqrt(2 * self.config.n_layers)
        for name, module in self.named_modules():
            if isinstance(module, (Linear, Embedding)):
                std = residual_std if name.endswith(("attention.out", "feed_forward.down")) else self.config.init_std
                module.weight = init.normal(module.weight.shape, std, self.rng)
            if isinstance(module, Linear) and module.bias is not None:
                module.bias = init.zeros(module.bias.shape)

    def forward(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """Scores (B, T, V) of the token after each of ids (B, T). With a cache, ids follow the tokens in it.

        Raises ValueError where the context is longer than max_seq_len, IndexError for ids outside the vocabulary.
        """
        return F.linear(self.hidden(ids, cache), self.token_embedding.weight)

    def loss(self, ids: Tensor | np.ndarray, targets: Tensor | np.ndarray) -> Tensor:
        """Mean cross-entropy, in nats, of targets (B, T) given ids (B, T); never holds the (B, T, V) scores.

        Targets of −100 do not count.
        """
        return F.linear_cross_entropy(self.hidden(ids), self.token_embedding.weight, targets)

    def hidden(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """The vectors (B, T, C) from which `forward` makes scores."""
        ids = ids if isinstance(ids, Tensor) else np.asarray(ids)
        if ids.ndim != 2:
            raise ValueError(f"GPT: ids must have shape (B, T), got {ids.shape}; add a dim for a batch of one.")
        start = 0 if cache is None else cache.length
        end = start + ids.shape[1]
        if end > self.config.max_seq_len:
            raise ValueError(f"GPT: {end} tokens are more than max_seq_len = {self.config.max_seq_len}; shorten them.")
        positions = self.position_embedding(np.arange(start, end))  # (T, C)
        x = self.dropout(self.token_embedding(ids) + positions)  # (B, T, C)
        for i, block in enumerate(self.blocks):
            x = block(x) if cache is None else block(x, cache=cache.layers[i])
        return self.norm(x)

    def next_token_logits(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """Scores (B, V) of the token after the last one only: what generation needs."""
        return F.linear(self.hidden(ids, cache)[:, -1], self.token_embedding.weight)

    def new_cache(self, batch_size: int) -> KVCache:
        c = self.config
        dtype = self.token_embedding.weight.dtype
        return KVCache(c.n_layers, batch_size, c.n_heads, c.max_seq_len, c.d_model // c.n_heads, dtype)
