"""Text from a model: one token at a time, each drawn from what the model holds likely.

    logits → / temperature → top-k → top-p → probabilities → a random draw → the next token

- temperature < 1 sharpens the distribution, > 1 flattens it; 0 is greedy: always the likeliest token.
- top-k keeps the k likeliest tokens (Fan et al. 2018).
- top-p keeps the likeliest tokens until their probabilities reach p (nucleus sampling, Holtzman et al. 2020).

`generate` uses a KV cache: each step runs one token through the model. `generate_naive` runs all of them again,
the slow way that is easy to believe, and gives the same tokens.

A model here is anything with `config.max_seq_len`, `config.vocab_size`, `new_cache(batch_size)` and
`next_token_logits(ids, cache) -> (B, V)`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from .autograd import Tensor, no_grad


def next_token_probabilities(
    logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """What a token is drawn from: logits (B, V) -> probabilities (B, V) in float64.

    >>> next_token_probabilities(np.log([[0.5, 0.3, 0.2]]), top_k=2)
    array([[0.625, 0.375, 0.   ]])
    """
    logits = np.asarray(logits)
    probabilities = np.zeros(logits.shape)
    for row, all_of_row in zip(logits, probabilities, strict=True):
        tokens, those_kept = _kept_tokens(row, temperature, top_k, top_p)
        all_of_row[tokens] = those_kept
    return probabilities


def _kept_tokens(
    logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of one text that may be drawn, in their order, and their probabilities: often few of many."""
    if temperature == 0:
        return logits.argmax()[None], np.ones(1)
    if top_k is not None and top_k < len(logits):
        tokens = _largest(logits, top_k)
    else:
        tokens = np.arange(len(logits))
    scores = logits[tokens].astype(np.float64)
    probabilities = np.exp((scores - scores.max()) / temperature)
    probabilities /= probabilities.sum()
    if top_p is None or top_p == 1:
        return tokens, probabilities
    kept = _nucleus(probabilities, top_p)
    return tokens[kept], probabilities[kept] / probabilities[kept].sum()


def _largest(x: np.ndarray, k: int) -> np.ndarray:
    """Where the k largest numbers are, and others that equal the least of them; much faster than sorting all."""
    return np.flatnonzero(x >= np.partition(x, -k)[-k])


def _nucleus(probabilities: np.ndarray, top_p: float) -> np.ndarray:
    """Where the fewest tokens are whose probabilities sum to at least `top_p`."""
    few = min(1024, len(probabilities))
    likeliest = _largest(probabilities, few)
    if probabilities[likeliest].sum() < top_p:
        likeliest = np.arange(len(probabilities))
    likeliest = likeliest[np.argsort(-probabilities[likeliest], kind="stable")]
    ranked = probabilities[likeliest]
    likelier = np.cumsum(ranked) - ranked  # the sum of all tokens before each
    return np.sort(likeliest[likelier < top_p])


