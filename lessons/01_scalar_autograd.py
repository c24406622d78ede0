# %% [markdown]
# # 01 Scalar autograd
#
# How does a program know its own slope? At the end of this lesson you have a class of one screen, `Value`, that
# computes with numbers as usual and then tells how much the result changes when any of its inputs changes a little.
#
# Why slopes? To train a model is to turn its numbers until a loss is small. The slope of the loss in a number says
# which way to turn it, and how much it matters. All that follows, up to the chat model, stands on this.

# %%
import itertools

import numpy as np

from tinygrad_llm import plots
from tinygrad_llm.school import figure_path, save_figure, show_figure

ADDS = []  # the class of this lesson is its own; the library's tensors begin in lesson 02

# %% [markdown]
# ## The slope, by trying
#
# Take y = x² + 3x at x = 2. Calculus says that the slope is 2x + 3, so 7. Without calculus one moves x by a small step
# h and looks at what y does:
#
#     slope ≈ (y(x + h) − y(x)) / h

# %%
slopes = {}
for h in (1.0, 0.1, 0.001, 1e-16):
    x = 2 + h
    slopes[h] = (x * x + 3 * x - 10) / h  # y(2) is 10
    print(f"h = {h:<6g} slope ≈ {slopes[h]:.4f}")
assert abs(slopes[0.001] - 7) < 0.002
assert slopes[1e-16] == 0

# %% [markdown]
# Smaller steps come nearer to 7, until the step is so small that 2 + h is 2 to the computer and the slope is gone.
# There is a second trouble: the whole program runs once more for each input. A model with a million numbers would
# run a million times to learn its slopes once. (As a test of a few slopes the trick is excellent: lesson 03.)
#
# ## The slope, by the chain rule
#
# A program is made of small steps, and of each step we know the slope:
#
#     sum      p + q    slope in p: 1       slope in q: 1
#     product  p · q    slope in p: q       slope in q: p
#
# Two rules put the steps together. *Along a path, multiply*: if b moves d twice as fast, and d moves f three times as
# fast, then b moves f six times as fast. *Over several paths, add*: if b reaches f in two ways, both ways count.
# Here is a program in which b is used twice, with a = 2, b = −3, c = 10:
#
#     d = a · b  = −6       slope in a: b = −3     in b: a = 2
#     e = d + c  =  4       slope in d: 1          in c: 1
#     f = e · b  = −12      slope in e: b = −3     in b: e = 4
#
# With pencil: from f to b there is a direct path, slope 4, and one through e and d, slope −3 · 1 · 2 = −6. Added,
# the slope of f in b is −2. To a there is one path: −3 · 1 · −3 = 9. To c: −3 · 1 = −3.
#
# ## The class
#
# A `Value` is a number that remembers what it was computed from, and the slope in each of these inputs. That is all
# one has to do during the computation. `backward` then goes from the result to the inputs and hands down `grad`, the
# slope of the result in each value. It starts with 1: the result moves as fast as itself.

# %%


class Value:
    """A number that remembers its inputs and its slope in each of them."""

    numbers = itertools.count()

    def __init__(self, data, inputs=(), slopes=()):
        self.data = float(data)
        self.inputs = inputs  # the Values it was computed from
        self.slopes = slopes  # per input: how fast this value moves when that input moves
        self.grad = 0.0  # how fast the final result moves when this value moves; backward() fills it in
        self.number = next(Value.numbers)  # an input is always made earlier, so its number is smaller

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __sub__(self, other):
        return self + as_value(other) * -1

    __radd__, __rmul__ = __add__, __mul__  # so that 3 + x and 3 * x work, too

    def __repr__(self):
        return f"Value({self.data:g}, grad={self.grad:g})"

    def backward_order(self):
        """This value and all that it depends on, each before its inputs."""
        found, waiting = {self}, [self]
        while waiting:
            for x in waiting.pop().inputs:
                if x not in found:
                    found.add(x)
                    waiting.append(x)
        return sorted(found, key=lambda value: value.number, reverse=True)

    def backward(self):
        """Set the grad of all values that this one depends on."""
        order = self.backward_order()
        for value in order:
            value.grad = 0.0
        self.grad = 1.0
        for value in order:
            for x, slope in zip(value.inputs, value.slopes, strict=True):
                x.grad += slope * value.grad


def as_value(number):
    return number if isinstance(number, Value) else Value(number)


