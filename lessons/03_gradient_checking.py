# %% [markdown]
# # 03 Gradient checking
#
# How do we know that a gradient is right? In lesson 02 each op got a backward rule that someone worked out by hand,
# and a wrong rule raises no error: the loss falls a little slower, and nobody ever learns why.
#
# At the end you have three tests that find such a mistake: one looks at every slope, one works on a million inputs in
# four forward passes, and one searches for the smallest input on which a rule is wrong.

# %%
import numpy as np
from hypothesis import assume, given, settings, strategies

import tinygrad_llm as tg
from tinygrad_llm import plots
from tinygrad_llm.autograd import Function, Tensor
from tinygrad_llm.school import save_figure
from tinygrad_llm.testing import broadcastable_shapes, dot_product_check, gradcheck, tensors

ADDS = ["tinygrad_llm/testing.py"]

# %% [markdown]
# ## The slope from two values
# The derivative is the limit of (f(x + h) − f(x)) / h. We cannot go to the limit, but we can take a small step h and
# see how wrong the quotient is. Taylor's formula tells:
#
#     f(x + h) = f(x) + h f'(x) + h²/2 f''(x) + h³/6 f'''(x) + …
#     f(x − h) = f(x) − h f'(x) + h²/2 f''(x) − h³/6 f'''(x) + …
#
# Solve the first line for f'(x), and you have the **forward difference** and its error. Subtract the second line from
# the first: f(x) and f''(x) cancel, and you have the **central difference**, with an error of the order of h².
#
#     forward  (f(x + h) − f(x)) / h         = f'(x) + h/2 f''(x) + …    O(h)
#     central  (f(x + h) − f(x − h)) / (2h)  = f'(x) + h²/6 f'''(x) + …  O(h²)
#
# Try it on paper with f(x) = x³ at x = 1, where the slope is 3, and h = 0.1:
#
#     forward  (1.331 − 1) / 0.1      = 3.31   wrong by 0.31 = h/2 · 6 + h²/6 · 6
#     central  (1.331 − 0.729) / 0.2  = 3.01   wrong by 0.01 = h²/6 · 6


# %%
def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


assert np.allclose([1.1**3, 0.9**3], [1.331, 0.729])
for difference, on_paper, error in ((forward_difference, 3.31, 0.31), (central_difference, 3.01, 0.01)):
    slope = difference(lambda x: x**3, 1.0, 0.1)
    print(f"{difference.__name__} {slope:.9f}")
    assert np.allclose([slope, slope - 3], [on_paper, error])

# %% [markdown]
# ## Why not the smallest step there is?
# Because the computer rounds. Each value of f has a relative error of up to ε: 6·10⁻⁸ in float32, 1.1·10⁻¹⁶ in
# float64. When two nearly equal values are subtracted, the digits that they share vanish and the error stays. Then it
# is divided by h. So the full error has two parts, of which one falls with h and the other grows:
#
#               formula       rounding       least for     and then about
#     forward   h/2 |f''|     2 ε |f| / h    h ≈ √ε        √ε
#     central   h²/6 |f'''|     ε |f| / h    h ≈ ε^(1/3)   ε^(2/3)
#
# (Set the derivative of the sum to zero.) In float64 that promises 8 good digits for the forward difference and 10
# or 11 for the central one, in float32 about 4 and 5. We measure it at 400 points between 1 and 2 at once.

