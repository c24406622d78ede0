"""Kernels in plain Python, on memory that is never clean by chance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from tinygrad_llm.kernel import no_jit

_empty, _empty_like = np.empty, np.empty_like


def _spoil(array: np.ndarray) -> np.ndarray:
    """Every other number is NaN, which reaches whatever is made of it, and the others overflow at the first sum."""
    if array.dtype.kind == "f":
        array.reshape(-1, order="A")[::2] = np.nan
        array.reshape(-1, order="A")[1::2] = np.finfo(array.dtype).max
    return array


@contextmanager
def plain_python() -> Iterator[None]:
    """`no_jit` where `np.empty` and `np.empty_like` hold the worst that memory can hold."""

    def empty(*args, **options):
        return _spoil(_empty(*args, **options))

    def empty_like(*args, **options):
        return _spoil(_empty_like(*args, **options))

    with no_jit(), mock.patch.object(np, "empty", empty), mock.patch.object(np, "empty_like", empty_like):
        yield
