"""`Dropout`: in training, zero a random part of the values, so that no unit can rely on another (Srivastava 2014)."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .module import Module


class Dropout(Module):
    """Zero each value with probability `p` and scale the others by 1/(1 − p); the identity after `.eval()`.

    The masks come from `rng`. Modules may share one generator: then the order of calls decides who gets which.
    """

    def __init__(self, p: float = 0.5, rng: np.random.Generator | None = None):
        self.p = require_probability("Dropout", p)
        self.rng = init.generator(rng)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def require_probability(owner: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{owner}: the dropout probability must be between 0 and 1, not {p!r}.")
    return float(p)
