# %% [markdown]
# # 11 Attention without the matrix
#
# How can a token look back at thousands of others? In lesson 10, T tokens make T × T scores and as many probabilities,
# and backward wants these kept. At the end you have the same attention, forward and gradient, in memory that grows with
# T, not with T²: you can read the kernel that does it, and use it to look back over 8,192 bytes of a real page.

# %%
import math
import timeit
import tracemalloc
import zlib
from functools import partial
from time import process_time

import numba
import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import data, optim, plots
from tinygrad_llm.school import save_figure

ADDS = ["tinygrad_llm/ops/attention_tiles.py", "tinygrad_llm/ops/attention_kernels.py"]

# %% [markdown]
# ## What the matrix costs
#
# The attention of lesson 10, in float32, for H heads, T queries and T keys:
#
#     S = scale · Q Kᵀ    (H, T, T)    4 H T² bytes, free again after mask and softmax
#     P = softmax(S)      (H, T, T)    4 H T² bytes, kept: backward needs it, for the softmax and for P V
#     mask                (T, T)       T² bytes, kept: one for each boolean
#     O = P V             (H, T, D)    4 H T D bytes, a row of D numbers per token, like Q, K and V
#
# In backward, P and two gradients of its size are alive at once. By hand, H = 2 and T = 1,024 keep 8 T² + T² bytes,
# which is 9 MiB, while Q, K and V with D = 32 have less than one together. Twice the tokens: 36 MiB.

# %%
H, D, rng = 2, 32, np.random.default_rng(0)
fused = partial(F.scaled_dot_product_attention, is_causal=True)


def composed(q, k, v):
    T, scale = q.shape[-2], 1 / math.sqrt(q.shape[-1])
    future = tg.tensor(~np.tri(T, dtype=bool))
    scores = ((q * scale) @ k.transpose(-1, -2)).masked_fill(future, -math.inf)  # (…, T, T)
    return F.softmax(scores) @ v  # (…, T, D)


def heads(T, dtype="float32"):  # random q, k and v (1, H, T, D)
    return [tg.tensor(rng.standard_normal((1, H, T, D)).astype(dtype), requires_grad=True) for _ in range(3)]


def measure(attend, T):
    """Forward and backward: CPU seconds, bytes kept between the two, and the peak of bytes, beyond q, k and v."""
    qkv, fresh = heads(T), heads(T)
    with tg.matmul_backend("kernel"):  # batches of products go to BLAS else, which has threads of its own
        times = timeit.repeat(lambda: attend(*qkv).sum().backward(), number=1, repeat=4, timer=process_time)
        tracemalloc.start()
        out, kept = attend(*fresh), tracemalloc.get_traced_memory()[0]
        out.sum().backward()
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times), kept, peak


numba.set_num_threads(1)  # the CPU time of one thread means the same on a busy machine
_, kept, peak = measure(composed, 1024)
matrix, rows, counted = H * 1024**2 * 4, H * 1024 * D * 4, (4 * H + 1) * 1024**2  # P; O, Q, K or V; P and the mask
print(f"T = 1,024: {kept:,} bytes are kept, {counted:,} of them by hand for P and the mask; the peak is {peak:,}")
assert counted + 2 * rows < kept < 1.01 * (counted + 2 * rows)  # O and scale · Q
assert 3 * matrix < peak < 1.1 * (3 * matrix + 1024**2)
assert (counted, 3 * rows < 2**20) == (9 * 2**20, True)

# %% [markdown]
# ## A softmax that has not yet seen everything
#
# Nobody asked for P; we want O: for each query, with scores s_j and their maximum m, Σ e^(s_j − m) v_j / Σ e^(s_j − m).
# Both sums could be added up key by key, but m is known only at the end. The idea of **online softmax** (Milakov and
# Gimelshein, 2018): use the maximum *so far*. When a larger one comes, all earlier terms are too large, by one and the
# same factor: e^(s − m') = e^(s − m) · e^(m − m'). Keep m, l = Σ e^(s_j − m), o = Σ e^(s_j − m) v_j, and for each tile
#
#     m' = max(m, scores of the tile)     shrink = e^(m − m')
#     l' = l · shrink + Σ e^(s_j − m')    o' = o · shrink + Σ e^(s_j − m') v_j
#
# On paper: s = (ln 1, ln 2 | ln 4, ln 1) in two tiles, so e^s = (1, 2 | 4, 1), with the values (8, 4 | 2, 8):
#
#     tile 1   m = ln 2   l = 1/2 + 1                      = 1.5   o = 8/2 + 4           = 8
#     tile 2   m = ln 4   l = 1.5 · 1/2 + 1 + 1/4          = 2     o = 8 · 1/2 + 2 + 8/4 = 8     out = o / l = 4
#
# All at once, (1·8 + 2·4 + 4·2 + 1·8)/8 = 4. Backward will need the *log-sum-exp*, log Σ e^s = m + log l = ln 8.


