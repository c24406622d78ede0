"""`Muon`: momentum whose matrix is made orthogonal before it is applied (Jordan et al. 2024).

    B = μ B + (1 − μ) G                       G: gradient of a weight matrix
    O = orthogonalise(G + μ (B − G))          Nesterov's look ahead; O ≈ U Vᵀ where the input is U S Vᵀ
    W = W − lr · √max(1, rows / columns) · O

The gradient of a weight matrix is dominated by a few directions; an orthogonal step moves all of them alike. It is for
the matrices inside the blocks. Embeddings, norms and biases go to AdamW.
"""

from __future__ import annotations

import math

import numpy as np

from ..ops.matmul import multiply
from .optimizer import Optimizer


def orthogonalise(matrix: np.ndarray, n_steps: int = 5, eps: float = 1e-7) -> np.ndarray:
    """The nearest (semi-)orthogonal matrix U Vᵀ, roughly: every singular value comes near 1 (0.7 to 1.2).

    Newton and Schulz's iteration X ← aX + b(XXᵀ)X + c(XXᵀ)²X applies the polynomial ax + bx³ + cx⁵ to each singular
    value and needs only matrix products. Jordan's coefficients rise steeply from 0 instead of settling at 1 exactly.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the smaller XXᵀ
    x = x / max(float(np.sqrt(np.sum(x * x))), eps)
    for _ in range(n_steps):
        gram = multiply(x, x.T)
        x = a * x + multiply(b * gram + c * multiply(gram, gram), x)
    return x.T if tall else x


class Muon(Optimizer):
    """Settings are those of torch.optim.Muon, where the iteration runs in bfloat16; here it keeps the dtype."""

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        *,
        eps: float = 1e-7,
        ns_steps: int = 5,
    ):
        super().__init__(
            params,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            eps=eps,
            ns_steps=ns_steps,
        )
        for p in self._parameters():
            if p.ndim != 2:
                raise ValueError(f"Muon: only matrices can be orthogonalised, got shape {p.shape}; give it to AdamW.")

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        if not state:
            state["momentum_buffer"] = np.zeros_like(parameter)
        momentum, buffer = group["momentum"], state["momentum_buffer"]
        buffer += (1 - momentum) * (gradient - buffer)
        direction = gradient + momentum * (buffer - gradient) if group["nesterov"] else buffer
        rows, columns = parameter.shape
        parameter *= 1 - lr * group["weight_decay"]
        parameter -= lr * math.sqrt(max(1, rows / columns)) * orthogonalise(direction, group["ns_steps"], group["eps"])
