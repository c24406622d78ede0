"""`AdamW` and `Adam`: a step of about the same size for every parameter, whatever the size of its gradients.

    m = β₁ m + (1 − β₁) g                 the mean of recent gradients
    v = β₂ v + (1 − β₂) g²                the mean of their squares
    p = p − lr · m̂ / (√v̂ + ε)             m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ) undo that both started at 0

AdamW (Loshchilov and Hutter 2019) first shrinks p by lr · weight_decay · p, apart from the gradient. Adam (Kingma and
Ba 2015) adds weight_decay · p to g instead, where the division by √v̂ largely cancels it.

In NumPy each of these lines runs through memory, some ten times in all. The kernel reads p, g, m and v once.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..kernel import kernel, prange
from .optimizer import Optimizer

CHUNK = 16384  # elements a thread takes at a time; a smaller parameter is not worth waking a second thread


def adamw_ref(p, m, v, g, step, lr, beta1, beta2, eps, decay, l2):
    """The new (p, m, v) after update number `step` (from 1)."""
    p = p * (1 - lr * decay)
    g = g + l2 * p
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


@kernel
def adamw_update(p, m, v, g, numbers):
    """One pass over a piece of a parameter, all arrays (N,). numbers: (7,) of p's dtype, see `_numbers`."""
    beta1, beta2, eps = numbers[0], numbers[1], numbers[2]
    step_size, v_scale, shrink, l2 = numbers[3], numbers[4], numbers[5], numbers[6]
    one = p.dtype.type(1.0)
    for i in range(p.shape[0]):
        p_i = p[i] * shrink
        g_i = g[i] + l2 * p_i
        m_i = m[i] + (one - beta1) * (g_i - m[i])
        v_i = beta2 * v[i] + (one - beta2) * (g_i * g_i)
        m[i] = m_i
        v[i] = v_i
        p[i] = p_i - step_size * m_i / (np.sqrt(v_i) * v_scale + eps)


@kernel(parallel=True)
def adamw_update_chunks(p, m, v, g, numbers, chunk):
    """The same for a large parameter, one chunk after the other, on all cores."""
    for c in prange((p.shape[0] + chunk - 1) // chunk):
        start = c * chunk
        end = min(start + chunk, p.shape[0])
        adamw_update(p[start:end], m[start:end], v[start:end], g[start:end], numbers)


class AdamW(Optimizer):
    """Adam with decoupled weight decay. Settings and results are PyTorch's (without amsgrad)."""

    decoupled_weight_decay = True

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, parameter: np.ndarray, gradient: np.ndarray, state: dict, group: dict, lr: float) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(parameter), exp_avg_sq=np.zeros_like(parameter))
        state["step"] += 1
        decay, l2 = group["weight_decay"], 0.0
        if not self.decoupled_weight_decay:
            decay, l2 = l2, decay
        numbers = _numbers(state["step"], lr, *group["betas"], group["eps"], decay, l2, parameter.dtype)
        flat = [_flat(a) for a in (parameter, state["exp_avg"], state["exp_avg_sq"])]
        flat.append(np.ascontiguousarray(gradient).reshape(-1))
        if parameter.size <= CHUNK:
            adamw_update(*flat, numbers)
        else:
            adamw_update_chunks(*flat, numbers, CHUNK)


class Adam(AdamW):
    """Adam, with PyTorch's settings and results: weight decay, 0 by default, goes through the gradient."""

    decoupled_weight_decay = False

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)


@functools.lru_cache(maxsize=8)  # the same for all parameters of a group
def _numbers(step, lr, beta1, beta2, eps, decay, l2, dtype) -> np.ndarray:
    """What the kernels need in update number `step`."""
    step_size = lr / (1 - beta1**step)
    v_scale = 1 / math.sqrt(1 - beta2**step)
    return np.array([beta1, beta2, eps, step_size, v_scale, 1 - lr * decay, l2], dtype)


def _flat(array: np.ndarray) -> np.ndarray:
    """All elements as (N,), sharing memory, so that writing to it changes `array`."""
    if not array.flags.c_contiguous:
        raise ValueError(f"AdamW: a parameter of shape {array.shape} is not contiguous; use np.ascontiguousarray.")
    return array.reshape(-1)
