"""Solutions of lesson 01."""

import math

from tinygrad_llm.school import from_lesson

Value = from_lesson("01", "Value")


def divide(x: Value, y: Value) -> Value:
    """x / y. The slope in x is 1 / y, in y it is −x / y²."""
    return Value(x.data / y.data, (x, y), (1 / y.data, -x.data / y.data**2))


def tanh(x: Value) -> Value:
    """The hyperbolic tangent. Its slope is 1 − tanh(x)²."""
    out = math.tanh(x.data)
    return Value(out, (x,), (1 - out * out,))


def topological_order(inputs: dict[str, list[str]], result: str) -> list[str]:
    """A value's turn comes when all its users have had theirs: count them down (Kahn, 1962)."""
    found, waiting = {result}, [result]
    users = {result: 0}
    while waiting:
        for name in inputs[waiting.pop()]:
            users[name] = users.get(name, 0) + 1
            if name not in found:
                found.add(name)
                waiting.append(name)
    order, ready = [], [result]
    while ready:
        order.append(ready.pop())
        for name in inputs[order[-1]]:
            users[name] -= 1
            if users[name] == 0:
                ready.append(name)
    return order


def newton(f, start: float, steps: int) -> float:
    """Each step needs the value and the slope at one place: a forward and a backward pass."""
    guess = float(start)
    for _ in range(steps):
        x = Value(guess)
        y = f(x)
        y.backward()
        guess -= y.data / x.grad
    return guess
