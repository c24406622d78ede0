"""`Linear`: y = x Wᵀ + b, the layer that most parameters of a Transformer are in."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .module import Module


class Linear(Module):
    """(…, in_features) -> (…, out_features). weight (out_features, in_features), bias (out_features,) or None.

    Both start as U(−1/√in, 1/√in), as in PyTorch.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, rng: np.random.Generator | None = None):
        init.require_positive("Linear", in_features=in_features, out_features=out_features)
        rng = init.generator(rng)
        self.weight = init.kaiming_uniform((out_features, in_features), in_features, rng)
        self.bias = init.kaiming_uniform((out_features,), in_features, rng) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}{'' if self.bias is not None else ', bias=False'}"
