"""How the exercises of lesson 04 are graded. Kernels are looked at as plain Python first, then compiled."""

import functools
import inspect

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.kernel import jit_enabled, plain
from tinygrad_llm.school import WrongAnswer, demand, exercise, expect, for_all
from tinygrad_llm.testing import float_arrays


@exercise(
    "write the product with indices, out_ij = Σ_k a_ik b_kj. In which elements of out does a_ik occur, and with what?",
    "da (M, K) is made of dout (M, N) and b (K, N), db (K, N) of a (M, K) and dout: only one way of transposing fits",
)
def matmul_backward(answer):
    def reference(dout, a, b):
        return np.einsum("ij,kj->ik", dout, b), np.einsum("ik,ij->kj", a, dout)

    corner, a, b = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6], [7, 8]])
    why = "out[0, 0] alone counts, so row 0 of a and column 0 of b have a gradient"
    expect(answer, corner, a, b, equals=reference(corner, a, b), why=why)
    one, row, column = np.array([[1.0]]), np.array([[2.0, 3.0]]), np.array([[5.0], [7.0]])
    expect(answer, one, row, column, equals=(np.array([[5.0, 7.0]]), np.array([[2.0], [3.0]])))
    for_all(answer, float_arrays((2, 3)), float_arrays((2, 1)), float_arrays((1, 3)), equals=reference)
    for_all(answer, float_arrays((3, 1)), float_arrays((3, 2)), float_arrays((2, 1)), equals=reference)


@exercise(
    "keep the numbers of the cached lines in an order that says who was read last; a read changes that order as well",
    "a list will do: a line that is found is taken out and put at the end, like a new one; who has to go is the first",
)
def count_misses(answer):
    expect(answer, [], 64, 1, equals=0, why="nothing is read")
    expect(answer, [0, 4, 60, 63], 64, 1, equals=1, why="all of these are in line 0")
    expect(answer, [0, 64, 0, 64], 64, 2, equals=2, why="both lines have room")
    expect(answer, [0, 64, 0, 64], 64, 1, equals=4, why="there is room for one line, so each drives out the other")
    why = "line 0 was read again before line 2 came, so line 1 has waited longest and goes"
    expect(answer, [0, 64, 0, 128, 0], 64, 2, equals=3, why=why)
    addresses = st.lists(st.integers(0, 15).map(lambda number: 4 * number), max_size=12)
    for_all(answer, addresses, st.sampled_from([8, 16]), st.integers(1, 3), equals=_misses, max_examples=200)
    rows = [4 * number for number in range(512)]
    columns = [rows[32 * i + j] for j in range(32) for i in range(16)]
    expect(answer, rows, 64, 8, equals=32, why="16 rows of 32 float32, read by rows: each line once")
    expect(answer, columns, 64, 8, equals=512, why="16 rows of 32 float32, read by columns: too many lines to keep")


