"""`Seq2Seq`: an encoder-decoder Transformer (Vaswani et al. 2017). It reads one text and writes another.

    source (B, S) → embedding + position → n_layers encoder blocks, which see all of it → norm → memory (B, S, C)
    target (B, T) → embedding + position → n_layers decoder blocks, which see what is written, and the memory
                  → norm → scores over the vocabulary (B, T, V)

Both texts have one vocabulary and one table of token embeddings, which used backwards makes the scores as well. Norms
are before the parts, as in `GPT`; with the weights of torch.nn.Transformer(norm_first=True) results are PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor, checkpoint, no_grad
from ..nn.attention import require_heads
from ..nn.dropout import require_probability
from ..nn.init import generator, require_positive
from .decoder import check_init_std, checked_ids, initialise


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The shape of the model; the defaults are the base model of the paper. Raises ValueError for impossible values."""

    vocab_size: int = 37000  # V: how many different tokens there are, in both texts together
    max_source_len: int = 512  # S: how many tokens of a source it can read; one learned vector for each position
    max_target_len: int = 512  # T: how many tokens it can write
    n_layers: int = 6  # blocks of the encoder, and as many of the decoder
    n_heads: int = 8  # attention heads; must divide d_model
    d_model: int = 512  # C: numbers per token between the blocks
    d_ff: int = 2048  # numbers per token inside the feed-forward networks
    dropout: float = 0.1  # part of the values zeroed in training
    label_smoothing: float = 0.1  # part of the probability that in training is meant for all tokens alike
    layer_norm_eps: float = 1e-5  # keeps the norms from dividing by zero
    init_std: float = 0.02  # spread of the initial weights

    def __post_init__(self):
        sizes = ("vocab_size", "max_source_len", "max_target_len", "n_layers", "d_ff")
        require_positive("Seq2SeqConfig", **{name: getattr(self, name) for name in sizes})
        require_heads("Seq2SeqConfig", self.d_model, self.n_heads)
        require_probability("Seq2SeqConfig", self.dropout)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"Seq2SeqConfig: label_smoothing must be in [0, 1), not {self.label_smoothing!r}.")
        if not self.layer_norm_eps > 0:
            raise ValueError(f"Seq2SeqConfig: layer_norm_eps must be above 0, not {self.layer_norm_eps!r}.")
        check_init_std("Seq2SeqConfig", self.init_std)

    @property
    def max_seq_len(self) -> int:
        """What generation calls it: the texts it continues are the targets."""
        return self.max_target_len


