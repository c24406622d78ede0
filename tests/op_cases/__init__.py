"""The table of op cases: each family of ops has a module here with `CASES: list[OpCase]`, found by itself."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np

from .case import OpCase

EXAMPLE_SEED = 1234


def cases_by_family() -> dict[str, list[OpCase]]:
    """The cases of each module here, by the module's name. Raises ValueError where two have the same name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "case")
    families = {name: importlib.import_module(f"{__name__}.{name}").CASES for name in names}
    seen: set[str] = set()
    for case in (case for cases in families.values() for case in cases):
        if case.name in seen:
            raise ValueError(f"Two op cases have the name {case.name!r}.")
        seen.add(case.name)
    return families


def example_inputs(case: OpCase) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(x, np.float64) for x in case.example(np.random.default_rng(EXAMPLE_SEED)))


def upstream_gradient(shape: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    """dL/dout for the comparisons: any fixed numbers that differ from element to element."""
    return np.cos(1.0 + np.arange(np.prod(shape, dtype=int), dtype=np.float64)).reshape(shape).astype(dtype)
