"""Anomaly mode: the first NaN or Inf is an error that names the op and the user's line."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from toy_functions import apply, leaf, plus, square

from tinygrad_llm.autograd import Function, detect_anomaly, tensor


class Log(Function):
    @staticmethod
    def forward(x):
        with np.errstate(all="ignore"):
            return np.log(x), (x,)

    @staticmethod
    def backward(dout, saved):
        with np.errstate(all="ignore"):
            return (dout / saved[0],)


class Sqrt(Function):
    """Finite at 0, but its slope there is not."""

    @staticmethod
    def forward(x):
        return np.sqrt(x), (x,)

    @staticmethod
    def backward(dout, saved):
        with np.errstate(all="ignore"):
            return (dout / (2 * np.sqrt(saved[0])),)


def here() -> str:
    """The caller's line, as anomaly mode writes it."""
    caller = inspect.currentframe().f_back
    return f"{__file__}:{caller.f_lineno}"


@pytest.mark.parametrize(("value", "what"), [(-1.0, "NaN"), (0.0, "Inf")])
def test_anomaly_mode_names_the_op_that_made_a_value_and_the_line(value, what):
    x = leaf(value, 1.0)
    with detect_anomaly():
        y = square(x)
        with pytest.raises(FloatingPointError, match=rf"Log: made the first {what} .*\(2,\)") as error:
            Log.record(*Log.forward(x.data), x)
    line = error.traceback[0].lineno + 1
    assert str(error.value).endswith(f"called at {__file__}:{line}.")
    assert np.isfinite(y.data).all()


def test_anomaly_mode_names_the_op_that_made_a_gradient_and_the_line():
    x = leaf(0.0, 1.0)
    with detect_anomaly():
        line, y = here(), Sqrt.record(*Sqrt.forward(x.data), x)
        with pytest.raises(FloatingPointError, match="Sqrt: backward made the first NaN or Inf gradient") as error:
            plus(y, y).backward(np.ones(2))
    assert line in str(error.value)


def test_anomaly_mode_names_the_users_line_for_ops_of_the_package():
    from tinygrad_llm.ops.softmax import softmax

    x = tensor(np.full((1, 2), -np.inf), requires_grad=True)
    x.data[:] = [np.finfo(np.float64).max, 0.0]
    with detect_anomaly():
        line, out = here(), softmax(x)
        assert line in out.node.line


def test_anomaly_mode_blames_the_first_op_only():
    x = leaf(np.nan, np.inf)
    with detect_anomaly():
        square(plus(x, x))


def test_anomaly_mode_lets_infinities_pass_that_were_asked_for():
    class MinusInf(Function):
        may_be_infinite = True

        @staticmethod
        def forward(x):
            return np.full_like(x, -np.inf), ()

        @staticmethod
        def backward(dout, saved):
            return (np.zeros_like(dout),)

    with detect_anomaly():
        apply(MinusInf, leaf(1.0)).backward()


def test_without_anomaly_mode_nothing_is_checked():
    y = apply(Log, leaf(0.0))
    assert y.item() == -np.inf
    assert y.node.line is None
