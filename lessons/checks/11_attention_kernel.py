"""How the exercises of lesson 11 are graded."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
from hypothesis import strategies as st

import tinygrad_llm.functional as F
from tinygrad_llm import tensor
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, compare, show

INF = math.inf


def run(answer, function, call):
    """`function()`, which calls `answer`; errors are told with the line of the answer that raised them."""

    def steps():
        with np.errstate(all="ignore"):
            return function()

    steps.__module__ = answer.__module__
    return call_answer(steps, (), call)


def in_one_buffer(arrays):
    """Each of the arrays, in memory that they share: it is filled with NaN at the end."""
    buffer = np.empty(max(map(np.size, arrays), default=0))
    for array in arrays:
        buffer[:] = np.nan
        view = buffer[: array.size].reshape(array.shape)
        view[:] = array
        yield view
    buffer[:] = np.nan


def peak_megabytes(function) -> float:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def logsumexp_ref(chunks):
    scores = np.concatenate([np.empty(0), *chunks])
    m = scores.max(initial=-INF)
    return m if m == -INF else m + math.log(np.exp(scores - m).sum())


@exercise(
    "Which two numbers say all about the scores so far, and what happens to the second one when the first one grows?",
    "Keep the maximum m and l = Σ e^(s − m). With a larger m', l has to be multiplied by e^(m − m') first. While m' is "
    "still −∞ there is nothing to add, and −∞ − (−∞) would be NaN.",
)
def logsumexp_of_chunks(answer):
    def check(chunks, why=""):
        call = f"logsumexp_of_chunks(iter([{', '.join(map(show, chunks))}]))"
        got = run(answer, lambda: answer(in_one_buffer(chunks)), call)
        compare(got, float(logsumexp_ref(chunks)), call, why=why)

    check([np.log([1.0, 2.0]), np.log([4.0, 1.0])], "the example: ln 8")
    check([np.log([4.0, 1.0]), np.log([1.0, 2.0])], "the maximum may come first")
    check([np.array([1000.0]), np.array([999.0, 1001.0])], "nothing may overflow")
    check([np.array([-1000.0]), np.array([-1001.0])], "not all may become 0")
    check([np.array([-1000.0]), np.array([1000.0])], "the first score is too far below the second to count")
    check([np.array([-INF, 0.0]), np.array([1.0])], "a hidden score adds nothing")
    check([np.array([-INF, -INF]), np.array([1.0])], "the first chunk is hidden")
    check([np.array([1.0]), np.array([-INF])], "the last chunk is hidden")
    check([np.array([-INF]), np.array([-INF])], "all scores are hidden")
    check([], "there is no score")
    scores = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([-INF, 800.0, -800.0]))
    search(check, st.lists(st.lists(scores, min_size=1, max_size=3).map(np.array), max_size=4))

    chunk, call = np.linspace(-1, 1, 5000), "logsumexp_of_chunks(iter([np.linspace(-1, 1, 5000)] * 100))"
    peak = peak_megabytes(lambda: run(answer, lambda: answer(in_one_buffer([chunk] * 100)), call))
    what = f"100 chunks of 0.04 MB make your answer hold {peak:.1f} MB at once: keep two numbers, not the scores"
    demand(peak < 1, what, call)


def merge_ref(m1, l1, o1, m2, l2, o2):
    with np.errstate(invalid="ignore"):
        m = np.maximum(m1, m2)
        shrink1, shrink2 = (np.where(part == -INF, 0, np.exp(part - m)) for part in (m1, m2))
    return m, l1 * shrink1 + l2 * shrink2, o1 * shrink1[:, None] + o2 * shrink2[:, None]


@st.composite
def two_parts(draw):
    """(m1, l1, o1, m2, l2, o2) of one or two queries, of which a part may have seen no key."""
    T, D = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    parts = []
    for _ in range(2):
        m = np.array(draw(st.lists(st.sampled_from([0.0, 1.0, -2.0, 900.0, -900.0, -INF]), min_size=T, max_size=T)))
        seen = (m > -INF).astype(float)
        o = draw(st.lists(st.integers(-3, 3), min_size=T * D, max_size=T * D))
        parts += [m, seen * draw(st.sampled_from([1.0, 1.5])), seen[:, None] * np.array(o, float).reshape(T, D)]
    return tuple(parts)


@exercise(
    "Each part's l and o are relative to its own m. By which factor must each be multiplied to be relative to m = max?",
    "Part 1 has the factor e^(m1 − m), for l1 and for each column of o1. Where m is −∞ that would be NaN: subtract "
    "something finite there.",
)
def merge(answer):
    one = np.log([2.0]), np.array([1.5]), np.array([[8.0]])
    other = np.log([4.0]), np.array([1.25]), np.array([[4.0]])
    none = np.array([-INF]), np.zeros(1), np.zeros((1, 1))
    low, high = ((np.array([m]), np.ones(1), np.array([[v]])) for m, v in ((-1000.0, 5.0), (1000.0, 7.0)))

    def check(parts, why=""):
        with np.errstate(all="ignore"):
            expect(answer, *parts, equals=merge_ref(*parts), why=why)

    check((*one, *other), "the two tiles of the lesson")
    check((*other, *one), "the larger maximum may come first")
    check((*one, *one), "the same maximum twice")
    check((*low, *high), "nothing may overflow")
    check((*high, *low), "nothing may overflow")
    check((*none, *one), "the first part has seen no key")
    check((*one, *none), "the second part has seen no key")
    check((*none, *none), "nobody has seen a key: no NaN")
    queries = [np.concatenate(arrays) for arrays in zip(one, high, strict=True)]
    others = [np.concatenate(arrays) for arrays in zip(other, low, strict=True)]
    check((*queries, *others), "each query has maxima of its own")
    search(check, two_parts())


def key_tiles_ref(first, last, n_keys, width):
    visible = np.arange(n_keys) <= np.arange(first, last)[:, None]
    tiles = [(start, min(start + width, n_keys)) for start in range(0, n_keys, width)]
    return [(*tile, not bool(visible[:, slice(*tile)].all())) for tile in tiles if visible[:, slice(*tile)].any()]


@exercise(
    "Which query of the tile sees the most keys, which the fewest? Compare the first key of a tile with the one, its "
    "last key with the other.",
    "Query last − 1 sees the most: it decides which tiles are visited. Query first sees the fewest: it decides where a "
    "mask is needed. The two kinds of tiles need not begin at the same places.",
)
def key_tiles(answer):
    expect(answer, 4, 8, 16, 4, equals=[(0, 4, False), (4, 8, True)], why="the example")
    expect(answer, 0, 1, 1, 1, equals=[(0, 1, False)], why="the only query sees the only key: nothing to hide")
    expect(answer, 0, 2, 2, 2, equals=[(0, 2, True)], why="query 0 must not see key 1")
    expect(answer, 4, 8, 16, 3, equals=key_tiles_ref(4, 8, 16, 3), why="tiles of queries and keys of other widths")
    expect(answer, 4, 8, 6, 4, equals=[(0, 4, False), (4, 6, True)], why="there are only 6 keys")
    expect(answer, 6, 8, 3, 2, equals=[(0, 2, False), (2, 3, False)], why="all queries see all 3 keys")

    def check(first, n_queries, n_keys, width):
        call = first, first + n_queries, n_keys, width
        expect(answer, *call, equals=key_tiles_ref(*call))

    few = st.integers(1, 6)
    search(check, st.integers(0, 6), few, st.integers(1, 12), few, max_examples=200)


def attention_case(T, seed, height=1.0, D=2, Dv=3):
    """dout, q, out, lse, k and v of small whole numbers, and the gradients that the library's attention has."""
    rng = np.random.default_rng(seed)
    q, k, v, dout = (rng.integers(-2, 3, (T, width)).astype(float) for width in (D, D, Dv, Dv))
    k[T // 2 :] *= height
    scores = np.where(np.tri(T, dtype=bool), q @ k.T / math.sqrt(D), -INF)
    m = scores.max(axis=1)
    lse = m + np.log(np.exp(scores - m[:, None]).sum(axis=1))
    inputs = [tensor(x[None, None], requires_grad=True) for x in (q, k, v)]
    out = F.scaled_dot_product_attention(*inputs, is_causal=True)
    out.backward(dout[None, None])
    return dout, q, out.data[0, 0].copy(), lse, k, v, tuple(x.grad.data[0, 0] for x in inputs)


def in_tiles(k, v, width):
    starts = range(0, len(k), width)
    parts = [in_one_buffer([x[start : start + width] for start in starts]) for x in (k, v)]
    return zip(starts, *parts, strict=True)


@exercise(
    "What does a tile of keys have to know of the other tiles, to compute its P and dS? Is it in lse, dout and out?",
    "Write the lesson's formulas for T rows and the n columns of one tile. Column j is key start + j, hidden from the "
    "queries before it. dq gets a part from each tile; dk and dv of a tile are complete before the next one comes.",
)
def attention_backward(answer):
    def check(T, width, seed, height=1.0, why="", D=2):
        dout, q, out, lse, k, v, expected = attention_case(T, seed, height, D)
        call = f"attention_backward(dout, q, out, lse, tiles) with tiles of width {width},\n"
        call += ",\n".join(f"{name} = {show(x)}" for name, x in (("dout", dout), ("q", q), ("k", k), ("v", v)))
        given = [x.copy() for x in (dout, q, out, lse)]
        got = run(answer, lambda: answer(*given, in_tiles(k, v, width)), call)
        compare(got, expected, call, atol=1e-6 * max(1.0, height), why=why)
        untouched = all(np.array_equal(x, y) for x, y in zip(given, (dout, q, out, lse), strict=True))
        demand(untouched, "your answer changes dout, q, out or lse in place: work on copies", call)

    check(1, 1, 0, why="one query, one key: P is 1, and the scores do not matter")
    check(2, 2, 1, why="all keys in one tile")
    check(3, 1, 2, why="three tiles of one key")
    check(4, 3, 3, why="the last tile is smaller")
    check(4, 2, 4, D=1, why="the scale is 1/√D, here 1")
    check(2, 1, 3, height=2000.0, why="a large hidden score must be hidden before exp")
    search(check, st.integers(1, 5), st.integers(1, 3), st.integers(0, 20), max_examples=30)

    T, width = 1000, 20
    dout, q, out, lse, k, v, _ = attention_case(T, 0)
    call = f"attention_backward(dout, q, out, lse, tiles) with T = {T}, in tiles of width {width}"
    peak = peak_megabytes(lambda: run(answer, lambda: answer(dout, q, out, lse, in_tiles(k, v, width)), call))
    what = f"your answer holds {peak:.0f} MB at once, {T} × {width} numbers have 0.16 MB: use each tile when it comes"
    demand(peak < 5, what, call)
