"""`look`: what a model sees while it writes: which tokens it holds likely, where each head looks, and what each block
would have said.

    seen = look(model, tokenizer.encode("The capital of France is"), n_new=5)
    seen.lens.tokens[-1, 4]     # ids that may follow the fifth token, the likeliest first
    seen.attention[11, 3]       # (T, T): where head 3 of block 11 looks

The logit lens reads the model's final norm and head into what runs through the model after each block: the answer as
far as it is known there (nostalgebraist, "interpreting GPT: the logit lens", 2020). Blocks write for the ones that
follow, not for the head, so early rows may say little though much is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..generate import generate
from ..generate.context import evaluating
from ..models import BERT, GPT, Llama
from .attention_maps import embedded, through_blocks

MOST_TOKENS = 128  # the maps of a 30-block model with 9 heads take 18 MB then


@dataclass(frozen=True)
class LogitLens:
    """Row 0 is of what the first block gets, row i + 1 of what block i gives; the last row is the model's own answer.

    In column t stand guesses at the token after position t; of a BERT, at the token in it.
    """

    tokens: np.ndarray  # (L + 1, T, k): the likeliest, in order
    probabilities: np.ndarray  # (L + 1, T, k)
    entropy: np.ndarray  # (L + 1, T): in nats; 0 where one token is certain, log V where all are as likely
    divergence: np.ndarray  # (L + 1, T): KL(last row ‖ this row), in nats: how far it is from the model's answer

    def settled(self) -> np.ndarray:
        """(T,): the first row from which on the likeliest token is the one of the last row."""
        differs = self.tokens[..., 0] != self.tokens[-1, :, 0]  # (L + 1, T)
        from_end = np.logical_or.accumulate(differs[::-1], axis=0)  # whether one of the rows from here on differs
        return from_end.sum(axis=0)


@dataclass(frozen=True)
class Look:
    """What `look` saw of T tokens in L blocks of H heads."""

    ids: np.ndarray  # (T,): the prompt, and what the model wrote
    n_prompt: int
    attention: np.ndarray  # (L, H, T, T): row = the token that looks, column = where
    lens: LogitLens
    shift: int  # position t − shift is asked for token t: 1, and 0 in a BERT
    probabilities: np.ndarray  # (T,): what the model gave the token that came; NaN where it was not asked
    ranks: np.ndarray  # (T,): 1 where that was the likeliest; 0 where it was not asked

    def candidates(self, t: int) -> list[tuple[int, float]]:
        """The likeliest tokens for place t, with their probabilities; t = T is the place after the text.

        Empty where the model was not asked: nothing stands before the first token. Raises IndexError for places
        outside the text.
        """
        last = len(self.ids) - 1 + self.shift
        if not 0 <= t <= last:
            raise IndexError(f"place {t} is outside the text: give one from 0 to {last}")
        if t < self.shift:
            return []
        row = t - self.shift
        return list(zip(self.lens.tokens[-1, row].tolist(), self.lens.probabilities[-1, row].tolist(), strict=True))


def look(
    model: GPT | Llama | BERT,
    ids: Sequence[int] | np.ndarray,
    n_new: int = 20,
    top: int = 8,
    stop_sequences: Sequence[Sequence[int]] = (),
    mask_id: int | None = None,
) -> Look:
    """Let the model write up to `n_new` tokens after ids (T,), always the likeliest, and look at all of them.

    It ends with a stop sequence. `top` is k, how many guesses are kept for each place. A BERT writes nothing, n_new
    must be 0; it sees the token at which it guesses, unless that is [MASK], whose id is `mask_id`: what is behind it
    is not known, so there it is not asked for a token.
    Raises ValueError for other models and a BERT without a masked-LM head, for no tokens or more than MOST_TOKENS or
    than the model reads, and for impossible settings; IndexError for ids outside the vocabulary.
    """
    ids = _checked(model, ids, n_new, top)
    n_prompt = len(ids)
    if n_new:
        ids = generate(model, ids, n_new, temperature=0.0, stop_sequences=stop_sequences)
    with evaluating(model):
        streams = [embedded(model, ids)]  # L + 1 of (1, T, C)
        attention = []
        for weights, x in through_blocks(model, streams[0]):
            attention.append(weights)
            streams.append(x)
        last = _log_probabilities(model, streams[-1])  # (T, V)
        lens = _lens(model, streams, last, min(top, model.config.vocab_size))
    shift = 0 if isinstance(model, BERT) else 1
    probabilities, ranks = np.full(len(ids), np.nan), np.zeros(len(ids), np.int64)
    asked = last[: len(ids) - shift]
    of_came = np.take_along_axis(asked, ids[shift:, None], axis=1)  # (T − shift, 1)
    probabilities[shift:] = np.exp(of_came[:, 0])
    ranks[shift:] = 1 + (asked > of_came).sum(axis=1)
    if mask_id is not None:
        probabilities[ids == mask_id], ranks[ids == mask_id] = np.nan, 0
    return Look(ids, n_prompt, np.stack(attention), lens, shift, probabilities, ranks)


def _checked(model, ids: Sequence[int] | np.ndarray, n_new: int, top: int) -> np.ndarray:
    if not isinstance(model, (GPT, Llama, BERT)):
        raise ValueError(f"look: give a GPT, a Llama or a BERT, not a {type(model).__name__}")
    if isinstance(model, BERT) and model.masked_lm_head is None:
        raise ValueError("look: this BERT has no masked-LM head, so it guesses at no tokens: give one that has")
    if n_new < 0 or (n_new and isinstance(model, BERT)):
        wanted = "0: a BERT does not write" if isinstance(model, BERT) else "at least 0"
        raise ValueError(f"look: the number of new tokens must be {wanted}, not {n_new}")
    if top < 1:
        raise ValueError(f"look: top must be at least 1 guess for each place, not {top}")
    ids = np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids):
        raise ValueError("look: ids must be the numbers of at least one token, in one dim")
    most = min(MOST_TOKENS, model.config.max_seq_len)
    if len(ids) + n_new > most:
        new = f" and {n_new} new ones" if n_new else ""
        less = " or write fewer" if n_new else ""
        raise ValueError(f"look: {len(ids)} tokens{new} are more than {most}, the most: shorten the text{less}")
    return ids.astype(np.int64)


def _log_probabilities(model: GPT | Llama | BERT, x: Tensor) -> np.ndarray:
    """(T, V): what the model's end makes of x (1, T, C), which a block gave."""
    # a BERT's blocks end with a norm
    scores = model.masked_lm_logits(x) if isinstance(model, BERT) else model.scores(model.norm(x))
    return F.log_softmax(scores, dim=-1).data[0]


def _lens(model: GPT | Llama | BERT, streams: list[Tensor], last: np.ndarray, top: int) -> LogitLens:
    """`last` (T, V) are the log-probabilities of the last of the streams. The others' are held one at a time."""
    certain = np.exp(last)
    rows = []
    for x in streams:
        log_p = last if x is streams[-1] else _log_probabilities(model, x)
        p = certain if x is streams[-1] else np.exp(log_p)
        tokens = np.argpartition(-log_p, top - 1, axis=1)[:, :top]
        of_tokens = np.take_along_axis(log_p, tokens, axis=1)
        order = np.lexsort((tokens, -of_tokens))
        tokens = np.take_along_axis(tokens, order, axis=1)
        entropy = 0.0 - (p * log_p).sum(axis=1)  # and not −0.0
        divergence = np.maximum((certain * (last - log_p)).sum(axis=1), 0)  # below 0 by rounding only
        rows.append((tokens, np.take_along_axis(p, tokens, axis=1), entropy, divergence))
    return LogitLens(*(np.stack(each) for each in zip(*rows, strict=True)))
