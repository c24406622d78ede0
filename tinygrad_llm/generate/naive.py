"""`generate_naive`: no cache, no batch, no padding. Each whole text through the model, by itself, for each new token.

It takes time in proportion to the square of the text's length where `generate` takes time in proportion to the length.
"""

from __future__ import annotations

import numpy as np

from .context import next_token_logits, window_start
from .prompts import check_request
from .sampling import Generators, RepetitionPenalty, next_token_probabilities, sample


def generate_naive(
    model,
    ids: np.ndarray | list,
    max_new_tokens: int,
    *,
    attention_mask: np.ndarray | list | None = None,
    rng: Generators | None = None,
    **settings,
) -> np.ndarray:
    """As `generate`, whose oracle it is."""
    prompt, config, stops, rng = check_request(model, ids, max_new_tokens, attention_mask, rng, **settings)
    texts = [row[start:].tolist() for row, start in zip(prompt.ids, prompt.padding, strict=True)]
    vocab_size = model.config.vocab_size
    penalties = [RepetitionPenalty(config.repetition_penalty, np.array([text]), [0], vocab_size) for text in texts]
    filter_settings = (config.temperature, config.top_k, config.top_p, config.min_p)
    new = np.empty((len(texts), 0), np.int64)
    stopped = np.zeros(len(texts), bool)
    for _ in range(max_new_tokens):
        probabilities = []
        for text, penalty in zip(texts, penalties, strict=True):
            seen = text[window_start(len(text), model.config.max_seq_len) :]
            logits = next_token_logits(model, np.array([seen]), cache=None)
            probabilities.append(next_token_probabilities(penalty(logits), *filter_settings)[0])
        tokens = sample(np.stack(probabilities), rng)
        if stopped.any():
            tokens = np.where(stopped, new[:, -1] if config.pad_token_id is None else config.pad_token_id, tokens)
        for text, penalty, token in zip(texts, penalties, tokens, strict=True):
            text.append(int(token))
            penalty.add(np.array([token]))
        new = np.concatenate([new, tokens[:, None]], axis=1)
        stopped |= stops.at_end(new)
        if stopped.all():
            break
    new = new if prompt.given.ndim == 2 else new[0]
    return np.concatenate([prompt.given, new], axis=-1)
