"""Timing two or more ways to do the same thing, in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np


def interleave(contenders: dict[str, Callable[[], object]], rounds: int = 15, inner: int = 3) -> dict[str, float]:
    """Median seconds per call of each contender.

    In each round every contender runs once unmeasured and then `inner` times: the unmeasured call lets the threads of
    the library before it go to sleep (OpenBLAS, OpenMP and PyTorch each keep a pool that spins for a while).
    """
    seconds = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(rounds):
        for name, call in contenders.items():
            time.sleep(0.002)
            call()
            for _ in range(inner):
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def fresh_gradients(tensors) -> None:
    for tensor in tensors:
        tensor.grad = None


def machine() -> str:
    """One line about where the figures were taken."""
    import numba

    return (
        f"{os.cpu_count()} cores, NumPy {np.__version__}, Numba {numba.__version__} ({numba.config.CPU_NAME or 'host'})"
    )
