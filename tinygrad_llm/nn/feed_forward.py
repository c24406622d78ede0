"""`FeedForward`: what a Transformer computes at each position on its own (Vaswani et al. 2017, section 3.3)."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from .linear import Linear
from .module import Module


class FeedForward(Module):
    """down(activation(up(x))): (…, d_model) -> (…, d_hidden) -> (…, d_model)."""

    def __init__(
        self,
        d_model: int,
        d_hidden: int,
        activation: Module,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ):
        self.up = Linear(d_model, d_hidden, bias, rng)
        self.activation = activation
        self.down = Linear(d_hidden, d_model, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))
