"""Calibration of the tokens that a language model predicts: is it right as often as it is sure?

At each place of a text the model names its likeliest next token, or for a BERT the one behind a blank, with a
probability. Tokens of one window depend on each other, so the interval draws whole windows, not tokens. The error is
a sum of absolute gaps, so by chance it is a little above 0 even where the model is calibrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..data import sequential_batches
from ..data.masking import IGNORED, Masking, masked_windows
from ..generate.context import evaluating
from ..models import BERT
from .intervals import Interval, bootstrap_interval
from .probabilities import ReliabilityBins, expected_calibration_error, reliability_bins

N_RESAMPLES = 200  # each looks at all tokens again


@dataclass(frozen=True)
class TokenCalibration:
    """Of the likeliest token at each place."""

    bins: ReliabilityBins
    error: Interval  # the expected calibration error
    accuracy: float
    confidence: float
    n_tokens: int


def token_calibration(
    model,
    tokens: np.ndarray,
    batch_size: int,
    seq_len: int,
    rng: np.random.Generator,
    masking: Masking | None = None,
    max_tokens: int = 8192,
    n_bins: int = 10,
) -> TokenCalibration:
    """On the first `max_tokens` of tokens (N,), in windows of `seq_len`; a BERT needs `masking`, which says what to
    hide.

    Raises ValueError for a text shorter than two windows, and for a BERT without `masking`.
    """
    if isinstance(model, BERT) and masking is None:
        raise ValueError("token_calibration: a BERT needs masking, which says how blanks are chosen")
    part = tokens[: max(max_tokens, 2 * seq_len) + 1]
    if len(part) < 2 * seq_len + 1:
        raise ValueError(f"the text has {len(part):,} tokens, but two windows of {seq_len} are needed: give more text")
    windows = list(
        _masked(model, part, batch_size, seq_len, masking) if masking else _next(model, part, batch_size, seq_len)
    )
    confidences, rights = (list(column) for column in zip(*windows, strict=True))

    def error(confidences: list[np.ndarray], rights: list[np.ndarray]) -> float:
        right, confidence = np.concatenate(rights), np.concatenate(confidences)
        return expected_calibration_error(right, confidence, n_bins=n_bins)

    confidence, right = np.concatenate(confidences), np.concatenate(rights)
    return TokenCalibration(
        reliability_bins(right, confidence, n_bins=n_bins),
        bootstrap_interval(error, confidences, rights, rng=rng, n_resamples=N_RESAMPLES),
        float(right.mean()),
        float(confidence.mean()),
        len(right),
    )


def _next(model, tokens: np.ndarray, batch_size: int, seq_len: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each window the confidence (T,) and whether the token was right, 0 or 1 (T,)."""
    for ids, targets in sequential_batches(tokens, batch_size, seq_len):
        with evaluating(model):
            probabilities = F.softmax(model(ids)).data  # (B, T, V)
        yield from zip(*_judged(probabilities, targets), strict=True)


def _masked(model, tokens, batch_size, seq_len, masking: Masking) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for seen, targets in masked_windows(tokens, batch_size, seq_len, masking):
        with evaluating(model):
            hidden = model(seen)
            for row, wanted in enumerate(targets):
                blanks = wanted != IGNORED
                if blanks.any():
                    yield _judged(F.softmax(model.masked_lm_logits(hidden[row][blanks])).data, wanted[blanks])


def _judged(probabilities: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    confidence = np.minimum(probabilities.max(axis=-1).astype(np.float64), 1.0)  # float32 may round beyond 1
    return confidence, (probabilities.argmax(axis=-1) == targets).astype(np.int64)
