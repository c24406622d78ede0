"""Checks of lesson 19."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.evaluate import f1_score
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, compare, show

numbers = st.integers(0, 3)


@st.composite
def true_and_predicted(draw):
    n = draw(st.integers(1, 6))
    columns = st.lists(numbers, min_size=n, max_size=n).map(np.array)
    return draw(columns), draw(columns)


@exercise(
    "For one class k: TP are those where both are k. What are FP and FN, if you look at k alone? And which classes?",
    "2 TP + FP + FN is how often k is true plus how often it is predicted. np.union1d has the classes of both columns; "
    "none of them gives 0/0.",
)
def macro_f1(answer):
    mostly, always = np.array([0, 0, 0, 1]), np.zeros(4, int)
    expect(answer, mostly, always, equals=3 / 7, why="6/7 for class 0, and 0 for class 1, which is never predicted")
    why = "class 2 is predicted and never true: its F1 is 0, and it counts"
    expect(answer, np.array([0, 1]), np.array([0, 2]), equals=1 / 3, why=why)
    expect(answer, np.array([0, 5]), np.array([0, 5]), equals=1.0, why="classes that occur nowhere do not count")
    expect(answer, np.array([1]), np.array([0]), equals=0.0, why="nothing is right")

    def check(drawn):
        expect(answer, *drawn, equals=float(f1_score(*drawn, average="macro")))

    search(check, true_and_predicted())


def split_ref(labels, groups, fraction):
    """The rule of the exercise, in plain Python."""
    chosen = set()
    for k in sorted(set(labels.tolist())):
        members = [g for g, label in zip(groups.tolist(), labels.tolist(), strict=True) if label == k]
        n_test = 0
        for size, group in sorted((-members.count(g), g) for g in set(members)):
            if n_test - size <= fraction * len(members):
                chosen.add(group)
                n_test -= size
    return np.array([group in chosen for group in groups.tolist()])


@st.composite
def labels_and_groups(draw):
    """Groups of one class each, their numbers in no order, their examples mixed."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    names = draw(st.permutations(range(len(sizes))))
    classes = draw(st.lists(st.integers(0, 1), min_size=len(sizes), max_size=len(sizes)))
    rows = [(k, g) for k, g, size in zip(classes, names, sizes, strict=True) for _ in range(size)]
    rows = np.array(draw(st.permutations(rows)))
    return rows[:, 0], rows[:, 1]


@exercise(
    "Take one class alone. np.unique(groups[labels == k], return_counts=True) has its groups and their sizes.",
    "np.argsort(-sizes, kind='stable') goes from the largest on, and leaves equal ones in the order of their numbers. "
    "Keep count of the room that is left; a group that does not fit is passed over, it does not end the loop.",
)
def grouped_split(answer):
    def check(labels, groups, fraction, why=""):
        expect(answer, labels, groups, fraction, equals=split_ref(labels, groups, fraction), why=why)

    why = (
        "in class 0 the group of three does not fit into two places, the single one does; in class 1 number 4 is first"
    )
    check(np.array([0, 0, 0, 0, 1, 1]), np.array([7, 7, 7, 3, 4, 5]), 0.5, why)
    check(np.array([0] * 4), np.array([9, 2, 9, 2]), 0.5, "both groups have two: the smaller number is first")
    check(np.array([0] * 6 + [1] * 2), np.array([1] * 3 + [2] * 3 + [3, 4]), 0.5, "each class gets its share")
    check(np.array([0, 0]), np.array([1, 1]), 0.5, "a single group that does not fit stays whole, in training")
    search(lambda drawn, fraction: check(*drawn, fraction), labels_and_groups(), st.sampled_from([0.25, 0.5, 0.75]))


def rates_ref(names, n_blocks, rate, decay, n_frozen):
    rates = {}
    for name in names:
        parts = name.split(".")
        if parts[1] == "blocks":
            place = 1 + int(parts[2])
        else:
            place = 0 if "embedding" in name or parts[:2] == ["base", "norm"] else n_blocks + 1
        frozen = 0 < n_frozen >= place
        rates[name] = 0.0 if frozen else float(rate) * decay ** (n_blocks + 1 - place)
    return rates


