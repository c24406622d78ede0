"""Beam search: the likeliest whole texts, as far as they can be found by keeping `num_beams` of them open at once.

Greedy choice takes the likeliest token now and may pay for it later. Here the best `num_beams` beginnings of each
prompt go on. Each is continued by every token, and the best of all these remain; those that come to their end are put
aside, and compete by

    score = Σ log-probabilities / length ^ length_penalty

since a sum only falls with each token: a penalty above 0 favours long texts, below 0 short ones. The search of a prompt
ends when no open beam can be better than the worst of `num_beams` finished ones. Step by step the search is that of
transformers, so that it finds the same texts.

Source  Graves, "Sequence transduction with recurrent neural networks" (2012); length: Wu et al. (2016), section 7
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..autograd import Tensor, no_grad
from ..functional import log_softmax
from .context import Context
from .decoding import Generated
from .prompts import Prompt, Stops, check_pad_token, check_prompt
from .sampling import RepetitionPenalty, largest_places


@dataclass(frozen=True)
class BeamSearchResult(Generated):
    """The best text of each prompt, or the best `num_return_sequences` of the first, then of the second, and so on."""

    sequences_scores: np.ndarray  # (B · num_return_sequences,): what the search compares texts by


class Beams(NamedTuple):
    """Some texts of each prompt, the best first. A score of −∞ says: there is none in this place."""

    scores: np.ndarray  # (B, K): Σ log-probabilities, penalties included; of finished texts / length ^ length_penalty
    tokens: np.ndarray  # (B, K, max_new_tokens): the new ones
    log_probs: np.ndarray  # (B, K, max_new_tokens): the model's own
    lengths: np.ndarray  # (B, K): how many new tokens there are

    def choose(self, places: np.ndarray) -> Beams:
        """places (B, K') of the K beams of each prompt."""
        prompts = np.arange(len(places))[:, None]
        return Beams(*(field[prompts, places] for field in self))


def no_beams(B: int, K: int, max_new_tokens: int, dtype) -> Beams:
    shape = (B, K, max_new_tokens)
    scores = np.full((B, K), -np.inf, dtype)
    return Beams(scores, np.zeros(shape, np.int64), np.zeros(shape, dtype), np.zeros((B, K), np.int64))


def best_places(scores: np.ndarray, k: int) -> np.ndarray:
    """Where the k largest of each row (B, n) are, the largest first; of equal ones the first: (B, k)."""
    places = [largest_places(row, k) for row in scores]
    ranked = [each[np.argsort(-row[each], kind="stable")] for row, each in zip(scores, places, strict=True)]
    return np.stack([each[:k] for each in ranked])


def beam_search(
    model,
    ids: np.ndarray | list,
    max_new_tokens: int,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    num_return_sequences: int = 1,
    repetition_penalty: float = 1.0,
    stop_tokens: Collection[int] = (),
    stop_sequences: Collection[Sequence[int]] = (),
    attention_mask: np.ndarray | list | None = None,
    pad_token_id: int | None = None,
) -> BeamSearchResult:
    """The likeliest continuations of a prompt (T,), or of prompts (B, T), that are found with `num_beams` open texts.

    early_stopping: True ends a prompt's search as soon as `num_beams` texts are finished, False when the best open one
    could not win any more if it ended now, "never" when it could not at any length up to max_new_tokens.
    The other arguments are those of `generate_tokens`. Sequences are (T + n,) for one prompt (T,) and one text of it,
    else (B · num_return_sequences, T + n).

    Raises ValueError, TypeError or IndexError for settings or prompts that make no sense.
    """
    prompt, stops = check_prompt(model, ids, attention_mask), Stops(stop_tokens, stop_sequences)
    check_pad_token(model, pad_token_id)
    check_beams(model, max_new_tokens, num_beams, num_return_sequences, early_stopping)
    if not np.isfinite(length_penalty):
        raise ValueError(f"beam_search: length_penalty must be a number, not {length_penalty}.")
    context = Context(model, prompt.ids, prompt.padding)
    penalty = RepetitionPenalty(repetition_penalty, prompt.ids, prompt.padding, model.config.vocab_size)
    found = _search(context, penalty, stops, max_new_tokens, num_beams, length_penalty, early_stopping)
    return _result(prompt, found.choose(best_places(found.scores, num_return_sequences)), pad_token_id)


def check_beams(
    model, max_new_tokens: int, num_beams: int, num_return_sequences: int, early_stopping: bool | str
) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"beam_search: max_new_tokens must be at least 1, not {max_new_tokens}.")
    vocab_size = model.config.vocab_size
    if not 1 <= num_beams <= vocab_size:
        raise ValueError(f"beam_search: num_beams must be from 1 to the vocabulary's {vocab_size}, not {num_beams}.")
    if not 1 <= num_return_sequences <= num_beams:
        raise ValueError(
            f"beam_search: num_return_sequences must be from 1 to num_beams = {num_beams}, not {num_return_sequences}."
        )
    if not isinstance(early_stopping, bool) and early_stopping != "never":
        raise ValueError(f'beam_search: early_stopping must be True, False or "never", not {early_stopping!r}.')