# %% [markdown]
# The arithmetic of the backward pass is one line, the last one of `backward`. Watch it: `tinygrad-llm debug 01` stops
# before `f.backward()` below. `s` steps in, `n` goes to the next line, and `until` leaves a loop: use it to get past
# the one that sets every grad to 0. When the arrow `->` stands at the line with `+=`, look: `p value` is where we
# are, `p x` and `p slope` what is handed on. Repeat `n` and see b get its 4 first and its −6 later. `q` leaves.

# %%
a, b, c = Value(2), Value(-3), Value(10)
d = a * b
e = d + c
f = e * b
f.backward()  # stop here

print(f"a = {a}, b = {b}, c = {c}\nd = {d}, e = {e}, f = {f}")
assert (f.data, a.grad, b.grad, c.grad, d.grad, e.grad) == (-12, 9, -2, -3, -3, -3)

x = Value(2)
y = x * x + 3 * x
y.backward()
print(f"slope of x² + 3x at 2: {x.grad:g}")
assert x.grad == 7  # exactly, and in one pass

# %% [markdown]
# What the values remember is a graph. Here it is, from the inputs to the result, each value with its slope. The two
# paths from b to f form a *diamond*: they part and meet again.

# %%
values = [a, b, c, d, e, f]
texts = ["a", "b", "c", "d = a · b", "e = d + c", "f = e · b"]
labels = [f"{text}\nis {v.data:g}, grad {v.grad:g}" for text, v in zip(texts, values, strict=True)]
edges = [(values.index(x), values.index(value)) for value in values for x in value.inputs]
kinds = ["value" if value.inputs else "leaf" for value in values]
plots.layered_graph(figure_path("01_graph"), labels, edges, kinds, title="Each value and the slope of f in it")
show_figure("01_graph")

# %% [markdown]
# ## Three simpler ways, and what breaks
#
# `backward` has details that look as if one could leave them out. Take them away one by one.
#
# **Without the plus.** If each use of a value writes its grad with `=`, the last path wins and the others are lost.
# No error, no warning: a wrong number. For f it says −6 for the slope in b, which is −2. For x · x at 3 it says 3
# instead of 6.
#
# **Without the order.** A value may hand its grad on only when all its users have paid in. Let us rather take the
# values as we meet them, the nearest to the result first. In s = x · x, t = s + 1, r = s · t, with x = 2, by hand:
# s = 4, t = 5; the slope of r in s is t + s = 9, that of s in x is 4, so the slope of r in x is 36. But s is met
# before t, and hands on 5 where 9 is due: that makes 20.

# %%


def backward_v1(order, plus):
    for value in order:
        value.grad = 0.0
    order[0].grad = 1.0
    for value in order:
        for x, slope in zip(value.inputs, value.slopes, strict=True):
            x.grad = slope * value.grad + (x.grad if plus else 0)


backward_v1(f.backward_order(), plus=False)
x = Value(3)
backward_v1((x * x).backward_order(), plus=False)
print(f"without the plus: slope in b {b.grad:g} (right: -2), slope of x · x {x.grad:g} (right: 6)")
assert (b.grad, x.grad) == (-6, 3)

x = Value(2)
s = x * x
t = s + 1
r = s * t
backward_v1([r, s, t, x], plus=True)
as_met = x.grad
r.backward()
print(f"as met: slope {as_met:g}, in order: {x.grad:g}")
assert (as_met, x.grad) == (20, 36)

# %% [markdown]
# An order in which each value stands before its inputs is a *topological order*. There are several ways to find one.
# Ours: number the values as they are made. Inputs are made first, so falling numbers will do, here and in the library.
#
# **Path by path.** The two rules, taken at their word: walk every path, multiply along it, add at its end. That needs
# no order and is always right. It is also hopeless: each diamond doubles the number of paths. In x + x, repeated n
# times, there are 2ⁿ of them. And such a recursion ends where Python's stack ends, at about 1,000 steps in a row.

# %%


def backward_by_path(value, slope_of_path=1.0):
    """Returns the number of visits: each value is visited as often as there are paths to it."""
    value.grad += slope_of_path
    pairs = zip(value.inputs, value.slopes, strict=True)
    return 1 + sum(backward_by_path(x, slope_of_path * slope) for x, slope in pairs)


start = result = Value(1)
for _ in range(15):
    result = result + result
