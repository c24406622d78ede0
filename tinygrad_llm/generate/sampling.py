"""From a model's scores to the next token: reshape the distribution, then draw from it.

    logits → repetition penalty → / temperature → top-k → top-p → min-p → probabilities → a random draw

- a repetition penalty > 1 makes the tokens that a text already has less likely (Keskar et al. 2019, section 4.1).
- temperature < 1 sharpens the distribution, > 1 flattens it; 0 is greedy: always the likeliest token.
- top-k keeps the k likeliest tokens (Fan et al. 2018).
- top-p keeps the likeliest tokens until their probabilities reach p (nucleus sampling, Holtzman et al. 2020).
- min-p keeps those with at least p times the probability of the likeliest (Nguyen et al. 2024): many where the model
  is unsure, few where it is certain.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

# Where random numbers come from: one generator for all texts of a batch, or one for each, so that a text does not
# depend on which others are in the batch.
Generators = np.random.Generator | Sequence[np.random.Generator]


@dataclass(frozen=True)
class GenerationConfig:
    """How tokens are chosen and where texts end. Raises ValueError for settings that make no sense."""

    temperature: float = 1.0  # 0 is greedy
    top_k: int | None = None  # how many tokens are kept; None: all
    top_p: float | None = None  # the probability that the tokens kept have together; None or 1: all
    min_p: float | None = None  # the least probability of a token, in those of the likeliest one; None or 0: any
    repetition_penalty: float = 1.0  # above 1: fewer repetitions of tokens of the text, prompt included
    stop_tokens: Collection[int] = ()  # each ends a text, and is its last token
    stop_sequences: Collection[Sequence[int]] = ()  # as stop_tokens, of several tokens in a row
    pad_token_id: int | None = None  # fills a text that ended before others; None: its last token, repeated

    def __post_init__(self):
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"generate: temperature must be 0 (greedy) or more, not {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"generate: top_k must be at least 1, not {self.top_k}; leave it out to keep all tokens.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"generate: top_p must be above 0 and at most 1, not {self.top_p}.")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"generate: min_p must be from 0 to 1, not {self.min_p}.")
        require_penalty(self.repetition_penalty)


def require_penalty(penalty: float) -> None:
    if not 0 < penalty < np.inf:
        raise ValueError(f"generate: repetition_penalty must be above 0 (1 changes nothing), not {penalty}.")


def next_token_probabilities(
    logits: np.ndarray,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> np.ndarray:
    """What a token is drawn from: logits (B, V) -> probabilities (B, V) in float64.

    >>> next_token_probabilities(np.log([[0.5, 0.3, 0.2]]), top_k=2)
    array([[0.625, 0.375, 0.   ]])
    """
    logits, config = np.asarray(logits), GenerationConfig(temperature, top_k, top_p, min_p)
    probabilities = np.zeros(logits.shape)
    for row, all_of_row in zip(logits, probabilities, strict=True):
        tokens, those_kept = _kept_tokens(row, config)
        all_of_row[tokens] = those_kept
    return probabilities


def _kept_tokens(logits: np.ndarray, config: GenerationConfig) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of one text that may be drawn, in their order, and their probabilities: often few of many."""
    if config.temperature == 0:
        likeliest = logits.argmax()
        _require_number(logits[likeliest])
        return likeliest[None], np.ones(1)
    largest = logits.max()
    _require_number(largest)
    if config.top_k is not None and config.top_k < len(logits):
        tokens = largest_places(logits, config.top_k)
    else:
        tokens = np.arange(len(logits))
    probabilities = np.exp((logits[tokens].astype(np.float64) - largest) / config.temperature)
    probabilities /= probabilities.sum()
    if config.top_p is not None and config.top_p < 1:
        tokens, probabilities = _only(_nucleus(probabilities, config.top_p), tokens, probabilities)
    if config.min_p is not None:
        likely = probabilities >= config.min_p * probabilities.max()
        tokens, probabilities = _only(likely, tokens, probabilities)
    return tokens, probabilities


