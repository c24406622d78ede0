"""`generate`: tokens drawn one after the other, each from what the model holds likely after all those before it.

A KV cache makes each step run one token through the model; `generate_naive` runs all of them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..autograd import Tensor, no_grad
from ..functional import log_softmax
from .context import Context
from .prompts import Prompt, Stops, check_request
from .sampling import GenerationConfig, Generators, RepetitionPenalty, next_tokens


class Step(NamedTuple):
    tokens: np.ndarray  # (B,): the new ones
    logits: np.ndarray  # (B, V): the model's scores, before any penalty
    writing: np.ndarray  # (B,): False for texts that had ended before, whose token only fills


@dataclass(frozen=True)
class Generated:
    """Texts, and how likely the model held them. For one prompt (T,) the first dim is missing."""

    sequences: np.ndarray  # (B, T + n): prompt and new tokens
    log_probs: np.ndarray  # (B, n): log-probability of each new token, 0 after a text's end

    @property
    def sequence_log_probs(self) -> np.ndarray:
        """(B,): log-probability of all new tokens of each text together."""
        return self.log_probs.sum(axis=-1)


def generate(model, ids: np.ndarray | list, max_new_tokens: int, **settings) -> np.ndarray:
    """The prompt and what the model makes of it: (T,) -> (T + n,), or (B, T) -> (B, T + n).

    Settings are those of `generate_tokens`. n is `max_new_tokens`, or less if every text came to its end. Dropout is
    off whatever mode the model is in.
    """
    prompt, steps = _start(model, ids, max_new_tokens, **settings)
    return _sequences(prompt, [step.tokens for step in steps])


def generate_tokens(
    model,
    ids: np.ndarray | list,
    max_new_tokens: int,
    *,
    attention_mask: np.ndarray | list | None = None,
    rng: Generators | None = None,
    **settings,
) -> Iterator[np.ndarray]:
    """Yield each new token as it is made: an int for a prompt (T,), an array (B,) for prompts (B, T).

    It ends after `max_new_tokens`, or when every text has come to a stop token or stop sequence, which is yielded
    too. `attention_mask` (B, T) has 0 where prompts are padded on the left (see `left_pad`); each is continued as it
    would be alone, to the same random numbers if `rng` is a list of one generator for each prompt. `rng=None` gives
    other tokens every time. The other settings are the fields of `GenerationConfig`: temperature, top_k, top_p, min_p,
    repetition_penalty, stop_tokens, stop_sequences, pad_token_id.
    Raises ValueError, TypeError or IndexError at once for settings or prompts that make no sense.
    """
    prompt, steps = _start(model, ids, max_new_tokens, attention_mask, rng, **settings)
    return (step.tokens if prompt.given.ndim == 2 else int(step.tokens[0]) for step in steps)


def generate_with_log_probs(model, ids: np.ndarray | list, max_new_tokens: int, **settings) -> Generated:
    """As `generate`, with the log-probability that the model gave each new token.

    That is the model's own, log softmax of its scores: what temperature, filters and penalty make of it is left out,
    so that texts drawn with different settings can be compared.
    """
    prompt, steps = _start(model, ids, max_new_tokens, **settings)
    tokens, log_probs = [], [np.empty((len(prompt.ids), 0), np.float32)]
    for step in steps:
        with no_grad():
            of_all = log_softmax(Tensor._from_array(step.logits)).data  # (B, V)
        of_chosen = np.take_along_axis(of_all, step.tokens[:, None], axis=1)  # (B, 1)
        log_probs.append(np.where(step.writing[:, None], of_chosen, 0))
        tokens.append(step.tokens)
    log_probs = np.concatenate(log_probs, axis=1)
    return Generated(_sequences(prompt, tokens), log_probs if prompt.given.ndim == 2 else log_probs[0])


def _sequences(prompt: Prompt, tokens: list[np.ndarray]) -> np.ndarray:
    new = np.stack(tokens, axis=1) if tokens else np.empty((len(prompt.ids), 0), np.int64)
    return np.concatenate([prompt.given, new if prompt.given.ndim == 2 else new[0]], axis=-1)


def _start(
    model, ids, max_new_tokens: int, attention_mask=None, rng: Generators | None = None, **settings
) -> tuple[Prompt, Iterator[Step]]:
    """Checks all at once; the model runs when the first step is asked for."""
    prompt, config, stops, rng = check_request(model, ids, max_new_tokens, attention_mask, rng, **settings)
    return prompt, _steps(model, prompt, max_new_tokens, config, stops, rng)


def _steps(model, prompt: Prompt, max_new_tokens: int, config: GenerationConfig, stops: Stops, rng) -> Iterator[Step]:
    context = Context(model, prompt.ids, prompt.padding)
    penalty = RepetitionPenalty(config.repetition_penalty, prompt.ids, prompt.padding, model.config.vocab_size)
    writing = np.ones(len(prompt.ids), bool)
    recent = np.full((len(prompt.ids), stops.longest), -1)  # the last new tokens, among which a text may end
    last = prompt.ids[:, -1]
    for _ in range(max_new_tokens):
        logits = context.logits()
        tokens = next_tokens(penalty(logits), config, rng)
        if not writing.all():
            tokens = np.where(writing, tokens, last if config.pad_token_id is None else config.pad_token_id)
        yield Step(tokens, logits, writing)
        penalty.add(tokens)
        if stops:
            recent = np.concatenate([recent[:, 1:], tokens[:, None]], axis=1)
            writing = writing & ~stops.at_end(recent)
            if not writing.any():
                return
        context.append(tokens)
        last = tokens
