"""Objectives: what a batch asks of the model. Each is a function `(model, batch) -> loss`, a mean per target."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from ..nn import Module


def language_modelling(model: Module, batch: tuple[np.ndarray, ...]) -> Tensor:
    """Predict the targets: batch = (x, y), both (B, T). Cross-entropy in nats per target.

    To a GPT or Llama they are the next tokens, y is x one token later; to a BERT the hidden ones, y is −100 elsewhere.
    A `PairBatch` for an encoder-decoder has a source and its mask before them.
    """
    return model.loss(*batch)
