"""How the exercises of lesson 18 are graded."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.school import demand, exercise, search
from tinygrad_llm.school.checks import call_answer, compare, show

SPECIAL = {"[CLS]", "[SEP]", "[PAD]", "[MASK]"}


def unchanged(answer, inputs: tuple, before: tuple, call: str):
    """The answer's result for these very inputs, lists and sets among them, which it must leave as they are."""

    def run():
        return answer(*inputs)

    run.__module__ = answer.__module__
    got = call_answer(run, (), call)
    same = all(
        np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(inputs, before, strict=True)
    )
    demand(same, "your answer changes what it is given: work on copies", call)
    return got


def word_numbers_ref(tokens, special):
    """Word by word: a token starts one unless it has a word to continue."""
    numbers, word, is_inside = [], -1, False
    for token in tokens:
        if token in special:
            numbers.append(-1)
            is_inside = False
        else:
            word += not (is_inside and token[:2] == "##")
            numbers.append(word)
            is_inside = True
    return numbers


@exercise(
    "Walk over the tokens with a counter. When does a token not start a new word?",
    "Two conditions: it begins with ##, and the token before it is one of a word. A special token takes −1 and must "
    "not use up a number.",
)
def word_numbers(answer):
    def check(tokens, special=SPECIAL, why=""):
        call = f"word_numbers({tokens}, {sorted(special)})"
        got = unchanged(answer, (list(tokens), set(special)), (list(tokens), set(special)), call)
        demand(isinstance(got, list), f"a list was expected, not {type(got).__name__}", call)
        compare([int(each) for each in got], word_numbers_ref(tokens, special), call, why=why)

    check(["[CLS]", "un", "##aff", "##able", "!", "[SEP]"], why="the example")
    check(["a", "b"], why="each word has its own number, from 0")
    check(["a", "##b", "##c", "d"], why="all pieces of a word share a number")
    check(["[CLS]", "a", "[SEP]", "b"], why="special tokens do not use up numbers")
    check(["##b", "a"], why="a window may begin inside a word")
    check(["a", "[SEP]", "##b"], why="a special token ends a word")
    check(["[CLS]", "##b", "##c"], why="a window may begin inside a word")
    check(["a", "[MASK]", "##b"], why="a blank is a special token, too")
    check(["a", "#", "b", "c##", "d"], why="only ## at the beginning says that a word goes on")
    check(["[SEP]", "[SEP]"], why="special tokens alone")
    check([], why="no tokens")
    check(["[CLS]", "##s"], special={"##s"}, why="special is what `special` says, whatever it looks like")
    search(check, st.lists(st.sampled_from(["a", "b", "##c", "##d", "[SEP]"]), max_size=7), max_examples=100)


def mask_tokens_ref(ids, special_ids, mask_id, order, draw, others, share):
    """Token by token."""
    seen, targets = ids.copy(), np.full_like(ids, -100)
    for b, row in enumerate(ids):
        places = sorted((t for t in range(len(row)) if row[t] not in special_ids), key=lambda t: order[b, t])
        for t in places[: max(round(share * len(places)), 1)]:
            targets[b, t] = row[t]
            seen[b, t] = mask_id if draw[b, t] < 0.8 else others[b, t] if draw[b, t] < 0.9 else row[t]
    return seen, targets


@st.composite
def rows_with_draws(draw):
    B, T = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    ids = np.array(draw(st.lists(st.integers(2, 9), min_size=B * T, max_size=B * T))).reshape(B, T)
    ids[:, draw(st.integers(0, T - 1))] = 7  # one that is not special
    order = np.stack([draw(st.permutations(range(T))) for _ in range(B)]) / T
    numbers = st.lists(st.sampled_from([0.0, 0.79, 0.8, 0.85, 0.9, 0.99]), min_size=B * T, max_size=B * T)
    return ids, order, np.array(draw(numbers)).reshape(B, T), draw(st.sampled_from([0.15, 0.3, 0.5, 0.9]))