# %%
def attend_row_v1(q, k, v, width):
    """One query (D,), keys (S, D), values (S, Dv), `width` keys at a time: out (Dv,), lse, (m, l, *o) of each tile."""
    largest, total, o, steps = -np.inf, 0.0, np.zeros(v.shape[1]), []
    for start in range(0, len(k), width):
        s = k[start : start + width] @ q
        larger = max(largest, s.max())
        shrink, e = np.exp(largest - larger), np.exp(s - larger)
        largest, total, o = larger, total * shrink + e.sum(), o * shrink + e @ v[start : start + width]
        steps.append((largest, total, *o))
    return o / total, largest + np.log(total), steps


paper, values = np.log([[1.0], [2.0], [4.0], [1.0]]), np.array([[8.0], [4.0], [2.0], [8.0]])
for shift in (0, 1000):
    out, lse, steps = attend_row_v1(np.ones(1), paper + shift, values, width=2)
    print(f"scores + {shift}: (m, l, o) = {np.round(steps, 4).tolist()}, out {out[0]:.4f}, lse {lse:.4f}")
    assert np.allclose(steps, [[math.log(2) + shift, 1.5, 8], [math.log(4) + shift, 2, 8]])
    assert np.allclose([out[0], lse], [4, math.log(8) + shift])

# %% [markdown]
# ## Backward without the matrix
#
# With dO, the gradient of O, lesson 10 has dV = Pᵀ dO, dP = dO Vᵀ, dQ = scale · dS K, dK = scale · dSᵀ Q and
#
#     dS_ij = P_ij (dP_ij − D_i)    with    D_i = Σ_k P_ik dP_ik
#
# But P_ij = e^(S_ij − lse_i), and S_ij is one dot product: keep one number per row and **compute P again**, in any
# tile, in any order. Only D_i is a sum over a whole row. Exchange its two sums:
#
#     D_i = Σ_k P_ik Σ_d dO_id V_kd = Σ_d dO_id Σ_k P_ik V_kd = Σ_d dO_id O_id
#
# A dot product of two rows that we have. This is FlashAttention's backward (Dao et al., 2022): saved are Q, K, V, O and
# lse, and there are five products instead of four. On paper, with dO = 1, D = 4 and dS = (1, 2, 4, 1)/8 ·
# (8 − 4, 4 − 4, 2 − 4, 8 − 4) = (0.5, 0, −1, 0.5): it sums to 0, as a shift of all scores changes nothing.


# %%
def attention_v1(q, k, v, width):
    """Causal attention of q, k, v (T, D), a row at a time: out (T, D) and lse (T,)."""
    scale = 1 / math.sqrt(q.shape[1])
    rows = [attend_row_v1(scale * q[i], k[: i + 1], v[: i + 1], width) for i in range(len(q))]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def attention_backward_v1(dout, q, k, v, out, lse):
    scale, dq, dk, dv = 1 / math.sqrt(q.shape[1]), np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for i in range(len(q)):
        seen = slice(i + 1)
        p = np.exp(scale * (k[seen] @ q[i]) - lse[i])  # (i + 1,)
        ds = p * (v[seen] @ dout[i] - dout[i] @ out[i])
        dq[i] = scale * ds @ k[seen]
        dk[seen] += scale * np.outer(ds, q[i])
        dv[seen] += np.outer(p, dout[i])
    return dq, dk, dv


assert np.allclose(np.array([1, 2, 4, 1]) / 8 * (values[:, 0] - 4), [0.5, 0, -1, 0.5])
q, k, v = heads(8, "float64")
dout, of_a_head = rng.standard_normal((1, H, 8, D)), [x.data[0, 1] for x in (q, k, v)]
out, lse = attention_v1(*of_a_head, width=3)
by_hand = [out, *attention_backward_v1(dout[0, 1], *of_a_head, out, lse)]
for attend in (composed, fused):
    q.grad = k.grad = v.grad = None
    out = attend(q, k, v)
    out.backward(dout)
    for mine, other in zip(by_hand, (out, q.grad, k.grad, v.grad), strict=True):
        assert np.allclose(mine, other.data[0, 1], rtol=1e-9, atol=1e-12)