def _search(
    context: Context,
    penalty: RepetitionPenalty,
    stops: Stops,
    max_new_tokens: int,
    num_beams: int,
    length_penalty: float,
    early_stopping: bool | str,
) -> Beams:
    """The finished beams of each prompt, (B, num_beams)."""
    log_probs = _log_probs(context)  # (B, V), one text of each prompt so far
    B, dtype = len(log_probs), log_probs.dtype
    beam_of_prompt = np.repeat(np.arange(B), num_beams)
    context.select(beam_of_prompt)
    penalty.select(beam_of_prompt)
    log_probs = log_probs[beam_of_prompt]
    running, finished = (no_beams(B, num_beams, max_new_tokens, dtype) for _ in range(2))
    running.scores[:, 0] = 0  # the prompt itself: only one of the equal beams counts
    searching = np.ones((B, 1), bool)
    n_candidates = max(2, 1 + len(stops)) * num_beams  # so many that num_beams are left if all others end
    for length in range(1, max_new_tokens + 1):
        candidates, parents = _continue(running, log_probs, penalty(log_probs), n_candidates, length)
        ended = stops.at_end(candidates.tokens[:, :, :length]) | (length == max_new_tokens)
        finished = _update_finished(finished, candidates, ended & searching, length**length_penalty)

        open_scores = np.where(ended, -np.inf, candidates.scores)
        places = best_places(open_scores, num_beams)
        running = candidates._replace(scores=open_scores).choose(places)
        searching &= _can_improve(running, finished, length, max_new_tokens, length_penalty, early_stopping)
        if not searching.any() or length == max_new_tokens:
            break
        rows = (np.take_along_axis(parents, places, axis=1) + num_beams * np.arange(B)[:, None]).reshape(-1)
        tokens = running.tokens[:, :, length - 1].reshape(-1)
        context.select(rows)
        context.append(tokens)
        penalty.select(rows)
        penalty.add(tokens)
        log_probs = _log_probs(context)
    return finished


def _log_probs(context: Context) -> np.ndarray:
    with no_grad():
        log_probs = log_softmax(Tensor._from_array(context.logits())).data  # (texts, V)
    if np.isnan(log_probs[:, 0]).any():  # log softmax spreads a NaN over its row
        raise ValueError("beam_search: the model's scores hold NaN: its weights are broken.")
    return log_probs


def _continue(
    running: Beams, log_probs: np.ndarray, penalised: np.ndarray, n_candidates: int, length: int
) -> tuple[Beams, np.ndarray]:
    """The best continuations of each prompt's beams by one token, and which beam each comes from (B, n_candidates)."""
    B, K = running.scores.shape
    V = log_probs.shape[-1]
    scores = (penalised.reshape(B, K, V) + running.scores[:, :, None]).reshape(B, K * V)
    best = best_places(scores, min(n_candidates, K * V))
    parents, tokens = np.divmod(best, V)
    candidates = running.choose(parents)._replace(scores=np.take_along_axis(scores, best, axis=1))
    candidates.tokens[:, :, length - 1] = tokens
    candidates.log_probs[:, :, length - 1] = np.take_along_axis(log_probs.reshape(B, K * V), best, axis=1)
    candidates.lengths[:] = length
    return candidates, parents


def _update_finished(finished: Beams, candidates: Beams, ended: np.ndarray, divisor: float) -> Beams:
    """The best of those that were finished and those that have ended now, if they are among the best num_beams."""
    num_beams = finished.scores.shape[1]
    among_best = np.arange(ended.shape[1]) < num_beams
    scores = np.where(ended & among_best, candidates.scores / divisor, -np.inf).astype(finished.scores.dtype)
    both = zip(finished, candidates._replace(scores=scores), strict=True)
    all_finished = Beams(*(np.concatenate(fields, axis=1) for fields in both))
    return all_finished.choose(best_places(all_finished.scores, num_beams))


def _can_improve(
    running: Beams, finished: Beams, length: int, max_new_tokens: int, length_penalty: float, early_stopping: bool | str
) -> np.ndarray:
    """Whether a prompt's best open beam may still become better than its worst finished one: (B, 1)."""
    full = (finished.scores > -np.inf).all(axis=1, keepdims=True)
    if early_stopping is True:
        return ~full
    best_length = max_new_tokens if early_stopping == "never" and length_penalty > 0 else length
    best_possible = running.scores[:, :1] / best_length**length_penalty
    return ~full | (best_possible > finished.scores.min(axis=1, keepdims=True))


def _result(prompt: Prompt, beams: Beams, pad_token_id: int | None) -> BeamSearchResult:
    B, K, _ = beams.tokens.shape
    lengths = beams.lengths.reshape(B * K, 1)
    n = int(lengths.max())
    tokens = beams.tokens.reshape(B * K, -1)[:, :n]
    log_probs = beams.log_probs.reshape(B * K, -1)[:, :n]
    after_end = np.arange(n) >= lengths
    fill = np.take_along_axis(tokens, np.maximum(lengths - 1, 0), axis=1) if pad_token_id is None else pad_token_id
    given = np.repeat(prompt.given.reshape(B, -1), K, axis=0)
    sequences = np.concatenate([given, np.where(after_end, fill, tokens)], axis=1)
    found = (sequences, np.where(after_end, 0, log_probs), beams.scores.reshape(B * K))
    return BeamSearchResult(*(field[0] if prompt.given.ndim == 1 and K == 1 else field for field in found))