@exercise(
    "First a boolean array `chosen`: per row, how many, out of which places? Then np.where three times.",
    "np.argsort(order[b, places]) sorts the places of ordinary tokens only. Keep `ids` as it is: the targets need what "
    "stood there before.",
)
def mask_tokens(answer):
    def check(ids, order, draw, share=0.15, why="", others=None, special=frozenset({2, 3})):
        ids, order, draw = np.array(ids), np.array(order, float), np.array(draw, float)
        others = np.arange(20, 20 + ids.size).reshape(ids.shape) if others is None else others
        inputs = (ids, set(special), 4, order, draw, others, share)
        call = f"mask_tokens({show(ids)}, {sorted(special)}, mask_id=4,\norder={show(order)},\ndraw={show(draw)},\n"
        call += f"others={show(others)}, share={share})"
        got = call_answer(answer, inputs, call)
        demand(isinstance(got, tuple) and len(got) == 2, "two arrays are expected: seen, targets", call, got=got)
        for name, one, expected in zip(("seen", "targets"), got, mask_tokens_ref(*inputs), strict=True):
            compare(one, expected, call, why=f"{name}: {why}" if why else name)

    zero = [[0.0] * 4]
    check([[2, 7, 8, 9, 5, 3]], [[0.1, 0.4, 0.2, 0.3, 0.5, 0]], [[0.5] * 6], 0.5, "two of four, the smallest in order")
    check([[5, 6, 7, 8]], [[3, 0, 1, 2]], [[0.5] * 4], 0.5, "the smallest in order, not the largest")
    check([[2, 7, 8, 3]], [[0.1, 0.4, 0.2, 0.3]], zero, why="0.15 of two is rounded to 0: then one is chosen")
    row = [[2, 10, 11, 12, 13, 14, 15, 16, 17, 3]]
    check(row, [np.arange(10)], [[0.0] * 10], 0.2, "of 8 ordinary tokens, 0.2 are 1.6: round, and do not count [CLS]")
    check(row, [np.arange(10)], [[0.0] * 10], 0.3, "of 8 ordinary tokens, 0.3 are 2.4: special ones do not count")
    check([[7, 8, 9]], [[0, 1, 2]], [[0.8, 0.9, 0.7]], 0.9, "0.8 is another token already, and 0.9 the token itself")
    check([[7, 8, 9]], [[0, 1, 2]], [[0.89, 0.79, 0.95]], 0.9, "what is seen is changed, the target is not")
    check([[2, 5, 6], [7, 8, 3]], [[0, 2, 1], [5, 4, 3]], [[0.0] * 3] * 2, 0.5, "each row by itself")
    check([[2, 7], [8, 9]], [[0, 1], [1, 0]], [[0.0, 0.85], [0.85, 0.0]], 0.9, "others has a token for each place")
    check([[2, 4, 5, 6]], [[0, 1, 2, 3]], zero, 0.5, "what is special is told by special_ids", special=frozenset({4}))
    check([[7, 8]], [[0, 1]], [[0.85, 0.85]], 0.9, "another token may be the same one", others=np.array([[7, 2]]))
    search(lambda drawn: check(*drawn), rows_with_draws(), max_examples=150)
    search(lambda drawn: check(*drawn, others=np.full_like(drawn[0], 9)), rows_with_draws(), max_examples=50)


def pair_batch_ref(pairs, cls_id, sep_id, pad_id, max_len):
    rows = []
    for first, second in pairs:
        texts = [list(first)] + ([] if second is None else [list(second)])
        while sum(map(len, texts)) + len(texts) + 1 > max_len:
            max(reversed(texts), key=len).pop()
        rows.append([(cls_id, 0)] + [(token, n) for n, text in enumerate(texts) for token in (*text, sep_id)])
    T = max(map(len, rows))
    padded = [row + [(pad_id, 0)] * (T - len(row)) for row in rows]
    both = np.array(padded, np.int64)  # (B, T, 2)
    return both[..., 0], np.arange(T) < np.array([[len(row)] for row in rows]), both[..., 1]


