"""Optimizers, learning-rate schedules and gradient clipping."""

from .adamw import Adam, AdamW
from .clip import clip_grad_norm_
from .combined import Combined
from .muon import Muon
from .optimizer import Optimizer, decay_matrices
from .schedule import cosine, linear, wsd
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Combined",
    "Muon",
    "Optimizer",
    "clip_grad_norm_",
    "cosine",
    "decay_matrices",
    "linear",
    "wsd",
]
