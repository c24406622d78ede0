# %% [markdown]
# # 02 Tensor
#
# How does one slope become a million slopes, without a million objects? Lesson 01 made one `Value` for each number, and
# a model keeps its numbers in arrays; at the end of this lesson you have `Tensor`, an array that knows its slopes, and
# know its backward pass down to the arithmetic.

# %%
import time
from collections import Counter
from pydoc_data.topics import topics

import numpy as np

from tinygrad_llm import plots
from tinygrad_llm.autograd import no_grad, tensor
from tinygrad_llm.autograd.graph import topological_order
from tinygrad_llm.ops.arithmetic import Mul
from tinygrad_llm.ops.common import unbroadcast
from tinygrad_llm.school import figure_path, from_lesson, save_figure, show_figure

# fmt: off
ADDS = ["tinygrad_llm/autograd/tensor.py", "tinygrad_llm/autograd/function.py", "tinygrad_llm/autograd/graph.py",
        "tinygrad_llm/ops/common.py", "tinygrad_llm/ops/arithmetic.py", "tinygrad_llm/ops/elementwise.py",
        "tinygrad_llm/ops/reduce.py", "tinygrad_llm/ops/shape.py", "tinygrad_llm/ops/rearrange.py",
        "tinygrad_llm/ops/compare.py", "tinygrad_llm/ops/logical.py", "tinygrad_llm/ops/creation.py",
        "tinygrad_llm/ops/operators.py"]
# fmt: on
Value = from_lesson("01", "Value")  # the class alone: `import` does not take a name that begins with a digit

# %% [markdown]
# ## From a slope to a function
#
# A `Value` keeps, for each input, one number: its slope in that input. Now put an array of three numbers in its place,
# out = x · x with x = [1, 2, 3]. Each of the three outputs has a slope in each of the three inputs, nine in all: the
# *Jacobian* J, where J[i, j] is the slope of out[i] in x[j].
#
#         2  0  0
#     J = 0  4  0
#         0  0  6
#
# For a million numbers that is 10¹² slopes, nearly all of them 0. But backward never asks for J. It comes with `dout`,
# the slopes of the loss in the three outputs, and leaves with `dx`, those in the inputs. By the rules of lesson 01
# (along a path multiply, over several paths add):
#
#     dx[j] = Σ_i dout[i] · J[i, j]          here: dx = 2 · x · dout
#
# So an op on arrays need not keep slopes. It keeps what backward needs (`saved`, here x) and a function that goes from
# dout to dx. With dout = [1, 10, 100], on paper: dx = [2, 40, 600].

# %%
x, dout = np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0])
J = np.diag(2 * x)
print(f"by the Jacobian: {dout @ J}, without it: {2 * x * dout}")
assert np.array_equal(dout @ J, [2, 40, 600])
assert np.array_equal(2 * x * dout, [2, 40, 600])

# %% [markdown]
# ## A first version
#
# An op is a pair of functions on arrays; a class only keeps the two together. `Array_v1` is a `Value` that holds an
# array, and in place of slopes an op and what it saved. The graph and its order are those of lesson 01. Let the loss be
# the sum of all numbers in the result; so backward starts with ones.

# %%


class Add_v1:
    @staticmethod
    def forward(x, y):
        return x + y, ()

    @staticmethod
    def backward(dout, saved):
        return dout, dout


class Mul_v1:
    @staticmethod
    def forward(x, y):
        return x * y, (x, y)

    @staticmethod
    def backward(dout, saved):
        x, y = saved
        return dout * y, dout * x


class Array_v1(Value):
    def __init__(self, data, inputs=(), op=None, saved=()):
        super().__init__(0, inputs)
        self.data, self.op, self.saved = np.asarray(data, float), op, saved

    def backward(self):
        order = self.backward_order()
        for array in order:
            array.grad = 0.0
        self.grad = np.ones_like(self.data)
        for array in order:
            gradients = array.op.backward(array.grad, array.saved) if array.op else ()
            for x, dx in zip(array.inputs, gradients, strict=True):
                x.grad = x.grad + dx


def apply_v1(op, *inputs):
    out, saved = op.forward(*(x.data for x in inputs))
    return Array_v1(out, inputs, op, saved)


x_v1, b_v1 = Array_v1([[1, 2, 3], [4, 5, 6]]), Array_v1([10, 20, 30])
out_v1 = apply_v1(Mul_v1, x_v1, apply_v1(Add_v1, x_v1, b_v1))  # x · (x + b), whose slope in x is 2x + b
out_v1.backward()
print(f"gradient of x:\n{x_v1.grad}\ngradient of b:\n{b_v1.grad}")
assert np.array_equal(x_v1.grad, 2 * x_v1.data + b_v1.data)
assert b_v1.grad.shape == (2, 3)

