"""How well an encoder-decoder writes what belongs to a source: its loss, and what it writes against what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..applications.translate import BATCH_SIZE, translate
from ..data import Pair
from ..data.pair_batches import IGNORED, collate_pairs, encode_pair, frame_id
from ..models import Seq2Seq
from .translation import corpus_chrf


@dataclass(frozen=True)
class PairsEvaluation:
    loss: float  # cross-entropy in nats per token of the targets, their ends included
    exact_match: float  # part of the pairs for which the whole target is written, greedily, and nothing else
    chrf: float  # from 0 to 100
    n_pairs: int


def evaluate_pairs(model: Seq2Seq, tokenizer, pairs: Sequence[Pair]) -> PairsEvaluation:
    """To be called in evaluation mode, under no_grad. Raises ValueError for pairs that the model cannot read."""
    total, n_targets = 0.0, 0
    encoded = sorted((encode_pair(tokenizer, pair) for pair in pairs), key=lambda pair: len(pair.target))
    for start in range(0, len(encoded), BATCH_SIZE):
        batch = collate_pairs(encoded[start : start + BATCH_SIZE], frame_id(tokenizer))
        n = int((batch.target_out != IGNORED).sum())
        total, n_targets = total + n * model.loss(*batch).item(), n_targets + n
    written = [found.text for found in translate(model, tokenizer, [pair.source for pair in pairs])]
    exact = sum(text == pair.target for text, pair in zip(written, pairs, strict=True))
    chrf = corpus_chrf(written, [[pair.target] for pair in pairs])
    return PairsEvaluation(total / n_targets, exact / len(pairs), chrf, len(pairs))
