"""`RotaryEmbedding`: the angles by which queries and keys turn, and how a model is stretched to longer texts.

Pair i of D/2 turns by f_i = theta^(−2i/D) for each position: the first pair by 1 radian, once around in 6 tokens; the
last one, with theta = 10,000, once in nearly 63,000 tokens. Fast pairs tell neighbours apart, slow ones regions.

A model that has only seen short texts has not seen all angles of its slow pairs. To read longer texts, it is trained
on with slower ones: a scaling changes the frequencies.

    LinearScaling    all of them by the same factor (Chen et al. 2023, "position interpolation")
    Llama3Scaling    only the slow ones (Llama 3.1, Grattafiori et al. 2024; transformers' "llama3")
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .module import Module


@dataclass(frozen=True)
class LinearScaling:
    """Every frequency divided by `factor`."""

    factor: float  # how many times longer texts may become

    def __post_init__(self):
        _require_above(0, "LinearScaling", factor=self.factor)

    def scaled(self, frequencies: np.ndarray) -> np.ndarray:
        return frequencies / self.factor


@dataclass(frozen=True)
class Llama3Scaling:
    """Frequencies that turn around less than low_freq_factor times in the original context are divided by `factor`,
    those that turn more than high_freq_factor times stay, and there is a smooth passage in between."""

    factor: float = 8.0  # how much slower the slow pairs become
    low_freq_factor: float = 1.0  # turns in the original context, up to which a pair is slow
    high_freq_factor: float = 4.0  # turns in the original context, from which a pair is fast
    original_max_position_embeddings: int = 8192  # tokens in the longest texts before the scaling

    def __post_init__(self):
        init.require_positive("Llama3Scaling", original_max_position_embeddings=self.original_max_position_embeddings)
        _require_above(0, "Llama3Scaling", factor=self.factor, low_freq_factor=self.low_freq_factor)
        _require_above(self.low_freq_factor, "Llama3Scaling", high_freq_factor=self.high_freq_factor)

    def scaled(self, frequencies: np.ndarray) -> np.ndarray:
        turns = self.original_max_position_embeddings * frequencies / (2 * math.pi)
        fast = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        fast = fast.clip(0, 1)
        return fast * frequencies + (1 - fast) * frequencies / self.factor


def as_scaling(owner: str, scaling: object) -> LinearScaling | Llama3Scaling | None:
    """`scaling` itself, or the one whose fields are in a dict, as JSON has it. Raises TypeError for anything else."""
    if scaling is None or isinstance(scaling, (LinearScaling, Llama3Scaling)):
        return scaling
    for kind in (LinearScaling, Llama3Scaling):
        if isinstance(scaling, dict) and set(scaling) == {field.name for field in fields(kind)}:
            return kind(**scaling)
    raise TypeError(f"{owner}: rope_scaling must be a LinearScaling, a Llama3Scaling or None, not {scaling!r}.")


class RotaryEmbedding(Module):
    """Turns queries or keys (B, T, H, D) according to their positions: start, start + 1, …, or, where `start` is an
    array (B, T), those in it. Nothing is learned.

    `theta` sets the slowest pair's frequency. The tables of cosines and sines, (max_seq_len, D/2), are made once.
    Layout: pair i is (x_i, x_{i + D/2}), as in Hugging Face's Llama; ops/rope.py says how others map to it.
    Raises ValueError for an odd D, and for positions beyond max_seq_len.
    """

    def __init__(
        self,
        head_dim: int,
        max_seq_len: int,
        theta: float = 10_000.0,
        scaling: LinearScaling | Llama3Scaling | None = None,
    ):
        require_even("RotaryEmbedding", head_dim)
        init.require_positive("RotaryEmbedding", max_seq_len=max_seq_len)
        _require_above(0, "RotaryEmbedding", theta=theta)
        self.theta, self.scaling = theta, scaling
        frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)  # (D/2,), in radians per position
        frequencies = frequencies if scaling is None else scaling.scaled(frequencies)
        angles = np.outer(np.arange(max_seq_len), frequencies)  # (T_max, D/2)
        self.cos, self.sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def forward(self, x: Tensor, start: int | np.ndarray = 0) -> Tensor:
        if isinstance(start, np.ndarray):
            return self._at(x, start)
        end = start + x.shape[1]
        if end > len(self.cos):
            raise ValueError(f"RotaryEmbedding: {end} tokens are more than max_seq_len = {len(self.cos)}.")
        return F.rotary_embedding(x, self.cos[start:end], self.sin[start:end])

    def _at(self, x: Tensor, positions: np.ndarray) -> Tensor:
        """The rows of all texts as one long text, whose positions are as they come."""
        B, T, H, D = x.shape
        if positions.max(initial=0) >= len(self.cos):
            raise ValueError(f"RotaryEmbedding: position {positions.max()} is beyond max_seq_len = {len(self.cos)}.")
        places = positions.reshape(-1)  # (B · T,)
        return F.rotary_embedding(x.reshape(1, B * T, H, D), self.cos[places], self.sin[places]).reshape(B, T, H, D)

    def extra_repr(self) -> str:
        scaling = "" if self.scaling is None else f", scaling={self.scaling}"
        return f"{2 * self.cos.shape[1]}, {len(self.cos)}, theta={self.theta}{scaling}"


def require_even(owner: str, head_dim: int) -> None:
    """Raise ValueError unless a head's numbers can be taken in pairs."""
    init.require_positive(owner, head_dim=head_dim)
    if head_dim % 2:
        raise ValueError(f"{owner}: a head needs an even number of features to turn them in pairs, not {head_dim}.")


def _require_above(least: float, owner: str, **numbers: float) -> None:
    for name, number in numbers.items():
        if not least < number < math.inf:
            raise ValueError(f"{owner}: {name} must be a number above {least}, not {number!r}.")
