# %% [markdown]
# # 04 A fast matrix product
#
# Why is a triple loop slow? Lesson 03 made sure that gradients are right; now they have to become fast, and nearly all
# arithmetic of a language model is one operation, the product of two matrices. At the end you will have climbed from
# a loop in Python to the speed of the libraries behind NumPy, one idea at a time, and can read the kernel that does it.

# %%
import time
import timeit

import numba
import numpy as np

import tinygrad_llm as tg
from tinygrad_llm import plots
from tinygrad_llm.kernel import kernel, no_jit, prange, set_jit
from tinygrad_llm.ops.matmul_kernels import multiply_tile
from tinygrad_llm.school.figures import save_figure
from tinygrad_llm.testing import gradcheck

ADDS = [
    "tinygrad_llm/kernel.py",
    "tinygrad_llm/memory.py",
    "tinygrad_llm/ops/matmul.py",
    "tinygrad_llm/ops/matmul_kernels.py",
    "tinygrad_llm/ops/matmul_layout.py",
    "tinygrad_llm/ops/thin_matmul_kernels.py",
]

# %% [markdown]
# ## The definition, and what it costs
#
# Element (i, j) of the product is row i of A times column j of B, summed:
#
#     C_ij = Σ_k A_ik B_kj        (M, K) times (K, N) gives (M, N)
#     1 2     5 6     1·5 + 2·7   1·6 + 2·8     19 22
#     3 4  ·  7 8  =  3·5 + 4·7   3·6 + 4·8  =  43 50
#
# Each of the M·N elements takes K multiplications and K additions, so a product is 2·M·N·K floating-point operations.
# Operations divided by seconds is the speed, in GFLOP/s: billions per second. Three loops are all that it takes:


# %%
def matmul_v1(a, b):
    out = [[0.0] * len(b[0]) for _ in a]
    for i in range(len(a)):
        for j in range(len(b[0])):
            for k in range(len(b)):
                out[i][j] += a[i][k] * b[k][j]
    return out


