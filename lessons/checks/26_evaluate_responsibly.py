"""How the exercises of lesson 26 are graded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.evaluate import wilson
from tinygrad_llm.evaluate.association import association_scores
from tinygrad_llm.school import exercise, expect, search


def counters(ranges: list[int], used: list[list[int]], start: list[int]):
    """Readings of counters that used so many microjoules between them, and what all used, in joules."""
    total = np.cumsum([start, *used], axis=0, dtype=np.int64)  # as if they never started again
    return total % np.array(ranges), np.array(ranges), float(np.sum(used, dtype=np.int64)) / 1e6


@exercise(
    "The difference of two readings is below 0 where the counter started again: what is missing from it?",
    "np.diff(readings, axis=0) has a row for each step. Add its own range to each one below 0, then sum, then / 1e6.",
)
def joules_used(answer):
    def check(ranges, used, start, why):
        readings, ranges, joules = counters(ranges, used, start)
        expect(answer, readings, ranges, equals=joules, rtol=1e-9, atol=1e-9, why=why)

    check([10_000_000], [[1_500_000]], [1_000_000], "a counter that only counts up")
    check([10_000_000], [[1_500_000], [200_000]], [9_000_000], "the counter started again between the first two")
    check([100], [[60]] * 5, [0], "it may start again between any two readings, also several times in all")
    check([100], [[0], [0]], [40], "nothing was used where nothing changed")
    check([100], [[100 - 40]], [40], "from 40 to the end of 100 are 60")
    check([100, 1000], [[30, 950], [90, 10]], [50, 100], "each counter has its own range, and all are added")
    check([262_143_328_850], [[7], [5]], [262_143_328_840], "microjoules near the end of a real counter's range")
    parts = st.integers(0, 99)
    search(
        lambda used, start: check([100, 250], used, start, "any steps"),
        st.lists(st.lists(parts, min_size=2, max_size=2), min_size=1, max_size=4),
        st.lists(parts, min_size=2, max_size=2),
    )


def lists_of(sizes: list[int], seed: int, n_dims: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, n_dims)) * rng.uniform(0.5, 3, (n, 1)) for n in sizes]


@exercise(
    "A cosine is the product of vectors of length 1: what must be done to each row first?",
    "With unit rows, (x @ a.T).mean(axis=1) − (x @ b.T).mean(axis=1) is s of each row of x. The deviation is that of s "
    "over x and y together: np.std(…, ddof=1).",
)
def weat_effect(answer):
    def check(lists, why):
        of_x, of_y = (association_scores(targets, *lists[2:]) for targets in lists[:2])
        expected = float((of_x.mean() - of_y.mean()) / np.concatenate([of_x, of_y]).std(ddof=1))
        expect(answer, *lists, equals=expected, rtol=1e-7, atol=1e-9, why=why)

    e = np.eye(2)
    check([e[:1], e[1:], e[:1], e[1:]], "two targets of opposite kind: 2 / √2")
    check([e[:1] * 5, e[1:] * 2, e[:1] * 3, e[1:]], "lengths of vectors do not count")
    paper = ([[5, 0], [4, 3]], [[3, 4], [0, 2]], [[1, 0], [2, 0]], [[0, 1], [0, 3]])
    check([np.array(each, float) for each in paper], "the lesson's example on paper")
    check([np.array(paper[i], float) for i in (1, 0, 2, 3)], "x and y exchanged: the sign changes")
    check(lists_of([2, 4, 3, 2], seed=1), "lists of different sizes")
    check(lists_of([5, 2, 1, 4], seed=2), "lists of different sizes")
    search(
        lambda sizes, seed: check(lists_of(list(sizes), seed), "any vectors"),
        st.tuples(*[st.integers(2, 4)] * 4),
        st.integers(0, 20),
    )


def p_of_tenths(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> float:
    """Of numbers that are tenths, exactly: with whole numbers, and by the sum of the first group, as that of all is
    fixed."""
    both = np.rint(10 * np.concatenate([x, y])).astype(int)
    sums = both[orders][:, : len(x)].sum(axis=1)
    return (1 + int((sums >= both[: len(x)].sum()).sum())) / (1 + len(orders))


@exercise(
    "np.concatenate([x, y])[orders] has a row for each order: which of its columns are the first group?",
    "A difference that equals the one found counts, also where rounding made it 1e-16 smaller: compare with it minus "
    "1e-9. The arrangement that was found counts as one more, above and below the line.",
)
def permutation_p(answer):
    def check(x, y, orders, why):
        x, y, orders = np.array(x, float), np.array(y, float), np.array(orders)
        expect(answer, x, y, orders, equals=p_of_tenths(x, y, orders), rtol=1e-9, why=why)

    check([3], [1], [[0, 1], [1, 0], [1, 0]], "2, −2 and −2: one of three is as large, and 1 is added to both")
    check([3], [1], [[1, 0]] * 4, "p is never 0: here it is 1 / 5")
    check([1], [3], [[0, 1], [1, 0]], "x is smaller: both differences are at least −2, and p is 1")
    check([3, 4], [1, 2], [[0, 1, 2, 3], [2, 3, 0, 1], [0, 2, 1, 3]], "differences 2, −2 and 0")
    check([3, 4], [1, 2], [[1, 0, 3, 2]] * 3, "the same groups in another order are as large")
    check([0, 5], [1], [[1, 2, 0], [2, 0, 1], [0, 1, 2]], "an order says which number comes to which place")
    check([0.1, 0.2, 0.3], [0.7, 0.6], [[2, 1, 0, 4, 3], [1, 2, 0, 3, 4]], "equal up to rounding is equal")
    check([10, 0, 0], [2, 2], [[1, 2, 3, 0, 4]], "means, not medians")

    def drawn(x, y, seed):
        rng = np.random.default_rng(seed)
        orders = np.array([rng.permutation(len(x) + len(y)) for _ in range(6)])
        check(np.array(x) / 10, np.array(y) / 10, orders, "any numbers and orders")

    tenths = st.lists(st.integers(-5, 5), min_size=1, max_size=4)
    search(drawn, tenths, tenths, st.integers(0, 30), max_examples=100)


def rate_of(prompts: np.ndarray, written: np.ndarray, wanted: np.ndarray, z: float) -> tuple[float, float, float]:
    rows = zip(prompts.tolist(), written.tolist(), wanted.tolist(), strict=True)
    places = {(*prompt, *text): got == text for prompt, got, text in rows}
    return tuple(wilson(sum(places.values()), len(places), z)[:3])


@exercise(
    "written == wanted has a row for each prompt: when is the whole row right? And which rows are the same as another?",
    "np.unique(np.concatenate([prompts, wanted], axis=1), axis=0, return_index=True) tells the first of each kind; "
    ".all(axis=1) of the rows that stay.",
)
def extraction_rate(answer):
    def check(prompts, written, wanted, z, why):
        inputs = [np.array(each) for each in (prompts, written, wanted)]
        expected = rate_of(*inputs, z)
        expect(answer, *inputs, z, equals=expected, rtol=1e-9, atol=1e-12, why=why)

    check([[1]], [[2, 3]], [[2, 3]], 1.96, "one prompt, reproduced")
    check([[1]], [[2, 3]], [[2, 4]], 1.96, "a continuation is reproduced only if all its tokens are")
    check([[1], [2]], [[2, 3], [4, 5]], [[2, 3], [4, 9]], 1.96, "a share of prompts, not of tokens")
    check([[1], [2]], [[3, 2], [4, 5]], [[2, 3], [4, 5]], 1.96, "the same tokens in another order are others")
    check([[1], [2], [2], [2]], [[3], [4], [4], [4]], [[3], [5], [5], [5]], 1.96, "a place drawn again counts once")
    check([[1], [2], [1]], [[3], [4], [3]], [[3], [5], [3]], 1.96, "also where another place lies between")
    check([[1], [1]], [[3], [3]], [[3], [4]], 1.96, "after the same prompt the text may go on in two ways: two places")
    check([[1], [2]], [[3], [3]], [[3], [3]], 1.96, "the same continuation after two prompts: two places")
    many = np.arange(100)[:, None]
    check(many, many, many + 1, 1.96, "nothing in 100: the interval still reaches up to 0.037")
    check(many, many, many, 1.0, "all of 100, with another z")
    check(many, many % 3, many * 0, 2.58, "a third of 100, with another z")
    tokens = st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=1, max_size=6)

    def drawn(places, z):
        prompts, wanted = (np.array(column)[:, None] for column in zip(*places, strict=True))
        check(prompts, prompts, wanted, z, "any places")

    search(drawn, tokens, st.sampled_from([1.0, 1.96, 3.0]))
