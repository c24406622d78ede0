"""Checks of lesson 02."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinygrad_llm.autograd import tensor
from tinygrad_llm.ops import common
from tinygrad_llm.ops.arithmetic import Add, Mul
from tinygrad_llm.school import WrongAnswer, demand, exercise, expect, for_all, for_all_gradients, search
from tinygrad_llm.school.checks import call_answer, compare

NUMBERS = st.integers(-3, 3).map(float)
SHAPES = ((), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2), (1, 2, 1), (2, 1, 2))


@exercise(
    "Align both shapes at the right. Which dims does the gradient have in front that `shape` lacks? And where does "
    "`shape` have a 1 that was stretched?",
    "Sum over the dims in front; they vanish. Then sum over the dims where `shape` has a 1, with keepdims=True, for "
    "they must stay.",
)
def unbroadcast(answer):
    ones = np.ones((2, 3))
    expect(answer, ones, (2, 3), equals=ones, why="nothing was broadcast, nothing is to be summed")
    expect(answer, ones, (3,), equals=np.full(3, 2.0), why="each number was used in 2 rows")
    expect(answer, ones, (2, 1), equals=np.full((2, 1), 3.0), why="each number was used in 3 columns")
    expect(answer, np.ones((4, 2, 3)), (1, 3), equals=np.full((1, 3), 8.0), why="a dim in front and a stretched one")
    expect(answer, ones, (), equals=np.array(6.0), why="a single number, used 6 times")

    def check(drawn):
        gradient, shape = drawn
        expect(answer, gradient, shape, equals=np.asarray(common.unbroadcast(gradient, shape)))

    search(check, gradients_and_shapes())


def gradients_and_shapes():
    """Strategy: a gradient, and a shape that broadcasts to its shape."""
    pairs = [(big, small) for big in SHAPES for small in SHAPES if broadcasts(small, big)]
    return st.sampled_from(pairs).flatmap(
        lambda pair: st.tuples(arrays(float, pair[0], elements=NUMBERS), st.just(pair[1]))
    )


def broadcasts(small, big):
    return len(small) <= len(big) and all(n in (1, m) for n, m in zip(small[::-1], big[::-1], strict=False))


@exercise(
    "How fast does the mean of n numbers move when one of them moves? And to how many numbers does each number of dout "
    "go back?",
    "Divide dout by shape[dim]. Give it back its missing dim, of size 1 (np.expand_dims), and broadcast it to shape.",
)
def mean_backward(answer):
    expect(answer, np.array([3.0, 6.0]), (2, 3), 1, equals=np.array([[1.0, 1, 1], [2, 2, 2]]))
    expect(answer, np.array([2.0, 4.0, 6.0]), (2, 3), 0, equals=np.array([[1.0, 2, 3], [1, 2, 3]]))
    expect(
        answer,
        np.array([2.0, 4.0]),
        (2, 2),
        1,
        equals=np.array([[1.0, 1], [2, 2]]),
        why="where both dims have the same size, a wrong one goes unnoticed by NumPy",
    )

    def check(x, dim):
        dim %= x.ndim
        leaf = tensor(x, requires_grad=True)
        out = leaf.mean(dim=dim)
        dout = np.arange(1.0, out.data.size + 1).reshape(out.shape)
        out.backward(dout)
        expect(answer, dout, x.shape, dim, equals=leaf.grad.data)

    search(check, arrays(float, array_shapes(min_dims=1, max_dims=3, max_side=3), elements=NUMBERS), st.integers(0, 2))


@exercise(
    "One of the inputs may be broadcast. Which shape must its gradient have? And does your op pass dout on?",
    "Save x, y and out in forward. In backward the gradient of x is dout · x / out, then unbroadcast to x's shape, and "
    "that of y likewise. record gets both inputs, in order.",
)
def hypot(answer):
    call = "hypot(tensor([3., 6.]), tensor([4., 8.]))"
    out = expect(answer, parameter([3, 6]), parameter([4, 8]), equals=tensor([5.0, 10.0]))
    demand(out.node is not None, "the result has no graph: is record called, with both inputs?", call)
    name, own = out.node.function.__name__, out.node.function.__module__ == answer.__module__
    demand(own, f"the last op is {name} of the library: make your own, a class that inherits from Function", call)
    compare(len(out.node.edges), 2, call, why="record must get both inputs")
    check_gradients(answer, [3, 6], [4, 8], [1, 1], [0.6, 0.6], [0.8, 0.8])
    check_gradients(answer, [3, 6], [4, 8], [1, 10], [0.6, 6], [0.8, 8], why="a dout of 10 makes it ten times as large")
    check_gradients(answer, [[3], [3]], [[4], [4]], [[1], [1]], [[0.6], [0.6]], [[0.8], [0.8]])
    check_gradients(answer, [[3, 6], [3, 6]], [4, 8], [[1, 1], [1, 1]], [[0.6, 0.6], [0.6, 0.6]], [1.6, 1.6])

    def positive(shape):
        elements = st.integers(5, 30).map(lambda n: n / 10)
        return arrays(float, shape, elements=elements).map(parameter)

    for_all(answer, positive((2, 2)), positive((2, 2)), equals=lambda x, y: (x * x + y * y).sqrt())
    for x_shape, y_shape in (((2,), (2,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2,))):
        for_all_gradients(answer, positive(x_shape), positive(y_shape), max_examples=10)


def parameter(numbers):
    return tensor(np.array(numbers, float), requires_grad=True)


def check_gradients(answer, x, y, dout, dx, dy, why=""):
    call = f"out = hypot(tensor({x}), tensor({y})); out.backward({dout})"
    x, y = parameter(x), parameter(y)
    out = answer(x, y)
    try:
        out.backward(np.array(dout, float))
    except Exception as error:
        raise WrongAnswer(f"backward raised {type(error).__name__}: {error}", call) from error
    for name, leaf, expected in (("x", x, dx), ("y", y, dy)):
        compare(leaf.grad.data, np.array(expected, float), call, why=f"the gradient of {name}{why and ': ' + why}")


@exercise(
    "What must be known before the backward of an op can be called? And what happens to a name that is used twice?",
    "Keep the gradients in a dict that begins with the first step's result. Where a name has one already, store the "
    "sum as a new array: `+=` would also change the array of another name, since Add hands dout itself to both inputs.",
)
def run_backward(answer):
    check_program(answer, [("r", "+", "x", "y")])
    check_program(answer, [("r", "·", "x", "y")])
    check_program(answer, [("r", "+", "x", "x")])
    check_program(answer, [("s", "·", "x", "y"), ("r", "+", "s", "x")])
    check_program(answer, [("s", "+", "x", "y"), ("r", "+", "s", "x")])
    steps = st.lists(st.tuples(st.sampled_from("+·"), st.integers(0, 5)), min_size=1, max_size=4)

    def check(drawn):
        names, program = ["x", "y"], []
        for (sign, other), name in zip(drawn, "abcd", strict=False):
            program.append((name, sign, program[-1][0] if program else "x", names[other % len(names)]))
            names.append(name)
        check_program(answer, program)

    search(check, steps)


def check_program(answer, program):
    """Run lines such as ("r", "+", "x", "y") forward, hand the answer their steps, and compare with tensors."""
    arrays_of = {"x": np.array([2.0, 3.0]), "y": np.array([5.0, 7.0])}
    tensors_of = {name: parameter(array) for name, array in arrays_of.items()}
    steps = []
    for out, sign, one, other in program:
        op = Add if sign == "+" else Mul
        arrays_of[out], saved = op.forward(arrays_of[one], arrays_of[other])
        steps.insert(0, (out, op, saved, (one, other)))
        a, b = tensors_of[one], tensors_of[other]
        tensors_of[out] = a + b if sign == "+" else a * b
        tensors_of[out].retain_grad()
    dout = np.array([1.0, 10.0])
    tensors_of[out].backward(dout)
    lines = "; ".join(f"{out} = {one} {sign} {other}" for out, sign, one, other in program)
    call = f"run_backward(steps, array([1., 10.])), the steps of {lines}, with x = [2, 3] and y = [5, 7]"
    got = call_answer(answer, (steps, dout), call)
    compare(type(got).__name__, "dict", call, why="a dict of gradients by name is asked for")
    expected = {name: leaf.grad.data for name, leaf in tensors_of.items() if leaf.grad is not None}
    demand(set(got) == set(expected), "the names are others", call, sorted(expected), sorted(got))
    for name, gradient in expected.items():
        also = ", which is dout: is an array changed in place?" if name == out else ""
        compare(got[name], gradient, call, why=f"the gradient of {name}{also}")
