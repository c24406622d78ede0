"""Objectives: what a batch asks of the model. Each is a function `(model, batch) -> loss`, a mean per target."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from ..nn import Module


def language_modelling(model: Module, batch: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """Predict each next token: batch = (x, y), both (B, T), y one token later. Cross-entropy in nats per token."""
    x, y = batch
    return model.loss(x, y)
