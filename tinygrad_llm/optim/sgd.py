"""`SGD`: a step against the gradient, with momentum as PyTorch defines it.

g = gradient + weight_decay · p
v = momentum · v + (1 − dampening) · g        at the first step v = g
p = p − lr · v                                nesterov: p − lr · (g + momentum · v)
"""

from __future__ import annotations

import numpy as np

from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent; Nesterov's version after Sutskever et al. 2013."""

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )
        for group in self.param_groups:
            if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
                raise ValueError("SGD: nesterov needs a momentum above 0 and no dampening.")

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        momentum = group["momentum"]
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * parameter
        if momentum:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = gradient.copy()
            else:
                velocity = state["momentum_buffer"]
                velocity *= momentum
                velocity += (1 - group["dampening"]) * gradient
            velocity = state["momentum_buffer"]
            gradient = gradient + momentum * velocity if group["nesterov"] else velocity
        parameter -= lr * gradient
