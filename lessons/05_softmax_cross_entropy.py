# %% [markdown]
# # 05 Softmax and cross-entropy
#
# How do scores become probabilities, and probabilities one number that says how wrong they are? A model ends in a
# matmul, which gives any numbers at all: one **score** (or *logit*) for each class, such as each next letter.
#
# At the end you have the loss that nearly every language model is trained with, its gradient from paper, a version that
# does not overflow, and a kernel that makes both in one go, in a quarter of the memory.

# %%
import builtins
import inspect
import math
import timeit
import tracemalloc

import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import plots
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.fast_math import fast_exp
from tinygrad_llm.school import save_figure
from tinygrad_llm.testing import gradcheck

ADDS = [
    "tinygrad_llm/functional.py",
    "tinygrad_llm/ops/fast_math.py",
    "tinygrad_llm/ops/softmax.py",
    "tinygrad_llm/ops/class_targets.py",
    "tinygrad_llm/ops/cross_entropy.py",
    "tinygrad_llm/ops/losses.py",
]

# %% [markdown]
# ## From scores to probabilities: why exp
# Probabilities are positive and sum to 1. So map each score through a positive, growing g, and divide by the sum. Which
# g? Scores have no natural zero: adding c to all of them should change nothing.
#
#     g(a + c) / g(b + c) = g(a) / g(b),  so with b = 0  g(a + c) = g(a) g(c) / g(0)
#
# Adding inside is multiplying outside: only exponentials do that, up to the unit of the scores. This is **softmax**:
#
#     p_i = e^(x_i) / Σ_j e^(x_j)
#
# On paper: x = (0, ln 2, ln 5) = (0, 0.693, 1.609) has e^x = (1, 2, 5) with sum 8, so p = (1/8, 2/8, 5/8).


# %%
def softmax_v1(x: Tensor) -> Tensor:
    e = x.exp()
    return e / e.sum(dim=-1, keepdim=True)


paper = np.log([[1.0, 2.0, 5.0]])
assert np.allclose(paper, [[0, 0.693, 1.609]], atol=1e-3)
for shift in (0, 3):
    print(f"p of the scores + {shift}: {softmax_v1(tg.tensor(paper + shift)).data.round(6).tolist()}")
    assert np.allclose(softmax_v1(tg.tensor(paper + shift)).data, [1 / 8, 2 / 8, 5 / 8])

# %% [markdown]
# ## From probabilities to a loss: why log
# Let y be the right class. We could make 1 − p_y small. But the examples are many, and what we want large is the
# probability of all of them together, a product: 1,000 examples of probability 0.1 give 10⁻¹⁰⁰⁰, which no float holds.
# The logarithm of a product is a sum. So the loss is the mean of **−log p_y**, the *cross-entropy*: 0 when the model is
# certain and right, ln 2 for a fair coin, without bound when it is certain and wrong.
#
# There is a second reason, the slope. With two classes and d = x_y − x_other we have p_y = 1 / (1 + e^(−d)), and
#
#     d(1 − p_y)/dd = −p_y (1 − p_y)            d(−log p_y)/dd = −(1 − p_y)
#
# Where the model is badly wrong, p_y is nearly 0. There the first slope vanishes, and nothing would be learned from the
# worst mistakes; the second is nearly −1.

# %%
lead = tg.tensor(np.linspace(-10, 10, 201), requires_grad=True)
figure, (left, right) = plots.new_figure(10, 3.8, n_axes=2)
for name, loss, colour, line, low, high in (
    ("1 − p", lambda p: 1 - p, plots.ORANGE, "--", -1e-4, 0),
    ("−log p", lambda p: -p.log(), plots.BLUE, "-", -1, -0.999),
):
    lead.zero_grad_()
    values = loss(1 / (1 + (-lead).exp()))
    values.sum().backward()
    left.plot(lead.data, values.data, line, color=colour, label=name)
    right.plot(lead.data, lead.grad.data, line, color=colour, label=f"slope of {name}")
    print(f"{name:<7} has the slope {lead.grad.data[0]:.6f} at a lead of −10")
    assert low < lead.grad.data[0] < high
for axes, ylabel, title in ((left, "loss", "Two losses"), (right, "slope", "What there is to learn from")):
    axes.set(xlabel="lead of the right score, x_y − x_other", ylabel=ylabel, title=title)
    axes.legend(frameon=False)
