"""Batches for an encoder-decoder: sources to read, targets to write, with little padding.

A pair of texts becomes four rows of tokens. The frame token `|` ends a source, and begins and ends a target:

    Pair("four", "四")     source f o u r |     target_in | 四     target_out 四 |

At each place of target_in the model is to say what stands in target_out; padding there is −100, which does not count.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .batches import pad, shuffled_by_length
from .columns import Pair

CHUNK_BATCHES = 100  # pairs are sorted by length within so many batches: random enough, and little padding
IGNORED = -100


class EncodedPair(NamedTuple):
    """The tokens of a source, with its frame, and of a target, without."""

    source: list[int]
    target: list[int]


class PairBatch(NamedTuple):
    """What `Seq2Seq.loss` takes."""

    source: np.ndarray  # (B, S)
    source_mask: np.ndarray  # (B, S), True for tokens
    target_in: np.ndarray  # (B, T)
    target_out: np.ndarray  # (B, T), −100 for padding


def frame_id(tokenizer) -> int:
    """The token around texts: the end of text, or of a line where the tokenizer, of characters, has none."""
    return tokenizer.encode("\n")[0] if tokenizer.eos_id is None else tokenizer.eos_id


def encode_source(tokenizer, text: str) -> list[int]:
    """The tokens of a text to be read, with the frame at its end. Raises ValueError for characters that it lacks."""
    return [*tokenizer.encode(framed_text(tokenizer, text)), frame_id(tokenizer)]


def framed_text(tokenizer, text: str) -> str:
    """The text, in one line where the end of a line is the frame."""
    return text.replace("\n", " ") if tokenizer.eos_id is None else text


def encode_pair(tokenizer, pair: Pair) -> EncodedPair:
    """Raises ValueError as `encode_source`."""
    return EncodedPair(encode_source(tokenizer, pair.source), tokenizer.encode(framed_text(tokenizer, pair.target)))


def pair_fits(tokenizer, pair: Pair, max_len: int) -> bool:
    """Whether source and target, with their frames, have at most so many tokens each."""
    source, target = encode_pair(tokenizer, pair)
    return len(source) <= max_len and len(target) < max_len


def cut_source(tokenizer, pair: Pair, max_len: int) -> Pair:
    """The pair, with the end of its source cut off where that has more than `max_len` tokens with its frame."""
    source = pair.source
    while (n_tokens := len(encode_source(tokenizer, source))) > max_len:
        source = source[: min(max(len(source) * (max_len - 1) // n_tokens, 1), len(source) - 1)]
    return pair if source == pair.source else replace(pair, source=source.rstrip())


def collate_pairs(pairs: Sequence[EncodedPair], frame: int) -> PairBatch:
    """Pairs of different lengths as one batch; padding is at the end of rows."""
    source, source_mask = pad([pair.source for pair in pairs])
    target_in, _ = pad([[frame, *pair.target] for pair in pairs])
    target_out, _ = pad([[*pair.target, frame] for pair in pairs], IGNORED)
    return PairBatch(source, source_mask, target_in, target_out)


class PairBatches:
    """An endless iterator of training batches: each pair once per pass, in random order, with others of its length.

    Within `CHUNK_BATCHES` batches pairs are sorted by the longer of their texts, and then the batches shuffled. The
    last batch of a pass may have fewer rows. The same seed gives the same batches; `state_dict()` taken now and given
    to `load_state_dict` later makes the iterator go on exactly here.
    """

    def __init__(self, pairs: Sequence[EncodedPair], batch_size: int, frame: int, seed: int = 0):
        """Raises ValueError where there are no pairs, or a batch would have none."""
        if not pairs or batch_size < 1:
            raise ValueError(f"batches need pairs and a size of at least 1, got {len(pairs)} and {batch_size}")
        self.pairs, self.batch_size, self.frame, self.seed = pairs, batch_size, frame, seed
        self._lengths = np.array([max(map(len, pair)) for pair in pairs])  # (N,): of the longer text of each
        self._go_to(0, 0)

    def __iter__(self) -> "PairBatches":
        return self

    def __next__(self) -> PairBatch:
        if self._place == len(self._batches):
            self._go_to(self._pass + 1, 0)
        rows = self._batches[self._place]
        self._place += 1
        return collate_pairs([self.pairs[row] for row in rows], self.frame)

    def _go_to(self, number_of_pass: int, place: int) -> None:
        """Before batch `place` of a pass. Its order is drawn from the seed and the pass alone."""
        self._pass, self._place = number_of_pass, place
        rng = np.random.default_rng((self.seed, number_of_pass))
        self._batches = list(shuffled_by_length(self._lengths, self.batch_size, CHUNK_BATCHES, rng))

    def state_dict(self) -> dict:
        return {**self._shape(), "pass": self._pass, "place": self._place}

    def load_state_dict(self, state: dict) -> None:
        """Raises ValueError where the pairs, the seed or the batch size are others, or the state is damaged."""
        for name, value in self._shape().items():
            if state.get(name) != value:
                raise ValueError(
                    f"these batches have {name}={value}, but the saved position was taken with "
                    f"{name}={state.get(name)}: resume with the same pairs and batch size, or start anew"
                )
        try:
            self._go_to(int(state["pass"]), int(state["place"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the saved position of the batches is damaged ({error!r}): start anew") from None

    def _shape(self) -> dict[str, int]:
        return {"n_pairs": len(self.pairs), "batch_size": self.batch_size, "seed": self.seed}


def padding_share(batches: Sequence[PairBatch]) -> float:
    """The part of all places, of sources and targets, that is padding."""
    places = sum(batch.source.size + batch.target_out.size for batch in batches)
    tokens = sum(int(batch.source_mask.sum()) + int((batch.target_out != IGNORED).sum()) for batch in batches)
    return 1 - tokens / places
