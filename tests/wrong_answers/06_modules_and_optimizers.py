"""Plausible wrong answers to the exercises of lesson 06."""

from itertools import pairwise

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.nn import Linear, Module, ModuleList
from tinygrad_llm.optim import Optimizer


class MLP__relu_after_the_last_layer(Module):
    """Treats all layers alike."""

    def __init__(self, sizes, rng):
        self.layers = ModuleList(Linear(n_in, n_out, rng=rng) for n_in, n_out in pairwise(sizes))

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


class MLP__layers_in_a_list(Module):
    """Keeps its layers where the walk does not look."""

    def __init__(self, sizes, rng):
        self.layers = [Linear(n_in, n_out, rng=rng) for n_in, n_out in pairwise(sizes)]

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MLP__does_not_use_rng(Module):
    """Every run starts elsewhere."""

    def __init__(self, sizes, rng):
        self.layers = ModuleList(Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))

    def forward(self, x):
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


class MLP__no_relu(Module):
    """A chain of linear layers is one linear layer."""

    def __init__(self, sizes, rng):
        self.layers = ModuleList(Linear(n_in, n_out, rng=rng) for n_in, n_out in pairwise(sizes))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def clip_by_norm__each_array_alone(gradients, max_norm):
    """Changes the direction of the whole."""
    norms = [np.linalg.norm(g) for g in gradients]
    clipped = [g * min(1.0, max_norm / max(n, 1e-12)) for g, n in zip(gradients, norms, strict=True)]
    return clipped, float(np.linalg.norm(norms))


def clip_by_norm__makes_short_ones_longer(gradients, max_norm):
    """Scales always."""
    norm = float(np.sqrt(sum(np.sum(g * g) for g in gradients)))
    return [g * max_norm / norm for g in gradients], norm


def clip_by_norm__in_place(gradients, max_norm):
    """Writes into the caller's arrays."""
    norm = float(np.sqrt(sum(np.sum(g * g) for g in gradients)))
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return gradients, norm


def trapezoid__first_step_is_lost(step, n_steps, warmup_steps, decay_steps):
    """Rises from 0."""
    rising = step / max(warmup_steps, 1)
    return float(max(min(rising, 1.0, (n_steps - step) / decay_steps), 0.0))


def trapezoid__below_zero_after_the_end(step, n_steps, warmup_steps, decay_steps):
    """Goes on falling, so that steps lead uphill."""
    return float(min((step + 1) / (warmup_steps + 1), 1.0, (n_steps - step) / decay_steps))


def newton_schulz__no_division_by_the_norm(matrix, n_rounds, a, b, c):
    """Singular values above 1 run away."""
    x = matrix
    for _ in range(n_rounds):
        gram = x @ x.T
        x = a * x + b * gram @ x + c * gram @ gram @ x
    return x


def newton_schulz__element_by_element(matrix, n_rounds, a, b, c):
    """Takes powers of elements, which is right for diagonal matrices only."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(n_rounds):
        x = a * x + b * x**3 + c * x**5
    return x


class Lion__decay_in_the_gradient(Optimizer):
    """Lets sign() swallow the weight decay."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter, gradient, state, group, lr):
        beta1, beta2 = group["betas"]
        gradient = gradient + group["weight_decay"] * parameter
        m = state.get("m", 0.0)
        parameter -= lr * np.sign(beta1 * m + (1 - beta1) * gradient)
        state["m"] = beta2 * m + (1 - beta2) * gradient


class Lion__m_before_c(Optimizer):
    """Updates m first, so that the gradient counts twice."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter, gradient, state, group, lr):
        beta1, beta2 = group["betas"]
        m = state["m"] = beta2 * state.get("m", 0.0) + (1 - beta2) * gradient
        parameter -= lr * (np.sign(beta1 * m + (1 - beta1) * gradient) + group["weight_decay"] * parameter)


class Lion__not_in_place(Optimizer):
    """Gives a new array the parameter's name."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter, gradient, state, group, lr):
        beta1, beta2 = group["betas"]
        m = state.get("m", 0.0)
        parameter = parameter - lr * (np.sign(beta1 * m + (1 - beta1) * gradient) + group["weight_decay"] * parameter)
        state["m"] = beta2 * m + (1 - beta2) * gradient


class Lion__ignores_the_schedule(Optimizer):
    """Takes the group's rate instead of the argument."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter, gradient, state, group, lr):
        beta1, beta2 = group["betas"]
        m = state.get("m", 0.0)
        step = np.sign(beta1 * m + (1 - beta1) * gradient) + group["weight_decay"] * parameter
        parameter -= group["lr"] * step
        state["m"] = beta2 * m + (1 - beta2) * gradient
