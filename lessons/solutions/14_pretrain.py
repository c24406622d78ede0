"""Solutions of lesson 14."""

import copy
import math

import numpy as np


def learning_rate(step: int, n_steps: int, warmup_steps: int, highest: float, lowest: float) -> float:
    if step < warmup_steps:
        return highest * (step + 1) / (warmup_steps + 1)
    share = min((step - warmup_steps) / (n_steps - warmup_steps), 1.0)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * share)) / 2


def accumulate(gradients: list[np.ndarray], n_targets: list[int]) -> np.ndarray:
    total = np.zeros_like(gradients[0])
    for gradient, n in zip(gradients, n_targets, strict=True):
        if n > 0:
            total += gradient * n
    return total / sum(n_targets)


def evaluate(losses: list[float], n_targets: list[int], n_bytes: int) -> tuple[float, float, float]:
    nats = sum(loss * n for loss, n in zip(losses, n_targets, strict=True))
    loss = nats / sum(n_targets)
    return loss, math.exp(loss), nats / math.log(2) / n_bytes


class Training:
    """SGD with momentum on y = w · x, one example at a time."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.w = self.rng.standard_normal(2)
        self.velocity = np.zeros(2)
        self.step = 0
        self.order: list[int] = []

    def train_step(self) -> float:
        if not self.order:
            self.order.extend(self.rng.permutation(5).tolist())
        i = self.order.pop()
        x = np.array([1.0, i]) + 0.1 * self.rng.standard_normal(2)
        error = self.w @ x - (2 + i)
        self.velocity[:] = 0.9 * self.velocity + error * x
        self.w -= 0.02 / (1 + 0.1 * self.step) * self.velocity
        self.step += 1
        return float(error**2 / 2)

    def snapshot(self) -> dict:
        return {
            "rng": self.rng.bit_generator.state,
            "w": self.w.tolist(),
            "velocity": self.velocity.tolist(),
            "step": self.step,
            "order": list(self.order),
        }

    def restore(self, state: dict) -> None:
        self.rng.bit_generator.state = copy.deepcopy(state["rng"])
        self.w = np.array(state["w"])
        self.velocity = np.array(state["velocity"])
        self.step = state["step"]
        self.order = list(state["order"])
