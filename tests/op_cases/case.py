"""`OpCase`: one way to call one op, with all that the generic tests of `tests/test_ops.py` need to know about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis.strategies import SearchStrategy

from tinygrad_llm.autograd import Function, Tensor


@dataclass(frozen=True)
class OpCase:
    """The tests give each input a float64 array, and differentiate with respect to all of them.

    What is no input to differentiate (dims, index arrays, masks) is closed over by the three functions.
    """

    name: str  # unique, e.g. "softmax-dim0"
    function: type[Function]  # the op under test; every Function subclass of the package needs a case
    call: Callable[..., Tensor]  # the public function on tensors: lambda x: F.softmax(x, dim=0)
    ref: Callable[..., np.ndarray]  # the same in plain NumPy, on arrays
    inputs: SearchStrategy[tuple[np.ndarray, ...]]  # random shapes and values, zero-size and size-1 axes included
    example: Callable[[np.random.Generator], tuple[np.ndarray, ...]]  # fixed small inputs for the golden values
    torch: Callable | None = None  # lambda torch, x: torch.softmax(x, 0); None where PyTorch has no such op
    kernels: bool = False  # has Numba kernels: also compared jitted against plain Python
    differentiable_at: Callable[..., bool] | None = None  # on inputs: False near kinks and ties, where no slope exists
