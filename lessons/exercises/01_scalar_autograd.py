"""Exercises of lesson 01. Replace each `raise NotImplementedError`, then: tinygrad-llm check 01

`Value` is the class of the lesson. Make one with `Value(data, inputs, slopes)`: a number, the tuple of the Values that
it was computed from, and a tuple of as many numbers, its slope in each of them.
"""

import math  # noqa: F401  (for you)

from tinygrad_llm.school import from_lesson

Value = from_lesson("01", "Value")


def divide(x: Value, y: Value) -> Value:
    """x / y as a Value that knows its slopes, by way of the numbers x.data and y.data.

    6 / 2 is 3; its slope in x is 0.5, its slope in y is −1.5.
    """
    raise NotImplementedError


def tanh(x: Value) -> Value:
    """The hyperbolic tangent of x, as a Value with one input. `math.tanh` knows the number.

    It squeezes any number in between −1 and 1. tanh(0) is 0, with slope 1. A tuple of one has a comma: `(x,)`.
    """
    raise NotImplementedError


def topological_order(inputs: dict[str, list[str]], result: str) -> list[str]:
    """The names of all values that `result` depends on, itself first, each once, and each before its inputs.

    This time the values have names that say nothing about when they were made. `inputs[name]` lists the inputs of a
    value, and is empty for a leaf. Values that `result` does not depend on are left out. Any right order will do.
    The graph may be thousands of values deep, so do without recursion.

    topological_order({"x": [], "s": ["x"], "t": ["s"], "r": ["s", "t"]}, "r") is ["r", "t", "s", "x"].
    """
    raise NotImplementedError


def newton(f, start: float, steps: int) -> float:
    """A zero of the function f, by Newton's method: `steps` times, from x go to x − f(x) / (slope of f at x).

    `f` takes a Value and returns a Value. The tangent at x crosses zero there, so that is the next guess. The result is
    a plain number. For f(x) = x · x − 2 from 1 the guesses are 1.5, then 1.41666…, and soon √2.
    """
    raise NotImplementedError
