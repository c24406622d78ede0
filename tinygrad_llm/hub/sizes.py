"""Whether a model's settings can be those of the weights beside them: asked before a single array is made.

A config.json of a hundred bytes may tell of a terabyte. Each weight that a model of these settings must have stands in
its files, so the sizes there are the limit of what is made here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

SPARE_BYTES = 192 << 20  # for tables that are in no file
BYTES_PER_ANGLE = 24  # the angle, its cosine and its sine, as they are computed


def require_enough_weights(where: object, config: Any, shapes: Iterable[tuple[int, ...]]) -> None:
    """Raise ValueError where a model of this config, with any of our families' fields, has more weights than there are.

    `where` is what the message begins with: the file of the settings.
    """
    there_are = sum(math.prod(shape) for shape in shapes)
    d_model, n_layers = config.d_model, config.n_layers
    d_ff = getattr(config, "d_ff", 4 * d_model)
    needed = d_model * (config.vocab_size + n_layers * (2 * d_model + 2 * d_ff))
    learned = getattr(config, "n_kv_heads", None) is None  # positions; a Llama turns by angles instead
    longest = getattr(config, "max_seq_len", 0)
    if learned:
        needed += d_model * (longest + getattr(config, "n_segments", 0))
    if needed > there_are:
        raise ValueError(
            f"{where} tells of a model of {needed:,} weights or more, but there are {there_are:,}: they are of two "
            "different models, get both again"
        )
    tables = 0 if learned else BYTES_PER_ANGLE * longest * (d_model // config.n_heads) // 2
    if tables > SPARE_BYTES + 2 * there_are:
        raise ValueError(
            f"{where} tells of texts of {longest:,} tokens, whose angles take {tables:,} bytes, far more than the "
            f"{there_are:,} weights: set max_position_embeddings to the longest text that you need"
        )