save_figure("05_why_log", figure)

# %% [markdown]
# ## The gradient, by hand
#
#     L = −log p_y = −log( e^(x_y) / Σ_j e^(x_j) ) = s − x_y,  s = log Σ_j e^(x_j)
#     ∂s/∂x_i = e^(x_i) / Σ_j e^(x_j) = p_i
#     ∂L/∂x_i = p_i − [i = y],   that is   softmax(x) − onehot(y)
#
# On paper, with p = (1/8, 2/8, 5/8) and the second class right: L = −log(2/8) = ln 4, and the gradient is
# (1/8, 2/8 − 1, 5/8) = (0.125, −0.75, 0.625). It sums to 0, since a shift of all scores changes nothing.


# %%
def cross_entropy_v1(x: Tensor, onehot: Tensor) -> Tensor:
    """The mean of −log p_y over the rows; onehot has a 1 at each row's y and 0 elsewhere."""
    return -(softmax_v1(x).log() * onehot).sum(dim=-1).mean()


x, second = tg.tensor(paper, requires_grad=True), tg.tensor(np.array([[0.0, 1.0, 0.0]]))
loss = cross_entropy_v1(x, second)
loss.backward()
print(f"loss {loss.item():.4f}, gradient {x.grad.data.round(4).tolist()}")
assert math.isclose(loss.item(), math.log(4))
assert np.allclose(x.grad.data, [[0.125, -0.75, 0.625]])

# %% [markdown]
# ## What breaks
# On paper a shift of all scores changes nothing. In float32 e^x is inf above x = 88.7 and 0 below −104, and inf / inf
# and 0 / 0 are NaN. Where one probability alone becomes 0, its logarithm is −inf, and 0 · (−inf) is NaN too.

# %%
for scores in (paper, paper + 80, paper + 88, paper - 110, np.array([[0.0, 0.0, -110.0]])):
    loss = cross_entropy_v1(tg.tensor(scores.astype("float32")), second.float()).item()
    print(f"v1 of {scores.round(1).tolist()}: {loss:.4f}")
    assert math.isnan(loss) == (scores.max() > 88.7 or scores.min() < -104)

# %% [markdown]
# ## The cure: choose the shift
#
#     e^(x_i + c) / Σ_j e^(x_j + c) = e^c e^(x_i) / (e^c Σ_j e^(x_j)) = p_i
#
# for any c. Take c = −m with m = max_j x_j. The largest exponent is then 0: nothing overflows, and the sum is at least
# 1. And never take the logarithm of a probability that may have become 0. This is the **log-sum-exp** trick:
#
#     log p_i = (x_i − m) − log Σ_j e^(x_j − m)
#
# m is taken from the plain array, outside of the graph: the result does not depend on m, so its gradient is zero.


# %%
def cross_entropy_v2(x: Tensor, onehot: Tensor) -> Tensor:
    z = x - tg.tensor(x.data.max(axis=-1, keepdims=True))
    log_p = z - z.exp().sum(dim=-1, keepdim=True).log()
    return -(log_p * onehot).sum(dim=-1).mean()


for shift in (88, -110, 1000):
    loss = cross_entropy_v2(tg.tensor((paper + shift).astype("float32")), second.float()).item()
    print(f"v2 of the paper's scores + {shift}: {loss:.4f}")
    assert abs(loss - math.log(4)) < 1e-4

# %% [markdown]
# ## The library's piece
# `F.softmax` and `F.cross_entropy` are these formulas as kernels: a loop over rows that the threads share.
# `cross_entropy` takes the classes as integers. Its forward pass already makes the gradient (p − onehot)/N: a loss is
# the end of the graph, so e^(x − m) is computed once, and only one array of the size of the scores is made.
#
# **Step into it.** `tinygrad-llm debug 05` stops at the marked line. `s` enters `softmax`; `n` until `Softmax.forward`
# is next, `s`; `n` until `softmax_forward` is next, `s`: you are in the kernel. `n` until `e = fast_exp(...)`; there
# `p largest` is m = 3, and after one more `n` `p e` is e^(0 − 3) = 0.0498. Leave with `q`: plain Python is slow.

