"""Checks of lesson 01."""

import math

from hypothesis import strategies as st

from tinygrad_llm.school import demand, exercise, from_lesson, search
from tinygrad_llm.school.checks import call_answer, compare

Value = from_lesson("01", "Value")

NUMBERS = st.integers(-30, 30).map(lambda n: n / 10)
NAMES = ("m", "z", "b", "x", "a", "k")


class Input(Value):
    """Stays itself where an answer gets copies of its inputs, so that its grad can be read afterwards."""

    def __deepcopy__(self, memo):
        return self


def check_op(answer, numbers, result, slopes, same_input=False):
    """The number and the slopes of `answer`, a function of Values. `same_input` gives it one Value several times."""
    inputs = tuple(Input(number) for number in numbers)
    call = f"{answer.__name__}({', '.join(f'Value({number:g})' for number in numbers)})"
    if same_input:
        inputs = inputs[:1] * len(inputs)
        call = f"{answer.__name__}(x, x) with x = Value({numbers[0]:g})"
    got = call_answer(answer, inputs, call)
    demand(got is not None, "your function returned None: is there a `return`?", call)
    demand(isinstance(got, Value), f"a Value was expected, not {type(got).__name__}", call)
    is_graph = isinstance(got.inputs, (tuple, list)) and isinstance(got.slopes, (tuple, list))
    demand(got.inputs != (), "your Value has no inputs, so no slope goes back to them", call)
    demand(is_graph, "inputs and slopes must be tuples, and a tuple of one is written with a comma: (x,)", call)
    demand(
        len(got.inputs) == len(got.slopes),
        f"your Value has {len(got.inputs)} inputs and {len(got.slopes)} slopes: it needs one slope per input",
        call,
    )
    compare(got.data, float(result), call, why="the number")
    got.backward()
    for number, (x, slope) in enumerate(zip(inputs, slopes, strict=True), 1):
        which = f"slope in input {number}" if len(inputs) > 1 and not same_input else "slope"
        compare(x.grad, float(slope), call, why=f"the {which}, after backward()")


@exercise(
    "Keep y and move x: how fast does x / y move? Then keep x and move y: what is the derivative of 1 / y?",
    "The slope in x is 1 / y. The slope in y is −x / y². Give both, in the order of the inputs.",
)
def divide(answer):
    check_op(answer, (6, 2), 3, (0.5, -1.5))
    check_op(answer, (1, -4), -0.25, (-0.25, -0.0625))
    check_op(answer, (3, 3), 1, (0, 0), same_input=True)

    def check(x, y):
        check_op(answer, (x, y), x / y, (1 / y, -x / y**2))

    search(check, NUMBERS, NUMBERS.filter(lambda number: abs(number) >= 0.5))


@exercise(
    "What is the derivative of tanh? It can be written with tanh itself, that is, with the result.",
    "The slope is 1 − tanh(x)². Mind which number you square: the result, not x.",
)
def tanh(answer):
    check_op(answer, (0,), 0, (1,))
    check_op(answer, (1,), math.tanh(1), (1 / math.cosh(1) ** 2,))

    def check(x):
        check_op(answer, (x,), math.tanh(x), (1 / math.cosh(x) ** 2,))

    search(check, NUMBERS)


@exercise(
    "When may a value stand in the list? When all values that use it stand there already. How could you count that?",
    "First walk over the graph and count the users of each value you find. Then begin with the result. Each time a "
    "value goes into the list, one user less is missing for each of its inputs; an input that misses none is next.",
)
def topological_order(answer):
    check_order(answer, {"x": []}, "x")
    check_order(answer, {"x": [], "s": ["x", "x"]}, "s")
    check_order(answer, {"x": [], "s": ["x"], "t": ["s"], "r": ["s", "t"]}, "r")
    check_order(answer, {"x": [], "s": ["x"], "t": ["s"], "r": ["t", "s"]}, "r")
    check_order(answer, {"x": [], "y": [], "s": ["x"], "other": ["s", "y"]}, "s")
    search(lambda inputs: check_order(answer, inputs, list(inputs)[-1]), graphs())
    deep = {0: []} | {n: [n - 1] for n in range(1, 5000)}
    check_order(answer, deep, 4999, call="topological_order(a chain of 5,000 values)")


def graphs():
    """Strategy: up to six values; each has inputs among those before it."""
    drawn = st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=6)
    return drawn.map(
        lambda lists: {NAMES[k]: [NAMES[i % k] for i in numbers] if k else [] for k, numbers in enumerate(lists)}
    )


def check_order(answer, inputs, result, call=None):
    call = call or f"topological_order({inputs}, {result!r})"
    got = call_answer(answer, (inputs, result), call)
    demand(got is not None, "your function returned None: is there a `return`?", call)
    demand(isinstance(got, list), f"a list was expected, not {type(got).__name__}", call)
    twice = sorted(name for name in set(got) if got.count(name) > 1) if len(got) < 100 else []
    demand(not twice, f"{', '.join(map(repr, twice))} stands in the list more than once", call, got=got)
    needed, waiting = {result}, [result]
    while waiting:
        new = set(inputs[waiting.pop()]) - needed
        needed |= new
        waiting += new
    missing, added = sorted(needed - set(got)), sorted(set(got) - needed)
    demand(not missing, f"{', '.join(map(repr, missing))} is missing, but {result!r} depends on it", call, got=got)
    demand(not added, f"{result!r} does not depend on {', '.join(map(repr, added))}", call, got=got)
    place = {name: i for i, name in enumerate(got)}
    for name in got:
        for x in inputs[name]:
            demand(place[name] < place[x], f"{name!r} must stand before its input {x!r}", call, got=got)


@exercise(
    "What does one step need? The value and the slope of f at the present guess. How do you get both from one Value?",
    "In each step make a new Value of the guess, call f with it and backward() on the result. Then .data of the result "
    "is the value, and .grad of your Value is the slope.",
)
def newton(answer):
    def square_minus_two(x):
        return x * x - 2

    for steps, expected in ((0, 1.0), (1, 1.5), (2, 17 / 12), (6, math.sqrt(2))):
        call = f"newton(f, 1.0, {steps}) with f(x) = x · x − 2"
        compare(call_answer(answer, (square_minus_two, 1.0, steps), call), expected, call)

    def check(start, slope, level, steps):
        x = start
        for _ in range(steps):
            x -= (x**3 + slope * x - level) / (3 * x**2 + slope)
        call = f"newton(f, {start}, {steps}) with f(x) = x · x · x + {slope} · x − {level}"
        got = call_answer(answer, (lambda x: x * x * x + slope * x - level, start, steps), call)
        compare(got, x, call, rtol=1e-6, atol=1e-6)

    search(check, NUMBERS, st.integers(1, 3), st.integers(0, 3), st.integers(0, 4))
