"""Checks of lesson 13."""

import tracemalloc

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm import functional as F
from tinygrad_llm import tensor
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.school import exercise, expect, search
from tinygrad_llm.school.checks import WrongAnswer, call_answer
from tinygrad_llm.testing import float_arrays


@exercise(
    "How many tokens does one row of 3 inputs need, with its targets? And two rows? Try texts of 3, 4, 6 and 7 tokens.",
    "There are n = (N − 1) // seq_len rows. Shift the whole text first, then reshape both: the inputs are the first "
    "n · seq_len tokens, the targets as many from the second on.",
)
def inputs_and_targets(answer):
    def check(ids, seq_len, why=""):
        n = len(range(seq_len, len(ids), seq_len))  # a row ends before each of these tokens
        x, y = (np.zeros((n, seq_len), ids.dtype) for _ in range(2))
        for i, t in np.ndindex(n, seq_len):
            x[i, t], y[i, t] = ids[i * seq_len + t], ids[i * seq_len + t + 1]
        expect(answer, ids, seq_len, equals=(x, y), why=why)

    check(np.array([5, 6, 7, 8, 9, 5, 6]), 3)
    check(np.array([5, 6, 7]), 1, "two of three tokens have a next one")
    check(np.array([5, 6, 7, 8]), 2, "7 has a next token, but with 8, which has none, it makes no row")
    check(np.array([5, 6, 7, 8, 9]), 2, "the target at the end of a row is the first token of the next row")
    check(np.array([5, 6, 7, 8, 9, 6]), 2, "the last token is left over")
    check(np.array([5, 6, 7]), 4, "too short for a row: shapes (0, 4)")
    search(check, st.lists(st.integers(0, 9), min_size=1, max_size=12).map(np.array), st.integers(1, 4))


def of_the_library(V, T, C, L, tied, bias):
    model = GPT(GPTConfig(V, T, L, n_heads=1, d_model=C, bias=bias), np.random.default_rng(0))
    return model.num_parameters() + (0 if tied else V * C)


@exercise(
    "Take the smallest model, all sizes 1. What is in each part: two tables, four linear layers, three norms?",
    "The linear layers of a block have 12 C² weights and, if there are biases, 9 C of those; its two norms have C or "
    "2C each. After the blocks there is one more norm.",
)
def count_parameters(answer):
    sizes = (1, 1, 1, 1)
    why = "2 in the tables, 12 weights and 9 biases in a block, 3 norms with 2 each"
    expect(answer, *sizes, True, True, equals=29, why=why)
    why = "the defaults are tied=True and bias=True"
    expect(answer, 4, 2, 2, 1, equals=90, why=why)
    why = "2 in the tables, 12 weights in a block, 3 norms with 1 each"
    expect(answer, *sizes, True, False, equals=17, why=why)
    expect(answer, 4, 2, 2, 1, False, True, equals=98, why="its own weight (4, 2), and no bias, for the last layer")
    small = st.integers(1, 4)
    options = st.tuples(st.booleans(), st.booleans())

    def check(V, T, shape, options):
        args = (V, T, *shape, *options)
        expect(answer, *args, equals=of_the_library(*args), why="compared with the library's GPT")

    search(check, small, small, st.tuples(small, small), options)
    expect(answer, 50257, 1024, 768, 12, equals=124_439_808, why="GPT-2 small")
    expect(answer, 50257, 1024, 768, 12, False, True, equals=163_037_184, why="GPT-2 small, if it were not tied")


def table_gradient_ref(ids, table, positions, dlogits):
    leaf = tensor(table, requires_grad=True)
    F.linear(F.embedding(ids, leaf) + tensor(positions), leaf).backward(dlogits)
    return leaf.grad.data


@st.composite
def tied_models(draw):
    T, V, C = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    ids = np.array(draw(st.lists(st.integers(0, V - 1), min_size=T, max_size=T)))
    return ids, *(draw(float_arrays(shape)) for shape in ((V, C), (T, C), (T, V)))


