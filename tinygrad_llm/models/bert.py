"""`BERT`: a Transformer encoder that reads a text in both directions at once (Devlin et al. 2018).

    ids (B, T) → token + position + segment embedding → norm → n_layers post-norm blocks → a vector per token (B, T, C)

It learns by filling blanks: some tokens are hidden, and the masked-LM head guesses them from both sides. A small head
adapts it to a task: one for the whole text on the pooler, which reads the first token's vector, or one for each token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..autograd import Tensor, checkpoint
from ..nn import (
    GELU,
    BidirectionalSelfAttention,
    Dropout,
    Embedding,
    FeedForward,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    PostNormBlock,
    init,
)
from ..nn.attention import require_heads
from ..nn.dropout import require_probability
from .decoder import check_init_std, checked_ids, initialise


@dataclass(frozen=True)
class BERTConfig:
    """The shape of the model; the defaults are BERT base. Raises ValueError for impossible values."""

    vocab_size: int = 30522  # V: how many different tokens there are
    max_seq_len: int = 512  # T: how many tokens the model can see at once; one learned vector for each position
    n_segments: int = 2  # texts in one row: the first sentence and the second, each with a learned vector
    n_layers: int = 12  # blocks on top of each other
    n_heads: int = 12  # attention heads per block; must divide d_model
    d_model: int = 768  # C: numbers per token between the blocks
    d_ff: int = 3072  # numbers per token inside the feed-forward networks
    dropout: float = 0.1  # part of the values zeroed in training
    layer_norm_eps: float = 1e-12  # keeps the norms from dividing by zero
    init_std: float = 0.02  # spread of the initial weights
    pooler: bool = False  # one vector for the whole text, from its first token
    masked_lm: bool = True  # the head that guesses hidden tokens

    def __post_init__(self):
        sizes = ("vocab_size", "max_seq_len", "n_segments", "n_layers", "d_ff")
        init.require_positive("BERTConfig", **{name: getattr(self, name) for name in sizes})
        require_heads("BERTConfig", self.d_model, self.n_heads)
        require_probability("BERTConfig", self.dropout)
        if not self.layer_norm_eps > 0:
            raise ValueError(f"BERTConfig: layer_norm_eps must be above 0, not {self.layer_norm_eps!r}.")
        check_init_std("BERTConfig", self.init_std)


class MaskedLMHead(Module):
    """Vectors (…, C) → scores (…, V): one more layer, and then the token embedding used backwards, with a bias."""

    def __init__(self, config: BERTConfig, rng: np.random.Generator):
        self.dense = Linear(config.d_model, config.d_model, rng=rng)
        self.activation = GELU()
        self.norm = LayerNorm(config.d_model, config.layer_norm_eps)
        self.bias = init.zeros((config.vocab_size,))

    def forward(self, x: Tensor, token_embedding: Embedding) -> Tensor:
        return token_embedding.as_linear(self.norm(self.activation(self.dense(x))), self.bias)


class BERT(Module):
    """Initial weights and dropout masks come from `rng`. `checkpoint_activations` is that of `GPT`: less memory."""

    def __init__(self, config: BERTConfig, rng: np.random.Generator | None = None):
        c = self.config = config
        self.rng = init.generator(rng)
        self.token_embedding = Embedding(c.vocab_size, c.d_model, rng=self.rng)
        self.position_embedding = Embedding(c.max_seq_len, c.d_model, rng=self.rng)
        self.segment_embedding = Embedding(c.n_segments, c.d_model, rng=self.rng)
        self.norm = LayerNorm(c.d_model, c.layer_norm_eps)
        self.dropout = Dropout(c.dropout, self.rng)
        self.blocks = ModuleList(self._block() for _ in range(c.n_layers))
        self.pooler = Linear(c.d_model, c.d_model, rng=self.rng) if c.pooler else None
        self.masked_lm_head = MaskedLMHead(c, self.rng) if c.masked_lm else None
        self.checkpoint_activations = False
        initialise(self, c.init_std, None, self.rng)  # none starts smaller: each sum goes through a norm

    def _block(self) -> PostNormBlock:
        c = self.config
        return PostNormBlock(
            attention=BidirectionalSelfAttention(c.d_model, c.n_heads, c.dropout, rng=self.rng),
            norm1=LayerNorm(c.d_model, c.layer_norm_eps),
            feed_forward=FeedForward(c.d_model, c.d_ff, GELU(), rng=self.rng),
            norm2=LayerNorm(c.d_model, c.layer_norm_eps),
            dropout=Dropout(c.dropout, self.rng),
        )

    def forward(self, ids, attention_mask=None, segments=None) -> Tensor:
        """One vector (B, T, C) for each of ids (B, T), as it is in its text.

        attention_mask (B, T) is True, or 1, for tokens, and False for padding, at which nothing looks; segments (B, T)
        are 0 in the first text of a row and 1 in the second, and 0 everywhere unless given.
        Raises ValueError for shapes that do not fit and texts longer than max_seq_len, IndexError for unknown ids.
        """
        ids = checked_ids("BERT", ids, None, self.config.max_seq_len)
        segments = np.zeros(ids.shape, np.int64) if segments is None else _checked("segments", segments, ids.shape)
        x = self.token_embedding(ids) + self.position_embedding(np.arange(ids.shape[1]))  # (B, T, C)
        x = self.dropout(self.norm(x + self.segment_embedding(segments)))
        seen = True if attention_mask is None else _checked("attention_mask", attention_mask, ids.shape)
        mask = None if np.all(seen) else seen.astype(bool)[:, None, None, :]  # (B, 1, 1, T)
        for block in self.blocks:
            again = self.checkpoint_activations
            x = checkpoint(block, x, rng=self.rng, attn_mask=mask) if again else block(x, attn_mask=mask)
        return x

    def pooled(self, hidden: Tensor) -> Tensor:
        """hidden (B, T, C), from `forward` → (B, C): tanh of a layer on the first token's vector."""
        if self.pooler is None:
            raise ValueError("this BERT has no pooler: build it with BERTConfig(pooler=True), or load one")
        return self.pooler(hidden[:, 0]).tanh()

    def masked_lm_logits(self, hidden: Tensor) -> Tensor:
        """hidden (…, C), from `forward` → scores (…, V) of the token that stands at each position."""
        if self.masked_lm_head is None:
            raise ValueError("this BERT has no masked-LM head: build it with BERTConfig(masked_lm=True), or load one")
        return self.masked_lm_head(hidden, self.token_embedding)

    def loss(self, ids, targets, attention_mask=None, segments=None) -> Tensor:
        """Mean cross-entropy, in nats, of targets (B, T) where they are not −100; only there scores are computed."""
        hidden = self(ids, attention_mask, segments)
        targets = _checked("targets", targets, hidden.shape[:2])
        counted = targets != -100
        return F.cross_entropy(self.masked_lm_logits(hidden[counted]), targets[counted])


def _checked(name: str, array: Tensor | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    array = array.data if isinstance(array, Tensor) else np.asarray(array)
    if array.shape != shape:
        raise ValueError(f"BERT: {name} must have the shape of ids, {shape}, got {array.shape}.")
    return array