class Seq2Seq(nn.Module):
    """Initial weights and dropout masks come from `rng`. `checkpoint_activations` is that of `GPT`: less memory.

    A source mask (B, S) is True, or 1, for tokens, and False for padding, at which nothing looks; targets are padded
    at their end, where none of their tokens looks either.
    """

    def __init__(self, config: Seq2SeqConfig, rng: np.random.Generator | None = None):
        c = self.config = config
        self.rng = generator(rng)
        self.checkpoint_activations = False
        self.token_embedding = nn.Embedding(c.vocab_size, c.d_model, rng=self.rng)
        self.source_positions = nn.Embedding(c.max_source_len, c.d_model, rng=self.rng)
        self.target_positions = nn.Embedding(c.max_target_len, c.d_model, rng=self.rng)
        self.dropout = nn.Dropout(c.dropout, self.rng)
        encoder = (nn.PreNormBlock, nn.BidirectionalSelfAttention)
        decoder = (nn.DecoderBlock, nn.CausalSelfAttention, nn.CrossAttention)
        self.encoder_blocks = nn.ModuleList(self._block(*encoder) for _ in range(c.n_layers))
        self.encoder_norm = nn.LayerNorm(c.d_model, c.layer_norm_eps)
        self.decoder_blocks = nn.ModuleList(self._block(*decoder) for _ in range(c.n_layers))
        self.decoder_norm = nn.LayerNorm(c.d_model, c.layer_norm_eps)
        initialise(self, c.init_std, c.n_layers, self.rng)

    def _block(self, block: type, *attentions: type) -> nn.Module:
        """Its parts, each after a norm: one or two kinds of attention, and the feed-forward network."""
        c, parts = self.config, []
        for kind in attentions:
            parts += [nn.LayerNorm(c.d_model, c.layer_norm_eps), kind(c.d_model, c.n_heads, c.dropout, rng=self.rng)]
        feed_forward = nn.FeedForward(c.d_model, c.d_ff, nn.GELU(), rng=self.rng)
        return block(*parts, nn.LayerNorm(c.d_model, c.layer_norm_eps), feed_forward, self.dropout)

    def forward(self, source, target, source_mask=None) -> Tensor:
        """Scores (B, T, V) of the token after each of target (B, T), which is written from source (B, S).

        Raises ValueError for shapes that do not fit and texts that are too long, IndexError for unknown ids.
        """
        return F.linear(self.decode(target, self.encode(source, source_mask), source_mask), self.token_embedding.weight)

    def loss(self, source, source_mask, target_in, target_out) -> Tensor:
        """Mean cross-entropy, in nats, of target_out (B, T) where not −100, given target_in (B, T) and the source.

        Labels are smoothed in training only: in evaluation mode it is the cross-entropy of the targets themselves.
        """
        hidden = self.decode(target_in, self.encode(source, source_mask), source_mask)
        smoothing = self.config.label_smoothing if self.training else 0.0
        return F.linear_cross_entropy(hidden, self.token_embedding.weight, target_out, label_smoothing=smoothing)

    def encode(self, source, source_mask=None) -> Tensor:
        """source (B, S) → memory (B, S, C): all that the decoder sees of it."""
        source = checked_ids("Seq2Seq source", source, None, self.config.max_source_len)
        x = self.dropout(self.token_embedding(source) + self.source_positions(np.arange(source.shape[1])))  # (B, S, C)
        mask = attention_mask(source_mask, source.shape)
        for block in self.encoder_blocks:
            x = self._run(block, x, attn_mask=mask)
        return self.encoder_norm(x)

    def decode(self, target, memory: Tensor | None, source_mask=None, cache: nn.DecoderCache | None = None) -> Tensor:
        """target (B, T) → the vectors (B, T, C) that scores are made of. With a cache, which holds the memory, target
        follows the tokens in it."""
        target = checked_ids("Seq2Seq target", target, cache, self.config.max_target_len)
        T = target.shape[1]
        positions = np.arange(T) if cache is None else cache.positions(T)  # (T,), or (B, T) with padding
        x = self.dropout(self.token_embedding(target) + self.target_positions(positions))  # (B, T, C)
        mask = attention_mask(source_mask, memory.shape[:2]) if cache is None else None
        for i, block in enumerate(self.decoder_blocks):
            x = self._run(block, x, memory, mask) if cache is None else block(x, None, cache=cache.layers[i])
        return self.decoder_norm(x)

    def _run(self, block: nn.Module, *inputs, **masks) -> Tensor:
        again = self.checkpoint_activations
        return checkpoint(block, *inputs, rng=self.rng, **masks) if again else block(*inputs, **masks)

    def next_token_logits(self, target, memory, source_mask=None, cache: nn.DecoderCache | None = None) -> Tensor:
        """Scores (B, V) of the token after the last one only: what generation needs."""
        return F.linear(self.decode(target, memory, source_mask, cache)[:, -1], self.token_embedding.weight)

    def new_cache(self, memory: Tensor, source_mask=None) -> nn.DecoderCache:
        """For texts that are written from memory (B, S, C): its keys and values in each block are made here, once."""
        mask = attention_mask(source_mask, memory.shape[:2])
        with no_grad():
            looked_at = [block.cross_attention.keys_and_values(memory) for block in self.decoder_blocks]
        return nn.DecoderCache([nn.SourceCache(*each, mask) for each in looked_at], self.config.max_target_len)


def attention_mask(source_mask, shape: tuple[int, ...]) -> np.ndarray | None:
    """(B, S) → (B, 1, 1, S) for attention, None where all places hold tokens. Raises ValueError for another shape."""
    if source_mask is None:
        return None
    mask = source_mask.data if isinstance(source_mask, Tensor) else np.asarray(source_mask)
    if mask.shape != tuple(shape):
        raise ValueError(f"Seq2Seq: source_mask must have the shape of source, {tuple(shape)}, got {mask.shape}.")
    return None if mask.all() else mask.astype(bool)[:, None, None, :]
