"""`Given`: an encoder-decoder together with the sources it has read. So it is a model that continues texts.

    given = Given(model, source, source_mask)                       # source (B, S)
    generate(given, np.full((B, 1), frame), 20, temperature=0)      # B targets, which begin with the frame token
    beam_search(given, np.full((B, 1), frame), 20, stop_tokens=[frame])

The sources are read once, here; each new token costs one token's work in the decoder. Prompt i is written from source
i, and in a search all beams of a prompt from its source.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..autograd import Tensor
from ..models import Seq2Seq
from ..nn import DecoderCache, Module
from .context import evaluating


class Given:
    """source (B, S), and source_mask (B, S), True for tokens, if some of them are padding.

    Raises ValueError or IndexError where the model cannot read them.
    """

    def __init__(self, model: Seq2Seq, source: np.ndarray, source_mask: np.ndarray | None = None):
        self.model, self.config, self.source_mask = model, model.config, source_mask
        with evaluating(model):
            self.memory = model.encode(source, source_mask)  # (B, S, C)

    @property
    def training(self) -> bool:
        return self.model.training

    def modules(self) -> Iterator[Module]:
        return self.model.modules()

    def new_cache(self, batch_size: int) -> DecoderCache:
        """Raises ValueError where the prompts are not as many as the sources."""
        if batch_size != len(self.memory.data):
            raise ValueError(
                f"generate: {batch_size} prompts for {len(self.memory.data)} sources: give one prompt for each source."
            )
        return self.model.new_cache(self.memory, self.source_mask)

    def next_token_logits(self, ids: np.ndarray, cache: DecoderCache | None = None) -> Tensor:
        """Scores (B, V) of the token after ids (B, T); with a cache, after those in it and ids."""
        return self.model.next_token_logits(ids, self.memory, self.source_mask, cache)
