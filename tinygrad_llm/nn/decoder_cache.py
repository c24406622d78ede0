"""`DecoderCache`: what a decoder keeps while it writes. The `KVCache` of its own text, and the keys and values of the
source in each layer, which are made once and stay: 2 · n_layers · C numbers more per token of the source.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..autograd import Tensor
from .kv_cache import KVCache, LayerCache, refuse_gradients


class SourceCache(NamedTuple):
    """What one layer of the decoder looks at in the source, and where it may look."""

    keys: Tensor  # (B, H, S, D)
    values: Tensor  # (B, H, S, D)
    mask: np.ndarray | None  # (B, 1, 1, S), True for tokens; None: there is no padding

    def select(self, rows: np.ndarray) -> SourceCache:
        mask = None if self.mask is None else self.mask[rows]
        return SourceCache(Tensor._from_array(self.keys.data[rows]), Tensor._from_array(self.values.data[rows]), mask)


class DecoderLayerCache(LayerCache):
    """One layer's keys and values: of the text as in `LayerCache`, and in `source` those of what it is written from."""

    def __init__(self, source: SourceCache, max_seq_len: int):
        refuse_gradients(source.keys, source.values)
        B, H, _, D = source.keys.shape
        super().__init__(B, H, max_seq_len, D, source.keys.dtype)
        self.source = source


class DecoderCache(KVCache):
    """The caches of all layers of a decoder. `reset` forgets the text and keeps the source."""

    def __init__(self, sources: list[SourceCache], max_seq_len: int):
        self.layers = [DecoderLayerCache(source, max_seq_len) for source in sources]
        self.source_rows = np.arange(len(sources[0].keys))  # which of the sources each text is written from

    def select(self, rows: np.ndarray) -> None:
        """See `KVCache.select`. Sources are copied only where a text changes to one of another source: beams of the
        same source, which change places in each step of a search, do not."""
        super().select(rows)
        if not np.array_equal(self.source_rows[rows], self.source_rows):
            for layer in self.layers:
                layer.source = layer.source.select(rows)
        self.source_rows = self.source_rows[rows]