@exercise(
    "Number the places from below: 0 what stands before the blocks, 1 … n_blocks the blocks, n_blocks + 1 what comes "
    "after them. How many factors has each?",
    "re.match(r'base\\.blocks\\.(\\d+)\\.', name) has the number of the block, of any length, in group 1. Ask for it "
    "first: blocks have norms, too.",
)
def layer_rates(answer):
    before = [
        "token_embedding.weight",
        "position_embedding.weight",
        "segment_embedding.weight",
        "norm.weight",
        "norm.bias",
    ]
    inside = ["attention.qkv.weight", "attention.out.bias", "norm1.weight", "norm2.bias", "feed_forward.up.weight"]

    def check(n_blocks, rate, decay, n_frozen, names=None):
        if names is None:
            names = ["head.weight", "head.bias", "base.pooler.weight", *(f"base.{each}" for each in before)]
            names += [f"base.blocks.{number}.{each}" for number in range(n_blocks) for each in inside]
        inputs = (list(names), n_blocks, rate, decay, n_frozen)
        expected = rates_ref(*inputs)
        call = f"layer_rates({{}}, n_blocks={n_blocks}, rate={rate:g}, decay={decay:g}, n_frozen={n_frozen})"
        got = call_answer(answer, inputs, call.format("[…]"))
        demand(isinstance(got, dict), "a dict was expected", call.format("[…]"), expected, got)
        for name in names:
            shown = call.format(f"[…, {name!r}, …]")
            demand(name in got, f"{name!r} is missing", shown)
            compare(got[name], expected[name], shown, rtol=1e-9, atol=0.0, why=f"the rate of {name}")
        demand(set(got) == set(names), "there are names that were not asked for", call.format("[…]"))

    check(1, 1, 0.5, 0, ["head.bias", "base.blocks.0.norm1.bias", "base.norm.bias"])
    check(2, 0.1, 0.5, 0)
    check(12, 0.001, 0.9, 0)
    for n_frozen in (1, 2, 3):
        check(3, 0.1, 0.5, n_frozen)
    search(
        lambda n_blocks, decay, n_frozen: check(n_blocks, 0.01, decay, min(n_frozen, n_blocks)),
        st.integers(1, 12), st.sampled_from([1.0, 0.5]), st.integers(0, 12),
        max_examples=20,
    )  # fmt: skip


def stop_ref(scores, max_rounds, patience):
    """The round of the best weights and the number of rounds, both from 1."""
    best = 1
    for number in range(1, max_rounds + 1):
        best = number if scores[number - 1] > scores[best - 1] else best
        if number - best == patience:
            return best, number
    return best, max_rounds


@exercise(
    "Which array do you keep when a score is the best so far, and what does the next `train` do to that array?",
    "Start with a best of minus infinity and w = weights.copy(). After a better score keep w.copy() and begin to count "
    "anew; after any other score, an equal one too, count one more.",
)
def train_until_worse(answer):
    def check(scores, max_rounds, patience, why=""):
        """Round number i makes the weights (start + i, start − i), and has score number i."""
        calls = {"train": 0, "score": 0}
        start = np.array([10.0, 10.0])
        call = f"train_until_worse({show(start)}, train, score, {max_rounds}, {patience}), train(w) adds [1, -1] to w,"
        call += f"\nthe scores are {', '.join(f'{each:g}' for each in scores)}"

        def train(w):
            calls["train"] += 1
            w += np.array([1.0, -1.0])

        def score(w):
            calls["score"] += 1
            number = int(w[0] - 10)
            demand(1 <= number <= max_rounds, "score is asked for weights that no round has made", call, got=w)
            return scores[number - 1]

        best, n_rounds = stop_ref(scores, max_rounds, patience)
        got = call_answer(answer, (start, train, score, max_rounds, patience), call)
        compare(got, (start + best * np.array([1.0, -1.0]), n_rounds), call, why=why)
        once = calls == {"train": n_rounds, "score": n_rounds}
        demand(once, "each round trains once and scores once", call, {"train": n_rounds, "score": n_rounds}, calls)

    check([-1, 0, -1, -2, -3, -4, -5, -6, -7], 9, 2, "as in the example: round 2 was best, and two worse ones end it")
    check([-3.0], 1, 1, "one round, and its score is negative")
    check([1, 0, 0, 0], 4, 9, "the best weights are kept, though training goes on")
    check([1, 1, 1, 1], 4, 2, "an equal score is no better one")
    check([1, 0, 2, 0, 3, 0], 6, 2, "the count begins anew after a better score")
    check([3, 1, 2, 3, 4], 5, 3, "better than the round before is not better than the best")
    lists = st.lists(st.integers(-2, 2), min_size=6, max_size=6)
    search(check, lists, st.integers(1, 6), st.integers(1, 4))
