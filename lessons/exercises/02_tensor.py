"""Exercises of lesson 02. Replace each `raise NotImplementedError`, then: tinygrad-llm check 02"""

import numpy as np

from tinygrad_llm.autograd import Function, Tensor  # noqa: F401  (Function is for you)


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo the broadcasting of an array of `shape`: add the gradients of all uses of each of its numbers.

    `gradient` has the shape after broadcasting, the result has `shape`. Use sums over dims, no loop over the numbers.

    unbroadcast(np.ones((2, 3)), (3,)) is [2, 2, 2]; with shape (2, 1) it is [[3], [3]]; with shape () it is 6.
    """
    raise NotImplementedError


def mean_backward(dout: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """The gradient of x, where forward was `out = x.mean(axis=dim)`, x has `shape`, and dout is the gradient of out.

    Out has one dim less than x: for x of shape (2, 3) and dim 1, dout has shape (2,). The result has x's shape.

    mean_backward(np.array([3.0, 6.0]), (2, 3), 1) is [[1, 1, 1], [2, 2, 2]].
    """
    raise NotImplementedError


def hypot(x: Tensor, y: Tensor) -> Tensor:
    """√(x² + y²), number by number, with broadcasting, as one op of your own.

    Write a class (call it Hypot) that inherits from Function and has `forward` and `backward`, and here call `forward`
    and `record`. The example is at the top of tinygrad_llm/autograd/function.py. The slope in x is x / √(x² + y²). The
    checks keep away from the place where both are 0.

    hypot of [3, 6] and [4, 8] is [5, 10], with slopes [0.6, 0.6] in x and [0.8, 0.8] in y.
    """
    raise NotImplementedError


def run_backward(steps: list[tuple], dout: np.ndarray) -> dict[str, np.ndarray]:
    """Walk a graph of arrays backward. The result is the gradient of every array in it, by name.

    `steps` holds the ops in topological order, the one that made the result first. Each is a tuple
    `(out, op, saved, inputs)`: the name of what the op made, the op, what forward saved, and the names of its inputs.
    `op.backward(gradient_of_out, saved)` returns a tuple, one gradient per input. `dout` is the gradient of the result.

    For r = x + x, steps is [("r", Add, saved, ("x", "x"))]; with dout [1, 10], {"r": [1, 10], "x": [2, 20]} comes out.
    """
    raise NotImplementedError