b_values = [Value(10), Value(20), Value(30)]
sum(number * (number + b_values[j]) for row in x_v1.data for j, number in enumerate(row)).backward()
print(f"slopes in b by Values: {[value.grad for value in b_values]}")
assert [value.grad for value in b_values] == [5, 7, 9]

# %% [markdown]
# ## What is missing: the undoing of broadcasting
#
# The gradient of x is right. But b has three numbers and its gradient six. NumPy added b, of shape (3,), to each row of
# x, of shape (2, 3): b was *broadcast*, and we got one slope per use instead of one per number. On paper: b[0] is used
# in both rows, times 1 in the first, times 4 in the second. Two paths: 1 + 4 = 5. In all [5, 7, 9], as the Values say.
#
# The cure is a rule of lesson 01: over several paths, add. A number that was used often gets the sum over its uses.
# NumPy stretches in two ways: it puts new dims in front, and it repeats along dims of size 1. `unbroadcast_v1` says
# what that means, number by number. The library's `unbroadcast` says it by sums over dims, and is many times faster.

# %%


def unbroadcast_v1(gradient, shape):
    total = np.zeros(shape)
    for index in np.ndindex(gradient.shape):
        own = index[gradient.ndim - len(shape) :]  # without the dims put in front
        total[tuple(0 if n == 1 else i for i, n in zip(own, shape, strict=True))] += gradient[index]
    return total


