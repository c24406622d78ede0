"""Translate by an encoder-decoder, or summarise: read each text, and write the one that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data import pad
from ..data.pair_batches import encode_source, frame_id
from ..generate import Given, beam_search, generate_with_log_probs
from ..generate.prompts import until
from ..models import Seq2Seq
from ..text import BPETokenizer, CharTokenizer

BATCH_SIZE = 64


class Translation(NamedTuple):
    text: str
    log_prob: float  # of the whole of it, its end included


def translate(
    model: Seq2Seq,
    tokenizer: BPETokenizer | CharTokenizer,
    texts: Sequence[str],
    num_beams: int = 1,
    length_penalty: float = 1.0,
    max_new_tokens: int | None = None,
) -> list[Translation]:
    """What the model makes of each text: always the likeliest token, or the best text of a search with `num_beams`.

    `length_penalty` is that of `beam_search`. A text ends after `max_new_tokens` (None: as many as the model can
    write) where the model does not end it before.

    Raises ValueError for a text that is longer than the model can read, or has characters that the tokenizer lacks.
    """
    limit = model.config.max_target_len if max_new_tokens is None else max_new_tokens
    if not 1 <= limit <= model.config.max_target_len:
        most = model.config.max_target_len
        raise ValueError(f"translate: max_new_tokens must be from 1 to the model's max_target_len {most}, not {limit}")
    if num_beams < 1:
        raise ValueError(f"translate: num_beams must be at least 1, not {num_beams}")
    rows = [encode_source(tokenizer, text) for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if len(row) > model.config.max_source_len:
            raise ValueError(
                f"translate: {text!r:.60} has {len(row)} tokens, the end included, but the model reads at most "
                f"{model.config.max_source_len}: cut it into parts"
            )
    found: list[Translation | None] = [None] * len(rows)
    order = np.argsort([len(row) for row in rows], kind="stable")  # texts of about the same length: little padding
    for start in range(0, len(order), BATCH_SIZE):
        numbers = order[start : start + BATCH_SIZE]
        given, frame = Given(model, *pad([rows[i] for i in numbers])), frame_id(tokenizer)
        prompts = np.full((len(numbers), 1), frame)
        if num_beams == 1:
            written = generate_with_log_probs(given, prompts, limit, temperature=0, stop_tokens=[frame])
        else:
            settings = {"length_penalty": length_penalty, "stop_tokens": [frame]}
            written = beam_search(given, prompts, limit, num_beams, **settings)
        for i, ids, log_prob in zip(numbers, written.sequences[:, 1:], written.sequence_log_probs, strict=True):
            found[i] = Translation(tokenizer.decode(until(ids.tolist(), [frame])), float(log_prob))
    return found