one_head, start = [x.data[0, 0] for x in heads(512)], process_time()
attention_backward_v1(one_head[0], *one_head, *attention_v1(*one_head, width=64))
ratio = H * (process_time() - start) / measure(fused, 512)[0]
print(f"v1, composed and the library agree: out, dq, dk, dv. At T = 512 v1 takes {ratio:.0f} times the library's time")
assert ratio > 5

# %% [markdown]
# ## The library's kernel
#
# v1 is frugal but slow: one query at a time is Python, and thin products. So take **tiles of queries** as well: 64 of
# them meet 64 keys, and their scores stay in the core's cache. `attention_kernels.py` has the loops over tiles,
# `attention_tiles.py` what is done with one. Its functions, in the order of use, and what they compute in v1's names:
#
#     forward    set_product, hide_scores: s   softmax_step: largest, total, shrink, e   scale_rows, add_to_panels: o
#     backward   row_products: D_i   set_product: s, dP   softmax_gradient: p, ds   add_to_panels: dq, dk, dv
#
# In a tile keys are rows and queries are columns: maximum and sum are loops over 64 queries at once, in vector
# instructions. m begins at −3.4e38 instead of −∞, since −∞ − (−∞) is NaN. A task is a head, or, where heads are few, a
# part of its query tiles; then each part has a dk and a dv of its own, and they are summed at the end.
#
# Of n × n tiles, causal attention has to visit n(n + 1)/2; only those on the diagonal need a mask. That can be seen
# from outside, as 0 · NaN is NaN: we put NaN into the value of one key, and look which outputs it was used for.
#
# **Step into it.** Below, our four scores are keys 0, 1, 64 and 65, and all others are so low that e^s is 0: two tiles
# again. `tinygrad-llm debug 11` stops at the marked line. Type
#
#     tbreak tg.ops.attention_tiles.softmax_step
#     c, then r                               to the end of softmax_step for the first tile
#     p largest[0], total[0]                  m = 0.693 and l = 1.5
#     tbreak softmax_step, then c, then r     the same for the second tile
#     p shrink[0], total[0], scores[0:65:64]  1/2, 2 and the two new e^(s − m), 1 and 1/4. Leave with q

# %%
q, k, v = (tg.tensor(np.full((1, n, 1), value)) for n, value in ((1, 1.0), (66, -1000.0), (66, 0.0)))
k.data[0, [0, 1, 64, 65]], v.data[0, [0, 1, 64, 65]] = paper, values
out = F.scaled_dot_product_attention(q, k, v)  # stop here
assert (round(out.item(), 6), round(math.log(2), 3)) == (4, 0.693)
T, edges, used = 256, range(0, 256, 64), np.zeros((256, 256), bool)
q, k, v = (rng.standard_normal((1, 1, T, 4)).astype("float32") for _ in range(3))
for key in range(T):
    spoilt = np.where(np.arange(T)[:, None] == key, np.float32(np.nan), v)
    used[:, key] = np.isnan(fused(*map(tg.tensor, (q, k, spoilt))).data[0, 0, :, 0])
assert used[np.tri(T, dtype=bool)].all()
assert np.array_equal(used.reshape(4, 64, 4, 64).any(axis=(1, 3)), np.tri(4, dtype=bool))

# %% [markdown]
# ## Time and memory, up to 8,192 tokens
#
# On log axes a power of T is a straight line, and its slope the exponent. What is not drawn was not run.

# %%
cost, slopes = {}, {}
for name, attend, longest in (("composed", composed, 4096), ("kernel", fused, 8192)):
    print(f"measuring {name} attention …", flush=True)
    cost[name] = {T: measure(attend, T) for T in 2 ** np.arange(8, 14) if longest >= T}
    print(name, [f"T = {T}: {s * 1e3:.1f} ms, {peak / 1e6:.1f} MB" for T, (s, _, peak) in cost[name].items()])
figure, (*both, right) = plots.new_figure(14, 4.2, n_axes=3)
for axes, index, unit, label in ((both[0], 2, 1e6, "peak memory (MB)"), (both[1], 0, 1e-3, "CPU time (ms)")):
    for (name, by_T), colour, line in zip(cost.items(), (plots.ORANGE, plots.BLUE), ("--s", "-o"), strict=True):
        sizes, results = list(by_T), [result[index] / unit for result in by_T.values()]
        slopes[name, index] = np.polyfit(np.log(sizes[2:]), np.log(results[2:]), 1)[0]
        axes.loglog(sizes, results, line, color=colour, label=f"{name}, slope {slopes[name, index]:.2f}")
    axes.set(xlabel="tokens T", ylabel=label, title="Forward and backward")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False)
