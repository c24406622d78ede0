"""Solutions of lesson 06."""

import math
from itertools import pairwise

import numpy as np

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F
from tinygrad_llm.nn import Linear, Module, ModuleList
from tinygrad_llm.optim import Optimizer


class MLP(Module):
    def __init__(self, sizes: list[int], rng: np.random.Generator):
        self.layers = ModuleList(Linear(n_in, n_out, rng=rng) for n_in, n_out in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


def clip_by_norm(gradients: list[np.ndarray], max_norm: float) -> tuple[list[np.ndarray], float]:
    norm = math.sqrt(sum(np.sum(g * g) for g in gradients))
    scale = max_norm / norm if norm > max_norm else 1.0
    return [scale * g for g in gradients], norm


def trapezoid(step: int, n_steps: int, warmup_steps: int, decay_steps: int) -> float:
    rising = (step + 1) / (warmup_steps + 1)
    falling = (n_steps - step) / decay_steps
    return max(min(rising, 1.0, falling), 0.0)


def newton_schulz(matrix: np.ndarray, n_rounds: int, a: float, b: float, c: float) -> np.ndarray:
    x = matrix / np.linalg.norm(matrix)
    for _ in range(n_rounds):
        gram = x @ x.T
        x = a * x + b * gram @ x + c * gram @ gram @ x
    return x


class Lion(Optimizer):
    def __init__(self, params, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        beta1, beta2 = group["betas"]
        m = state.get("exp_avg", np.zeros_like(parameter))
        direction = np.sign(beta1 * m + (1 - beta1) * gradient)
        parameter *= 1 - lr * group["weight_decay"]
        parameter -= lr * direction
        state["exp_avg"] = beta2 * m + (1 - beta2) * gradient