A, B = [[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]
assert matmul_v1(A, B) == [[19, 22], [43, 50]]

# %% [markdown]
# ## The gradient, by hand
#
# Let `dC` be the gradient of a loss with respect to C. `A_ik` occurs in every element of row i of C, each time with the
# factor `B_kj`. So, summing over all the places where it is used, and the same for B:
#
#     dA_ik = Σ_j dC_ij B_kj          dA = dC Bᵀ
#     dB_kj = Σ_i A_ik dC_ij          dB = Aᵀ dC
#
# If you forget it, shapes tell: dA is (M, K), and from dC (M, N) and B (K, N) only `dC Bᵀ` has that shape. On paper: if
# only the corner C_00 counts, dC is 1 there and 0 elsewhere. Then row 0 of dA is column 0 of B, (5, 7), and column 0 of
# dB is row 0 of A, (1, 2). Backward is two products of the same size: a training step costs three times a forward.

# %%
a, b = (tg.tensor(values, dtype=np.float64, requires_grad=True) for values in (A, B))
product = tg.matmul(a, b)
product.backward(np.array([[1.0, 0.0], [0.0, 0.0]]))
assert (a.grad.tolist(), b.grad.tolist()) == ([[5, 7], [0, 0]], [[1, 0], [2, 0]])
assert gradcheck(tg.matmul, a, b)

# %% [markdown]
# ## What a kernel is, and how to look inside
#
# `@kernel` marks a function of plain loops on NumPy arrays. At its first call Numba translates it, for the types of its
# arguments, into machine code, and keeps that on disk for the next run. `no_jit()` and `set_jit(False)` make kernels
# plain Python again (JIT: just-in-time compilation), so that you can step through everything in this library. Before
# we make it fast, look once at how it computes: `tinygrad-llm debug 04` in a terminal stops below. Type
#
#     tbreak tg.ops.thin_matmul_kernels.thin_matmul_kernel
#     c                     go on, into the kernel for few rows
#     ll, then until NN     go on to its line NN: row[j] += a_ik * b_row[j]
#     p a_ik, b_row, row    1.0, row 0 of B, row 0 of the result so far: zeros
#     n, then p row         1 · 5 was added to its first element
#     w                     four calls from this lesson to the arithmetic
#     q                     leave
#
# Without JIT products go to NumPy as a rule, so the example asks for our kernel by name. More: `lessons/debugging.md`.

# %%
small_a, small_b = tg.tensor(A), tg.tensor(B)
with tg.matmul_backend("kernel"):
    product = tg.matmul(small_a, small_b)  # stop here
set_jit(True)  # if a debugger had it switched off: the rest of the lesson measures compiled code
assert product.tolist() == [[19, 22], [43, 50]]

# %% [markdown]
# ## What Python costs
#
# The kernel below is `matmul_v1` on arrays. We run the loops on lists, on arrays as plain Python, and compiled. Python
# asks at every `*` again what its operands are, and makes an object for every result; an element of an array is made
# into an object first, so arrays are even slower than lists. Compiled, the types are known before the loop begins.


# %%
@kernel
def matmul_ijk(out, a, b):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = a.dtype.type(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = total


def best_time(function, *arguments, seconds=0.3):
    """The shortest of several calls: the first compiles, and whoever else uses the machine makes a call longer."""
    times, end = [], time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        times += timeit.repeat(lambda: function(*arguments), number=1, repeat=1)
    return min(times)


def climb(name, multiply_into, n=512):
    """Add the speed of a product of two (n, n) matrices, whose result is checked, to the ladder."""
    a, b, out = rng.random((n, n), np.float32), rng.random((n, n), np.float32), np.empty((n, n), np.float32)
    ladder[name] = 2 * n**3 / best_time(multiply_into, out, a, b) / 1e9
    np.testing.assert_allclose(out, a @ b, rtol=1e-4)
    print(f"{name:<24} {ladder[name]:10.4f} GFLOP/s", flush=True)


rng, ladder = np.random.default_rng(0), {}
climb("Python, lists", lambda out, a, b: np.copyto(out, matmul_v1(a.tolist(), b.tolist())), n=64)
with no_jit():
    climb("Python, arrays", matmul_ijk, n=64)
climb("compiled: i, j, k", matmul_ijk)
assert ladder["compiled: i, j, k"] > 5 * ladder["Python, lists"] > 5 * ladder["Python, arrays"]

# %% [markdown]
# ## Memory: rows, lines, caches
#
# An array is one long row in memory. `strides` says how many bytes lie between neighbours: in a float32 array
# (32768, 512) an element has its right neighbour 4 bytes away and its lower one 512 · 4 = 2,048. The processor fetches
# memory not by bytes but by **cache lines**, 64 bytes on most machines: 16 float32. Who walks along a row uses all 16;
# who walks down a column uses one of them and comes back for the next when the line is gone. Lines that were used
# lately are kept in caches near the core. The nearer, the smaller: typically 32 to 64 KB (L1), about 1 MB (L2), some
# 10 MB shared (L3). To measure them, follow a chain: each element tells where the next one is, in random order, so
# nothing can be fetched ahead. The time of a step is the time until memory answers.


# %%
@kernel
def follow(successor, n_steps):
    i = 0
    for _ in range(n_steps):
        i = successor[i]
    return i


x = np.ones((32768, 512), np.float32)
assert x.strides == (2048, 4)
in_rows, in_a_column = (1e9 * best_time(part.sum) / part.size for part in (x[:64], x[:, 0]))
print(f"32,768 numbers in 64 rows: {in_rows:.2f} ns each to sum up; in a column: {in_a_column:.2f} ns each")
assert in_a_column > 2 * in_rows

kilobytes, n_steps, ns_per_step = 2 ** np.arange(3, 17), 100_000, []
for size in kilobytes:
    order = 16 * rng.permutation(16 * size)  # one int32 of each line
    successor = np.zeros(256 * size, np.int32)
    successor[order] = np.roll(order, -1)
    ns_per_step.append(1e9 / n_steps * best_time(follow, successor, n_steps, seconds=0.05))
print(f"memory answers after {ns_per_step[0]:.1f} ns from the nearest cache, {ns_per_step[-1]:.0f} ns from afar")
assert ns_per_step[-1] > 5 * ns_per_step[0]

# %% [markdown]
# ## The same arithmetic in another order
#
# `matmul_ijk` walks down a column of B in its inner loop: one number from each line. Exchange the two inner loops, and
# the inner one adds a multiple of a row of B to a row of C. Both lie side by side in memory, which pays twice: whole
# lines are used, and the **vector unit** can work, one instruction for 8 or 16 neighbouring float32.
#
# What remains is waiting for loads. What is used several times should stay in registers, the few numbers that a core
# holds at once. `multiply_tile` of the library, 20 lines worth reading, takes 4 rows of C and 4 steps of k together:
#
#     for 16 multiply-adds        loads of B    loads of C    stores of C
#     one row, one step of k          16            16            16
#     four rows, four steps            4             4             4


# %%
@kernel
def matmul_ikj(out, a, b):
    for i in range(a.shape[0]):
        row = out[i]
        row[:] = 0
        for k in range(a.shape[1]):
            a_ik, b_row = a[i, k], b[k]
            for j in range(row.shape[0]):
                row[j] += a_ik * b_row[j]


@kernel(parallel=True)
def matmul_4x4(out, a, b):
    for t in prange(a.shape[0] // 4):
        c = out[4 * t : 4 * t + 4].reshape(-1)
        c[:] = 0
        multiply_tile(c, a[4 * t : 4 * t + 4].reshape(-1), b.reshape(-1), 4, a.shape[1], 4, b.shape[1])


numba.set_num_threads(1)
climb("order i, k, j", matmul_ikj)
climb("4 rows, 4 steps of k", matmul_4x4)
assert ladder["order i, k, j"] > 3 * ladder["compiled: i, j, k"]

# %% [markdown]
# ## Threads, and how they lose a number
#
# `prange` shares the iterations of `matmul_4x4` out to threads, one for each core. That is right because each iteration
# writes four rows of its own. Where two write the same element, a number may be lost: `counts[0] += 1` is three steps,
# load, add, store, and if both threads load before either stores, one addition is gone: a **race**. First we play that
# by hand, then for real. How often it goes wrong on your machine is chance; that makes races hard to find. So the rule
# is: `prange` only where iterations write disjoint elements. Then the number of threads does not change a bit of it.

# %%
counts = [0]
loaded_by_one = loaded_by_other = counts[0]  # both load before either stores
counts[0] = loaded_by_one + 1
counts[0] = loaded_by_other + 1
assert counts == [1]

numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
climb("the same, all threads", matmul_4x4)


@kernel(parallel=True)
def count_in_a_race(counts, ids):
    for i in prange(ids.shape[0]):
        counts[ids[i]] += 1


ids, lost = rng.integers(0, 4, 4_000_000, np.uint8), []
for _ in range(30):
    counts = np.zeros(4, np.int64)
    count_in_a_race(counts, ids)
    lost.append(ids.size - counts.sum())
print(f"a race of 4,000,000 additions: {np.count_nonzero(lost)} of 30 runs lost some, {max(lost):,} at most")
assert min(lost) >= 0

# %% [markdown]
# ## The library's kernel
#
# One thing is left: where B outgrows the cache, every four rows of C read all of it from afar. So `matmul_kernels.py`
# copies B into panels that stay in the L2 cache, and walks tiles of 32 rows over them. That is how a BLAS works, the
# library behind NumPy's `@`. A few rows have a kernel of their own (`thin_matmul_kernels.py`): they use a number of B
# so seldom that copying cannot pay. Backward's Bᵀ and Aᵀ are turned while they are copied (`matmul_layout.py`).
#
# `memory.py` is about fresh memory: its pages have to be mapped and cleared, so a new array takes longer to fill than
# an old one. `import tinygrad_llm` asks the allocator to keep what is freed, in pieces of up to 32 MB.

# %%
climb("this library", lambda out, a, b: tg.ops.matmul.multiply(a, b, out=out))
climb("NumPy's BLAS", lambda out, a, b: np.matmul(a, b, out=out))
assert ladder["this library"] > 5 * ladder["compiled: i, j, k"]

a, b = (tg.tensor(rng.random((64, 64)), dtype=np.float32, requires_grad=True) for _ in range(2))
product, dC = tg.matmul(a, b), rng.random((64, 64), np.float32)
product.backward(dC)
for got, first, second in ((product, a.data, b.data), (a.grad, dC, b.data.T), (b.grad, a.data.T, dC)):
    np.testing.assert_allclose(got.data, matmul_v1(first.tolist(), second.tolist()), rtol=1e-4)
ratio = best_time(lambda: np.empty(x.shape, x.dtype).fill(1)) / best_time(lambda: x.fill(1))
print(f"filling a new array of 64 MB takes {ratio:.1f} times as long as filling an old one again")

figure, (left, right) = plots.new_figure(12, 4.2, 2)
left.loglog(kilobytes, ns_per_step, color=plots.GREEN, marker="s")
left.set(xlabel="KB in use", ylabel="ns until memory answers", title="Near memory is small, far memory is slow")
left.set_xticks(kilobytes[::3], [f"{size:,}" for size in kilobytes[::3]])
bars = right.barh(list(ladder), list(ladder.values()), color=[plots.BLUE] * 6 + [plots.GREEN, plots.ORANGE])
right.bar_label(bars, [f"{speed:.2g}" if speed < 99 else f"{speed:.0f}" for speed in ladder.values()], padding=4)
right.set(xscale="log", xlabel="GFLOP/s", title="The same product: 512 × 512 (Python: 64 × 64)")
right.margins(x=0.25)
right.invert_yaxis()
save_figure("04_ladder", figure)
print(f"this library is {ladder['this library'] / ladder['Python, lists']:,.0f} times as fast as loops over lists")

# %% [markdown]
# ## What to keep
#
# - The arithmetic is the same on every rung. What changes is who waits: Python for types, then loops for memory.
# - Read along rows, use a line while it is near, keep in registers what is used again.
# - The backward of a product is two products: dA = dC Bᵀ and dB = Aᵀ dC.
#
# **Cost:** seconds to compile, once, and hundreds of lines where the definition has three. **In the real world** a BLAS
# has tiles and assembly for each kind of processor, and GPUs do the same with thousands of threads and 16-bit numbers.
# **Reading:** Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008). Drepper, "What Every
# Programmer Should Know About Memory" (2007). Williams, Waterman and Patterson, "Roofline" (2009).