# %%
scores = tg.tensor([[0.0, 1.0, 3.0]])
p = F.softmax(scores)  # stop here
assert np.allclose(p.data, softmax_v1(scores).data, rtol=1e-6)
assert abs(F.cross_entropy(tg.tensor((paper + 1000).astype("float32")), tg.tensor([1])).item() - math.log(4)) < 1e-4
rng = np.random.default_rng(0)
B, T, V = 2, 4, 8
x, weights = tg.tensor(rng.standard_normal((B, T, V)), requires_grad=True), tg.tensor(rng.standard_normal((B, T, V)))
y = tg.tensor(rng.integers(0, V, B * T))
onehot = tg.tensor(np.eye(V)[y.data].reshape(B, T, V))
for v1, library in (
    (lambda x: (softmax_v1(x) * weights).sum(), lambda x: (F.softmax(x) * weights).sum()),
    (lambda x: cross_entropy_v1(x, onehot), lambda x: F.cross_entropy(x.reshape(B * T, V), y)),  # a row per prediction
):
    gradients = []
    for fn in (v1, library):
        x.zero_grad_()
        fn(x).backward()
        gradients.append(x.grad.data)
    assert math.isclose(v1(x).item(), library(x).item(), rel_tol=1e-12)
    assert np.allclose(*gradients, rtol=1e-9, atol=1e-14)
    assert gradcheck(library, x)
print("F.softmax and F.cross_entropy agree with v1, forward and gradient")

# %% [markdown]
# ## How a kernel computes e^x
# `math.exp` is a call for each element. `fast_exp` is a dozen plain operations, which the processor does for 8 or 16
# elements at once. First it splits x: with n = round(x / ln 2) and r = x − n ln 2
#
#     e^x = 2^n · e^r,   |r| ≤ ln(2)/2
#     e^10 = 2^14 · e^0.29594 = 16384 · 1.34439 = 22026.5
#
# 2^n costs nothing, it is the exponent in a float's bits. For so small an r a polynomial of degree 5 is enough. That of
# Taylor is best at r = 0 and worst at the ends; `fast_exp` has other coefficients, which make the largest error small.

# %%
print(f"fast_exp(10) = {fast_exp(np.float32(10)):.6g}, fast_exp(-3) = {fast_exp(np.float32(-3)):.3g}")
on_paper = [10 - 14 * math.log(2), math.exp(0.29594), 16384 * 1.34439, fast_exp(np.float32(10))]
assert np.allclose(on_paper, [0.29594, 1.34439, 22026.5, 22026.5], rtol=1e-5)
at = np.linspace(-2, 2, 1601, dtype=np.float32)
n = np.round(at.astype(np.float64) / math.log(2))
taylor = 2**n * sum((at - n * math.log(2)) ** k / math.factorial(k) for k in range(6))
ours = [fast_exp(value) for value in at]
taylor_error, our_error = (np.abs(values / np.exp(at.astype(np.float64)) - 1).max() for values in (taylor, ours))
print(f"relative error of e^x at most {taylor_error:.1e} by Taylor, {our_error:.1e} by fast_exp")
assert our_error < 2e-7 < 1e-6 < taylor_error

# %% [markdown]
# ## What fusing saves
# v2 makes an array of the size of the scores at each step, and keeps several for backward. With 256 rows and more and
# more classes V we measure the time, and with `tracemalloc` the peak of memory beyond the scores. GPT-2 has V = 50,257.


