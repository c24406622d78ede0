"""What the tests of GPT and Llama share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_llm.nn import Module


def assert_initial_weights(make: Callable[[np.random.Generator], Module], std: float, residual_std: float) -> None:
    """Biases 0, norms 1, the rest of this spread, those that write into the residual sum of the other; all by seed."""
    weights = make(np.random.default_rng(0)).state_dict()
    for name, weight in weights.items():
        if name.endswith("bias"):
            assert not weight.any()
        elif "norm" in name:
            assert (weight == 1).all()
        else:
            residual = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
            assert weight.std() == pytest.approx(residual_std if residual else std, rel=0.03), name
    again = make(np.random.default_rng(0)).state_dict()
    assert all(np.array_equal(weights[name], again[name]) for name in weights)