def sample(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one token (B,) from each row of probabilities (B, V)."""
    return np.array([_draw(row, u) for row, u in zip(probabilities, rng.random(len(probabilities)), strict=True)])


def _draw(probabilities: np.ndarray, u: float) -> int:
    """The first place where the cumulative sum passes a random number u from [0, 1)."""
    cumulative = np.cumsum(probabilities)
    return np.searchsorted(cumulative, u * cumulative[-1], side="right")


def _next_tokens(logits: np.ndarray, settings: tuple, rng: np.random.Generator) -> np.ndarray:
    """`sample(next_token_probabilities(logits, *settings), rng)`, without the zeros in between: (B, V) -> (B,)."""
    tokens = np.empty(len(logits), np.int64)
    for i, u in enumerate(rng.random(len(logits))):
        kept, probabilities = _kept_tokens(logits[i], *settings)
        tokens[i] = kept[_draw(probabilities, u)]
    return tokens


def window_start(length: int, max_seq_len: int) -> int:
    """Where the model's view of a text of `length` tokens begins, when not all of it fits.

    The window moves on by half its size at a time. Positions count from its start, so that a move changes every
    key and the cache must be filled anew; moving by one token would do that for each new token.
    """
    if length <= max_seq_len:
        return 0
    stride = max(max_seq_len // 2, 1)
    return -(-(length - max_seq_len) // stride) * stride


def generate_tokens(
    model,
    ids: np.ndarray | list,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_tokens: Collection[int] = (),
    rng: np.random.Generator | None = None,
) -> Iterator[np.ndarray]:
    """Yield each new token as it is made: an int for a prompt (T,), an array (B,) for prompts (B, T).

    It ends after `max_new_tokens`, or when every prompt's text has come to one of `stop_tokens`, which is yielded
    too; a text that ends before the others repeats its stop token. `rng=None` gives other tokens every time.
    Raises ValueError, TypeError or IndexError at once for settings or prompts that make no sense.
    """
    prompt = _checked_prompt(model, ids)
    _check_settings(max_new_tokens, temperature, top_k, top_p)
    rng = np.random.default_rng() if rng is None else rng
    steps = _generate(model, prompt, max_new_tokens, (temperature, top_k, top_p), stop_tokens, rng)
    return steps if np.ndim(ids) == 2 else (int(tokens[0]) for tokens in steps)


def _generate(model, prompt, max_new_tokens, settings, stop_tokens, rng) -> Iterator[np.ndarray]:
    """`window` holds what the model looks at: the text from `start` on, `length` tokens so far."""
    B, max_seq_len = len(prompt), model.config.max_seq_len
    cache = model.new_cache(B)
    start = window_start(prompt.shape[1], max_seq_len)
    length = prompt.shape[1] - start
    window = np.empty((B, max_seq_len), np.int64)
    window[:, :length] = prompt[:, start:]
    stopped = np.zeros(B, bool)
    for _ in range(max_new_tokens):
        logits = _logits(model, window[:, cache.length : length], cache)
        tokens = _next_tokens(logits, settings, rng)
        if len(stop_tokens):
            tokens = np.where(stopped, window[:, length - 1], tokens)
            stopped |= np.isin(tokens, list(stop_tokens))
        yield tokens
        if stopped.all():
            return
        if length == max_seq_len:
            moved = window_start(start + length + 1, max_seq_len) - start
            window[:, : length - moved] = window[:, moved:].copy()
            start, length = start + moved, length - moved
            cache.reset()
        window[:, length] = tokens
        length += 1


def generate(model, ids: np.ndarray | list, max_new_tokens: int, **settings) -> np.ndarray:
    """The prompt and what the model makes of it: (T,) -> (T + n,), or (B, T) -> (B, T + n).

    Settings are those of `generate_tokens`: temperature, top_k, top_p, stop_tokens, rng. n is `max_new_tokens`, or
    less if every text came to a stop token. Dropout is off whatever mode the model is in.
    """
    steps = generate_tokens(model, ids, max_new_tokens, **settings)
    prompt = np.array(ids.data if isinstance(ids, Tensor) else ids)
    return np.concatenate([prompt, *(np.expand_dims(tokens, -1) for tokens in steps)], axis=-1)


def generate_naive(
    model,
    ids: np.ndarray | list,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_tokens: Collection[int] = (),
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """`generate` without a cache: the whole text through the model for each new token. The oracle of the fast one."""
    text = _checked_prompt(model, ids)
    _check_settings(max_new_tokens, temperature, top_k, top_p)
    rng = np.random.default_rng() if rng is None else rng
    stopped = np.zeros(len(text), bool)
    for _ in range(max_new_tokens):
        start = window_start(text.shape[1], model.config.max_seq_len)
        logits = _logits(model, text[:, start:], cache=None)
        tokens = _next_tokens(logits, (temperature, top_k, top_p), rng)
        tokens = np.where(stopped, text[:, -1], tokens)
        text = np.concatenate([text, tokens[:, None]], axis=1)
        stopped |= np.isin(tokens, list(stop_tokens))
        if stopped.all():
            break
    return text if np.ndim(ids) == 2 else text[0]


def _logits(model, ids: np.ndarray, cache) -> np.ndarray:
    """Without dropout and without a graph, but only while the model runs: between two tokens its modes are the
    caller's."""
    in_training = [module for module in model.modules() if module.training] if model.training else []
    for module in in_training:
        module.training = False
    try:
        with no_grad():
            return model.next_token_logits(ids, cache).data
    finally:
        for module in in_training:
            module.training = True


def _checked_prompt(model, ids) -> np.ndarray:
    """ids as int64 (B, T), all of them known to the model."""
    try:
        prompt = np.asarray(ids.data if isinstance(ids, Tensor) else ids)
    except ValueError:
        raise ValueError("generate: prompts in a batch must have the same number of tokens.") from None
    if prompt.ndim not in (1, 2):
        raise ValueError(f"generate: ids must have shape (T,) or (B, T), got {prompt.shape}.")
    if prompt.size == 0:
        raise ValueError("generate: the prompt is empty; give at least one token to start from.")
    if prompt.dtype.kind not in "iu":
        raise TypeError(f"generate: ids must be integers, got {prompt.dtype}.")
    vocab_size = model.config.vocab_size
    if prompt.min() < 0 or prompt.max() >= vocab_size:
        wrong = prompt[(prompt < 0) | (prompt >= vocab_size)][0]
        raise IndexError(f"generate: id {wrong} is outside the model's vocabulary of {vocab_size} tokens.")
    return prompt.astype(np.int64).reshape(-1, prompt.shape[-1])


def _check_settings(max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if max_new_tokens < 0:
        raise ValueError(f"generate: max_new_tokens must be at least 0, not {max_new_tokens}.")
    if not 0 <= temperature < np.inf:
        raise ValueError(f"generate: temperature must be 0 (greedy) or more, not {temperature}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"generate: top_k must be at least 1, not {top_k}; leave it out to keep all tokens.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"generate: top_p must be above 0 and at most 1, not {top_p}.")