def _misses(addresses, line_size, n_lines):
    """A read misses if n_lines or more other lines were read since the last read of its own."""
    lines, misses = [address // line_size for address in addresses], 0
    for now, line in enumerate(lines):
        before = [then for then in range(now) if lines[then] == line]
        misses += not before or len(set(lines[before[-1] + 1 : now])) >= n_lines
    return misses


@exercise(
    "the sum of a column needs all rows but writes one element: which of the two loops may be shared out?",
    "prange over the columns j. Add up in a local variable that starts as dout.dtype.type(0), and store it at the end",
)
def bias_gradient(answer):
    _check_kernel(answer)
    call = _calls(answer, lambda dout: dout.shape[1])
    why = "1 + 3 and 2 + 4 are to be written over the sevens that were in db"
    expect(call, DB, np.array([[1.0, 2.0], [3.0, 4.0]]), equals=np.array([4.0, 6.0]), why=why)
    expect(call, DB, np.array([[1.0, 2.0, 3.0]]), equals=np.array([1.0, 2.0, 3.0]))
    for_all(call, st.just(DB), float_arrays((2, 3)), equals=lambda db, dout: dout.sum(axis=0))
    dout = np.random.default_rng(0).uniform(1, 2, (4, 3))
    _check_threads(answer, np.full(3, 7.0), dout)
    _check_compiled(answer, (300,), np.random.default_rng(1).random((200, 300)), equals=lambda dout: dout.sum(axis=0))


@exercise(
    "db_kj = Σ_i a_ik dout_ij has three indices. Which one must be innermost, so that db and dout are read along rows? "
    "Which may be shared out, because it says which part of db is written?",
    "prange over k: row k of db is set to zero, then for each i the row i of dout, times a_ik, is added to it",
)
def weight_gradient(answer):
    _check_kernel(answer)
    call = _calls(answer, lambda a, dout: (a.shape[1], dout.shape[1]))
    a, dout = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[10.0], [1.0]])
    why = "1 · 10 + 3 · 1 and 2 · 10 + 4 · 1 are to be written over the sevens that were in db"
    expect(call, DB, a, dout, equals=np.array([[13.0], [24.0]]), why=why)
    for_all(call, st.just(DB), float_arrays((2, 2)), float_arrays((2, 3)), equals=lambda db, a, dout: a.T @ dout)
    rng = np.random.default_rng(0)
    a, dout = rng.uniform(1, 2, (4, 3)), rng.uniform(1, 2, (4, 16))
    _check_threads(answer, np.full((3, 16), 7.0), a, dout)
    reads = _reads_of_the_last(answer, np.full((3, 16), 7.0), a, dout)
    jumps = np.count_nonzero(np.diff(reads) != dout.itemsize)
    what = f"of {len(reads)} reads of dout, one after the other, {jumps} are not of the right neighbour in memory: "
    demand(jumps <= len(reads) // 4, what + "the innermost loop must go along a row", _shapes(answer, a, dout))
    a, dout = rng.random((90, 70)), rng.random((90, 110))
    _check_compiled(answer, (70, 110), a, dout, equals=lambda a, dout: a.T @ dout)


class _Db:
    """Shown where a call is written down: the array that the kernel writes to."""

    def __repr__(self):
        return "db"


DB = _Db()


def _check_kernel(answer):
    """The stub's decorator must have stayed; without JIT there is nothing left of it but the text."""
    what = f"{answer.__name__} must be a kernel, as it was: keep the line @kernel(parallel=True)"
    demand(not jit_enabled() or plain(answer) is not answer, what)
    demand("@kernel(parallel=True)" in inspect.getsource(plain(answer)), what)


def _calls(answer, shape_of):
    """The kernel as a function that returns what it wrote, as plain Python; sevens were there before."""

    @functools.wraps(plain(answer))
    def call(db, *inputs):
        out = np.full(shape_of(*inputs), 7.0)
        returned = plain(answer)(out, *inputs)
        demand(returned is None, "a kernel returns nothing: it writes into db")
        return out

    return call


def _shapes(answer, *inputs):
    return f"{answer.__name__}(db, {', '.join(f'an array of shape {each.shape}' for each in inputs)})"


def _check_threads(answer, out, *inputs):
    """Run it in plain Python and note which iteration of prange changes which element."""
    writer = {}

    def watched(*bounds):
        for number in range(*bounds):
            before = out.copy()
            yield number
            for index in zip(*np.nonzero(out != before), strict=True):
                index = [int(i) for i in index]
                other = writer.setdefault(tuple(index), number)
                what = f"a race: the iterations {other} and {number} of prange both write to db{index}"
                demand(other == number, what, _shapes(answer, *inputs))

    names = plain(answer).__globals__
    prange, names["prange"] = names.get("prange"), watched
    try:
        plain(answer)(out, *inputs)
    finally:
        names["prange"] = prange
    demand(bool(writer), "no thread has anything to do: make one of the loops a prange", _shapes(answer, *inputs))


def _reads_of_the_last(answer, out, *inputs):
    """The addresses in the last array at which single elements are read, in turn."""
    addresses = []

    class Traced(np.ndarray):
        def __getitem__(self, index):
            got = super().__getitem__(index)
            if np.ndim(got) == 0:
                index = index if isinstance(index, tuple) else (index,)
                addresses.append(self.ctypes.data + sum(i * step for i, step in zip(index, self.strides, strict=True)))
            return got

    plain(answer)(out, *inputs[:-1], inputs[-1].view(Traced))
    return addresses


def _check_compiled(answer, shape, *inputs, equals):
    """With threads, at a size at which all of them have something to do."""
    db = np.full(shape, 7.0)
    try:
        answer(db, *inputs)
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line and "Failed in" not in line), "")
        what = f"as plain Python it is right, but compiled it raised {type(error).__name__}: {reason}"
        raise WrongAnswer(what, _shapes(answer, *inputs)) from error
    what = "as plain Python it is right, but compiled and with threads it is not"
    demand(np.allclose(db, equals(*inputs)), what, _shapes(answer, *inputs))
