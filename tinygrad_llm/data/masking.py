"""Blanks to fill: which tokens a masked language model has to guess, and what it sees in their places.

Devlin et al. 2018, section 3.1 and appendix C.1. Of each row 15 % of the tokens are chosen. What the model sees there:

    80 %   [MASK]              guess from both sides
    10 %   a random token      so it must judge every token: any of them may be wrong
    10 %   the token itself    and for these it has to say what it sees

Since texts in use have no [MASK], a model that had only ever guessed at that token would be lazy elsewhere.
The choice is made anew each time a text is read ("dynamic masking", Liu et al. 2019, section 4.1).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .batches import RandomBatches, sequential_batches

IGNORED = -100  # a target that does not count


@dataclass(frozen=True)
class Masking:
    """How to choose the blanks. Raises ValueError for impossible shares."""

    mask_id: int
    vocab_size: int
    special_ids: frozenset[int] = frozenset()  # never chosen, never drawn at random
    continues_word: frozenset[int] = frozenset()  # tokens like ##able; with whole_words they share their word's fate
    share: float = 0.15  # of a row's tokens
    masked: float = 0.8  # of these, the part that becomes [MASK]
    random: float = 0.1  # and the part that becomes another token; the rest stays
    whole_words: bool = False  # choose words, not tokens: half a word gives the other half away
    frame: tuple[int, int] | None = None  # the ids of [CLS] and [SEP], for the first and last token of each window

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise ValueError(f"Masking: share must be between 0 and 1, not {self.share!r}")
        if min(self.masked, self.random) < 0 or self.masked + self.random > 1:
            raise ValueError(
                f"Masking: masked {self.masked!r} and random {self.random!r} must be shares of one whole, at most 1 "
                "together"
            )
        if self.vocab_size <= len(self.special_ids):
            raise ValueError("Masking: all tokens are special, so there is none to guess")


def mask_tokens(ids: np.ndarray, masking: Masking, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """ids (B, T) → what the model sees, and the targets: the token where it is to be guessed, −100 elsewhere.

    In each row round(share · tokens) are chosen, but at least one; of whole words as many as fit in that number. A row
    in which every token is special has none.
    """
    chosen = np.stack([_choose(row, masking, rng) for row in ids])  # (B, T)
    targets = np.where(chosen, ids, IGNORED)
    draw = rng.random(ids.shape)
    ordinary = np.setdiff1d(np.arange(masking.vocab_size), list(masking.special_ids))
    seen = np.where(chosen & (draw < masking.masked), masking.mask_id, ids)
    replaced = chosen & (draw >= masking.masked) & (draw < masking.masked + masking.random)
    seen[replaced] = rng.choice(ordinary, replaced.sum())
    return seen, targets


def _choose(row: np.ndarray, masking: Masking, rng: np.random.Generator) -> np.ndarray:
    """True for the chosen tokens of a row (T,)."""
    special = np.isin(row, list(masking.special_ids))
    if special.all():  # unknown words only, say
        return np.zeros(len(row), bool)
    starts = special | ~np.isin(row, list(masking.continues_word)) if masking.whole_words else np.ones(len(row), bool)
    starts[0] = True
    starts[1:] |= special[:-1]
    words = np.cumsum(starts) - 1  # the number of each token's word
    candidates = rng.permutation(np.unique(words[~special]))
    sizes = np.bincount(words)[candidates]
    limit = max(round(masking.share * (~special).sum()), 1)
    fits = np.cumsum(sizes) <= limit
    fits[0] = True
    return np.isin(words, candidates[fits])


class MaskedBatches:
    """Random windows with blanks: an endless iterator of (seen, targets), both int64 (B, T).

    `state_dict()` taken now and given to `load_state_dict` later makes it go on exactly here, as in `RandomBatches`.
    """

    def __init__(self, tokens: np.ndarray, batch_size: int, seq_len: int, masking: Masking, seed: int = 0):
        self.windows = RandomBatches(tokens, batch_size, seq_len, seed)
        self.masking = masking
        self._rng = np.random.default_rng((seed, 1))

    def __iter__(self) -> MaskedBatches:
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        ids, _ = next(self.windows)
        return mask_tokens(_framed(ids, self.masking), self.masking, self._rng)

    def state_dict(self) -> dict:
        return self.windows.state_dict() | {"masking_rng": copy.deepcopy(self._rng.bit_generator.state)}

    def load_state_dict(self, state: dict) -> None:
        """Raises ValueError where the corpus or the batch shape is another one, or the state is damaged."""
        try:
            self._rng.bit_generator.state = copy.deepcopy(state["masking_rng"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the saved position of the batches is damaged ({error!r}): start anew") from None
        self.windows.load_state_dict(state)


def masked_windows(
    tokens: np.ndarray, batch_size: int, seq_len: int, masking: Masking, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For evaluation: all windows of `seq_len` in order, with the same blanks each time; a rest too short is left out.

    Raises ValueError where there is not one whole window.
    """
    if len(tokens) <= seq_len:
        raise ValueError(
            f"the text has {len(tokens):,} tokens, but one window takes {seq_len:,} and the next one's first: "
            "give more text or a shorter context"
        )
    rng = np.random.default_rng((seed, 2))
    whole = 1 + (len(tokens) - 1) // seq_len * seq_len
    for ids, _ in sequential_batches(tokens[:whole], batch_size, seq_len):
        yield mask_tokens(_framed(ids, masking), masking, rng)


def _framed(ids: np.ndarray, masking: Masking) -> np.ndarray:
    """The windows as the model will meet texts: they begin with [CLS] and end with [SEP], over tokens of the text."""
    if masking.frame is not None:
        ids[:, 0], ids[:, -1] = masking.frame
    return ids
