"""`GatedFeedForward`: a feed-forward network in which one projection decides how much of another passes.

With SiLU as its activation it is SwiGLU (Shazeer 2020, "GLU Variants Improve Transformer"), Llama's choice. It has
three matrices where `FeedForward` has two, so that d_hidden = 8/3 · d_model costs what 4 · d_model costs there.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from .linear import Linear
from .module import Module


class GatedFeedForward(Module):
    """down(activation(gate(x)) · up(x)): (…, d_model) -> (…, d_hidden) -> (…, d_model)."""

    def __init__(
        self,
        d_model: int,
        d_hidden: int,
        activation: Module,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ):
        self.gate = Linear(d_model, d_hidden, bias, rng)
        self.up = Linear(d_model, d_hidden, bias, rng)
        self.activation = activation
        self.down = Linear(d_hidden, d_model, bias, rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.gate(x)) * self.up(x))
