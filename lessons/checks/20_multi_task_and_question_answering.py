"""How the exercises of lesson 20 are graded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import tinygrad_llm.evaluate as evaluate
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, call_text, show

words = st.lists(st.sampled_from(["a", "the", "an", "The", "cat", "cat.", "Cat", "sat", "it's", "theory"]), max_size=4)
texts = words.map(" ".join)


@exercise(
    "What is left of 'The cat!' once it is normalized, and of 'theory'? How often does 'cat' count if it stands twice "
    "in one text and once in the other?",
    "Counter(predicted) & Counter(gold) keeps the smaller of both counts; F1 = 2 · common / (n_predicted + n_gold). "
    "Look at empty lists before you divide.",
)
def token_f1(answer):
    example = "in the city of Paris"
    expect(answer, example, ["Paris", "city of Paris"], equals=6 / 7, why="the best of the gold answers counts")
    expect(answer, "The Loire.", ["loire"], equals=1.0, why="case, punctuation and articles do not count")
    expect(answer, "theory", ["ory"], equals=0.0, why="articles are words, not letters in other words")
    expect(answer, "well-known", ["wellknown"], equals=1.0, why="punctuation goes, no space comes in its place")
    expect(answer, "no no", ["no"], equals=2 / 3, why="a word counts as often as it stands in both")
    expect(answer, "no no", ["no no yes"], equals=4 / 5, why="a word counts as often as it stands in both")
    expect(answer, "", [""], equals=1.0, why="nothing was asked for, and nothing given")
    expect(answer, "the", [], equals=1.0, why="without a gold answer, a prediction without words is right")
    expect(answer, "Paris", [], equals=0.0, why="without a gold answer, a prediction with words is wrong")
    expect(answer, "...", ["Paris"], equals=0.0, why="no words are left of the prediction")
    search(
        lambda text, gold: expect(answer, text, gold, equals=evaluate.token_f1(text, gold)),
        texts,
        st.lists(texts.filter(evaluate.normalize_answer), max_size=2),
    )


@st.composite
def scores(draw):
    """start and end (T,), some −inf, but never all of them for one and the same span of a single token; max_length."""
    T = draw(st.integers(1, 6))
    score = st.sampled_from([-np.inf, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    start, end = (np.array(draw(st.lists(score, min_size=T, max_size=T))) for _ in range(2))
    place = draw(st.integers(0, T - 1))
    start[place], end[place] = np.maximum(start[place], -2.0), np.maximum(end[place], -2.0)
    return start, end, draw(st.integers(1, T + 1))


@exercise(
    "In the example the largest start is 3.0, at token 2. Which ends are still possible then?",
    "Go through all first, and for each through last = first … first + max_length − 1, as long as there are tokens; "
    "keep the best sum so far, and replace it only by a larger one.",
)
def best_span(answer):
    start, end = np.array([2.0, 0.0, 3.0]), np.array([0.0, 2.0, -1.0])
    expect(answer, start, end, 3, equals=(0, 1), why="first ≤ last: 2 + 2 beats 3 − 1")
    expect(answer, start, end, 1, equals=(0, 0), why="one token: 2 + 0 is as good as 0 + 2 and 3 − 1, and comes first")
    far = np.array([5.0, 0.0, 0.0, 0.0]), np.array([0.0, 1.0, 2.0, 5.0])
    expect(answer, *far, 3, equals=(0, 2), why="a span of 3 tokens ends at most 2 after its first")
    expect(answer, *far, 4, equals=(0, 3), why="now the last token is near enough")
    below = np.array([-7.0, -9.0])
    expect(answer, below, below, 2, equals=(0, 0), why="scores may all be negative")
    inf = np.array([-np.inf, -np.inf, -5.0])
    expect(answer, inf, np.array([9.0, 9.0, -5.0]), 3, equals=(2, 2), why="nothing may begin at a score of −inf")

    def check(drawn):
        start, end, max_length = drawn
        pairs = [(i, j) for i in range(len(start)) for j in range(i, min(i + max_length, len(end)))]
        best = max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])  # the first of equals
        expect(answer, start, end, max_length, equals=best)

    search(check, scores(), max_examples=200)


@exercise(
    "With windows at 0 and at s, which is the first run of max_answer tokens that is not whole in the window at 0?",
    "That run begins at token room − max_answer + 1, so there the next window may begin, and no later. The last window "
    "can be moved back so that it ends with the text.",
)
def window_starts(answer):
    for n_tokens, room, max_answer in ((10, 6, 3), (6, 6, 3), (2, 6, 3), (7, 6, 3), (0, 4, 2), (8, 4, 1), (7, 4, 4)):
        check_windows(answer, n_tokens, room, max_answer)
    rooms = st.integers(1, 8).flatmap(lambda room: st.tuples(st.just(room), st.integers(1, room)))
    search(lambda n, drawn: check_windows(answer, n, *drawn), st.integers(0, 30), rooms, max_examples=200)


def check_windows(answer, n_tokens, room, max_answer):
    inputs = (n_tokens, room, max_answer)
    call = call_text(answer, inputs)
    starts = call_answer(answer, inputs, call)
    ok = isinstance(starts, list) and all(isinstance(each, (int, np.integer)) for each in starts)
    demand(ok, f"a list of integers was expected, not {show(starts)}", call)
    if n_tokens <= room:
        demand(starts == [0], "a text that fits into one window has one, at 0", call, [0], starts)
        return
    demand(sorted(set(starts)) == starts, "the windows must ascend, each once", call, None, starts)
    inside = bool(starts) and starts[0] >= 0 and starts[-1] <= n_tokens - room
    demand(inside, "a window reaches beyond the text, or there is none", call, None, starts)
    for first in range(n_tokens - max_answer + 1):
        whole = any(start <= first and first + max_answer <= start + room for start in starts)
        demand(whole, f"tokens {first} … {first + max_answer - 1} are whole in no window", call, None, starts)
    fewest = 1 - -(n_tokens - room) // (room - max_answer + 1)
    demand(len(starts) == fewest, f"{fewest} windows are enough, not {len(starts)}", call, None, starts)


@exercise(
    "On the example: what are O, a table of 3 × 3, the sums of its rows and of its columns, and E?",
    "E = np.outer(O.sum(axis=1), O.sum(axis=0)) / N, w = (i − j)² for all pairs. A grade that never occurs keeps its "
    "place in the table.",
)
def quadratic_kappa(answer):
    def check(true, predicted, n_grades, why=""):
        true, predicted = np.array(true), np.array(predicted)
        kappa = evaluate.cohen_kappa_score(true, predicted, labels=range(n_grades), weights="quadratic")
        expect(answer, true, predicted, n_grades, equals=float(kappa), why=why)

    check([0, 1, 2, 2], [0, 1, 1, 2], 3, "Σ w O is 1 and Σ w E is 5")
    check([0, 1], [1, 0], 2, "worse than chance is below 0")
    check([0, 4], [0, 4], 5, "full agreement is 1")
    check([0, 0, 4, 4], [0, 4, 4, 2], 5, "grades that never occur keep their distance")
    check([0, 0, 1, 2], [2, 2, 2, 0], 3, "it weighs errors by their square, both ways")
    check([1, 1], [1, 1], 3, "nothing to disagree about: nan")
    grades = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=5)
    search(lambda drawn: check([i for i, _ in drawn], [j for _, j in drawn], 4), grades)