@exercise(
    "The table stands in two places of the formulas. What is its gradient if the other place were a copy of it?",
    "As output, by the rule of a product: dlogitsᵀ x. As input: dx = dlogits · table, and its row t goes to row "
    "ids[t] of the table. A token that occurs twice gets both: think of np.add.at.",
)
def table_gradient(answer):
    def check(case, why=""):
        expect(answer, *case, equals=table_gradient_ref(*case), why=why)

    two, zero = np.array([[1.0], [2.0]]), np.array([[0.0]])
    why = "as output (10, 100), as input 10 · 1 + 100 · 2 for token 0"
    check((np.array([0]), two, zero, np.array([[10.0, 100.0]])), why)
    why = "as output x has the position in it; as input the position changes nothing"
    check((np.array([0]), two, np.array([[3.0]]), np.array([[10.0, 100.0]])), why)
    why = "token 1 occurs twice: both places count"
    check((np.array([1, 1]), two, np.zeros((2, 1)), np.array([[1.0, 0.0], [0.0, 1.0]])), why)
    why = "token 0 does not occur: its gradient comes from its use as output alone"
    check((np.array([1]), two, zero, np.array([[1.0, 0.0]])), why)
    search(lambda case: check(case, "compared with the library's gradient"), tied_models())


def chunked_loss_ref(x, W, y):
    x, W = (tensor(array, requires_grad=True) for array in (x, W))
    loss = F.cross_entropy(F.linear(x, W), y)
    loss.backward()
    return loss.item(), x.grad.data, W.grad.data


@st.composite
def loss_cases(draw):
    N, V, C = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    y = np.array(draw(st.lists(st.integers(0, V - 1), min_size=N, max_size=N)))
    return draw(float_arrays((N, C))), draw(float_arrays((V, C))), y, draw(st.integers(1, 5))


@exercise(
    "The gradient of all scores is (softmax − onehot) / N. What of it can you compute from a few rows of x alone, and "
    "what must be added up over all of them?",
    "In each round: scores, minus each row's maximum; losses; the gradient ds, divided by N, not by the rows of the "
    "round. Its dx are rows of their own, ds.T @ x is added to dW. For onehot subtract 1 at [arange, y].",
)
def chunked_loss(answer):
    def check(case, why=""):
        expect(answer, *case, equals=chunked_loss_ref(*case[:3]), why=why)

    x, W, y = np.ones((2, 1)), np.log([[1.0], [3.0]]), np.array([0, 1])
    check((x, W, y, 2), "all rows at once")
    check((x, W, y, 1), "two rounds of one row: the mean is over both")
    check((x, W, y, 5), "more than there are")
    x, y = np.array([[1.0], [2.0], [-1.0]]), np.array([0, 1, 1])
    check((x, W, y, 2), "the second round has one row only")
    with np.errstate(all="ignore"):
        check((1000 * x, W, y, 2), "huge scores must not overflow")
    search(lambda case: check(case, "compared with the library"), loss_cases())
    check_memory(answer)


def check_memory(answer):
    N, V, C, rows = 2000, 4000, 2, 50
    rng = np.random.default_rng(0)
    case = rng.standard_normal((N, C)), rng.standard_normal((V, C)), rng.integers(V, size=N), rows
    call = f"chunked_loss(x ({N}, {C}), W ({V}, {C}), y ({N},), {rows})"
    tracemalloc.start()
    try:
        call_answer(answer, case, call)
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    what = (
        "it takes too much memory: are there all scores at once, one array for each round that is kept, or np.eye(V)?"
    )
    limit, unit = 20, rows * V * 8 / 1e6
    expected = f"at most {limit} MB (scores of {rows} rows have {unit:.1f} MB, all have {N * V * 8 / 1e6:.0f} MB)"
    if megabytes >= limit:
        raise WrongAnswer(what, call, expected, f"{megabytes:.0f} MB")