# %%
steps = 10.0 ** np.arange(-14, 0.01, 0.25)
figure, axes = plots.new_figure(8, 5)
best = {}
for dtype, colour in (("float32", plots.ORANGE), ("float64", plots.BLUE)):
    x = np.random.default_rng(0).uniform(1, 2, 400).astype(dtype)
    true = 3 * x.astype(np.float64) ** 2
    for difference, line, power in ((forward_difference, "--", 1 / 2), (central_difference, "-", 2 / 3)):
        slopes = [difference(lambda x: x**3, tg.tensor(x), float(h)).data for h in steps]
        curve = np.median(np.abs(slopes - true) / true, axis=1)  # of the relative error, over the 400 points
        name = f"{difference.__name__.removesuffix('_difference')}, {dtype}"
        best[name] = curve.min()
        print(f"{name}: error {curve.min():.0e} at best, with h = {steps[curve.argmin()]:.0e}")
        assert 1 / 20 < best[name] / (np.finfo(dtype).eps / 2) ** power < 20  # as the table says, √ε or ε^(2/3)
        axes.loglog(steps, curve, line, color=colour, label=name)
        axes.plot(steps[curve.argmin()], curve.min(), "o", color=colour)
axes.set(xlabel="step h", ylabel="relative error", title="The slope of x³: an error of ε/h meets one of h or h²")
axes.grid(alpha=0.25)
axes.legend(frameon=False, loc="lower left")
save_figure("03_error_vs_step", figure)

# %% [markdown]
# So a check takes central differences, in float64, with h near 10⁻⁶: that is why the engine has float64 at all.
#
# ## A gradient to check
# Our patient, `normalize`, scales each row of x to length 1: y_i = x_i / r with r = √(Σ_j x_j²). Move one x_j, and all
# y change, since r does: ∂r/∂x_j = x_j / r. The quotient rule gives
#
#     ∂y_i/∂x_j = [i = j] / r − x_i/r² · x_j/r = ([i = j] − y_i y_j) / r
#     dx_j = Σ_i dy_i ∂y_i/∂x_j = (dy_j − y_j Σ_i dy_i y_i) / r
#
# On paper: x = (3, 4) has r = 5 and y = (0.6, 0.8). With dy = (1, 0) the sum is 0.6, and so
# dx = ((1 − 0.6·0.6) / 5, (0 − 0.8·0.6) / 5) = (0.128, −0.096).


# %%
class Normalize(Function):
    @staticmethod
    def forward(x):
        r = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        return x / r, (x / r, r)

    @staticmethod
    def backward(dy, saved):
        y, r = saved
        return ((dy - y * (dy * y).sum(axis=-1, keepdims=True)) / r,)


class ForgetfulNormalize(Normalize):
    @staticmethod
    def backward(dy, saved):
        return (dy / saved[1],)  # the mistake that everyone makes once: r is taken for a constant


def normalize(x: Tensor, op=Normalize) -> Tensor:
    passes.append(x.shape)
    out, saved = op.forward(x.data)
    return op.record(out, saved, x)


passes = []  # one entry for each forward pass
tiny = tg.tensor([[3.0, 4.0]], dtype="float64", requires_grad=True)
(y := normalize(tiny)).backward(np.array([[1.0, 0.0]]))
print("y =", y.tolist(), "dx =", tiny.grad.tolist())
assert np.allclose([y.data, tiny.grad.data], [[[0.6, 0.8]], [[0.128, -0.096]]])

# %% [markdown]
# ## The naive check
# For a function with many outputs take L = Σ u · fn(x) with random numbers u: one number that depends on every output,
# each with its own weight, so that errors do not cancel. Then move each element of x up and down by h.


