"""Conversations as batches, several in one row: little padding, and none of them sees another.

    row    <|im_start|>user … <|im_end|>⏎ | <|im_start|>user … <|im_end|>⏎ | <|im_start|> … | padding
    documents        0 0 0 0 0 0              1 1 1 1 1 1                      2 2 2        −1 −1

A batch of padded single conversations would waste most of its places, since some are ten times as long as others. The
models hide the documents from each other and begin their positions anew (`documents` of GPT and Llama), so that a
packed row has the loss and the gradients of its conversations alone (Krell and others 2021, "Efficient Sequence Packing
without Cross-contamination").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..text import EncodedChat

IGNORED = -100  # a target that does not count
PADDING = -1  # the number of no document
POOL = 1024  # conversations that are packed together: enough for short ones to fill what long ones leave


class PackedBatch(NamedTuple):
    """What `GPT.loss` and `Llama.loss` take, each (B, T)."""

    ids: np.ndarray
    targets: np.ndarray
    documents: np.ndarray


def pack(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Which items go into each row: the longest first, each into the fullest row that has room (best fit).

    >>> pack([3, 9, 5, 2], row_length=10)
    [[1], [2, 0, 3]]

    Raises ValueError for an item that is longer than a row.
    """
    rows: list[list[int]] = []
    by_room: dict[int, list[int]] = {}  # rows that have so many places left
    for item in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        length = lengths[item]
        if length > row_length:
            raise ValueError(f"item {item} has {length} tokens, more than the {row_length} of a row")
        room = next((room for room in range(length, row_length) if by_room.get(room)), row_length)
        if room == row_length:
            rows.append([])
            by_room.setdefault(room, []).append(len(rows) - 1)
        row = by_room[room].pop()
        rows[row].append(item)
        by_room.setdefault(room - length, []).append(row)
    return rows


def packed_batch(rows: Sequence[Sequence[EncodedChat]], row_length: int) -> PackedBatch:
    """Rows of conversations as arrays (B, row_length). A conversation of n tokens has n − 1 inputs and targets."""
    shape = (len(rows), row_length)
    ids, targets, documents = np.zeros(shape, np.int64), np.full(shape, IGNORED), np.full(shape, PADDING)
    for row, chats in enumerate(rows):
        start = 0
        for number, chat in enumerate(chats):
            end = start + len(chat.ids) - 1
            ids[row, start:end] = chat.ids[:-1]
            targets[row, start:end] = np.where(chat.loss_mask[1:], chat.ids[1:], IGNORED)
            documents[row, start:end] = number
            start = end
    return PackedBatch(ids, targets, documents)


def packed_batches(
    chats: Sequence[EncodedChat], batch_size: int, row_length: int, rng: np.random.Generator
) -> Iterator[PackedBatch]:
    """Endless: each conversation once per pass, in random order, `batch_size` rows at a time.

    Raises ValueError where there is none, and for one that is longer than a row.
    """
    if not chats:
        raise ValueError("there are no conversations to train on")
    while True:
        order, rows = rng.permutation(len(chats)), []
        for start in range(0, len(order), POOL):
            rows += packed_rows([chats[i] for i in order[start : start + POOL]], row_length)
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), batch_size):
            yield packed_batch([rows[i] for i in order[start : start + batch_size]], row_length)


def packed_rows(chats: Sequence[EncodedChat], row_length: int) -> list[list[EncodedChat]]:
    return [[chats[i] for i in row] for row in pack([len(chat.ids) - 1 for chat in chats], row_length)]


def padding_share(batches: Sequence[PackedBatch]) -> float:
    """The part of all places in the batches that is padding."""
    return float(np.mean(np.concatenate([batch.documents.reshape(-1) for batch in batches]) == PADDING))