def seconds(function, *arguments):
    """The best of three runs, since other programs can only slow them down."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


print(f"unbroadcast, the gradient of b is {unbroadcast_v1(b_v1.grad, (3,))}")
assert np.array_equal(unbroadcast_v1(b_v1.grad, (3,)), [5, 7, 9])
gradient = np.random.default_rng(0).standard_normal((20, 30, 8))
for shape in ((8,), (30, 8), (20, 1, 8), (1, 30, 1), ()):
    assert np.allclose(unbroadcast_v1(gradient, shape), unbroadcast(gradient, shape))
ratio = seconds(unbroadcast_v1, gradient, (30, 8)) / seconds(unbroadcast, gradient, (30, 8))
print(f"the library's unbroadcast takes 1/{ratio:.0f} of the time")
assert ratio > 3

# %% [markdown]
# ## The library's tensor
#
# Now the same with `tensor`, which has the operators of Python and PyTorch's names. `requires_grad=True` says that we
# want the slopes in this one; where no input says so, nothing is recorded. Python's numbers become float32.
#
# `tinygrad-llm debug 02` stops at the backward pass below. Type `b Mul.backward`, then `c`: you stand in the arithmetic
# of the product, in ops/arithmetic.py. See `p dout`, go on with `n`, see `p y`. `w` shows who called: `backward` in
# autograd/graph.py, the loop of lesson 01. `u`, twice, goes up to it; there `p node` and `p node.edges` are the graph.

# %%
x = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
b = tensor([10.0, 20.0, 30.0], requires_grad=True)
loss = (x * (x + b)).sum()
order = topological_order(loss.node)
loss.backward(retain_graph=True)  # stop here

print(f"order of backward: {order}")
print(f"x.grad {x.grad}\nb.grad {b.grad}")
assert order[1].function is Mul
assert loss.item() == out_v1.data.sum()
assert np.array_equal(x.grad.data, x_v1.grad)
assert np.array_equal(b.grad.data, unbroadcast_v1(b_v1.grad, (3,)))
plots.graph(figure_path("02_graph"), loss, names={"x": x, "b": b, "loss": loss}, title="Σ x · (x + b)")
show_figure("02_graph")

# %% [markdown]
# In the picture, dark boxes are ops, light ones leaves. Three things differ from `Value`. Gradients stay at the leaves
# only. A leaf *adds up* the gradients of several passes (lesson 06 makes use of it). And backward frees what the graph
# saved as it goes: one more pass is an error, unless `retain_graph=True` was said.

# %%
loss.backward()
print(f"after a second pass: {b.grad}")
assert np.array_equal(b.grad.data, [10, 14, 18])
assert order[1].saved is None

# %% [markdown]
# An op of the library looks like `Mul_v1`, and has a public function beside it that calls `forward` and then `record`,
# which makes the node of the graph. Open tinygrad_llm/ops/elementwise.py: pair after pair. To write your own,
# follow the example at the top of tinygrad_llm/autograd/function.py; an exercise asks for it.
#
# ## What it gains
#
# The loss Σ (w · x + b)², forward and backward, once with a Value for each number, once with tensors. We time Values up
# to 16,384 numbers only, and draw a dashed line from there to a million, as if the time per number stayed the same. (It
# tends to grow, as the memory fills: that is kind to Value.)

# %%


def by_values(numbers):
    w, b = Value(0.5), Value(1)
    errors = [w * number + b for number in numbers]
    sum(error * error for error in errors).backward()
    return w.grad


def by_tensors(numbers):
    w, b = tensor(0.5, requires_grad=True), tensor(1.0, requires_grad=True)
    (w * tensor(numbers) + b).square().sum().backward()
    return w.grad.item()


assert np.isclose(by_values(np.linspace(-1, 1, 1000).tolist()), by_tensors(np.linspace(-1, 1, 1000)))
few, many = [4**k for k in range(8)], [4**k for k in range(11)]  # up to 16,384 and 1,048,576
value_times = [seconds(by_values, [0.5] * n) for n in few]
tensor_times = [seconds(by_tensors, np.full(n, 0.5, np.float32)) for n in many]
expected = value_times[-1] * many[-1] / few[-1]
print(f"a million numbers: Value about {expected:.1f} s (extrapolated), Tensor {1000 * tensor_times[-1]:.1f} ms")
assert expected / tensor_times[-1] > 10

figure, axes = plots.new_figure()
axes.loglog(few, value_times, "o-", color=plots.ORANGE, label="Value, measured")
axes.loglog([few[-1], many[-1]], [value_times[-1], expected], "--", color=plots.ORANGE, label="Value, extrapolated")
axes.loglog(many, tensor_times, "s-", color=plots.BLUE, label="Tensor, measured")
axes.set(xlabel="numbers in the array", ylabel="seconds, forward and backward", title="One object per array")
axes.legend(frameon=False)
save_figure("02_time", figure)

# %% [markdown]
# At its left the tensor's line is flat: for a few numbers all its time is the cost of Python around the arrays, and
# `Value` may well be faster. Tensors pay where arrays are large; that is why models process many tokens at once.
#
# ## Used on words
#
# G. K. Zipf (1935) saw that in a long text the word of rank r appears about C / rˢ times, with s near 1: the tenth word
# a tenth as often as the first. So log count = a − s · log r, a straight line. We fit it to the manual that comes with
# Python, by gradient descent as in lesson 01. The features (N, 2) are a 1 and log r of each word. The weights (2,) are
# broadcast over the N rows, and their gradient comes back through `unbroadcast`.

# %%
words = Counter(word for word in " ".join(topics.values()).lower().split() if word.isalpha())
counts = np.array([count for _, count in words.most_common(1000)])
log_rank = np.log(np.arange(1, 1001))
center = log_rank.mean()
features = tensor(np.stack([np.ones(1000), log_rank - center], axis=1))  # around 0: fewer steps
target = tensor(np.log(counts))
weights = tensor(np.zeros(2), requires_grad=True)
for step in range(31):
    loss = ((features * weights).sum(dim=1) - target).square().mean()
    loss.backward()
    if step % 10 == 0:
        print(f"step {step:3}   mean squared error {loss.item():8.4f}   s = {-weights.data[1]:.3f}")
    with no_grad():  # an update is not part of what we want slopes of
        weights.copy_(weights - 0.2 * weights.grad)
    weights.zero_grad_()
level, slope = weights.tolist()
assert np.allclose([slope, level], np.polyfit(log_rank - center, np.log(counts), 1), rtol=1e-3)
assert 0.7 < -slope < 1.4

figure, axes = plots.new_figure()
axes.loglog(np.arange(1, 1001), counts, ".", color=plots.BLUE, label="the 1,000 most frequent words")
line = np.exp(level + slope * (log_rank - center))
axes.loglog(np.exp(log_rank), line, "--", color=plots.ORANGE, label="fitted line")
axes.set(xlabel="rank", ylabel="count", title=f"Words of Python's manual: count ≈ C / rank^{-slope:.2f}")
axes.legend(frameon=False)
save_figure("02_zipf", figure)

# %% [markdown]
# ## Keep
#
# - An op on arrays keeps no slopes but a function from dout to dx. Its size is that of the arrays, not of the Jacobian.
# - A gradient has the shape of its tensor. What was broadcast forward is summed backward.
# - One Python object per array, not per number: many times faster where arrays are large.
#
# Elsewhere: PyTorch's graph is this one, in C++; its `torch.autograd.Function` has a `ctx` where we have `saved`. What
# backward saves is most of the memory of training; later lessons write ops that save less. JAX sees the whole program
# before it runs, and can merge ops.
#
# To read: Paszke et al., "PyTorch: an imperative style, high-performance deep learning library", 2019; Harris et al.,
# "Array programming with NumPy", 2020 (broadcasting); Griewank and Walther, *Evaluating Derivatives*, 2008.

# %%
print(
    f"Shown: b gets the sum over its uses, [5, 7, 9]; a million numbers take Tensor 1/{expected / tensor_times[-1]:.0f}"
)
print(f"of the time of Value; the word of rank r appears about C / r^{-slope:.2f} times.")
