"""Checks of lesson 16."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm import functional as F
from tinygrad_llm import tensor
from tinygrad_llm.ops.rope import rotary_embedding_ref
from tinygrad_llm.school import exercise, expect, for_all
from tinygrad_llm.testing import float_arrays


def turned(x, positions, theta):
    D = x.shape[1]
    angles = np.outer(positions, theta ** (-np.arange(0, D, 2) / D))
    return rotary_embedding_ref(x[:, None], np.cos(angles), np.sin(angles))[:, 0]


@exercise(
    "np.outer(positions, frequencies) has an angle for each row and each pair, (T, D/2). Which columns of x hold the "
    "first numbers of the pairs, and which the second?",
    "Cut x in two halves of D/2 columns. Each pair is multiplied by the matrix of the lesson, [cos −sin; sin cos]; the "
    "two results are the halves that go out. np.arange(0, D, 2) has the numbers 2i.",
)
def rotate(answer):
    one, none = np.array([1]), np.array([0])
    expect(
        answer, np.array([[3.0, 4.0]]), none, 10_000.0, equals=np.array([[3.0, 4.0]]), why="position 0 is not turned"
    )
    for x in ([[1.0, 0.0]], [[0.0, 1.0]]):
        why = "one pair, by 1 radian"
        expect(answer, np.array(x), one, 10_000.0, equals=turned(np.array(x), one, 10_000.0), why=why)
    x = np.array([[1.0, 0.0, 0.0, 0.0]])
    expected = np.array([[np.cos(1), 0.0, np.sin(1), 0.0]])
    expect(answer, x, one, 100.0, equals=expected, why="features 0 and 2 are the first pair, which turns by 1 radian")
    x = np.array([[0.0, 1.0, 0.0, 0.0]])
    expected = np.array([[0.0, np.cos(0.1), 0.0, np.sin(0.1)]])
    why = "features 1 and 3 are the second pair, which turns by 100^(−2/4) = 0.1 radians"
    expect(answer, x, one, 100.0, equals=expected, why=why)
    x, positions = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([7, 3])
    why = "positions need not start at 0, nor grow"
    expect(answer, x, positions, 10_000.0, equals=turned(x, positions, 10_000.0), why=why)
    positions = st.lists(st.integers(0, 20), min_size=1, max_size=1).map(np.array)
    for D in (2, 4, 6):
        for_all(answer, float_arrays((1, D)), positions, st.sampled_from([100.0, 10_000.0]), equals=turned)
    x = np.random.default_rng(0).standard_normal((5, 8))
    positions = np.array([4, 0, 9, 9, 500])
    expect(answer, x, positions, 10_000.0, equals=turned(x, positions, 10_000.0), why="five rows, four pairs")


def halves(weight, n_heads):
    D = len(weight) // n_heads
    rows = [head * D + 2 * i + second for head in range(n_heads) for second in (0, 1) for i in range(D // 2)]
    return weight[rows]


@exercise(
    "Take one head of six rows first: the first numbers of its pairs are in rows 0, 2, 4. Where do they have to go?",
    "reshape to (n_heads, D/2, 2, C) gives head, pair, and the place in the pair an axis of their own. Which two have "
    "to change places before you reshape back?",
)
def interleaved_to_halves(answer):
    def rows(n):
        return np.arange(float(n)).reshape(n, 1)

    expect(answer, rows(2), 1, equals=rows(2), why="a head of one pair is the same in both layouts")
    expect(answer, rows(4), 1, equals=halves(rows(4), 1), why="the pairs (0, 1) and (2, 3) become rows 0, 2 and 1, 3")
    why = "one head of three pairs. With D = 4 the way there and the way back are the same, with D = 6 they are not"
    expect(answer, rows(6), 1, equals=halves(rows(6), 1), why=why)
    expect(answer, rows(4), 2, equals=rows(4), why="two heads of one pair each: nothing moves from head to head")
    expect(answer, rows(12), 2, equals=halves(rows(12), 2), why="each head by itself")
    square = np.arange(36.0).reshape(6, 6)
    expect(answer, square, 1, equals=halves(square, 1), why="rows move, and columns stay")
    for n_heads, D, C in ((3, 8, 5), (2, 6, 12)):
        weight = np.random.default_rng(0).standard_normal((n_heads * D, C))
        expect(answer, weight, n_heads, equals=halves(weight, n_heads), why=f"{n_heads} heads with D = {D}")


def gradients(dout, x, weight, eps):
    inputs = [tensor(each, requires_grad=True) for each in (x, weight)]
    F.rms_norm(inputs[0], x.shape[1], inputs[1], eps).backward(dout)
    return tuple(each.grad.data for each in inputs)


@exercise(
    "Where does each x_c enter? Once directly, and once through the root of the mean, which its whole row shares. And "
    "which rows use weight c?",
    "The lesson has dx as a formula, with g = dout · weight and the mean over each row: keepdims=True keeps it as a "
    "column. For dweight, out = x̂ · weight has weight c once in every row.",
)
def rms_norm_backward(answer):
    x = np.array([[1.0, 7.0]])
    why, ones = "the example of the lesson", np.ones(2)
    expect(
        answer, np.array([[1.0, 0.0]]), x, ones, 0.0, equals=gradients(np.array([[1.0, 0.0]]), x, ones, 0.0), why=why
    )
    why = "dout is x itself: to stretch x changes nothing, so dx is 0, while dweight is not"
    expect(answer, x, x, ones, 0.0, equals=(np.zeros((1, 2)), np.array([0.2, 9.8])), why=why)
    cases = (
        ("the weight comes before the mean: g = dout · weight", x, x, np.array([2.0, 1.0]), 0.0),
        ("eps is added to the mean, under the root", x, x, ones, 11.0),
        ("each row has a mean of its own, and dweight is the sum of both", np.eye(2), x + np.eye(2), ones, 0.0),
        ("a row of zeros has the gradient dout · weight / √eps", ones[None], 0 * x, np.array([1.0, 3.0]), 0.25),
    )
    for why, *inputs in cases:
        expect(answer, *inputs, equals=gradients(*inputs), why=why)
    epsilons = st.sampled_from([0.25, 1.0])
    for_all(answer, float_arrays((2, 3)), float_arrays((2, 3)), float_arrays((3,)), epsilons, equals=gradients)


def attended(q, k, v):
    q, k, v = (tensor(each[None]) for each in (q, k, v))  # (1, heads, T, D)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).data[0]


@exercise(
    "Query head h reads head h // (H / G) of k and v. Is that np.repeat or np.tile along the first axis?",
    "Then it is the attention of lesson 10: scores by √D, −inf where the key's place is after the query's, a softmax "
    "that takes the largest score of each row away first, and the mean of the values with these weights.",
)
def grouped_attention(answer):
    with np.errstate(all="ignore"):
        one = np.ones((4, 1, 1))
        v = np.array([[[5.0]], [[6.0]]])
        why = "heads 0 and 1 read the first head of v, 2 and 3 the second"
        expect(answer, one, one[:2], v, equals=np.array([[[5.0]], [[5.0]], [[6.0]], [[6.0]]]), why=why)
        v = np.array([[[1.0], [3.0]]])
        zeros = np.zeros((1, 2, 1))
        why = "the first token sees itself only, the second one both, here alike"
        expect(answer, zeros, zeros, v, equals=np.array([[[1.0], [2.0]]]), why=why)
        q, k, v = np.array([[[0.0] * 4, [2.0] * 4]]), np.array([[[0.0] * 4, [1.0] * 4]]), np.eye(2, 4)[None]
        why = "D = 4: the scores of the second token are 0 and 8/√4 = 4"
        expect(answer, q, k, v, equals=attended(q, k, v), why=why)
        k = np.array([[[1.0], [0.0]], [[0.0], [0.0]]])
        q, v = np.ones((4, 2, 1)), np.array([[[1.0], [0.0]]] * 2)
        expect(answer, q, k, v, equals=attended(q, k, v), why="the keys belong to groups as the values do")
        large = np.full((1, 2, 1), 1000.0)
        v = np.array([[[1.0], [3.0]]])
        expect(answer, large, large / 1000, v, equals=np.array([[[1.0], [2.0]]]), why="large scores must not overflow")
        for_all(answer, float_arrays((2, 2, 1)), float_arrays((1, 2, 1)), float_arrays((1, 2, 1)), equals=attended)
        rng = np.random.default_rng(0)
        for H, G, T, D in ((2, 2, 3, 2), (3, 1, 3, 2), (6, 2, 4, 3), (6, 3, 5, 4)):
            q, k, v = (rng.standard_normal((heads, T, D)) for heads in (H, G, G))
            why = f"{H} heads of queries, {G} of keys and values"
            expect(answer, q, k, v, equals=attended(q, k, v), why=why)
