"""Normalisation layers: each vector brought to unit scale, then stretched and shifted by learned numbers."""

from __future__ import annotations

from .. import functional as F
from ..autograd import Tensor
from . import init
from .module import Module


class LayerNorm(Module):
    """(x − mean) / √(var + eps) · weight + bias over the trailing dims `normalized_shape` (Ba et al. 2016)."""

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        self.normalized_shape = _as_shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.weight = init.ones(self.normalized_shape) if elementwise_affine else None
        self.bias = init.zeros(self.normalized_shape) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """x / √(mean(x²) + eps) · weight: LayerNorm without mean and shift (Zhang and Sennrich 2019).

    As in PyTorch, `eps=None` means the smallest step of the input's dtype at 1.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ):
        self.normalized_shape = _as_shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight = init.ones(self.normalized_shape) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


def _as_shape(owner: str, normalized_shape: int | tuple[int, ...]) -> tuple[int, ...]:
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    if not shape:
        raise ValueError(f"{owner}: normalized_shape is empty; name the size of at least the last dim.")
    for size in shape:
        init.require_positive(owner, normalized_shape=size)
    return shape