# %%
def numerical_gradient_v1(fn, x: Tensor, u: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The gradient of Σ u·fn(x) by x, one element after the other."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        difference = fn(tg.tensor(x.data + step)).data - fn(tg.tensor(x.data - step)).data
        gradient[index] = (u * difference).sum() / (2 * h)
    return gradient


rng = np.random.default_rng(1)
x = tg.tensor(rng.standard_normal((2, 4, 8)), requires_grad=True)  # (B, T, C), float64
u = rng.standard_normal(x.shape)
for op, low, high in ((Normalize, 0, 1e-8), (ForgetfulNormalize, 0.1, 10)):
    x.zero_grad_()
    normalize(x, op).backward(u)
    passes.clear()
    wrong_by = np.abs(x.grad.data - numerical_gradient_v1(normalize, x, u)).max()
    print(f"{op.__name__:<18} wrong by {wrong_by:.1e} at most, found in {len(passes)} forward passes")
    assert low <= wrong_by < high
    assert len(passes) == 2 * x.numel() == 128

# %% [markdown]
# ## The library's check
# `gradcheck(fn, *tensors)` from `tinygrad_llm.testing` is this loop, with tolerances, for any number of inputs; it says
# at which index a rule is wrong. It refuses float32, for the reason in the picture above.
#
# **Step into it.** `tinygrad-llm debug 03` stops at the marked line. Type `s` to enter `gradcheck`, then `b _slope` and
# `c` to stop where the two forward passes are made. `p steps` shows which element is moved. `r` goes to the end of the
# function, where `p outputs[0] - outputs[1]` is 2·10⁻⁶ times (0.128, −0.096), the numbers from our paper. Then `u` goes
# up to the loop, where `p gradient[index]` shows what backward claims. Leave with `q`.

# %%
assert gradcheck(normalize, tiny)  # stop here
assert gradcheck(normalize, x)

# %% [markdown]
# ## What is missing: size
# Two passes for each element: two million for a matrix of 1000 × 1000. The Jacobian J, the table of all ∂y_i/∂x_j,
# would have 10¹² entries, and backward never makes it: it maps u to Jᵀu. Two forward passes know J as well, since
# moving all inputs at once along v moves the outputs along Jv:
#
#     Jv ≈ (fn(x + h v) − fn(x − h v)) / (2h)
#     ⟨v, Jᵀu⟩ = Σ_ij v_j J_ij u_i = ⟨Jv, u⟩        whatever u and v are
#
# The same double sum, added up in two orders. If backward uses a wrong matrix J + E, the two differ by Σ v_j E_ij u_i,
# which random u and v make zero only by an incredible accident. `dot_product_check` does this in four forward passes:
# one for backward, one to see that fn gives the same result twice, and two for the difference.


# %%
class SlightlyWrong(Normalize):
    @staticmethod
    def backward(dy, saved):
        (dx,) = Normalize.backward(dy, saved)
        dx[-1, -1] *= 1.001  # one slope of all, one thousandth too large
        return (dx,)


large = tg.tensor(rng.standard_normal((1000, 1000)), requires_grad=True)
for check, op, x, expected in (
    (dot_product_check, Normalize, large, "right"),
    (dot_product_check, ForgetfulNormalize, large, "from two forward passes"),
    (dot_product_check, SlightlyWrong, large, "right"),
    (gradcheck, SlightlyWrong, tiny, "at index (0, 1): expected gradient"),
):
    passes.clear()
    try:
        check(lambda x, op=op: normalize(x, op), x)
        answer = "right"
    except AssertionError as error:
        answer = str(error)
    print(f"{check.__name__} of {op.__name__} at {x.shape}, {len(passes)} forward passes:\n    {answer}")
    assert expected in answer
    assert check is gradcheck or len(passes) == 4

# %% [markdown]
# The third answer is the price: one slope of a million, 0.1% too large, drowns among the others. So check each element
# at small sizes, and by dot products at the sizes of real use, where a kernel may take another path.
#
# ## Kinks: a right gradient that fails
# `x.clamp(min=0)` has slope 0 left of 0, slope 1 right of it, and none at 0. A central difference with a point on each
# side measures a mixture: 1/2 at 0, and (3h/2 − 0) / 2h = 0.75 at x = h/2, where the slope is 1 without any doubt.

# %%
places = tg.tensor(np.array([-1.0, 0.0, 0.5e-6, 1.0]), requires_grad=True)
places.clamp(min=0).backward(np.ones(4))
differences = numerical_gradient_v1(lambda x: x.clamp(min=0), places, np.ones(4), h=1e-6)
print(f"x = {places.tolist()}\nbackward     {places.grad.tolist()}\ndifferences  {differences.round(4).tolist()}")
assert np.allclose([places.grad.data, differences], [[0, 1, 1, 1], [0, 0.5, 0.75, 1]])

# %% [markdown]
# The cure is to keep inputs away from kinks: the strategies of `tinygrad_llm.testing` draw multiples of 0.01, which are
# either exactly at 0, and can be left out, or far from it.
#
# ## Let a machine search
# Which inputs should a test use? We would think of (2, 4, 8), and forget the row of one number. **hypothesis** draws
# inputs, and when one fails it *shrinks* it: fewer rows, fewer columns, rounder numbers, as long as the test still
# fails. What remains says what the bug is about.


# %%
@settings(derandomize=True, database=None, deadline=None)
@given(tensors(strategies.tuples(strategies.integers(1, 2), strategies.integers(1, 3))))
def test_forgetful_normalize(x):
    assume((np.abs(x.data).max(axis=-1) > 0.1).all())  # a row of zeros has no direction: 0/0
    failed.append(x.data)
    assert gradcheck(lambda x: normalize(x, ForgetfulNormalize), x)
    failed.pop()


failed = []  # the inputs on which the check failed, in the order of hypothesis's search
try:
    test_forgetful_normalize()
except AssertionError:
    print(f"it fails on\n{max(failed, key=np.size)}\nand hypothesis shrinks that to\n{failed[-1]}")
assert failed[-1].tolist() == [[1.0]]

# %% [markdown]
# A row of one number, 1. Scaled to length 1 it stays 1 however we move it, so the slope must be 0; the forgetful rule
# gives 1/r = 1. You can see the bug in your head now; in 2 · 4 · 8 numbers nobody could.
#
# ## Use it: the ops of lesson 02
# The same few lines check 14 ops on 400 inputs of many shapes. Ops of two inputs get shapes that broadcast, so that the
# undoing of the broadcast is tested too.

# %%
ONE_INPUT = (tg.exp, tg.log, tg.sqrt, tg.rsqrt, tg.reciprocal, tg.sin, tg.tanh, tg.sum, tg.mean, tg.prod)
slopes = dict.fromkeys((*ONE_INPUT, tg.add, tg.sub, tg.mul, tg.div), 0)


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(strategies.sampled_from(list(slopes)), broadcastable_shapes(2, min_side=1), strategies.data())
def test_ops(op, two_shapes, data):
    inputs = [data.draw(tensors(shape, 0.5, 3)) for shape in two_shapes[: 1 if op in ONE_INPUT else 2]]
    assert gradcheck(op, *inputs)
    slopes[op] += sum(x.numel() for x in inputs)


test_ops()
print("slopes checked:", {op.__name__: count for op, count in slopes.items()})
assert sum(count > 0 for count in slopes.values()) == 14

# %% [markdown]
# ## Keep
# 1. Central differences in float64 with h near 10⁻⁶ have about ten good digits: h² of the formula against ε/h.
# 2. ⟨v, Jᵀu⟩ = ⟨Jv, u⟩ checks any size in four forward passes and one backward pass, and overlooks tiny errors.
# 3. hypothesis finds the input you did not think of, and shrinks it to one you can understand.
#
# - **What it costs.** Nothing at run time: these are tests, which every op of this library has to pass.
# - **Where the real world differs.** PyTorch's `torch.autograd.gradcheck` is the same test, in float64 too. It proves
#   less than it seems: if forward computes the wrong function, backward may be its perfect derivative.
# - **Further reading.** Griewank, Walther, "Evaluating Derivatives" (2008). Claessen, Hughes, "QuickCheck" (2000).

# %%
print(f"A slope is wrong by {best['central, float32']:.0e} in float32, by {best['central, float64']:.0e} in float64.")
print(f"A million inputs took 4 passes; a bug shrank to {failed[-1]}; {len(slopes)} ops of lesson 02 are right.")
