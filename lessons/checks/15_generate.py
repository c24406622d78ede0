"""How the exercises of lesson 15 are graded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.ops.attention import attention_ref
from tinygrad_llm.school import exercise, expect, for_all, search
from tinygrad_llm.school.checks import call_answer, compare, show
from tinygrad_llm.testing import float_arrays


def repetition_penalty_ref(scores, ids, penalty):
    lowered = [x / penalty if x > 0 else x * penalty for x in scores.tolist()]
    return np.array([lowered[i] if i in ids else x for i, x in enumerate(scores.tolist())])


@exercise(
    "Which of the two, · penalty or / penalty, lowers 2, and which lowers −2?",
    "Work on scores.copy(). x[ids] = … with a list of ids writes each of them, those that occur twice with the same "
    "number: compute it from `scores`.",
)
def repetition_penalty(answer):
    example = np.array([2.0, -2.0, 2.0])
    expect(answer, example, [0, 1], 2.0, equals=np.array([1.0, -4.0, 2.0]), why="token 2 is not in the text")
    expect(answer, example, [2, 1, 2], 2.0, equals=np.array([2.0, -4.0, 1.0]), why="token 2 counts once")
    expect(answer, np.array([0.0, 3.0]), [0], 2.0, equals=np.array([0.0, 3.0]), why="0 stays 0")
    expect(answer, np.array([4.0, -4.0]), [1, 0], 1.0, equals=np.array([4.0, -4.0]), why="a penalty of 1 does nothing")
    ids = st.lists(st.integers(0, 2), min_size=1, max_size=5)
    penalties = st.sampled_from([1.5, 2.0, 0.5])
    for_all(answer, float_arrays((3,)), ids, penalties, equals=repetition_penalty_ref)


def nucleus_ref(p, top_p):
    kept = np.zeros_like(p)
    for row, of_row in zip(p, kept, strict=True):
        for i in sorted(range(len(row)), key=lambda i: (-row[i], i)):
            if of_row.sum() < top_p:
                of_row[i] = row[i]
    return kept / kept.sum(axis=1, keepdims=True)


@st.composite
def distributions(draw):
    """Rows (B, 4) of sixteenths, so that sums are exact."""
    cuts = st.lists(st.integers(0, 16), min_size=3, max_size=3).map(sorted)
    rows = draw(st.lists(cuts, min_size=1, max_size=2))
    return np.diff(np.array(rows), axis=1, prepend=0, append=16) / 16


@exercise(
    "Sort a row, the largest first. Which sum decides about a token: that of those before it, or with it?",
    "A token is kept if the sum of those before it is below top_p. np.argsort(-p, axis=1, kind='stable') says where "
    "each of the sorted ones stood: np.put_along_axis writes them back to there. At last divide each row by its sum.",
)
def nucleus(answer):
    third = 1 / 3
    lesson = np.array([[0.5, 0.25, 0.125, 0.125]])
    expect(answer, lesson, 0.6, equals=np.array([[2 * third, third, 0, 0]]), why="the token that crosses 0.6 is kept")
    expect(answer, lesson, 0.75, equals=np.array([[2 * third, third, 0, 0]]), why="two tokens reach 0.75: no third")
    expect(answer, lesson, 0.1, equals=np.array([[1.0, 0, 0, 0]]), why="one token is kept at least")
    expect(answer, lesson, 1.0, equals=lesson, why="1 keeps all")
    mixed = np.array([[0.125, 0.5, 0.125, 0.25]])
    expect(answer, mixed, 0.75, equals=np.array([[0, 2 * third, 0, third]]), why="each token stays in its place")
    equal = np.full((1, 4), 0.25)
    expect(answer, equal, 0.5, equals=np.array([[0.5, 0.5, 0, 0]]), why="of equally likely ones the first come first")
    two = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
    kept = np.array([[1.0, 0], [0, 1.0], [0.5, 0.5]])
    expect(answer, two, 0.75, equals=kept, why="each row has its own nucleus")
    for_all(answer, distributions(), st.integers(1, 16).map(lambda n: n / 16), equals=nucleus_ref)


def attend_ref(q, k, v, keys, values):
    T, S = len(q), len(keys)
    keys, values = np.concatenate([keys, k]), np.concatenate([values, v])
    return attention_ref(q, keys, values, np.tri(T, S + T, S, dtype=bool)), keys, values


@st.composite
def new_and_old(draw):
    """q, k, v (T, D) and keys, values (S, D)."""
    T, S, D = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    return [draw(float_arrays((n, D))) if n else np.empty((0, D)) for n in (T, T, T, S, S)]


@exercise(
    "Put the new keys behind the old ones first. How many keys does new token 0 see, and how many new token 1?",
    "Row t of the scores (T, S + T) may look at S + t + 1 keys: np.tri(T, S + T, S) has its ones there, and −inf "
    "goes to the others. Subtract each row's maximum before exp.",
)
def attend(answer):
    def check(*inputs, why=""):
        expect(answer, *inputs, equals=attend_ref(*inputs), why=why)

    def columns(*numbers):
        return np.array(numbers, np.float64)[:, None]

    old = columns(0, np.log(2)), columns(8, 16)
    check(columns(1), columns(np.log(5)), columns(0), *old, why="the example of the lesson")
    check(columns(1), columns(0), columns(1), np.empty((0, 1)), np.empty((0, 1)), why="the first token sees itself")
    four = np.array([[1.0, 2.0, 0.0, -1.0]])
    check(four, four, four, -four, 2 * four, why="scores are divided by √4")
    none = np.empty((0, 1))
    check(columns(1, 1), columns(0, 3), columns(1, 5), none, none, why="new token 0 does not look at new token 1")
    check(columns(1, 1), columns(0, 1), columns(1, 5), *old, why="both new tokens look at both old ones")
    check(columns(1), columns(1000), columns(2), *old, why="large scores must not overflow")
    search(lambda inputs: check(*inputs), new_and_old())


def beam_search_ref(log_probs, num_beams, end, max_new_tokens, length_penalty):
    running, scores = {(): 0.0}, {}
    for length in range(1, max_new_tokens + 1):
        sums = {
            (*tokens, token): total + float(log_p)
            for tokens, total in running.items()
            for token, log_p in enumerate(log_probs(list(tokens)))
        }
        best = sorted(sums, key=sums.get, reverse=True)[:num_beams]
        running = {tokens: sums[tokens] for tokens in best if tokens[-1] != end}
        ended = best if length == max_new_tokens else [tokens for tokens in best if tokens[-1] == end]
        scores |= {tokens: sums[tokens] / length**length_penalty for tokens in ended}
    winner = max(scores, key=scores.get)
    return list(winner), scores[winner]


def chain(p):
    """log_probs of a table p (V + 1, V): its first row is for the beginning, row 1 + i for texts that end with i."""
    return lambda tokens: np.log(p[1 + tokens[-1] if tokens else 0])


def of_whole_text(seed):
    """log_probs of 3 tokens, drawn anew for each text."""
    return lambda tokens: np.log(np.random.default_rng([seed, len(tokens), *tokens]).dirichlet(np.ones(3)))


@exercise(
    "A text and its sum belong together: keep pairs. In a step, make all continuations of all texts, then choose.",
    "Sort the continuations by their sums, cut the list to num_beams, then part it in finished and open ones. Only at "
    "the end, divide each sum by len(tokens) ** length_penalty and take the largest.",
)
def beam_search(answer):
    def check(log_probs, told, *settings, why=""):
        num_beams, end, max_new_tokens, length_penalty = settings
        call = f"beam_search(log_probs, {num_beams}, {end}, {max_new_tokens}, {length_penalty:g})\nwith {told}"
        got = call_answer(answer, (log_probs, *settings), call)
        compare(got, beam_search_ref(log_probs, *settings), call, why=why)

    def check_chain(p, *settings, why=""):
        after = "; ".join(f"{show(row)} after {i}" for i, row in enumerate(p[1:]))
        check(chain(p), f"probabilities {show(p[0])} at the beginning; {after}", *settings, why=why)

    lesson = np.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.28, 0.4, 0.32], [0.9, 0.06, 0.04]])  # nearly: no ties
    check_chain(lesson, 1, 0, 1, 0.0, why="one step, one beam: the likeliest token")
    check_chain(lesson, 3, 0, 1, 0.0, why="texts that are open after the last step count too")
    check_chain(lesson, 1, 0, 3, 1.0, why="one beam is greedy")
    check_chain(lesson, 2, 0, 3, 0.0, why="greedy misses this text")
    check_chain(lesson, 2, 0, 3, 1.0, why="the score is divided by the length, `end` included")
    check_chain(lesson, 3, 0, 4, 2.0, why="a large penalty favours long texts")
    stop_or_go = np.array([[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]])
    check_chain(stop_or_go, 2, 0, 4, 0.0, why="a finished text is put aside, and competes in the end")
    stop_first = np.array([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1]])
    check_chain(stop_first, 1, 0, 2, 2.0, why="a finished text is one of the num_beams that remain")
    check_chain(stop_or_go, 2, 1, 2, 1.0, why="`end` may be any token")

    def check_any(seed, num_beams, max_new_tokens, length_penalty):
        drawn = f"np.random.default_rng([{seed}, len(tokens), *tokens]).dirichlet(np.ones(3))"
        told = f"log_probs = lambda tokens: np.log({drawn}), which depends on the whole text"
        check(of_whole_text(seed), told, num_beams, 0, max_new_tokens, length_penalty)

    numbers = (st.integers(0, 999), st.integers(1, 4), st.integers(1, 4))
    search(check_any, *numbers, st.sampled_from([0.0, 1.0, 2.0, 0.5]), max_examples=150)
