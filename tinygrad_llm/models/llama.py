"""`Llama`: the architecture of Llama 2 and 3 (Touvron et al. 2023, Grattafiori et al. 2024), and of many models since.

    ids (B, T) → token embedding → n_layers pre-norm blocks → norm → scores over the vocabulary (B, T, V)

Against `GPT`, in the same block:

    LayerNorm                     RMSNorm                       one statistic less
    learned positions, added      queries and keys turned       distance counts, not position (RoPE)
    GELU feed-forward             SwiGLU                        one projection gates another
    as many key as query heads    fewer                         a smaller cache (grouped queries)
    biases, dropout               none
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..nn import (
    Dropout,
    Embedding,
    GatedFeedForward,
    GroupedQueryAttention,
    KVCache,
    Linear,
    LinearScaling,
    Llama3Scaling,
    Module,
    ModuleList,
    PreNormBlock,
    RMSNorm,
    RotaryEmbedding,
    SiLU,
    init,
)
from ..nn.grouped_query_attention import require_groups
from ..nn.rotary import as_scaling, require_even
from .decoder import check_init_std, checked_ids, initialise, packed, run_blocks


@dataclass(frozen=True)
class LlamaConfig:
    """The shape of the model; the defaults are SmolLM2-135M. Raises ValueError for impossible values."""

    vocab_size: int = 49152  # V: how many different tokens there are
    max_seq_len: int = 8192  # T: how many tokens the model can see at once; sizes the cache and the tables of angles
    n_layers: int = 30  # blocks on top of each other
    n_heads: int = 9  # heads of queries per block; must divide d_model
    n_kv_heads: int = 3  # heads of keys and values per block; must divide n_heads
    d_model: int = 576  # C: numbers per token between the blocks
    d_ff: int = 1536  # numbers per token inside the feed-forward networks; 8/3 · C costs what GPT's 4 · C does
    rope_theta: float = 100_000.0  # the larger, the slower the slowest rotation: for longer texts
    rope_scaling: LinearScaling | Llama3Scaling | None = None  # slower rotations than the model began its training with
    rms_norm_eps: float = 1e-5  # keeps the norms from dividing by zero
    tie_weights: bool = True  # scores from the token embedding, used backwards, not from a matrix of their own
    init_std: float = 0.02  # spread of the initial weights; narrow models learn faster from a wider one

    def __post_init__(self):
        init.require_positive(
            "LlamaConfig",
            vocab_size=self.vocab_size,
            max_seq_len=self.max_seq_len,
            n_layers=self.n_layers,
            d_ff=self.d_ff,
        )
        require_groups("LlamaConfig", self.d_model, self.n_heads, self.n_kv_heads)
        require_even("LlamaConfig", self.head_dim)
        if not self.rope_theta > 0:
            raise ValueError(f"LlamaConfig: rope_theta must be above 0, not {self.rope_theta!r}.")
        if not self.rms_norm_eps > 0:
            raise ValueError(f"LlamaConfig: rms_norm_eps must be above 0, not {self.rms_norm_eps!r}.")
        check_init_std("LlamaConfig", self.init_std)
        object.__setattr__(self, "rope_scaling", as_scaling("LlamaConfig", self.rope_scaling))

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads


class Llama(Module):
    """Initial weights come from `rng`. `checkpoint_activations` is that of `GPT`: training in less memory."""

    def __init__(self, config: LlamaConfig, rng: np.random.Generator | None = None):
        c = self.config = config
        self.rng = init.generator(rng)
        self.checkpoint_activations = False
        self.token_embedding = Embedding(c.vocab_size, c.d_model, rng=self.rng)
        rotary = RotaryEmbedding(c.head_dim, c.max_seq_len, c.rope_theta, c.rope_scaling)
        self.blocks = ModuleList(self._block(rotary) for _ in range(c.n_layers))
        self.norm = RMSNorm(c.d_model, c.rms_norm_eps)
        self.head = None if c.tie_weights else Linear(c.d_model, c.vocab_size, bias=False, rng=self.rng)
        initialise(self, c.init_std, c.n_layers, self.rng)

    def _block(self, rotary: RotaryEmbedding) -> PreNormBlock:
        c = self.config
        return PreNormBlock(
            norm1=RMSNorm(c.d_model, c.rms_norm_eps),
            attention=GroupedQueryAttention(c.d_model, c.n_heads, c.n_kv_heads, rotary, self.rng),
            norm2=RMSNorm(c.d_model, c.rms_norm_eps),
            feed_forward=GatedFeedForward(c.d_model, c.d_ff, SiLU(), bias=False, rng=self.rng),
            dropout=Dropout(0.0, self.rng),
        )

    @property
    def head_weight(self) -> Tensor:
        """The matrix (V, C) that makes scores of the last vectors."""
        return self.token_embedding.weight if self.head is None else self.head.weight

    def forward(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """Scores (B, T, V) of the token after each of ids (B, T). With a cache, ids follow the tokens in it.

        Raises ValueError where the context is longer than max_seq_len, IndexError for ids outside the vocabulary.
        """
        return self.scores(self.hidden(ids, cache))

    def scores(self, hidden: Tensor) -> Tensor:
        """(…, C) -> (…, V)."""
        return self.token_embedding.as_linear(hidden) if self.head is None else self.head(hidden)

    def loss(
        self, ids: Tensor | np.ndarray, targets: Tensor | np.ndarray, documents: np.ndarray | None = None
    ) -> Tensor:
        """Mean cross-entropy, in nats, of targets (B, T) given ids (B, T); never holds the (B, T, V) scores.

        Targets of −100 do not count. For `documents` see `hidden`.
        """
        return F.linear_cross_entropy(self.hidden(ids, documents=documents), self.head_weight, targets)

    def hidden(
        self, ids: Tensor | np.ndarray, cache: KVCache | None = None, documents: np.ndarray | None = None
    ) -> Tensor:
        """The vectors (B, T, C) from which `forward` makes scores. `documents`: see `GPT`."""
        ids, packing = checked_ids("Llama", ids, cache, self.config.max_seq_len), {}
        if documents is not None:
            packing = dict(zip(("positions", "attn_mask"), packed("Llama", ids, documents), strict=True))
        return self.norm(run_blocks(self, self.token_embedding(ids), cache, **packing))  # (B, T, C)

    def next_token_logits(self, ids: Tensor | np.ndarray, cache: KVCache | None = None) -> Tensor:
        """Scores (B, V) of the token after the last one only: what generation needs."""
        return self.scores(self.hidden(ids, cache)[:, -1])

    def new_cache(self, batch_size: int) -> KVCache:
        c = self.config
        dtype = self.norm.weight.dtype
        return KVCache(c.n_layers, batch_size, c.n_kv_heads, c.max_seq_len, c.head_dim, dtype)
