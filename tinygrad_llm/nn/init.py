"""How parameters start: PyTorch's default schemes, drawn from an explicit generator.

The scale keeps signals of about the same size from layer to layer. For a weight of shape (out, in):

    kaiming_uniform   U(−b, b) with b = 1/√in              He et al. 2015, as PyTorch calls it, with a = √5
    xavier_uniform    U(−b, b) with b = √(6 / (in + out))  Glorot and Bengio 2010
    normal            N(0, std²)

`rng=None` asks the operating system for a seed, so the run cannot be repeated; pass np.random.default_rng(seed).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from .module import Parameter

_skipped = ContextVar("skipped", default=False)


@contextmanager
def skip_init() -> Iterator[None]:
    """Weights made inside hold nothing in particular: for models whose weights are about to be loaded."""
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


def generator(rng: np.random.Generator | None) -> np.random.Generator:
    """`rng` itself, or a fresh unseeded one for None. Raises TypeError for anything else, such as a bare seed."""
    if rng is None:
        return np.random.default_rng()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a np.random.Generator such as np.random.default_rng(0), not {rng!r}.")
    return rng


def uniform(shape: tuple[int, ...], bound: float, rng: np.random.Generator) -> Parameter:
    if _skipped.get():
        return _untouched(shape)
    return Parameter(rng.uniform(-bound, bound, shape).astype(np.float32))


def normal(shape: tuple[int, ...], std: float, rng: np.random.Generator) -> Parameter:
    if _skipped.get():
        return _untouched(shape)
    return Parameter((std * rng.standard_normal(shape)).astype(np.float32))


def _untouched(shape: tuple[int, ...]) -> Parameter:
    """Memory that is never written to is never taken: a copy of it, as `Parameter(data)` makes one, would."""
    parameter = Parameter(0.0)
    parameter.data = np.empty(shape, np.float32)
    return parameter


def kaiming_uniform(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> Parameter:
    """For weights (out, in) and their biases (out,) alike."""
    return uniform(shape, 1 / math.sqrt(fan_in), rng)


def xavier_uniform(shape: tuple[int, int], rng: np.random.Generator) -> Parameter:
    return uniform(shape, math.sqrt(6 / sum(shape)), rng)


def zeros(shape: tuple[int, ...]) -> Parameter:
    return Parameter(np.zeros(shape, np.float32))


def ones(shape: tuple[int, ...]) -> Parameter:
    return Parameter(np.ones(shape, np.float32))


def require_positive(owner: str, **sizes: int) -> None:
    """Raise ValueError unless each size is an int of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{owner}: {name} must be an integer of at least 1, not {size!r}.")