@exercise(
    "Make each row a list first, with its segments, then look for the longest, then fill three arrays.",
    "The mask comes from the length of the row, since a text may hold the number of [PAD]. Cut in a loop, one token at "
    "a time: which text is the longer one may change on the way.",
)
def pair_batch(answer):
    def check(pairs, max_len=16, why="", special=(2, 3, 0)):
        inputs, before = (pairs, *special, max_len), ([tuple(each and list(each) for each in p) for p in pairs],)
        call = f"pair_batch({pairs}, cls_id={special[0]}, sep_id={special[1]}, pad_id={special[2]}, max_len={max_len})"
        got = unchanged(answer, inputs, (*before, *special, max_len), call)
        demand(
            isinstance(got, tuple) and len(got) == 3, "three arrays are expected: ids, mask, segments", call, got=got
        )
        for name, one, expected in zip(("ids", "mask", "segments"), got, pair_batch_ref(*inputs), strict=True):
            compare(one, expected, call, why=f"{name}: {why}" if why else name)
            demand(one.dtype == expected.dtype, f"{name} must be {expected.dtype}, not {one.dtype}", call)

    check([([7, 8], [9]), ([7], None)], 8, "the example")
    check([([7], [8])], why="the second [SEP] belongs to the second text")
    check([([7], [8]), ([5, 6], [9])], why="padding has the segment 0")
    check([([7], []), ([7], None)], why="an empty second text is one, with its [SEP]; None is none")
    check([([7, 0, 8], None), ([0], [0])], why="a token of the text may have the number of [PAD]: it is no padding")
    check([([7], None), ([7, 3, 8], [9])], why="a token of the text may have the number of [SEP]: the segment goes on")
    check([([7, 8, 9], None)], 4, "a text alone is cut to max_len, too")
    check([([5, 6, 7, 8], [9])], 6, "the longer text loses, not the second one")
    check([([5], [6, 7, 8, 9])], 6, "the longer text loses, not the first one")
    check([([5, 6, 7, 8], [10, 11, 12])], 8, "the longer one first, then, as both are equal, the second")
    check([([5, 6, 7], [10, 11, 12])], 8, "of two equal ones the second loses")
    check([([5, 6, 7, 8, 9], [10, 11, 12])], 3, "nothing may be left of either")
    check([([5, 6, 7], [8]), ([9], None)], 20, "T is the longest row, not max_len")
    check([([5, 6], [7]), ([8], None)], 12, "each id is the one that is given", special=(101, 102, 103))
    texts = st.lists(st.integers(0, 9), max_size=4)
    pairs = st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=2)
    search(lambda drawn, max_len: check(drawn, max_len), pairs, st.integers(3, 9), max_examples=200)


def model_of(V, seed=0, scale=1.0):
    """Scores that depend on the whole row and on the place, and notes of what the model has been shown."""
    table = np.random.default_rng(seed).normal(0, scale, (V, V))
    shown = []

    def logits_of(ids):
        ids = np.asarray(ids)
        demand(ids.ndim == 2, f"the model takes ids (B, T), with a batch dim; it got the shape {ids.shape}")
        shown.extend(map(tuple, ids.tolist()))
        neighbours = table[np.roll(ids, 1, axis=1)] + 0.5 * table[np.roll(ids, -1, axis=1)]  # (B, T, V)
        return neighbours + 0.25 * table[ids] + np.arange(ids.shape[1])[:, None] * table[0]

    return logits_of, shown


def pseudo_log_likelihood_ref(logits_of, ids, special, mask_id):
    total = 0.0
    for t, token in enumerate(ids):
        if token not in special:
            hidden = ids.copy()
            hidden[t] = mask_id
            scores = logits_of(hidden[None])[0, t]
            scores = scores - scores.max()
            total += scores[token] - math.log(np.exp(scores).sum())
    return float(total)


@exercise(
    "For a text of n ordinary tokens the model has to see n rows. What differs between them, and which scores of each "
    "do you need?",
    "np.tile makes the rows; row i has mask_id at the i-th ordinary place, and counts there alone. log p is a score "
    "minus log Σ e^score: subtract the largest first.",
)
def pseudo_log_likelihood(answer):
    def check(ids, special=(2, 3), mask_id=4, seed=0, scale=1.0, why=""):
        ids = np.array(ids, np.int64)
        logits_of, shown = model_of(10, seed, scale)
        expected = pseudo_log_likelihood_ref(logits_of, ids, set(special), mask_id)
        wanted = set(shown)
        shown.clear()
        call = f"pseudo_log_likelihood(logits_of, {show(ids)}, {set(special)}, mask_id={mask_id})"

        def run(ids):
            return answer(logits_of, ids, set(special), mask_id)

        run.__module__ = answer.__module__
        got = call_answer(run, (ids,), call)
        demand(len(shown) == 0 or wanted >= set(shown), "the model is shown other rows than one blank at a time makes",
               call, sorted(wanted), sorted(set(shown)))  # fmt: skip
        compare(got, expected, call, why=why)

    with np.errstate(all="ignore"):
        check([2, 7, 3], why="one token to hide, between [CLS] and [SEP]")
        check([7, 8], why="each is hidden by itself, and sees the other; the sum, not the mean")
        check([2, 7, 7, 3], why="a token that comes twice is hidden at one place at a time")
        check([2, 7, 3, 8, 3], why="special tokens are not asked for")
        check([2, 3], why="nothing to ask for: the sum is 0.0")
        check([2, 7, 8, 9, 3], scale=2000.0, why="large scores must not overflow")
        check([2, 7, 6, 3], special=(2, 3, 6), mask_id=5, why="special_ids and mask_id are those that are given")
        ids = st.lists(st.integers(2, 9).filter(lambda token: token != 4), min_size=1, max_size=5)
        search(lambda drawn, seed: check(drawn, seed=seed), ids, st.integers(0, 3), max_examples=60)