def _only(kept: np.ndarray, tokens: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tokens[kept], probabilities[kept] / probabilities[kept].sum()


def _require_number(largest: float) -> None:
    if not np.isfinite(largest):  # the maximum of scores is NaN if one of them is
        raise ValueError(f"generate: the model's scores hold no finite maximum but {largest}: its weights are broken.")


def largest_places(x: np.ndarray, k: int) -> np.ndarray:
    """Where the k largest numbers are, and others that equal the least of them; much faster than sorting all.

    x is cut into 16 strips, of which only the largest in each place is looked at: k of these are at least as large as
    the k-th of these, so what is smaller than that is none of the k largest of all.
    """
    n = len(x) // 16
    if n < k:
        return np.flatnonzero(x >= np.partition(x, -k)[-k])
    of_strips = x[: 16 * n].reshape(16, n).max(axis=0)
    places = np.flatnonzero(x >= np.partition(of_strips, -k)[-k])
    few = x[places]
    return places[few >= np.partition(few, -k)[-k]]


def _nucleus(probabilities: np.ndarray, top_p: float) -> np.ndarray:
    """Where the fewest tokens are whose probabilities sum to at least `top_p`."""
    few = min(1024, len(probabilities))
    likeliest = largest_places(probabilities, few)
    if probabilities[likeliest].sum() < top_p:
        likeliest = np.arange(len(probabilities))
    likeliest = likeliest[np.argsort(-probabilities[likeliest], kind="stable")]
    ranked = probabilities[likeliest]
    likelier = np.cumsum(ranked) - ranked  # the sum of all tokens before each
    return np.sort(likeliest[likelier < top_p])


def check_rng(rng: Generators | None, n_texts: int) -> Generators:
    """`rng`, or a new generator that nobody knows the seed of. Raises TypeError or ValueError for what is none."""
    if rng is None:
        return np.random.default_rng()
    if isinstance(rng, np.random.Generator):
        return rng
    if not isinstance(rng, Sequence) or not all(isinstance(each, np.random.Generator) for each in rng):
        raise TypeError(
            "generate: rng must be a np.random.Generator such as np.random.default_rng(0), or a list of them, "
            f"got {rng!r}."
        )
    if len(rng) != n_texts:
        raise ValueError(f"generate: rng must be one generator, or one for each of {n_texts} prompts, got {len(rng)}.")
    return rng


def _random_numbers(rng: Generators, n: int) -> np.ndarray | list[float]:
    """n of them from [0, 1): from one generator, or one from each."""
    return rng.random(n) if isinstance(rng, np.random.Generator) else [each.random() for each in rng]


def sample(probabilities: np.ndarray, rng: Generators) -> np.ndarray:
    """Draw one token (B,) from each row of probabilities (B, V)."""
    numbers = _random_numbers(rng, len(probabilities))
    return np.array([_draw(row, u) for row, u in zip(probabilities, numbers, strict=True)])


def _draw(probabilities: np.ndarray, u: float) -> int:
    """The first place where the cumulative sum passes a random number u from [0, 1)."""
    cumulative = np.cumsum(probabilities)
    return np.searchsorted(cumulative, u * cumulative[-1], side="right")


def next_tokens(logits: np.ndarray, config: GenerationConfig, rng: Generators) -> np.ndarray:
    """`sample(next_token_probabilities(logits, …), rng)`, without the zeros in between: (B, V) -> (B,)."""
    tokens = np.empty(len(logits), np.int64)
    for i, u in enumerate(_random_numbers(rng, len(logits))):
        kept, probabilities = _kept_tokens(logits[i], config)
        tokens[i] = kept[_draw(probabilities, u)]
    return tokens


class RepetitionPenalty:
    """Remembers which tokens each text has, prompt included, and lowers their scores.

    A positive score is divided by the penalty, a negative one multiplied by it: both go down if it is above 1.
    """

    def __init__(self, penalty: float, ids: np.ndarray, padding: np.ndarray, vocab_size: int):
        require_penalty(penalty)
        self.penalty = penalty
        self.seen = np.zeros((len(ids), vocab_size if penalty != 1 else 0), bool)
        if penalty != 1:
            for i, start in enumerate(padding):
                self.seen[i, ids[i, start:]] = True

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """(B, V) -> (B, V)."""
        if self.penalty == 1:
            return scores
        penalised = scores.copy()
        seen = scores[self.seen]
        penalty = scores.dtype.type(self.penalty)
        penalised[self.seen] = np.where(seen < 0, seen * penalty, seen / penalty)
        return penalised

    def add(self, tokens: np.ndarray) -> None:
        """One more token (B,) of each text."""
        if self.penalty != 1:
            self.seen[np.arange(len(tokens)), tokens] = True

    def select(self, rows: np.ndarray) -> None:
        """Text i goes on from what was text rows[i]."""
        self.seen = self.seen[rows]
