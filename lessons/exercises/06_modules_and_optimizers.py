"""Exercises of lesson 06. Replace each `raise NotImplementedError`, then: tinygrad-llm check 06"""

import numpy as np

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F  # noqa: F401  (for you)
from tinygrad_llm.nn import Linear, Module, ModuleList  # noqa: F401  (for you)
from tinygrad_llm.optim import Optimizer


class MLP(Module):
    """A multilayer perceptron: one `Linear` from each size to the next, `F.relu` between them, none after the last.

    MLP([2, 16, 16, 3], rng) has three Linear layers, 2 → 16 → 16 → 3, each drawn from `rng`, and 2·16 + 16 + 16·16 + 16
    + 16·3 + 3 parameters. A plain Python list of layers is refused by the walk; a `ModuleList(layers)` can be looped
    over like a list, and is found.
    """

    def __init__(self, sizes: list[int], rng: np.random.Generator):
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x (B, sizes[0]) -> (B, sizes[-1])."""
        raise NotImplementedError


def clip_by_norm(gradients: list[np.ndarray], max_norm: float) -> tuple[list[np.ndarray], float]:
    """The gradients, shortened together so that their joint norm is at most `max_norm`, and the norm before.

    The joint norm is that of one long vector of all their elements. All are multiplied by the same number, and by 1 if
    they are short enough already. The arrays that come in stay as they are.

    clip_by_norm([np.array([3.0]), np.array([4.0])], 1.0) returns ([array([0.6]), array([0.8])], 5.0)
    """
    raise NotImplementedError


def trapezoid(step: int, n_steps: int, warmup_steps: int, decay_steps: int) -> float:
    """The factor on the learning rate at `step`, for warm-up, plateau and straight decay. decay_steps is at least 1.

    A straight line from 1 / (warmup_steps + 1) at step 0, since a first step of length 0 would be wasted, to 1 at step
    `warmup_steps`; then 1; from step n_steps − decay_steps on a straight line down, which is 0 at step n_steps and
    stays 0. Warm-up and decay do not overlap.

    [trapezoid(step, 8, 3, 2) for step in range(9)] is [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]
    """
    raise NotImplementedError


def newton_schulz(matrix: np.ndarray, n_rounds: int, a: float, b: float, c: float) -> np.ndarray:
    """Muon's iteration: X = matrix / its norm, then n_rounds times X ← aX + b(XXᵀ)X + c(XXᵀ)(XXᵀ)X.

    matrix (m, n), not all zeros -> (m, n). The norm is the root of the sum of all squares (Frobenius), so that no
    singular value is above 1. All products are products of matrices.

    On a diagonal matrix every number goes its own way. newton_schulz(np.diag([3.0, 4.0]), 1, 2.0, -1.0, 0.0) starts
    from 0.6 and 0.8: 2 · 0.6 − 0.6³ = 0.984 and 2 · 0.8 − 0.8³ = 1.088 are on the diagonal of the result.
    """
    raise NotImplementedError


class Lion(Optimizer):
    """Lion (Chen et al. 2023), which a search over programs found: Adam without v, all steps of the same length.

        c = β₁ m + (1 − β₁) g                      m is 0 before the first step
        p ← p − lr · weight_decay · p − lr · sign(c)
        m ← β₂ m + (1 − β₂) g                      after c was computed

    Lion([p], lr=0.1) takes p = (1, 1) with gradient (10, −0.001) to (0.9, 1.1).
    """

    def __init__(self, params, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        """Change the array `parameter` in place (`parameter -= …`; `parameter = …` would only rename).

        `state` is the parameter's own dict, empty at its first step and kept between steps. The settings are
        group["betas"] and group["weight_decay"]; the rate is the argument `lr`, schedule included.
        """
        raise NotImplementedError
