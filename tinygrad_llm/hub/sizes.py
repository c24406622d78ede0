"""Whether a model's settings can be those of the weights beside them: asked before a single array is made.

A config.json of a hundred bytes may tell of a terabyte. Each weight that a model of these settings must have stands in
its files, so the sizes there are the limit of what is made here.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..json_text import shortened
from .names import Entry
from .weights import listed

SPARE_BYTES = 192 << 20  # for tables that are in no file
BYTES_PER_ANGLE = 24  # the angle, its cosine and its sine, as they are computed


@contextmanager
def refused_settings(path: Path) -> Iterator[None]:
    """Let what a model of impossible settings raises be a ValueError with the name of the file of the settings."""
    try:
        yield
    except MemoryError:
        raise ValueError(f"{path} describes a model that is larger than this machine's memory") from None
    except (TypeError, ValueError) as error:
        raise ValueError(shortened(error, 1000) if str(path) in str(error) else f"{path}: {shortened(error)}") from None


def require_fit(
    where: str, table: Iterable[Entry], shapes: Mapping[str, tuple[int, ...]], second: Container = ()
) -> None:
    """Raise ValueError, beginning with `where`, which lists weights of the table that are missing from `shapes` or have
    others, and those there that are neither in the table nor among the `second` names of some."""
    wanted = {name: entry.shape for entry in table for name in entry.theirs}
    problems = {
        "missing": [name for name in wanted if name not in shapes],
        "unexpected": [name for name in shapes if name not in wanted and name not in second],
        "wrong shape": [
            f"{name} {shapes[name]} instead of {shape}"
            for name, shape in wanted.items()
            if name in shapes and shapes[name] != shape
        ],
    }
    found = [f"{what}: {listed(names)}" for what, names in problems.items() if names]
    if found:
        raise ValueError(f"{where}; {'; '.join(found)}")


def require_enough_weights(where: object, config: Any, shapes: Iterable[tuple[int, ...]]) -> None:
    """Raise ValueError where a model of this config, with any of our families' fields, has more weights than there are.

    `where` is what the message begins with: the file of the settings.
    """
    shapes = list(shapes)
    there_are = sum(math.prod(shape) for shape in shapes)
    if config.n_layers > len(shapes):
        raise ValueError(f"{where} tells of {config.n_layers:,} layers, which is more than there are weights")
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