right.imshow(used, cmap="cividis")
right.set(xlabel="key", ylabel="query", xticks=edges, yticks=edges, title=f"Pairs used (light): {used.mean():.1%}")
save_figure("11_cost", figure)
assert 0.9 < slopes["kernel", 2] < 1.1 < 1.85 < slopes["composed", 2] < 2.1
assert all(1.4 < slopes[name, 0] < 2.8 for name in cost)
time_ratio, _, memory_ratio = np.divide(cost["composed"][4096], cost["kernel"][4096])
assert all(np.greater((memory_ratio, time_ratio), (10, 1.3)))

# %% [markdown]
# ## Looking back over a real page
#
# Guess each next byte of a page: find where the same bytes stood before, and what followed. Every kind of byte gets a
# random code of 32 numbers. Query t holds the codes of the four bytes up to t, each times a weight; these four are all
# that is trained. Key s holds the codes of the four bytes before s, value s is byte s, one-hot. So a score is about the
# sum of the weights of those bytes that agree, and O mixes what followed. S alone would be 256 MiB here. The rival is
# zlib, which looks for repeats too. As our weights are fitted to this very page, we add their 16 bytes to the bill.

# %%
numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
page, T = max((document.text.encode() for document in data.embedded_corpus("topics")), key=len)[:8193], 8192
kinds, ids = np.unique(np.frombuffer(page, np.uint8), return_inverse=True)
codes, before = rng.standard_normal((len(kinds), 32)) / 32**0.5, np.zeros((T + 1, 4, 32), "float32")
for back in range(4):
    before[back + 1 :, back] = codes[ids[: T - back]]
queries, keys = tg.tensor(before[1:]), tg.tensor(before[:-1].reshape(1, T, 128))
one_hot, following = tg.tensor(np.eye(len(kinds), dtype="float32")[None, ids[:-1]]), ids[1:]
weights = tg.tensor(np.full((4, 1), 3, "float32"), requires_grad=True)


def bits(length):
    """−log₂ p of each of the last `length` bytes, where the kernel sees only the last `length` places."""
    q, k, v = (x[:, -length:] for x in ((queries * weights).reshape(1, T, 128), keys, one_hot))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)[0]  # (length, V)
    p = 0.98 * out[np.arange(length), following[-length:]] + 0.02 / len(kinds)  # nothing is impossible
    return -p.log() / math.log(2)


optimizer = optim.AdamW([weights], lr=0.3, weight_decay=0)
tracemalloc.start()
for step in range(8):
    loss = bits(T).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step}: {loss.item():.3f} bits per byte, weights {weights.data.ravel().round(1)}", flush=True)
peak = tracemalloc.get_traced_memory()[1]
tracemalloc.stop()
ours, by_zlib = loss.item() + 8 * 16 / T, 8 * len(zlib.compress(page, 9)) / len(page)
by_length = {int(length): bits(length)[-256:].mean().item() for length in 2 ** np.arange(9, 14)}
assert T**2 * 4 == 256 * 2**20 > peak
assert ours < by_zlib
assert by_length[8192] < by_length[2048] < by_length[512]
figure, axes = plots.new_figure(6.5, 3.8)
axes.semilogx(list(by_length), list(by_length.values()), "-o", base=2, color=plots.BLUE)
axes.set(xlabel="places to look back at", ylabel="bits per byte", title="The last 256 bytes of the page")
save_figure("11_look_back", figure)

# %% [markdown]
# ## Keep
#
# 1. Running maximum m, sum l, output o: when the maximum grows, both sums shrink by e^(m − m'), and nothing is lost.
# 2. Backward computes P = e^(S − lse) again and uses Σ P dP = ⟨dO, O⟩: nothing of size T² is ever kept.
# 3. Memory grows with T, time still with T²; the causal mask saves half of it.
#
# It costs one product more in backward, nearly 500 lines of kernel, and there is no P to look at. On a GPU the gain is
# speed above all, as tiles stay in memory on the chip. To read: Milakov and Gimelshein, "Online normalizer calculation
# for softmax" (2018); Rabe and Staats, "Self-attention does not need O(n²) memory" (2021); Dao et al., "FlashAttention:
# Fast and memory-efficient exact attention with IO-awareness" (2022).

# %%
print(f"T = 4,096: composed takes {memory_ratio:.0f} times the kernel's memory and {time_ratio:.1f} times its time.")
print(f"A page of 8,192 bytes at a peak of {peak / 2**20:.0f} MiB: {ours:.2f} bits per byte, zlib {by_zlib:.2f}.")
