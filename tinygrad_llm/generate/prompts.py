"""What a text begins with and where it ends, checked before the model runs.

A batch is one array, so shorter prompts are filled up, on the left: the last token of each is then in the last column,
and the next tokens of all are in the same column too. An attention mask says what is a token (1) and what is not (0).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from ..autograd import Tensor
from .sampling import GenerationConfig, Generators, check_rng


def left_pad(prompts: Sequence[Sequence[int]], pad_token_id: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Prompts of different lengths as ids (B, T) and attention_mask (B, T), T the longest prompt's length.

    >>> left_pad([[5, 6, 7], [8]])
    (array([[5, 6, 7],
           [0, 0, 8]]), array([[1, 1, 1],
           [0, 0, 1]]))
    """
    longest = max(map(len, prompts), default=0)
    ids = np.full((len(prompts), longest), pad_token_id, np.int64)
    attention_mask = np.zeros((len(prompts), longest), np.int64)
    for i, prompt in enumerate(prompts):
        if len(prompt) == 0:
            raise ValueError(f"left_pad: prompt {i} is empty; give at least one token to start from.")
        ids[i, longest - len(prompt) :] = prompt
        attention_mask[i, longest - len(prompt) :] = 1
    return ids, attention_mask


class Prompt(NamedTuple):
    given: np.ndarray  # (T,) or (B, T): what the caller gave
    ids: np.ndarray  # (B, T), 0 where there is padding
    padding: np.ndarray  # (B,): how many places at the beginning of each row are no tokens


def check_prompt(model, ids, attention_mask=None) -> Prompt:
    """Raises ValueError, TypeError or IndexError for prompts that `model` cannot read."""
    try:
        given = np.array(ids.data if isinstance(ids, Tensor) else ids)
    except ValueError:
        raise ValueError(
            "generate: prompts in a batch must have the same number of tokens; left_pad fills up shorter ones."
        ) from None
    if given.ndim not in (1, 2):
        raise ValueError(f"generate: ids must have shape (T,) or (B, T), got {given.shape}.")
    if given.size == 0:
        raise ValueError("generate: the prompt is empty; give at least one token to start from.")
    if given.dtype.kind not in "iu":
        raise TypeError(f"generate: ids must be integers, got {given.dtype}.")
    ids = given.astype(np.int64).reshape(-1, given.shape[-1])
    padding = np.zeros(len(ids), np.int64)
    if attention_mask is not None:
        is_token = _check_mask(attention_mask, given)
        ids, padding = np.where(is_token, ids, 0), is_token.argmax(axis=1)
    vocab_size = model.config.vocab_size
    if ids.min() < 0 or ids.max() >= vocab_size:
        wrong = ids[(ids < 0) | (ids >= vocab_size)][0]
        raise IndexError(f"generate: id {wrong} is outside the model's vocabulary of {vocab_size} tokens.")
    return Prompt(given, ids, padding)


def _check_mask(attention_mask, given: np.ndarray) -> np.ndarray:
    """True where there is a token, (B, T)."""
    mask = np.asarray(attention_mask.data if isinstance(attention_mask, Tensor) else attention_mask)
    if mask.shape != given.shape:
        raise ValueError(f"generate: attention_mask must have the shape of ids, {given.shape}, got {mask.shape}.")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError("generate: attention_mask must hold 1 for a token and 0 for padding, and nothing else.")
    is_token = mask.astype(bool).reshape(-1, mask.shape[-1])
    for i, row in enumerate(is_token):
        if not row[-1] or (np.diff(row.astype(np.int8)) < 0).any():
            raise ValueError(f"generate: attention_mask of prompt {i} must be zeros, then ones: pad on the left.")
    return is_token


class Stops:
    """What ends a text: one of some tokens, or one of some sequences of tokens."""

    def __init__(self, stop_tokens: Collection[int] = (), stop_sequences: Collection[Sequence[int]] = ()):
        try:
            sequences = [[token] for token in stop_tokens] + [list(sequence) for sequence in stop_sequences]
        except TypeError:
            raise TypeError(
                "generate: stop_tokens must be a list of ids, and stop_sequences a list of lists of ids, not "
                f"{stop_tokens!r} and {stop_sequences!r}."
            ) from None
        if not all(sequences):
            raise ValueError("generate: a stop sequence is empty; give the tokens to end at.")
        self.sequences = [np.array(sequence) for sequence in sequences]
        self.longest = max(map(len, self.sequences), default=0)

    def __len__(self) -> int:
        return len(self.sequences)

    def at_end(self, tokens: np.ndarray) -> np.ndarray:
        """Whether the new tokens (…, n) of each text end with one: (…)."""
        ended = np.zeros(tokens.shape[:-1], bool)
        for sequence in self.sequences:
            if len(sequence) <= tokens.shape[-1]:
                ended |= (tokens[..., -len(sequence) :] == sequence).all(axis=-1)
        return ended


def check_pad_token(model, pad_token_id: int | None) -> None:
    if pad_token_id is not None and not 0 <= pad_token_id < model.config.vocab_size:
        raise IndexError(
            f"generate: pad_token_id {pad_token_id} is outside the model's vocabulary of {model.config.vocab_size} "
            "tokens; leave it out to fill with a text's last token."
        )


def check_request(
    model, ids, max_new_tokens: int, attention_mask=None, rng: Generators | None = None, **settings
) -> tuple[Prompt, GenerationConfig, Stops, Generators]:
    """All that `generate_tokens` is given, checked; `settings` are the fields of `GenerationConfig`."""
    prompt, config = check_prompt(model, ids, attention_mask), GenerationConfig(**settings)
    if max_new_tokens < 0:
        raise ValueError(f"generate: max_new_tokens must be at least 0, not {max_new_tokens}.")
    check_pad_token(model, config.pad_token_id)
    stops = Stops(config.stop_tokens, config.stop_sequences)
    return prompt, config, stops, check_rng(rng, len(prompt.ids))


def until(ids: list[int], end: Sequence[int]) -> list[int]:
    """The ids before the first place where `end` stands; all where it does not.

    >>> until([4, 5, 0, 1, 0], [0, 1])
    [4, 5]
    """
    end = list(end)
    return next((ids[:i] for i in range(len(ids)) if ids[i : i + len(end)] == end), ids)
