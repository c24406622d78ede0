"""Checks of lesson 09."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm import functional as F
from tinygrad_llm import tensor
from tinygrad_llm.school import demand, exercise, expect, for_all, search
from tinygrad_llm.school.checks import call_answer
from tinygrad_llm.testing import float_arrays

SMALL_TEXTS = st.lists(st.integers(0, 2), min_size=2, max_size=6).map(np.array)


def counted(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), np.int64)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


def table(p):
    """Rows that sum to 1; no weight below 0.1."""
    return p / p.sum(axis=1, keepdims=True)


@exercise(
    "What does counts[v, w] += 1 do with arrays v and w in which the same pair stands twice? Look at the trap in the "
    "lesson.",
    "Make one integer of each pair, v · V + w, count the integers with np.bincount (it has a minlength), and reshape. "
    "Or use np.add.at, which adds once per place.",
)
def count_pairs(answer):
    expect(answer, np.array([0, 1]), 2, equals=np.array([[0, 1], [0, 0]]), why="one pair: 1 after 0")
    expect(answer, np.array([0, 1, 0, 1]), 2, equals=np.array([[0, 2], [1, 0]]), why="the pair 0, 1 is there twice")
    expect(answer, np.array([1, 0, 0]), 3, equals=np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]]), why="2 never occurs")
    expect(answer, np.array([1]), 2, equals=np.zeros((2, 2), np.int64), why="one token is no pair")
    expect(answer, np.array([], np.int64), 2, equals=np.zeros((2, 2), np.int64), why="no token is no pair")
    for_all(answer, SMALL_TEXTS, st.just(3), equals=counted)
    long = np.random.default_rng(0).integers(0, 50, 1_000_000)
    call = "count_pairs(a text of 1,000,000 tokens, 50)"
    got = call_answer(answer, (long, 50), call)
    demand(np.array_equal(got, counted(long, 50)), "the counts of a long text are wrong", call)


@exercise(
    "Which numbers of the table belong to the text? One per pair, so N − 1 of them. What is averaged, p or ln p?",
    "Pick p[ids[:-1], ids[1:]], take the logarithm, the mean, the minus, and the exponential, in this order. "
    "np.errstate(divide='ignore') keeps ln 0 quiet.",
)
def perplexity(answer):
    for size in (1, 2, 5):
        p = np.full((size, size), 1 / size)
        why = f"if all {size} tokens are equally likely, the model is as unsure as among {size}"
        expect(answer, p, np.zeros(3, np.int64), equals=float(size), why=why)
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    expect(answer, p, np.array([0, 1, 0, 0]), equals=4 ** (1 / 3), why="the three pairs have 0.5, 1 and 0.5")
    expect(answer, p, np.array([0, 1, 1]), equals=np.inf, why="the pair 1, 1 has the probability 0")

    def reference(p, ids):
        return float(np.exp(-np.log(p[ids[:-1], ids[1:]]).mean()))

    for_all(answer, float_arrays((3, 3), 0.1, 1).map(table), SMALL_TEXTS, equals=reference)


@exercise(
    "For one place the gradient is p − (1 at the right token). How many places use row v, and which tokens were right "
    "there?",
    "Row v is (the number of pairs that begin with v) · softmax(logits[v]) − counts[v], divided by the number of all "
    "pairs in the table. Subtract the largest logit of each row before you take the exponential.",
)
def logit_gradient(answer):
    zeros = np.zeros((2, 2))
    why = "4 pairs begin with 0; the model expects 2 and 2 of them, and 3 and 1 were counted"
    expect(answer, np.array([[3, 1], [0, 0]]), zeros, equals=np.array([[-0.25, 0.25], [0.0, 0.0]]), why=why)
    why = "3 of the 4 pairs begin with 0, so its row moves more than the other"
    expect(answer, np.array([[3, 0], [0, 1]]), zeros, equals=np.array([[-0.375, 0.375], [0.125, -0.125]]), why=why)
    counts = np.array([[1, 2], [3, 1]])
    logits = np.log(counts / counts.sum(axis=1, keepdims=True))
    why = "these logits give just the counted table: the lowest loss, so the gradient is 0 there"
    expect(answer, counts, logits, equals=zeros, why=why)
    large = np.array([[1000.0, 0.0], [0.0, -1000.0]])
    expect(answer, counts, large, equals=np.array([[2, -2], [1, -1]]) / 7, why="large logits must not overflow")

    def reference(ids, logits):
        table = tensor(logits, requires_grad=True)
        F.cross_entropy(F.embedding(ids[:-1], table), ids[1:]).backward()
        return table.grad.data

    def check(ids, logits):
        expect(
            answer, counted(ids, 3), logits, equals=reference(ids, logits), why="compared with the library's gradient"
        )

    search(check, SMALL_TEXTS, float_arrays((3, 3)))


@exercise(
    "The pieces end at p₀, p₀ + p₁, and so on: what does np.cumsum give? Which is the first end that lies beyond u?",
    "np.searchsorted(ends, u, side='right') finds the first end that is larger than u. Scale u by the last end, and it "
    "can never lie beyond it. Treat temperature 0 apart, with argmax.",
)
def next_token(answer):
    logits = np.log(np.array([0.25, 0.75]))
    for u, token in ((0.1, 0), (0.9, 1), (0.3, 1), (0.2, 0)):
        expect(answer, logits, 1.0, u, equals=token, why="the pieces are 0 to 0.25 and 0.25 to 1")
    expect(answer, np.zeros(4), 1.0, 0.5, equals=2, why="0.5 is the left end of the third of four pieces")
    expect(
        answer, np.array([-np.inf, 0.0]), 1.0, 0.0, equals=1, why="token 0 has the probability 0: its piece is empty"
    )
    expect(answer, np.array([0.0, -np.inf]), 1.0, 0.999, equals=0, why="token 1 has the probability 0")
    hot = np.log(np.array([0.2, 0.8]))
    expect(answer, hot, 2.0, 0.25, equals=0, why="at temperature 2 the pieces are √0.2 and √0.8, scaled: 1/3 and 2/3")
    expect(
        answer, hot, 0.5, 0.1, equals=1, why="at temperature 0.5 the pieces are 0.2² and 0.8², scaled: 1/17 and 16/17"
    )
    expect(
        answer,
        np.array([1.0, 3.0, 3.0, 2.0]),
        0.0,
        0.99,
        equals=1,
        why="temperature 0: the likeliest, the first of two",
    )
    expect(answer, np.array([5000.0, 0.0]), 1.0, 0.5, equals=0, why="large logits must not overflow")
    expect(answer, np.array([3.0, 0.0]), 0.001, 0.5, equals=0, why="a small temperature must not overflow")
    almost_one = float(np.nextafter(1.0, 0.0))
    for size in (3, 6, 10, 49):  # ends whose sums miss 1 by a rounding error
        expect(answer, np.zeros(size), 1.0, almost_one, equals=size - 1, why="u just below 1 falls into the last piece")

    def reference(logits, temperature, u):
        ends = np.exp((logits - logits.max()) / temperature).cumsum()
        return int((ends <= u * ends[-1]).sum())

    temperatures, thirds = st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.013, 0.31, 0.57, 0.89])
    for_all(answer, float_arrays((3,)), temperatures, thirds, equals=reference)
