"""Checks of lesson 10."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm import functional as F
from tinygrad_llm import tensor
from tinygrad_llm.ops.attention import attention_ref
from tinygrad_llm.school import exercise, expect, for_all, search
from tinygrad_llm.testing import float_arrays


def windows(T, window):
    rows = [[1.0 if t - window < s <= t else 0.0 for s in range(T)] for t in range(T)]
    return np.array([np.array(row) / sum(row) for row in rows])


@exercise(
    "Column s lies t − s tokens back from row t. Which of these distances are allowed? And how many tokens does the "
    "first row see, if nothing stands before it?",
    "With distance = np.arange(T)[:, None] - np.arange(T) the rule is 0 ≤ distance < window. Divide each row by its "
    "own sum, which is smaller in the first rows.",
)
def causal_weights(answer):
    expect(answer, 1, 1, equals=np.ones((1, 1)), why="one token sees itself")
    expect(answer, 2, 1, equals=np.eye(2), why="a window of 1 is the token alone")
    expect(answer, 2, 2, equals=np.array([[1.0, 0.0], [0.5, 0.5]]), why="the first token has nothing before it")
    third = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    expect(answer, 3, 2, equals=third, why="the third token no longer sees the first")
    expect(answer, 2, 5, equals=np.array([[1.0, 0.0], [0.5, 0.5]]), why="a window longer than the text")
    for_all(answer, st.integers(1, 6), st.integers(1, 7), equals=windows)


@st.composite
def heads(draw, n_more=0):
    """q, k (T, D), v (T, Dv), and n_more arrays like v."""
    T, D, Dv = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 2))
    return tuple(draw(float_arrays((T, width))) for width in (D, D, *[Dv] * (1 + n_more)))


def causal_ref(q, k, v):
    return attention_ref(q, k, v, is_causal=True)


@exercise(
    "Where do you put −∞, and at which moment? Along which axis do the weights of one query sum to 1? What is scaled, "
    "and by what, if D = 4?",
    "scores = q @ k.T / √D; −∞ where np.tri(T) is 0; subtract each row's maximum; exponentials over their sum along "
    "axis 1; then @ v.",
)
def attention(answer):
    two = np.zeros((2, 4))
    v = np.array([[1.0], [3.0]])
    expect(answer, two, two, v, equals=np.array([[1.0], [2.0]]), why="equal scores: the mean of what each may see")
    q, k = np.array([[0.0], [np.log(3.0)]]), np.array([[0.0], [1.0]])
    expect(answer, q, k, v, equals=np.array([[1.0], [2.5]]), why="token 1 weighs the values by 1/4 and 3/4")
    q, k = np.array([[0.0], [1.0]]), np.array([[np.log(3.0)], [0.0]])
    expect(answer, q, k, v, equals=np.array([[1.0], [1.5]]), why="token 1 weighs the values by 3/4 and 1/4")
    q = k = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    why = "with D = 4 the scores of token 1 are 0/2 and 4/2"
    expect(answer, q, k, v, equals=np.array([[1.0], [1 + 2 / (1 + np.exp(-2.0))]]), why=why)
    search(lambda drawn: expect(answer, *drawn, equals=causal_ref(*drawn)), heads())
    large = np.array([[0.0], [1.0]])
    with np.errstate(all="ignore"):
        expect(answer, large, 1000 * large, v, equals=np.array([[1.0], [3.0]]), why="nothing may overflow")
        why = "a huge score in the future must not push the row's own ones to 0"
        expect(answer, np.ones((2, 1)), 1000 * large, v, equals=np.array([[1.0], [3.0]]), why=why)
        why = "not all of a row's weights may become 0, however small its scores are"
        expect(answer, np.ones((2, 1)), np.full((2, 1), -1000.0), v, equals=np.array([[1.0], [2.0]]), why=why)


def gradients_ref(q, k, v, dout):
    inputs = [tensor(x, requires_grad=True) for x in (q, k, v)]
    F.scaled_dot_product_attention(*inputs, is_causal=True).backward(dout)
    return tuple(x.grad.data for x in inputs)


@exercise(
    "Go backwards, one matrix at a time: from dout to dv and to the gradient of the weights, from there to that of the "
    "scores, from there to dq and dk. Where does the scale belong?",
    "dP = dout vᵀ; dS = P ∘ (dP − its mean under the weights, one number per row, kept as a column). With S = q kᵀ/√D "
    "both dq and dk get the factor 1/√D, dq from dS and k, dk from dSᵀ and q.",
)
def attention_gradient(answer):
    one = np.ones((1, 1))
    why = "one token looks at itself with the weight 1, whatever q and k are"
    expect(answer, one, one, one, 3 * one, equals=(0 * one, 0 * one, 3 * one), why=why)
    zeros, k, v, dout = np.zeros((2, 1)), np.array([[2.0], [0.0]]), np.array([[4.0], [0.0]]), np.array([[0.0], [1.0]])
    equals = (np.array([[0.0], [2.0]]), zeros, np.array([[0.5], [0.5]]))
    expect(answer, zeros, k, v, dout, equals=equals, why="the example of the exercise")
    q = np.array([[0.0], [3.0]])
    equals = (zeros, np.array([[3.0], [-3.0]]), np.array([[0.5], [0.5]]))
    expect(answer, q, zeros, v, dout, equals=equals, why="equal keys: dq is 0, and dk is dSᵀ q with dS = (1, −1)")
    q, k4 = np.zeros((2, 4)), np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    equals = (k4[::-1] / 2, q, np.array([[0.5], [0.5]]))
    expect(answer, q, k4, v, dout, equals=equals, why="D = 4: the scores are q · k / 2, so their slope in q is k / 2")
    first = np.array([[1.0], [0.0]])
    equals = (zeros, zeros, first)
    expect(answer, zeros, k, v, first, equals=equals, why="token 0 sees only itself: the future gets no gradient")
    search(lambda drawn: expect(answer, *drawn, equals=gradients_ref(*drawn)), heads(n_more=1))


def padded_ref(q, k, v, is_token):
    return attention_ref(q, np.where(is_token[..., None], k, 0), np.where(is_token[..., None], v, 0), is_token[:, None])


@st.composite
def sentences(draw):
    B, T, S, D = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from([1, 4])),
    )
    arrays = tuple(draw(float_arrays(shape)) for shape in ((B, T, D), (B, S, D), (B, S, 1)))
    return *arrays, np.array(draw(st.lists(st.booleans(), min_size=B * S, max_size=B * S))).reshape(B, S)


@exercise(
    "To which shape must is_token (B, S) be brought to meet scores (B, T, S)? And what are the maximum and the sum of "
    "a row in which every score is −∞?",
    "is_token[:, None, :] broadcasts. Where a row's maximum is −∞ subtract 0 instead, and where its sum is 0 divide by "
    "1: np.where does both.",
)
def padded_attention(answer):
    zeros, v = np.zeros((1, 3, 1)), np.array([[[1.0], [3.0], [100.0]]])
    seen = np.array([[True, True, False]])
    with np.errstate(all="ignore"):
        why = "the mean of 1 and 3, for each query"
        expect(answer, zeros[:, :2], zeros, v, seen, equals=np.full((1, 2, 1), 2.0), why=why)
        everything = np.array([[True, True, True]])
        why = "without padding all queries see all keys: there is no causal mask"
        expect(answer, zeros, zeros, v, everything, equals=np.full((1, 3, 1), 104 / 3), why=why)
        why = "the padding stands in front: the mask says where, not the place"
        expect(answer, zeros, zeros, v, seen[:, ::-1], equals=np.full((1, 3, 1), 51.5), why=why)
        both, twice = np.zeros((2, 2, 1)), np.array([[[1.0], [3.0]], [[10.0], [30.0]]])
        mask = np.array([[True, False], [False, True]])
        equals = np.array([[[1.0], [1.0]], [[30.0], [30.0]]])
        expect(answer, both, both, twice, mask, equals=equals, why="each sentence has its own padding")
        mask = np.array([[True, True], [False, False]])
        equals = np.array([[[2.0], [2.0]], [[0.0], [0.0]]])
        expect(answer, both, both, twice, mask, equals=equals, why="the second sentence is empty: zeros, no NaN")
        q, k = np.ones((1, 1, 1)), np.array([[[0.0], [0.0], [1e6]]])
        why = "a huge key in the padding must not push the others to 0"
        expect(answer, q, k, v, seen, equals=np.full((1, 1, 1), 2.0), why=why)
        k, why = np.array([[[-1e6], [-1e6], [0.0]]]), "the tokens' scores are far below those of the padding"
        expect(answer, q, k, v, seen, equals=np.full((1, 1, 1), 2.0), why=why)
        k, v = np.array([[[0.0], [np.log(3)], [0.0]]]), np.array([[[1.0], [3.0], [1e6]]])
        expect(answer, q, k, v, seen, equals=np.full((1, 1, 1), 2.5), why="weights 1/4 and 3/4; 1e6 is padding")
        search(lambda drawn: expect(answer, *drawn, equals=padded_ref(*drawn)), sentences())