visits, slope = backward_by_path(result), start.grad
result.backward()
print(f"15 times x + x: {visits:,} visits path by path, {len(result.backward_order())} in order, both say {slope:g}")
assert (visits, len(result.backward_order()), slope, start.grad) == (65535, 16, 2**15, 2**15)

start = deep = Value(0)
for _ in range(50_000):
    deep = deep + 1
deep.backward()
assert start.grad == 1
try:
    backward_by_path(deep)
except RecursionError:
    print("50,000 additions in a row: the loop of backward gets through, the recursion ends in RecursionError")
else:
    raise AssertionError("the recursion went 50,000 calls deep")

# %% [markdown]
# ## Slopes of a program, used
#
# Here is the use that all of machine learning makes of it. In the 1920s somebody measured the distance in which 50 cars
# came to a stop (M. Ezekiel, *Methods of Correlation Analysis*, 1930). By physics, distance = reaction · speed +
# brakes · speed²: first the driver reacts, then the brakes work. We look for the two numbers that make the mean squared
# error smallest, by *gradient descent*: compute the loss, get its slopes, move each number a little against its slope,
# repeat. The loss is a sum over 50 cars, so both numbers are used 50 times: a diamond with 50 sides.

# %%
# fmt: off
SPEED = [4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15,
         15, 16, 16, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24, 24, 24, 25]  # mph
DISTANCE = [2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26,
            54, 32, 40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85]  # ft
# fmt: on
speeds = [speed / 10 for speed in SPEED]  # in tens of mph, so that both numbers have about the same size

reaction, brakes = Value(0), Value(0)
history = {}
for step in range(401):
    errors = [reaction * v + brakes * (v * v) - distance for v, distance in zip(speeds, DISTANCE, strict=True)]
    loss = sum(error * error for error in errors) * (1 / len(errors))
    if step in (0, 2, 20, 400):
        history[step] = (reaction.data, brakes.data)
        print(f"step {step:3}   loss {loss.data:7.1f}   reaction {reaction.data:5.2f}   brakes {brakes.data:5.2f}")
    loss.backward()
    reaction = Value(reaction.data - 0.07 * reaction.grad)
    brakes = Value(brakes.data - 0.07 * brakes.grad)

exact = np.linalg.lstsq(np.array([[v, v * v] for v in speeds]), np.array(DISTANCE), rcond=None)[0]
seconds = reaction.data / 14.667  # 10 mph are 14.667 feet per second
print(f"exact least squares: {exact.round(2)}. Read as a reaction time: {seconds:.2f} seconds.")
assert np.allclose([reaction.data, brakes.data], exact, rtol=0.01)
assert 0.8 < seconds < 0.9

figure, axes = plots.new_figure()
axes.plot(SPEED, DISTANCE, "o", color=plots.BLUE, markersize=4, label="measured, 50 cars")
line = np.linspace(0, 26, 100)
for (step, (one, two)), style in zip(history.items(), (":", "-.", "--", "-"), strict=True):
    axes.plot(line, one * line / 10 + two * (line / 10) ** 2, style, color=plots.ORANGE, label=f"after {step} steps")
axes.set(xlabel="speed (miles per hour)", ylabel="stopping distance (feet)", title="Fitted by following slopes")
axes.legend(frameon=False)
save_figure("01_stopping", figure)

# %% [markdown]
# ## Keep
#
# - Each step knows its own slopes; multiply along a path, add over paths. Add, do not assign: values are used twice.
# - Backward is one walk in topological order: about as much work as the forward pass, for all inputs at once.
# - It costs memory: every value stays until backward is done. And here each number is an object: that is slow.
#
# Elsewhere: PyTorch records a graph in the same way, of arrays instead of numbers (lesson 02). It *adds* to the grad of
# an input that has one from an earlier pass, where our `backward` starts afresh. JAX and Tapenade transform the program
# instead of recording it. Forward mode carries slopes along with the values: good for few inputs and many results.
#
# To read: Linnainmaa, "Taylor expansion of the accumulated rounding error", 1976 (the idea); Rumelhart, Hinton and
# Williams, "Learning representations by back-propagating errors", 1986; Baydin et al., "Automatic differentiation in
# machine learning: a survey", 2018. Karpathy's micrograd, 2020, is a class like ours that keeps closures, not slopes.

# %%
print("Shown: slopes by hand = by code; without the plus or the order they are wrong, without an error;")
print(f"16 visits do the work of 65,535; gradient descent fitted 50 cars, reaction time {seconds:.2f} s.")
