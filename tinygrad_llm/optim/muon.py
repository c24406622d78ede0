"""`Muon`: momentum whose matrix is made orthogonal before it is applied (Jordan et al. 2024).

    B = μ B + (1 − μ) G                       G: gradient of a weight matrix
    O = orthogonalise(G + μ (B − G))          Nesterov's look ahead; O ≈ U Vᵀ where the input is U S Vᵀ
    W = W − lr · √max(1, rows / columns) · O

The gradient of a weight matrix is dominated by a few directions; an orthogonal step moves all of them alike. It is for
the matrices inside the blocks. Embeddings, norms and biases go to AdamW: see `Combined`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..ops.matmul import multiply
from .optimizer import Optimizer

Quintic = tuple[float, float, float]  # (a, b, c) of ax + bx³ + cx⁵

# Jordan's: rises steeply from 0, instead of settling at 1 exactly. Five times it bring 0.01 … 1 into 0.7 … 1.2.
JORDAN: Quintic = (3.4445, -4.7750, 2.0315)

# Three different ones bring 0.01 … 1 into 0.73 … 1.27 with less work: each is the best approximation of 1 on the
# interval that the one before leaves (The Polar Express, Amsel et al. 2025).
POLAR_EXPRESS: tuple[Quintic, ...] = (
    (8.0934, -23.6204, 17.4462),
    (3.6366, -2.7219, 0.5365),
    (2.6613, -1.9772, 0.4526),
)
ROUND = 3  # polynomials that are multiplied up before the matrix is


def orthogonalise_ref(matrix: np.ndarray, polynomials: Sequence[Quintic] = (JORDAN,) * 5, eps: float = 1e-7):
    """Newton and Schulz's iteration as it is written: X ← aX + b(XXᵀ)X + c(XXᵀ)²X."""
    x = matrix / max(np.linalg.norm(matrix), eps)
    for a, b, c in polynomials:
        gram = x @ x.T
        x = a * x + b * gram @ x + c * gram @ gram @ x
    return x


def orthogonalise(matrix: np.ndarray, polynomials: Sequence[Quintic] = (JORDAN,) * 5, eps: float = 1e-7) -> np.ndarray:
    """The nearest (semi-)orthogonal matrix U Vᵀ, roughly: every singular value comes near 1.

    A quintic (a, b, c) applies ax + bx³ + cx⁵ to each singular value: X ← PX with P = aI + bG + cG², G = XXᵀ, which
    needs only matrix products. After it G is PGP, so the next P needs no new X: only the small square matrices are
    multiplied, and X once for all. Rounding makes that inexact where G has grown a lot, hence the rounds.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the smaller XXᵀ
    x = x / max(float(np.sqrt(np.sum(x * x))), eps)
    for start in range(0, len(polynomials), ROUND):
        x = multiply(_product(multiply(x, x.T), polynomials[start : start + ROUND]), x)
    return x.T if tall else x


def _product(gram: np.ndarray, polynomials: Sequence[Quintic]) -> np.ndarray:
    """The product of all P: what the polynomials together multiply X with, given G = XXᵀ."""
    product = p = None
    for a, b, c in polynomials:
        if product is not None:
            gram = multiply(multiply(p, gram), p)
        p = multiply(gram, gram)
        p *= c
        p += b * gram
        np.einsum("ii->i", p)[:] += a  # the diagonal, in place
        product = p if product is None else multiply(p, product)
    return product


class Muon(Optimizer):
    """Settings are those of torch.optim.Muon, where the iteration runs in bfloat16; here it keeps the dtype.

    `ns_coefficients` may also be several quintics, one for each of the `ns_steps`: `POLAR_EXPRESS` with 3 is faster.
    A weight that holds `stacked` matrices on top of each other, such as queries, keys and values, is orthogonalised in
    so many parts: {"params": qkv_weights, "stacked": 3}.
    """

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        *,
        ns_coefficients: Quintic | Sequence[Quintic] = JORDAN,
        eps: float = 1e-7,
        ns_steps: int = 5,
        stacked: int = 1,
    ):
        super().__init__(
            params,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            stacked=stacked,
        )
        for group in self.param_groups:
            _polynomials(group)
            for p in group["params"]:
                _check_shape(p.shape, group["stacked"])

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        if not state:
            state["momentum_buffer"] = np.zeros_like(parameter)
        momentum, buffer = group["momentum"], state["momentum_buffer"]
        buffer += (1 - momentum) * (gradient - buffer)
        direction = gradient + momentum * (buffer - gradient) if group["nesterov"] else buffer
        rows, columns = parameter.shape[0] // group["stacked"], parameter.shape[1]
        step_size = lr * math.sqrt(max(1, rows / columns))
        parameter *= 1 - lr * group["weight_decay"]
        for start in range(0, len(parameter), rows):
            part = slice(start, start + rows)
            parameter[part] -= step_size * orthogonalise(direction[part], _polynomials(group), group["eps"])


def _polynomials(group: dict) -> Sequence[Quintic]:
    """One for each of the group's `ns_steps`."""
    given, n_steps = group["ns_coefficients"], group["ns_steps"]
    polynomials = given if isinstance(given[0], Sequence) else (given,) * n_steps
    if len(polynomials) != n_steps or any(len(each) != 3 for each in polynomials):
        raise ValueError(
            f"Muon: ns_coefficients must be a triple (a, b, c), or one for each of ns_steps = {n_steps}, not {given!r}."
        )
    return polynomials


def _check_shape(shape: tuple[int, ...], stacked: int) -> None:
    if len(shape) != 2:
        raise ValueError(f"Muon: only matrices can be orthogonalised, got shape {shape}; give it to AdamW.")
    if stacked < 1 or shape[0] % stacked:
        raise ValueError(f"Muon: a weight of shape {shape} does not hold {stacked} stacked matrices of one size.")
