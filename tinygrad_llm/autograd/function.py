"""`Function`: an op is a pair of pure functions on arrays, `forward` and `backward`, and an edge in the graph.

To add an op, write the two static methods and a public function with the two lines that every op here has:

    class Square(Function):
        @staticmethod
        def forward(x):                    # arrays in, (array, what backward needs) out
            return x * x, (x,)

        @staticmethod
        def backward(dout, saved):         # dL/dout in, one dL/dinput per input out
            (x,) = saved
            return (2 * x * dout,)

    def square(x: Tensor) -> Tensor:
        out, saved = Square.forward(x.data)        # compute
        return Square.record(out, saved, x)        # remember

Forward is called in plain sight, so that a debugger steps from `square(x)` into the arithmetic in two steps.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from .graph import Node, modes
from .tensor import Tensor

_PACKAGE = str(Path(__file__).parent.parent)


class Function:
    """Base of all differentiable ops. Subclasses have two static methods on ndarrays, both without side effects:

    - `forward(*arrays, **metadata) -> (out, saved)`, where `saved` is the tuple that backward will get;
    - `backward(dout, saved) -> tuple` of one gradient per recorded input (None where an input has none).
      Each gradient has its input's shape. It is a new array, an array that only `saved` holds, `dout` itself, or a
      view of these; `dout` is read only.
    """

    # An op that is asked for infinities (masking with -inf) says so, and anomaly mode lets it pass.
    may_be_infinite = False

    @classmethod
    def record(cls, out: np.ndarray, saved: tuple, *inputs: Tensor) -> Tensor:
        """Wrap `out` and, where a gradient is needed, connect it to `inputs`. The only place an edge is made."""
        result = Tensor._from_array(out)
        if out.base is not None:
            _share_version_with_views(result, inputs)
        if modes.detect_anomaly:
            _check_finite(cls, result.data, inputs)
        if modes.grad_enabled and any(tensor.requires_grad for tensor in inputs):
            edges = tuple((tensor.node or tensor) if tensor.requires_grad else None for tensor in inputs)
            line = _caller_line() if modes.detect_anomaly else None
            result.requires_grad = True
            result.node = Node(cls, saved, edges, result.data, _versions(saved, (*inputs, result)), line)
        return result


def _share_version_with_views(result: Tensor, inputs: tuple[Tensor, ...]) -> None:
    """A view shares its base's memory, so a change in place of one is a change of the other."""
    for tensor in inputs:
        if result.data.base is tensor.data or result.data.base is tensor.data.base:
            result._version = tensor._version
            return


def _versions(saved: tuple, tensors: tuple[Tensor, ...]) -> tuple:
    """The versions to compare in backward: of the tensors whose memory `saved` refers to."""
    found = []
    for tensor in tensors:
        data = tensor.data
        owner = data if data.base is None else data.base
        for array in saved:
            if isinstance(array, np.ndarray) and (array is data or array is owner or array.base is owner):
                found.append((tensor._version, tensor._version.count))
                break
    return tuple(found)


def _check_finite(function, out: np.ndarray, inputs: tuple[Tensor, ...]) -> None:
    if out.dtype.kind != "f":
        return
    floats = [tensor.data for tensor in inputs if tensor.data.dtype.kind == "f"]
    made_nan = np.isnan(out).any() and not any(np.isnan(array).any() for array in floats)
    made_inf = np.isinf(out).any() and not any(np.isinf(array).any() for array in floats)
    if made_nan or (made_inf and not function.may_be_infinite):
        raise FloatingPointError(
            f"{function.__name__}: made the first {'NaN' if made_nan else 'Inf'} from finite inputs "
            f"of shapes {', '.join(str(tensor.shape) for tensor in inputs)}, called at {_caller_line()}."
        )


def _caller_line() -> str:
    """`file:line` of the innermost frame outside this package: the user's own line."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
