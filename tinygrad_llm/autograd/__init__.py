"""Reverse-mode automatic differentiation on NumPy arrays."""

from .function import Function
from .graph import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from .recompute import checkpoint
from .tensor import Tensor, tensor

__all__ = ["Function", "Tensor", "checkpoint", "detect_anomaly", "enable_grad", "is_grad_enabled", "no_grad", "tensor"]
