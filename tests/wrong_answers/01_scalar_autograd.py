"""Plausible wrong answers to the exercises of lesson 01."""

import math

from tinygrad_llm.school import from_lesson

Value = from_lesson("01", "Value")


def divide__loses_the_minus(x, y):
    """The slope in y has the wrong sign."""
    return Value(x.data / y.data, (x, y), (1 / y.data, x.data / y.data**2))


def divide__is_no_part_of_the_graph(x, y):
    """A new number without inputs: the slopes are lost."""
    return Value(x.data / y.data)


def divide__slopes_swapped(x, y):
    """Right slopes in the wrong order."""
    return Value(x.data / y.data, (x, y), (-x.data / y.data**2, 1 / y.data))


def tanh__squares_the_input(x):
    """1 − x² instead of 1 − tanh(x)²."""
    return Value(math.tanh(x.data), (x,), (1 - x.data**2,))


def tanh__forgets_the_comma(x):
    """(x) is no tuple."""
    out = math.tanh(x.data)
    return Value(out, (x), (1 - out * out))


def topological_order__breadth_first(inputs, result):
    """As the values are met: one may stand before a user of it."""
    order = [result]
    for name in order:
        order += [x for x in dict.fromkeys(inputs[name]) if x not in order]
    return order


def topological_order__all_values(inputs, result):
    """As they were made, but also those that the result does not need."""
    return list(inputs)[::-1]


def topological_order__recursive(inputs, result):
    """Right on small graphs; a deep one ends in RecursionError."""
    order = []

    def visit(name):
        if name not in order:
            for x in inputs[name]:
                visit(x)
            order.append(name)

    visit(result)
    return order[::-1]


def topological_order__inputs_first(inputs, result):
    """The order of the forward pass."""
    order, waiting = [], [result]
    while waiting:
        name = waiting.pop()
        if name in order:
            continue
        later = [x for x in inputs[name] if x not in order]
        if later:
            waiting += [name, *later]
        else:
            order.append(name)
    return order


def newton__goes_uphill(f, start, steps):
    """Plus instead of minus."""
    guess = float(start)
    for _ in range(steps):
        x = Value(guess)
        y = f(x)
        y.backward()
        guess += y.data / x.grad
    return guess


def newton__looks_once(f, start, steps):
    """The slope is taken at the start only."""
    x = Value(start)
    y = f(x)
    y.backward()
    guess = float(start)
    for _ in range(steps):
        guess -= f(Value(guess)).data / x.grad
    return guess


def newton__returns_a_value(f, start, steps):
    """A Value where a number is asked for."""
    x = Value(start)
    for _ in range(steps):
        y = f(x)
        y.backward()
        x = Value(x.data - y.data / x.grad)
    return x
