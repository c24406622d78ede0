"""How the exercises of lesson 25 are graded."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.school import demand, exercise, expect, search
from tinygrad_llm.school.checks import compare, show, what_was_raised
from tinygrad_llm.testing import float_arrays
from tinygrad_llm.train.scaling_law import ScalingLaw


def gpt(vocab_size, context, n_layers, d_model) -> GPT:
    config = GPTConfig(vocab_size, context, n_layers, n_heads=1, d_model=d_model, bias=False, dropout=0.0)
    return GPT(config, np.random.default_rng(0))


@exercise(
    "Attention and MLP together have 3C² + C² + 4C² + 4C² numbers in each layer. What do the norms have?",
    "N = (V + T) C + L (12 C² + 2 C) + C, whatever is tied counts once; and D · (6 N + 12 L T C) operations.",
)
def run_cost(answer):
    def check(vocab_size, context, n_layers, d_model, n_tokens, why=""):
        n = gpt(vocab_size, context, n_layers, d_model).num_parameters()
        flops = n_tokens * (6 * n + 12 * n_layers * context * d_model)
        expect(answer, vocab_size, context, n_layers, d_model, n_tokens, equals=(n, flops), why=why)

    check(10, 4, 1, 2, 100, "the example")
    check(1, 1, 1, 1, 1, "the smallest one: 2 vectors, 12 weights, 3 norms")
    check(10, 4, 3, 2, 100, "three layers, and still one last norm")
    check(10, 1, 1, 2, 0, "no token, no operation")
    check(10, 4, 1, 6, 7, "matrices grow with the square of d_model")
    search(
        lambda sizes, n_tokens: check(*sizes, n_tokens),
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 4)),
        st.integers(0, 10**6),
        max_examples=20,
    )


def fit_power_law_ref(x, losses, floors):
    found = []
    for E in floors:
        slope, intercept = np.polyfit(np.log(x), np.log(losses - E), 1)
        law = float(E), float(np.exp(intercept)), float(-slope)
        found.append((float(np.sum(np.log(losses / (law[0] + law[1] / x ** law[2])) ** 2)), law))
    return [law for _, law in sorted(found)], [error for error, _ in sorted(found)]


@exercise(
    "log(L − E) = log A − alpha log x is a straight line. Which of its two numbers is which, and of which logarithm?",
    "For each E: np.polyfit(np.log(x), np.log(losses − E), 1) is (−alpha, log A). To choose, make the law's own losses "
    "of these three, and compare log L with their logarithm: not log(L − E), which is another scale for each E.",
)
def fit_power_law(answer):
    def check(x, losses, floors, why=""):
        inputs = [np.asarray(each, np.float64) for each in (x, losses, floors)]
        laws, errors = fit_power_law_ref(*inputs)
        if len(laws) == 1 or errors[1] > 1.001 * errors[0] + 1e-12:  # else two floors fit alike
            expect(answer, *inputs, equals=laws[0], rtol=1e-5, atol=1e-7, why=why)

    x = np.array([1.0, 4.0, 16.0, 64.0])
    check(x, 2 + 8 / np.sqrt(x), [0, 1, 2, 2.5], "the example")
    check(x, 8 / np.sqrt(x), [0, 0.5], "without a floor")
    check(x, 2 + 8 / np.sqrt(x), [1], "one floor, and it is not the best that could be: its law all the same")
    check(x[::-1], (2 + 8 / np.sqrt(x))[::-1], [2, 1, 0], "runs and floors may come in any order")
    check(1e6 * x, 1.5 + 3000 / (1e6 * x) ** 0.5, [0.5, 1.5], "x far from 1")
    why = "runs with noise: the smallest sum of squares of log(measured / law's) decides"
    for seed in range(8):
        noisy = (2 + 8 / x**0.7) * np.exp(0.03 * np.random.default_rng(seed).standard_normal(4))
        check(x, noisy, [0, 0.5, 1, 1.5, 1.8], why)

    def drawn(noise, alpha):
        xs = np.array([1.0, 2.0, 5.0, 20.0, 60.0])
        check(xs, 1 + 5 / xs**alpha * np.exp(np.round(np.clip(noise, -10, 10), 1) / 50), [0, 0.3, 0.6, 0.9], why)

    search(drawn, float_arrays((5,)), st.sampled_from([0.5, 1.0, 0.25]))


@st.composite
def budgets(draw):
    number = st.sampled_from([1.0, 0.5, 2.0, 3.0])
    A, B, k = (draw(number) * scale for scale in (400.0, 400.0, 1.0))
    alpha, beta, gamma = (draw(st.sampled_from([0.5, 1.0, 0.3, 0.25])) for _ in range(3))
    return A, alpha, B, beta, k, gamma, draw(st.sampled_from([1e6, 1.0, 1e12]))


@exercise(
    "Put D into the loss: only N is left. Its two terms are A N^(−alpha) and something times N^(gamma · beta).",
    "The derivative is 0 where alpha · A / N^alpha = gamma · beta · B / D^beta. Put D in and solve for N: which power "
    "of N is left, and which root is it?",
)
def best_size(answer):
    def check(A, alpha, B, beta, k, gamma, budget, why=""):
        # D = budget / (k N^γ): a law in M = N^γ, at whose optimum k M D is spent
        law = ScalingLaw(E=0.0, A=A, alpha=alpha / gamma, B=B, beta=beta)
        expected = law.optimal(6 * budget / k)[0] ** (1 / gamma)
        expect(answer, A, alpha, B, beta, k, gamma, budget, equals=float(expected), rtol=1e-6, atol=0.0, why=why)

    check(1000.0, 0.5, 1000.0, 0.5, 6.0, 1.0, 1.5e12, "the example: N and D alike")
    check(4000.0, 0.5, 1000.0, 0.5, 6.0, 1.0, 1.5e12, "what a small model cannot hold weighs more: a larger one")
    check(406.4, 0.34, 410.7, 0.28, 6.0, 1.0, 5.76e23, "Chinchilla's budget")
    check(1000.0, 0.25, 1000.0, 0.5, 6.0, 1.0, 1.5e12, "alpha and beta differ")
    check(1000.0, 0.5, 1000.0, 0.5, 1e-9, 0.5, 600.0, "ten minutes, where four times the size takes twice as long")
    check(1000.0, 0.5, 1000.0, 0.5, 1e-9, 2.0, 600.0, "the larger gamma, the smaller the best size")
    search(lambda drawn: check(*drawn), budgets())


class Wire:
    """What carries the messages, and counts. `lossy`: all that arrives is zeros."""

    def __init__(self, n: int, call: str, lossy: bool = False):
        self.n, self.call, self.lossy, self.rounds, self.bytes = n, call, lossy, 0, np.zeros(n, int)

    def __call__(self, messages):
        fits = isinstance(messages, (list, tuple)) and len(messages) == self.n
        demand(fits, f"a round needs a list of {self.n} messages, one from each rank", self.call)
        copies = [np.array(each, copy=True) for each in messages]
        self.rounds += 1
        self.bytes += [each.nbytes for each in copies]
        if self.lossy:
            copies = [np.zeros_like(each) for each in copies]
        return copies[-1:] + copies[:-1]


def called(answer, arrays, lossy=False):
    call = f"ring_all_reduce({', '.join(map(show, [arrays]))}, exchange)"
    wire, given = Wire(len(arrays), call, lossy), [each.copy() for each in arrays]
    try:
        got = answer(given, wire)
    except Exception as error:
        if isinstance(error, NotImplementedError) or hasattr(error, "what"):
            raise
        demand(False, what_was_raised(error, answer), call)
    same = all(np.array_equal(one, other) for one, other in zip(arrays, given, strict=True))
    demand(same, "your answer changes its arrays in place: work on copies", call, arrays, given)
    fits = isinstance(got, list) and len(got) == len(arrays) and all(isinstance(each, np.ndarray) for each in got)
    demand(fits, f"a list of {len(arrays)} arrays was expected", call, got=got)
    return got, wire, call


@exercise(
    "In round i rank r passes piece (r − i) % n on. Which piece does it get then, and to what does it add it?",
    "After n − 1 rounds rank r has the whole sum of piece (r + 1) % n. Send that on first, and then always what has "
    "just come, which now takes the place of the rank's own. reshape(n, −1) makes the pieces; copy them first.",
)
def ring_all_reduce(answer):
    def check(arrays):
        n = len(arrays)
        got, wire, call = called(answer, arrays)
        for each in got:
            compare(each, sum(arrays[1:], arrays[0]), call, 1e-6, 1e-6, why="each rank needs the sum of all")
        demand(len({id(each) for each in got}) == n, "each rank needs an array of its own", call)
        most = 2 * (n - 1) * arrays[0].nbytes // n
        if (wire.bytes != most).any():
            what = "bytes that the ranks have sent: 2 (n − 1) pieces of an n-th were expected of each"
            demand(False, what, call, [most] * n, wire.bytes.tolist())
        demand(wire.rounds == 2 * (n - 1), "a ring of n has 2 (n − 1) rounds", call, 2 * (n - 1), wire.rounds)
        if n > 1:
            dead, _, call = called(answer, [each + 1 for each in arrays], lossy=True)
            true = sum(arrays) + n
            unaided = any(np.allclose(each, true) for each in dead)
            what = (
                "here all messages arrive as zeros, and yet a rank knows the sum: it has looked at the others' arrays"
            )
            demand(not unaided, what, call)

    check([np.array([1.0, 2.0]), np.array([10.0, 20.0])])
    check([np.array([5.0, 7.0])])
    check([np.array([1.0, 2.0, 3.0]) * 10.0**r for r in range(3)])
    check([np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]) * 10.0**r for r in range(4)])
    check([np.arange(1, 7, dtype=np.float32) * 10.0**r for r in range(3)])

    def drawn(n, size):
        check([np.random.default_rng([n, size, r]).integers(1, 9, n * size).astype(np.float64) for r in range(n)])

    search(drawn, st.integers(1, 6), st.integers(1, 3))