# %%
def measure(loss, x) -> tuple[float, float]:
    """Peak megabytes and least milliseconds of a forward and a backward pass."""
    seconds = min(timeit.repeat(lambda: loss(x).backward(), x.zero_grad_, repeat=200_000 // x.size(1), number=1))
    x.zero_grad_()
    tracemalloc.start()
    loss(x).backward()
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return megabytes, seconds * 1e3


sizes, cost = [512, 2048, 8192, 32768], {"v2, op by op": [], "fused": []}
for V in sizes:
    x, y = tg.tensor(rng.standard_normal((256, V)).astype("float32"), requires_grad=True), rng.integers(0, V, 256)
    onehot, y = tg.tensor((np.arange(V) == y[:, None]).astype("float32")), tg.tensor(y)
    cost["v2, op by op"].append(measure(lambda x, onehot=onehot: cross_entropy_v2(x, onehot), x))
    cost["fused"].append(measure(lambda x, y=y: F.cross_entropy(x, y), x))
    print(f"V = {V}:", "; ".join(f"{name} {mb[-1][0]:.1f} MB, {mb[-1][1]:.2f} ms" for name, mb in cost.items()))
figure, both = plots.new_figure(10, 4, n_axes=2)
for number, (unit, title) in enumerate((("MB", "Peak memory beyond the scores"), ("ms", "Time, forward and backward"))):
    for (name, points), colour, line in zip(cost.items(), (plots.ORANGE, plots.BLUE), ("--", "-"), strict=True):
        both[number].loglog(sizes, [each[number] for each in points], line, marker="o", color=colour, label=name)
    both[number].set(xlabel="classes V", ylabel=unit, title=title)
    both[number].grid(alpha=0.25)
    both[number].legend(frameon=False)
save_figure("05_cost", figure)
memory_ratio, time_ratio = np.divide(cost["v2, op by op"][-1], cost["fused"][-1])
assert memory_ratio > 3.5
assert time_ratio > 1.5

# %% [markdown]
# ## Two numbers to know before training
# A model that knows nothing gives all V classes the same probability, and its loss is −log(1/V) = **ln V**. With random
# scores of standard deviation σ it is about ln V + σ²/2: confident nonsense costs extra. If a first loss is far from
# ln V, something is wrong, most often the scale of the weights.
#
# The other end: scores that look at nothing cannot do better than the *entropy* H = −Σ q log q of the frequencies q.
# The gradient p − onehot, averaged over the data, is p − q: zero exactly where the probabilities are the frequencies.
# We train 26 scores on the letters of Python's own help texts.

# %%
for sigma in (0.0, 0.5, 1.0):
    x = tg.tensor(sigma * rng.standard_normal((4096, 65)))
    first, expected = F.cross_entropy(x, tg.tensor(rng.integers(0, 65, 4096))).item(), math.log(65) + sigma**2 / 2
    print(f"σ = {sigma}: loss {first:.3f}, ln 65 + σ²/2 = {expected:.3f}")
    assert abs(first - expected) < 0.1
text = " ".join(inspect.getdoc(value) or "" for name, value in vars(builtins).items() if name[0] != "_").lower()
letters = np.array([ord(letter) - ord("a") for letter in text if "a" <= letter <= "z"])
frequency = np.bincount(letters, minlength=26) / len(letters)
entropy = -sum(q * math.log(q) for q in frequency if q > 0)
scores, losses = tg.zeros(26, dtype="float64", requires_grad=True), []
for _ in range(100):
    loss = F.cross_entropy(scores.expand(len(letters), 26), tg.tensor(letters))
    scores.zero_grad_()
    loss.backward()
    scores.data -= 10 * scores.grad.data
    losses.append(loss.item())
print(f"{len(letters):,} letters: loss {losses[0]:.4f} (ln 26) -> {losses[-1]:.4f}, entropy {entropy:.4f}")
figure, axes = plots.new_figure(9, 3.8)
axes.bar(np.arange(26) - 0.2, frequency, 0.4, color=plots.BLUE, label="frequency in the text")
axes.bar(np.arange(26) + 0.2, F.softmax(scores).data, 0.4, color=plots.ORANGE, hatch="//", label="trained softmax")
axes.set_xticks(range(26), [chr(ord("a") + i) for i in range(26)])
axes.set(ylabel="probability", title="26 scores, trained with cross-entropy")
axes.legend(frameon=False)
save_figure("05_letters", figure)
assert math.isclose(losses[0], math.log(26))
assert abs(losses[-1] - entropy) < 0.01

# %% [markdown]
# ## Keep
# 1. softmax(x) = e^x / Σ e^x, since only differences of scores count; subtract the maximum, always.
# 2. loss = log Σ e^x − x_y, with the gradient softmax(x) − onehot(y); it starts near ln V.
# 3. Fused, forward and gradient need one array of the scores' size.
#
# - **What it costs.** N · V exponentials and N · V gradients, often the largest array of a small model.
# - **Where the real world differs.** Large models go over the vocabulary in pieces, and never hold all scores at once.
# - **Further reading.** Bridle, "Probabilistic interpretation of feedforward classification network outputs" (1990), on
#   softmax. Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions" (2021).

# %%
print(f"With V = {V} the fused loss needs {1 / memory_ratio:.0%} of v2's memory and {1 / time_ratio:.0%} of its time.")
print(f"26 scores learned the letters: {losses[-1]:.4f} nats, where {entropy:.4f} is the least possible.")
