"""How the exercises of lesson 21 are graded."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

import tinygrad_llm.functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.evaluate import bleu_counts, bleu_of_counts
from tinygrad_llm.nn import CrossAttention
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, compare, show
from tinygrad_llm.testing import float_arrays


def cross_attention_ref(x, source, is_token, w_query, w_key, w_value, n_heads):
    layer = CrossAttention(x.shape[-1], n_heads, bias=False).to("float64")
    matrices = (w_query, w_key, w_value, np.eye(x.shape[-1]))
    for linear, matrix in zip((layer.query, layer.key, layer.value, layer.out), matrices, strict=True):
        linear.weight.data[...] = matrix.T
    return layer(Tensor(x), Tensor(source), is_token[:, None, None]).data


@st.composite
def texts_and_matrices(draw):
    """x, source, is_token, three matrices and n_heads; C is 1 or 2."""
    n_heads, D, B, T, S = (draw(st.integers(1, 2)) for _ in range(5))
    C, S = n_heads * D, S + draw(st.integers(0, 1))
    x, source = draw(float_arrays((B, T, C))), draw(float_arrays((B, S, C)))
    lengths = np.array([draw(st.integers(1, S)) for _ in range(B)])
    return x, source, np.arange(S) < lengths[:, None], *(draw(float_arrays((C, C))) for _ in range(3)), n_heads


@exercise(
    "Which of the two texts is asked, and which asks? What are the shapes of queries, keys and scores if T is not S?",
    "Split C into (n_heads, D) and bring the heads before the positions: scores are (B, n_heads, T, S). Put −inf where "
    "is_token[:, None, None] is False, subtract the maximum of each row, and divide by the sum over S.",
)
def cross_attention(answer):
    def check(*inputs, why=""):
        expect(answer, *inputs, equals=cross_attention_ref(*inputs), why=why)

    def column(*numbers):
        return np.array(numbers, np.float64)[None, :, None]  # (1, T, 1)

    one, source = np.ones((1, 1)), column(0, np.log(2), np.log(5))
    every, some = np.ones((1, 3), bool), np.array([[True, True, False]])
    check(column(1), source, every, one, one, one, 1, why="the weights are 1/8, 2/8 and 5/8")
    check(column(1), source, some, one, one, one, 1, why="the third place is padding: the weights are 1/3 and 2/3")
    check(column(1), source, some[:, ::-1], one, one, one, 1, why="padding may be anywhere")
    check(column(0, 1), source, every, one, one, one, 1, why="each position of x asks for itself")
    check(column(0, 1, 2), column(3, 5), np.ones((1, 2), bool), one, one, one, 1, why="T and S differ")
    check(column(1), source, every, 2 * one, one, one, 1, why="queries are x @ w_query")
    check(column(1), source, every, one, one, 3 * one, 1, why="values are source @ w_value")
    with np.errstate(all="ignore"):
        check(column(1000), source, every, one, one, one, 1, why="large scores must not overflow")
        check(column(1), column(0, 1, 2000), some, one, one, one, 1, why="what stands at padding changes nothing")
    rng, token = np.random.default_rng(0), np.array([[True, True, True], [True, False, False]])
    x, source, eye = rng.integers(-2, 3, (2, 2, 4)) / 1.0, rng.integers(-2, 3, (2, 3, 4)) / 1.0, np.eye(4)
    check(x, source, token, eye, eye, eye, 1, why="scores are divided by √4")
    check(x, source, token, eye, eye, eye, 2, why="two heads of two columns each, scores divided by √2")
    check(x, source, token, eye + np.tri(4), eye, eye, 4, why="the products come first, then the heads")
    search(lambda inputs: check(*inputs), texts_and_matrices())


@st.composite
def logits_and_targets(draw):
    N, V = draw(st.integers(1, 2)), draw(st.integers(2, 3))
    target = [draw(st.integers(0, V - 1)), *(draw(st.sampled_from([-100, *range(V)])) for _ in range(N - 1))]
    return draw(float_arrays((N, V))), np.array(draw(st.permutations(target)))


@exercise(
    "Write q for V = 4 and ε = 0.2: what does the right class get, what each other one? Do they sum to 1?",
    "With z = logits − maximum, ln p = z − ln Σ e^z. A row's loss is −Σ q ln p, its gradient p − q; both are divided "
    "by the number of rows whose target is not −100.",
)
def smoothed_loss(answer):
    def check(logits, target, epsilon, why=""):
        x = Tensor(logits, requires_grad=True)
        loss = F.cross_entropy(x, Tensor(target), label_smoothing=epsilon)
        loss.backward()
        equals = loss.item(), x.grad.data.round(12)  # no 1e-17 to read
        expect(answer, logits, target, epsilon, equals=equals, why=why)

    paper = np.log([[0.92, 0.02, 0.02, 0.02, 0.02]])
    check(paper, np.array([0]), 0.0, why="without smoothing it is −ln 0.92")
    check(paper, np.array([0]), 0.1, why="p = q: the entropy of q is left, and no gradient")
    check(paper, np.array([1]), 0.1, why="another class is right")
    check(np.zeros((1, 2)), np.array([0]), 0.5, why="ε/V goes to the right class as well: q = (0.75, 0.25)")
    two = np.log([[1.0, 1.0], [1.0, 3.0]])
    check(two, np.array([0, 1]), 0.2, why="the mean of two rows")
    check(two, np.array([0, -100]), 0.2, why="the second row is padding")
    check(two, np.array([-100, 0]), 0.2, why="the first row is padding")
    with np.errstate(all="ignore"):
        far = np.array([[0.0, 1000.0]])
        check(far, np.array([1]), 0.1, why="the loss is 0.05 · 1000: nothing may overflow, nothing become ln 0")
        check(far - 2000, np.array([0]), 0.1, why="a shift changes nothing")
    epsilons = st.sampled_from([0.0, 0.1, 0.5, 1.0])
    search(lambda drawn, epsilon: check(*drawn, epsilon), logits_and_targets(), epsilons)


def bleu_ref(hypothesis, references):
    counts = bleu_counts([" ".join(hypothesis)], [[" ".join(each) for each in references]], str.split)
    return bleu_of_counts(counts).score if counts[0, 2:6].all() else 0.0


@exercise(
    "How many n-grams has a text of c words? With two references, what does Counter a | b hold, and what a + b?",
    "For each n: found = Counter of the hypothesis' n-grams, wanted = those of the references joined by |, p_n = "
    "(found & wanted).total() / found.total(). Return 0.0 as soon as nothing is in common.",
)
def bleu(answer):
    def check(hypothesis, *references, why=""):
        words = hypothesis.split(), [reference.split() for reference in references]
        expect(answer, *words, equals=bleu_ref(*words), why=why)

    check("a b c d", "a b c d", why="the same text has 100")
    check("the cat sat on the mat", "the cat sat on a mat at home", why="the example of the lesson")
    check("a b c d a b c d", "a b c d", why="an n-gram counts at most as often as in the reference")
    check("a b c d e", "a b c d a", why="n-grams of words, and no penalty for equal lengths")
    check("a b c d e f", "a b c d", why="a text that is too long has no penalty")
    check("a b c d", "a b c d e", why="a text that is too short has")
    check("a b c d a", "a b c d", "a x y z", why="of several references the largest count holds, not their sum")
    check("a b c d e", "a b c d x y", "p q c d e", why="each n-gram may stand in another reference")
    check("a b c d", "a b c d e", "a b c d e f g", why="r is the nearest length")
    check("a b c d e", "a b c d", "a b c d e f", why="of two lengths that are as near, r is the shorter")
    check("a b c d", "e a b c d", "a b", "a b c d e f g", why="the nearest length is not the shortest")
    check("a b c", "a b c", why="three words have no n-gram of four: 0")
    check("a b c x", "a b c d", why="no n-gram of four is right: 0")
    check("", "a b c d", why="no words: 0")
    words = st.lists(st.sampled_from("ab"), min_size=0, max_size=8)
    search(lambda h, r: expect(answer, h, r, equals=bleu_ref(h, r)), words, st.lists(words, min_size=1, max_size=3))


def likeliest_text_ref(log_probs, end, max_new_tokens):
    """Of all complete texts, one by one."""
    V, best = len(log_probs([])), ([], -np.inf)
    for length in range(1, max_new_tokens + 1):
        for text in itertools.product(range(V), repeat=length):
            if end in text[:-1] or (length < max_new_tokens and text[-1] != end):
                continue
            total = sum(float(log_probs(list(text[:i]))[token]) for i, token in enumerate(text))
            best = max(best, (list(text), total), key=lambda each: each[1])
    return best


def of_whole_text(seed, V, sharpness=1.0):
    """log_probs of V tokens, drawn anew for each beginning."""

    def log_probs(tokens):
        scores = sharpness * np.random.default_rng([seed, len(tokens), *tokens]).standard_normal(V)
        return scores - np.log(np.exp(scores).sum())

    return log_probs


@exercise(
    "Which beginning should be continued first, so that a complete text is found that nothing can beat any more?",
    "Keep all beginnings in a heap (heapq), the likeliest on top: push (−sum, tokens). Take one, ask once for its "
    "continuations, push them all. The first complete text that is taken is the answer.",
)
def likeliest_text(answer):
    def check(log_probs, told, end, max_new_tokens, equals=None, why=""):
        asked, call = [], f"likeliest_text(log_probs, {end}, {max_new_tokens})\nwith {told}"

        def counted(tokens):
            asked.append(list(tokens))
            demand(len(asked) <= 2000, "more than 2,000 calls of log_probs: drop beginnings that cannot win", call)
            complete = end in asked[-1] or len(asked[-1]) >= max_new_tokens
            demand(not complete, f"log_probs({asked[-1]}) was asked for, but that text is complete", call)
            return log_probs(asked[-1])

        got = call_answer(answer, (counted, end, max_new_tokens), call)
        equals = equals or likeliest_text_ref(log_probs, end, max_new_tokens)
        compare(got, equals, call, why=why)

    def check_chain(p, *settings, why=""):
        p = np.array(p)
        after = "; ".join(f"{show(row)} after {i}" for i, row in enumerate(p[1:]))
        told = f"probabilities {show(p[0])} at the beginning; {after}"
        with np.errstate(divide="ignore"):
            table = np.log(p)
        check(lambda tokens: table[1 + tokens[-1] if tokens else 0], told, *settings, why=why)

    lesson = [[0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.9, 0.05, 0.05]]
    check_chain(lesson, 0, 1, why="one step: the likeliest token")
    check_chain(lesson, 0, 4, why="greedy misses this text")
    check_chain(lesson, 1, 3, why="`end` may be any token")
    check_chain([[0.2, 0.8], [0.5, 0.5], [0.1, 0.9]], 0, 3, why="a text of max_new_tokens tokens is complete too")
    check_chain([[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]], 0, 4, why="a short text may win: the sum counts, not the mean")
    check_chain([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75]], 0, 2, why="a probability may be 0")
    even = [0.26, 0.26, 0.24, 0.24]
    late = [[0.03, 0.34, 0.33, 0.3], even, even, even, [1.0, 0.0, 0.0, 0.0]]
    check_chain(late, 0, 3, why="the likeliest text begins with the third best token: two beams miss it")

    def check_any(seed, V, max_new_tokens, end):
        told = f"log_probs that depend on the whole beginning (seed {seed}, {V} tokens)"
        check(of_whole_text(seed, V), told, end % V, max_new_tokens)

    search(check_any, st.integers(0, 999), st.integers(2, 3), st.integers(1, 4), st.integers(0, 2), max_examples=100)
    for seed in (0, 1, 2):
        log_probs = of_whole_text(seed, 8, 3.0)
        best = best_first(log_probs, 0, 7)
        check(log_probs, f"log_probs of 8 tokens that depend on the whole beginning (seed {seed})", 0, 7, best)


def best_first(log_probs, end, max_new_tokens):
    """The same without trying all: depth first, and never on from what has lost already."""
    best = ([], -np.inf)

    def go_on(tokens, total):
        nonlocal best
        if total <= best[1]:
            return
        if len(tokens) == max_new_tokens or tokens[-1:] == [end]:
            best = tokens, total
            return
        after = log_probs(tokens)
        for token in np.argsort(-after):
            go_on([*tokens, int(token)], total + float(after[token]))

    go_on([], 0.0)
    return best
