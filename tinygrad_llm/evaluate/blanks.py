"""How well a masked language model fills blanks, beside a guess by frequency alone at the same ones.

It guesses some tokens only, and sees the others: so its loss is no size of a file, as bits per byte are, and cannot be
compared with that of a GPT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..autograd import no_grad
from ..data.masking import IGNORED, Masking, masked_windows
from ..models import BERT


@dataclass(frozen=True)
class BlanksEvaluation:
    """Of the blanks of a text."""

    loss: float  # nats per blank
    accuracy: float  # part of the blanks where the likeliest token is the right one
    unigram_loss: float  # the same two, for a guess by frequency
    unigram_accuracy: float
    n_blanks: int


def token_log_probabilities(tokens: np.ndarray, masking: Masking) -> np.ndarray:
    """ln p (V,) of each token by its frequency in tokens (N,), −inf for special ones, which are never hidden.

    Each is counted once more than it occurs, so that none is impossible (Laplace).
    """
    counts, step = np.ones(masking.vocab_size), 1 << 22  # a memory map may be larger than memory
    for start in range(0, len(tokens), step):
        counts += np.bincount(tokens[start : start + step], minlength=masking.vocab_size)
    counts[list(masking.special_ids)] = 0
    with np.errstate(divide="ignore"):
        return np.log(counts / counts.sum())


def evaluate_blanks(
    model: BERT, tokens: np.ndarray, masking: Masking, unigram: np.ndarray, batch_size: int, seq_len: int
) -> BlanksEvaluation:
    """The model on tokens (N,), in windows of `seq_len`, with the same blanks each time; it must be in evaluation mode.

    `unigram` (V,) are log probabilities to compare it with: `token_log_probabilities` of the training text.
    Raises ValueError where there is not one whole window.
    """
    sums, n_blanks = np.zeros(4), 0
    for seen, targets in masked_windows(tokens, batch_size, seq_len, masking):
        is_blank = targets != IGNORED
        hidden = targets[is_blank]
        with no_grad():
            logits = model.masked_lm_logits(model(seen)[is_blank])  # (blanks, V)
            loss = F.cross_entropy(logits, hidden, reduction="sum").item()
        right = (logits.data.argmax(axis=1) == hidden).sum()
        sums += (loss, right, -unigram[hidden].sum(), (unigram.argmax() == hidden).sum())
        n_blanks += len(hidden)
    return BlanksEvaluation(*(sums / n_blanks).tolist(), n_blanks)
