"""Questions with their contexts as rows of tokens, and spans of tokens as answers in the text.

    [CLS] who wrote it ? [SEP] ada wrote it . [SEP]
      0                         may be the answer

A context that is too long is cut into windows that overlap by half, so that an answer is whole in one of them. Where a
window does not hold the answer, and where there is none, the answer is the row's first token (Devlin et al. 2018,
section 4.3: "no answer" is the span at [CLS]).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ..autograd import no_grad
from ..data import pad
from ..data.examples import SpanExample
from ..models.heads import SpanExtractor, best_spans, log_sum_exp
from ..text import BPETokenizer, WordPieceTokenizer
from .text_batches import EncodedText, Tokenizer, ordered_batches, training_batches

WORD = re.compile(r"\w+", re.ASCII)  # names; other scripts may write without spaces


class SpanRow(NamedTuple):
    """One window of one question's context."""

    encoded: EncodedText
    allowed: np.ndarray  # (T,), True for the tokens of the context, and for the first of all: "no answer"; or (T, 2)
    offsets: np.ndarray  # (T, 2), where each token of the context stands in it, in characters
    example: int
    target: tuple[int, int]  # first and last token of the answer


def span_rows(
    tokenizer: Tokenizer,
    examples: Sequence[SpanExample],
    max_seq_len: int,
    for_training: bool,
    by_words: bool = False,
) -> list[SpanRow]:
    """All windows of all examples; `for_training` with the place of the answer in them.

    `by_words` for questions about names: an answer starts and ends where a word does, so that `allowed` is (T, 2), one
    for either end; and the context's words that the question has too are in segment 2, not 1.

    Raises ValueError where max_seq_len leaves no room for a context.
    """
    tokens = cache(lambda text: tokens_with_offsets(tokenizer, text))  # many questions share a context
    rows = []
    for number, example in enumerate(examples):
        question, context, offsets = tokens(example.question)[0], *tokens(example.context)
        before, after = _frame(tokenizer, question[: max_seq_len // 2])
        segments, edges = _words(example, offsets) if by_words else (np.ones(len(context), int), None)
        room = max_seq_len - len(before) - len(after)
        if room < 2:
            raise ValueError(f"max_seq_len {max_seq_len} leaves no room for a context beside the question: raise it")
        for start in _window_starts(len(context), room):
            stop = min(start + room, len(context))
            ids = [*before, *context[start:stop], *after]
            encoded = EncodedText(ids, [0] * len(before) + segments[start:stop].tolist() + [1] * len(after))
            allowed = np.zeros(len(ids), bool)
            allowed[[0, *range(len(before), len(before) + stop - start)]] = True
            placed = np.zeros((len(ids), 2), int)
            placed[len(before) : len(before) + stop - start] = offsets[start:stop]
            target = _target(placed, len(before), len(before) + stop - start, example) if for_training else (0, 0)
            if by_words:
                allowed = np.stack([allowed, allowed], axis=1)  # (T, 2)
                allowed[len(before) : len(before) + stop - start] = edges[start:stop]
                allowed[target, [0, 1]] = True
            rows.append(SpanRow(encoded, allowed, placed, number, target))
    return rows


def _words(example: SpanExample, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For n tokens of the context: their segments (n,), and whether one may start and end an answer (n, 2).

    Segment 2 has the words that are in the question too: the "exact match" of Chen et al. 2017, section 3.2.
    """
    asked = set(WORD.findall(example.question.lower()))
    segment = np.ones(len(example.context) + 1, int)  # of each character
    inside = np.zeros(len(example.context) + 1, bool)
    for word in WORD.finditer(example.context):
        segment[word.start() : word.end()] += word[0].lower() in asked
        inside[word.start() + 1 : word.end()] = True  # between two characters of a word
    starts, stops = offsets.T
    return segment[starts], ~np.stack([inside[starts], inside[stops]], axis=1)


def tokens_with_offsets(tokenizer: Tokenizer, text: str) -> tuple[list[int], np.ndarray]:
    """Token ids, and for each where it starts and stops in the text, (n, 2) in characters."""
    if isinstance(tokenizer, WordPieceTokenizer):
        encoding = tokenizer.encode_with_offsets(text, add_special_tokens=False)
        return encoding.ids, np.array(encoding.offsets, int).reshape(-1, 2)
    ids = list(tokenizer.encode(text))
    if not isinstance(tokenizer, BPETokenizer):
        return ids, np.stack([np.arange(len(ids)), np.arange(len(ids)) + 1], axis=1)
    raw = np.frombuffer(text.encode("utf-8"), np.uint8)
    character = np.cumsum((raw & 0xC0) != 0x80) - 1  # of each byte: all but the first of a character begin with 10
    ends = np.cumsum([len(tokenizer.tokens[token]) for token in ids], dtype=int)
    starts = np.concatenate([[0], ends[:-1]]).astype(int)
    return ids, np.stack([character[starts], character[ends - 1] + 1], axis=1) if ids else np.zeros((0, 2), int)


def _frame(tokenizer: Tokenizer, question: list[int]) -> tuple[list[int], list[int]]:
    """What stands before and after the context."""
    end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    start = [tokenizer.cls_id] if isinstance(tokenizer, WordPieceTokenizer) else end
    return [*start, *question, *end], end


def _window_starts(n_tokens: int, room: int) -> list[int]:
    if n_tokens <= room:
        return [0]
    stride = room // 2
    return [*range(0, n_tokens - room, stride), n_tokens - room]


def _target(offsets: np.ndarray, first: int, stop: int, example: SpanExample) -> tuple[int, int]:
    """The tokens of the answer among first … stop − 1, or (0, 0) where it is not, or not all, in this window."""
    if example.start is None or stop == first:
        return 0, 0
    if example.start < offsets[first, 0] or example.end > offsets[stop - 1, 1]:
        return 0, 0
    inside = offsets[first:stop]
    touched = np.flatnonzero((inside[:, 1] > example.start) & (inside[:, 0] < example.end))
    return (first + int(touched[0]), first + int(touched[-1])) if len(touched) else (0, 0)


def span_batches(rows: Sequence[SpanRow], batch_size: int, rng: np.random.Generator) -> Iterator[tuple]:
    """Endless: (ids, attention_mask, segments, allowed, spans), as `SpanExtractor.loss` takes them."""
    for batch in training_batches([row.encoded for row in rows], np.arange(len(rows)), batch_size, rng):
        chosen = [rows[number] for number in batch.targets]
        spans = np.array([row.target for row in chosen])
        yield (batch.ids, batch.attention_mask, batch.segments, _padded_allowed(chosen), spans)


def _padded_allowed(rows: Sequence[SpanRow]) -> np.ndarray:
    """(B, T), or (B, T, 2) of rows by words."""
    if rows[0].allowed.ndim == 1:
        return pad([row.allowed for row in rows], False)[0]
    return np.stack([pad([row.allowed[:, end] for row in rows], False)[0] for end in (0, 1)], axis=-1)


def answer_texts(
    model: SpanExtractor, rows: Sequence[SpanRow], examples: Sequence[SpanExample]
) -> list[tuple[str, int, float]]:
    """For each example the best answer of all its windows: text, start in the context, probability in its window.

    The text is "" where every window prefers to have no answer.
    """
    best = [(-np.inf, "", 0, 0.0)] * len(examples)
    least_null = [(np.inf, 0.0)] * len(examples)
    encoded = [row.encoded for row in rows]
    with no_grad():
        for numbers, batch in ordered_batches(encoded):
            chosen = [rows[number] for number in numbers]
            scores = model(batch.ids, batch.attention_mask, batch.segments, _padded_allowed(chosen))
            start, end = (x.data for x in scores)
            for i, row in enumerate(chosen):
                least_null[row.example] = min(least_null[row.example], _null(start[i], end[i]))
                found = _best(start[i], end[i], row, examples[row.example].context)
                best[row.example] = max(best[row.example], found, key=lambda each: each[0])
    return [
        found[1:] if found[0] >= null[0] else ("", 0, null[1]) for found, null in zip(best, least_null, strict=True)
    ]


def _null(start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
    """Score and probability of "no answer"."""
    score = float(start[0] + end[0])
    return score, _probability(score, start, end)


def _probability(score: float, start: np.ndarray, end: np.ndarray) -> float:
    """Of a span with that score, among all pairs of a start and an end."""
    return float(np.exp(score - log_sum_exp(start) - log_sum_exp(end))[0])


def _best(start: np.ndarray, end: np.ndarray, row: SpanRow, context: str) -> tuple[float, str, int, float]:
    """Score, text, start and probability of the best answer in a window."""
    if not row.allowed[1:].any():  # the context is empty
        return -np.inf, "", 0, 0.0
    without = [np.concatenate([[-np.inf], scores[1:]])[None] for scores in (start, end)]
    ((first, last),), _ = best_spans(*without)
    score = float(start[first] + end[last])
    begin, stop = int(row.offsets[first, 0]), int(row.offsets[last, 1])
    return score, context[begin:stop], begin, _probability(score, start, end)
