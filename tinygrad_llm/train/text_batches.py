"""Texts of different lengths as batches: tokens, padding, masks, with little of it padding.

encode   "It rains." → [CLS] it rains . [SEP]                BERT; with a pair: [CLS] a [SEP] b [SEP], segments 0 … 1
                     → It rains. <|endoftext|>               GPT, Llama: the end is where they have seen it all
batch    rows of about the same length, filled up to the longest
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..data import pad
from ..data.batches import shuffled_by_length
from ..text import BPETokenizer, CharTokenizer, WordPieceTokenizer

Tokenizer = BPETokenizer | CharTokenizer | WordPieceTokenizer
EVALUATION_BATCH = 64
CHUNK_BATCHES = 32  # rows are sorted by length within so many batches: random enough, and little padding


class EncodedText(NamedTuple):
    """One row, before it is padded."""

    ids: list[int]
    segments: list[int]  # 0 in the first text, 1 in the second

    @property
    def length(self) -> int:
        return len(self.ids)


class TextBatch(NamedTuple):
    """What the heads of models/heads.py take, and its targets."""

    ids: np.ndarray  # (B, T)
    attention_mask: np.ndarray  # (B, T), True for tokens
    segments: np.ndarray  # (B, T)
    targets: np.ndarray  # (B, …)


def encode_text(tokenizer: Tokenizer, text: str, pair: str | None, max_seq_len: int) -> EncodedText:
    """A text or two as one row of at most `max_seq_len` tokens; of two, the longer one is cut first.

    Raises ValueError where so few tokens have no room for a frame and one token of each text.
    """
    is_wordpiece = isinstance(tokenizer, WordPieceTokenizer)
    options = {"add_special_tokens": False} if is_wordpiece else {}
    parts = [list(tokenizer.encode(each, **options)) for each in (text, pair) if each is not None]
    before = [tokenizer.cls_id] if is_wordpiece else []
    after = [tokenizer.eos_id] if tokenizer.eos_id is not None else []
    room = max_seq_len - len(before) - len(after) * len(parts)
    if room < len(parts):
        raise ValueError(f"max_seq_len {max_seq_len} has no room for {len(parts)} texts and their frame: raise it")
    parts = cut_to(parts, room)
    ids, segments = list(before), [0] * len(before)
    for number, part in enumerate(parts):
        ids += part + after
        segments += [number] * (len(part) + len(after))
    return EncodedText(ids, segments) if ids else EncodedText([0], [0])  # an empty text still has to have a vector


def cut_to(parts: list[list[int]], room: int) -> list[list[int]]:
    """The parts, with tokens taken from the end of the longest one until all fit.

    >>> cut_to([[1, 2, 3, 4, 5], [6, 7]], room=4)
    [[1, 2], [6, 7]]
    """
    lengths = [len(part) for part in parts]
    while sum(lengths) > room:
        lengths[lengths.index(max(lengths))] -= 1
    return [part[:length] for part, length in zip(parts, lengths, strict=True)]


def collate(rows: Sequence[EncodedText], targets: Sequence) -> TextBatch:
    """Rows of different lengths as one batch; padding is id 0, at the end of a row."""
    ids, mask = pad([row.ids for row in rows])
    segments, _ = pad([row.segments for row in rows])
    return TextBatch(ids, mask, segments, np.asarray(targets))


def training_batches(
    rows: Sequence[EncodedText], targets: Sequence, batch_size: int, rng: np.random.Generator
) -> Iterator[TextBatch]:
    """Endless: each example once per pass, in random order, batched with others of about its length."""
    if not rows:
        raise ValueError("there are no examples to train on")
    targets, lengths = np.asarray(targets), np.array([row.length for row in rows])
    while True:
        for numbers in shuffled_by_length(lengths, batch_size, CHUNK_BATCHES, rng):
            yield collate([rows[i] for i in numbers], targets[numbers])


def ordered_batches(
    rows: Sequence[EncodedText], batch_size: int = EVALUATION_BATCH
) -> Iterator[tuple[np.ndarray, TextBatch]]:
    """For evaluation: all rows once, the longest first; yields their numbers (B,), and the batch without targets."""
    order = np.argsort([-row.length for row in rows], kind="stable")
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        yield numbers, collate([rows[i] for i in numbers], np.zeros(len(numbers)))


def padding_share(batches: Sequence[TextBatch]) -> float:
    """The part of all places in the batches that is padding."""
    places = sum(batch.ids.size for batch in batches)
    return 1 - sum(int(batch.attention_mask.sum()) for batch in batches) / places
