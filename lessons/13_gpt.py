# %% [markdown]
# # 13 GPT
#
# How do blocks become a language model? Lesson 12 ended with a block that maps (B, T, C) to (B, T, C). Something must
# turn token ids into the first vectors, the last vectors into scores, and say which token stands where.
#
# At the end you have GPT-2's architecture. You know the loss of its first step before you run it, where each of GPT-2's
# 124,439,808 parameters is and what a token costs, and a small one has learned a page of text by heart.

# %%
import math
import tracemalloc

import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import data, no_grad, plots
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.optim import AdamW
from tinygrad_llm.school import save_figure
from tinygrad_llm.text import BPETokenizer

ADDS = ["tinygrad_llm/ops/linear_cross_entropy.py", "tinygrad_llm/models/decoder.py", "tinygrad_llm/models/gpt.py"]

# %% [markdown]
# ## From ids to scores
#
#     ids (B, T) → token + position embedding → L blocks → norm → times the token embedding, transposed → (B, T, V)
#
# **Positions.** Attention gives token t the sum Σ_j a_tj v_j, over j ≤ t. A sum has no order: swap two earlier tokens,
# and their terms swap places. So a second table, of T rows, adds a learned vector to each place. (One layer is blind
# without it. With two, the causal mask tells a little: what the second sums up depends on what came before each term.)
#
# **Weight tying.** Row v of the token embedding says what token v means as an input. The last layer needs a row for
# each token as well: the score of v is (the last vector) · (row v). Press and Wolf (2017) take one table for both. That
# saves V · C numbers, and rows of rare tokens get a gradient at each step, not only where those tokens occur.
#
# Here is all of it, from the arrays of a model's `state_dict`. `product` is `@`, and notes how many operations it is.

# %%
OPERATIONS = []


def product(a, b):
    OPERATIONS.append(2 * a.size * b.shape[-1])  # one multiplication and addition for each number of a, column of b
    return a @ b


def gpt_v1(state, ids, n_layers, n_heads=2):
    """Scores (B, T, V) of the token after each of ids (B, T)."""
    (B, T), table = ids.shape, state["token_embedding.weight"]

    def linear(x, name):
        return product(x, state[name + ".weight"].T) + state[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * state[name + ".weight"] + state[name + ".bias"]

    def attention(x, name):
        q, k, v = linear(x, name + ".qkv").reshape(B, T, 3, n_heads, -1).transpose(2, 0, 3, 1, 4)  # (B, H, T, D) each
        scores = product(q, k.swapaxes(-1, -2)) / math.sqrt(q.shape[-1])  # (B, H, T, T)
        e = np.exp(np.where(np.tri(T, dtype=bool), scores, -np.inf) - scores.max(axis=-1, keepdims=True))
        heads = product(e / e.sum(axis=-1, keepdims=True), v).swapaxes(1, 2)  # (B, T, H, D)
        return linear(heads.reshape(B, T, -1), name + ".out")

    x = table[ids] + state["position_embedding.weight"][:T]  # (B, T, C)
    for block in (f"blocks.{i}." for i in range(n_layers)):
        x = x + attention(norm(x, block + "norm1"), block + "attention")
        up = linear(norm(x, block + "norm2"), block + "feed_forward.up")  # (B, T, 4C)
        gelu = up / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)))
        x = x + linear(gelu, block + "feed_forward.down")
    return product(norm(x, "norm"), table.T)


def new_gpt(V, T, C=16, L=2, init_std=0.3):
    return GPT(GPTConfig(V, T, L, n_heads=2, d_model=C, dropout=0.0, init_std=init_std), np.random.default_rng(0))


for L, positions in ((1, False), (1, True), (2, False)):
    model = new_gpt(V=8, T=4, L=L).to("float64")
    model.position_embedding.weight.data *= positions
    one, other = (gpt_v1(model.state_dict(), np.array([words]), L) for words in ([1, 2, 3, 4], [3, 2, 1, 4]))
    change = np.abs(one - other)[0, -1].max()
    print(f"L = {L}, {'with' if positions else 'no'} positions: a swap of words changes the scores by {change:.1e}")
    assert (change < 1e-12) == (L == 1 and not positions)

# %% [markdown]
# ## The library's GPT
#
# It wires the modules of lesson 12 in the same way, so the scores must be equal (`cache` and `checkpoint` are of later
# lessons). All gradients are checked together, along a random direction u as in lesson 03: Σ g · u must be
# (L(θ + hu) − L(θ − hu)) / 2h by `_v1`. Then two laws. A changed token changes no score before it, not by a bit. And of
# the table's gradient, its use as output reaches all rows; what remains, its use as input, the rows of ids that occur.

# %%
rng, V, T, L = np.random.default_rng(1), 50, 8, 2
model, (ids, targets) = new_gpt(V, T).to("float64"), rng.integers(V, size=(2, 3, T))  # (B, T) each
assert np.allclose(model(ids).data, gpt_v1(model.state_dict(), ids, L), rtol=1e-9, atol=1e-12)


def loss_v1(state):
    scores = gpt_v1(state, ids, L).reshape(-1, V)  # (B · T, V)
    return (np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(targets.size), targets.reshape(-1)]).mean()


model.loss(ids, targets).backward()
u = {name: rng.standard_normal(p.shape) for name, p in model.named_parameters()}
up, down = (loss_v1({name: w + h * u[name] for name, w in model.state_dict().items()}) for h in (1e-5, -1e-5))
slope = sum((p.grad.data * u[name]).sum() for name, p in model.named_parameters())
print(f"slope along u: {slope:.6f} by backward, {(up - down) / 2e-5:.6f} by v1")
assert math.isclose((up - down) / 2e-5, slope, rel_tol=1e-6)
for t in range(T):
    changed = np.where(np.arange(T) == t, (ids + 1) % V, ids)
    same = (model(changed).data == model(ids).data).all(axis=(0, 2))  # (T,)
    assert same.tolist() == [True] * t + [False] * (T - t)
table, both = model.token_embedding.weight, model.token_embedding.weight.grad.data
table.zero_grad_()
F.linear_cross_entropy(model.hidden(ids).detach(), table, targets).backward()
rows = [int((abs(g) > 1e-12).any(axis=1).sum()) for g in (table.grad.data, both - table.grad.data)]
print(f"rows of the table with a gradient: {rows[0]} as output, {rows[1]} as input")
assert rows == [V, len(np.unique(ids))]

# %% [markdown]
# ## The first loss
#
# Weights come from N(0, 0.02²), as in GPT-2. The last norm gives C numbers of mean square 1, so a score, their product
# with a row of the table, has the variance σ² = C · 0.02². By lesson 05 the loss is about ln V + σ²/2: nearly ln V, as
# if guessing. Larger weights make it *worse*: sure of nonsense. A first loss *below* ln V is a warning, too: a token's
# own row runs through the model, and the tied table finds it at the end, so a new model predicts the token it just
# read. Who forgets to shift the targets by one starts low.
#
# **Depth.** By lesson 12, L blocks add a variance of 2L · s² to the residual stream. GPT-2 divides the std of the two
# layers that write into it by √(2L), so this is 2L · s² / 2L = s² at any depth (`models/decoder.py`). Below, 64 blocks
# without the division leave the embeddings about 1 % of the variance.

# %%
V, T, C, L = 1024, 32, 64, 64
ids, targets = rng.integers(V, size=(2, 4, T))
stds = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 1.0])
first, expected = [new_gpt(V, T, C, 4, s).loss(ids, targets).item() for s in stds], math.log(V) + C * stds**2 / 2
unshifted = new_gpt(V, T, C, 4, 0.02).loss(ids, ids).item()
print(f"ln V {math.log(V):.3f}, first losses {np.round(first, 3)}, with unshifted targets {unshifted:.3f}")
assert abs(first[0] - math.log(V)) < 0.05
assert np.allclose(first[:3], expected[:3], atol=0.1)
assert unshifted < math.log(V) - 0.3 < 3 * math.log(V) < first[-1]
deep, streams = new_gpt(V, T, C, L, 0.02), {"std / √(2L)": [], "not divided": []}
for stream in streams.values():
    with no_grad():
        x = deep.token_embedding(ids) + deep.position_embedding(np.arange(T))
        stream += [x.data.var(), *((x := block(x)).data.var() for block in deep.blocks)]
    for block in deep.blocks:
        block.attention.out.weight.data *= math.sqrt(2 * L)
        block.feed_forward.down.weight.data *= math.sqrt(2 * L)
shares = [stream[0] / stream[-1] for stream in streams.values()]
print(f"share of the embeddings after {L} blocks: {shares[0]:.0%}, without the division {shares[1]:.1%}")
assert shares[1] < 0.02 < 0.5 < shares[0]
figure, (left, right) = plots.new_figure(11, 3.6, n_axes=2)
left.semilogx(stds, first, "o-", color=plots.BLUE, label="measured")
left.semilogx(stds, expected, "--", color=plots.ORANGE, label="ln V + C · std² / 2")
left.axhline(math.log(V), color="grey", linestyle=":", label="ln V: guessing")
left.set(xlabel="std of the initial weights", ylabel="first loss (nats)", title="Sure of nonsense")
for (name, stream), line, colour in zip(streams.items(), ("-", "--"), (plots.BLUE, plots.ORANGE), strict=True):
    right.plot(stream, line, color=colour, label=name)
right.set(xlabel="blocks passed", ylabel="variance", title=f"The residual stream of {L} blocks")
left.legend(frameon=False), right.legend(frameon=False)
save_figure("13_start", figure)

# %% [markdown]
# ## Where the parameters are, and what a token costs
#
# In a block, attention has qkv (3C² + 3C) and out (C² + C), the feed-forward network up (4C² + 4C) and down (4C² + C),
# and the two norms 2C each: 12C² + 13C. With both tables and the last norm
#
#     N = (V + T) C + L (12C² + 13C) + 2C          V = 4, T = 2, C = 2, L = 1: 12 + 74 + 4 = 90
#
# GPT-2 has four sizes, of 124, 355, 774 and 1,558 million (the paper miscounted: 117, 345, 762 and 1,542). A token uses
# each weight of a matrix once, to multiply and add. The gradients by the weight and by what it multiplied cost as much
# each. So training takes **6 N operations per token** (Kaplan et al. 2020), N counting matrices: 12LC² + VC. On top is
# attention: q kᵀ and the sum over v take 2TC each, in L layers, so 4LTC forward and 12LTC in all, masked half included.


# %%
def parameters(V, T, C, L):
    blocks = {"attention": L * (4 * C * C + 4 * C), "feed_forward": L * (8 * C * C + 5 * C), "norm": (4 * L + 2) * C}
    return {"token": V * C, "position": T * C} | blocks


assert sum(parameters(4, 2, 2, 1).values()) == new_gpt(4, 2, 2, 1).num_parameters() == 90
L, model, sizes = 4, new_gpt(V, T, C, 4, 0.02), [(768, 12), (1024, 24), (1280, 36), (1600, 48)]
parts = [parameters(V, T, C, L), *(parameters(50257, 1024, *size) for size in sizes)]
totals = [sum(each.values()) for each in parts]
assert totals == [model.num_parameters(), 124_439_808, 354_823_168, 774_030_080, 1_557_611_200]
for part, count in parts[0].items():
    assert sum(p.data.size for name, p in model.named_parameters() if part in name) == count
OPERATIONS.clear()
gpt_v1(model.state_dict(), ids, L)
assert sum(OPERATIONS) == ids.size * (2 * (12 * L * C * C + V * C) + 4 * L * T * C)
gpt2 = 6 * (12 * 12 * 768**2 + 50257 * 768) + 12 * 12 * 1024 * 768
print(f"GPT-2: {gpt2:,} operations a token; at 50 billion a second, a billion tokens take {gpt2 / 50 / 86400:.0f} days")
figure, axes = plots.new_figure(9, 3.2)
left, looks = 0, zip(["BLUE", "SKY", "ORANGE", "GREEN", "PURPLE"], ["", "..", "//", "", "xx"], strict=True)
names = [f"{total / 1e6:,.1f} million, {'GPT-2' if total > 1e8 else 'ours'}" for total in totals]
for part, (colour, hatch) in zip(parts[0], looks, strict=True):
    share = np.array([100 * each[part] / sum(each.values()) for each in parts])
    axes.barh(names, share, left=left, label=part, color=getattr(plots, colour), hatch=hatch, edgecolor="white")
    left = left + share
axes.set(xlabel="% of the parameters", title="Where the parameters are", xlim=(0, 100))
figure.legend(frameon=False, ncols=5, loc="outside lower center")
save_figure("13_parameters", figure)

# %% [markdown]
# ## The loss without the scores
#
# The largest array of a step is the last: 8 texts of 1,024 tokens and GPT-2's vocabulary make 1.647 GB of scores, and
# as much of their gradient. But a loss ends the graph: its gradient is known in the forward pass (lesson 05). So
# `F.linear_cross_entropy`, which `model.loss` calls, takes some of the N = B · T rows at a time,
#
#     s = x Wᵀ  →  loss,  ds = (softmax(s) − onehot) / N  →  dx = ds W,  dW += dsᵀ x  →  forget s
#
# and keeps dx and dW only. By hand, for a new model with V = 4 and N = 2: scores are near 0, the loss is ln 4 = 1.386,
# and a row of ds has (1/4 − 1) / 2 = −0.375 at the target and 0.125 elsewhere. `tinygrad-llm debug 13` stops before
# this loss. `tbreak tg.ops.cross_entropy.cross_entropy_row` and `c` lead to the arithmetic: `p row` is four scores. `r`
# goes on to the return: `p row` is their gradient, in the same place. `u` twice leads back to the loop over chunks,
# where `p logits` has one row of gradients and one still of scores. `q` leaves.

# %%
tiny, N = new_gpt(4, 2, C=2, L=1, init_std=0.001), [256, 512, 1024, 2048, 4096]
loss = tiny.loss(np.array([[0, 1]]), np.array([[1, 2]]))  # stop here
values = [loss.item(), (1 / 4 - 1) / 2, 1 / 4 / 2, 8 * 1024 * 50257 * 4 / 1e9]
assert np.allclose(values, [1.386, -0.375, 0.125, 1.647], atol=1e-3)
W = tg.tensor(rng.normal(0, 0.02, (8192, C)).astype("float32"), requires_grad=True)
peaks = {"all scores": [], "chunks": []}  # MB
for n in N:
    x, y = tg.tensor(rng.standard_normal((n, C)).astype("float32"), requires_grad=True), rng.integers(8192, size=n)
    results = []
    for name, megabytes in peaks.items():
        x.zero_grad_(), W.zero_grad_()
        tracemalloc.start()
        loss = F.linear_cross_entropy(x, W, y) if name == "chunks" else F.cross_entropy(F.linear(x, W), y)
        loss.backward()
        megabytes.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
        results.append((loss.item(), x.grad.data, W.grad.data))
    assert all(np.allclose(*pair, rtol=1e-4, atol=2e-8) for pair in zip(*results, strict=True))
print("; ".join(f"{name}: {megabytes[0]:.0f} to {megabytes[-1]:.0f} MB" for name, megabytes in peaks.items()))
assert peaks["all scores"][-1] / peaks["all scores"][0] > 15 > 1.3 > peaks["chunks"][-1] / peaks["chunks"][0]

# %% [markdown]
# ## One page by heart
#
# Before a long training, the cheapest test of a model: one batch, again and again. If the loss goes to 0, the parts
# work together. If not, something is wrong, and more data will not help. (It stays a little above 0 where two rows
# begin with the same token and go on differently.) It says nothing about other text: see the next page.

# %%
text = data.join_documents(data.clean(list(data.embedded_corpus("prose"))[:300])[0])
tokens = BPETokenizer.train(text, V).encode_to_numpy(text).astype(np.int64)
(x, y), (next_x, next_y) = ([tokens[i : i + 8 * T].reshape(8, T) for i in (at, at + 1)] for at in (0, 8 * T))  # (B, T)
optimizer, curve = AdamW(model.parameters(), lr=0.005, weight_decay=0), []
for step in range(120):
    loss = model.loss(x, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    curve.append(loss.item())
    if step % 30 == 29:
        print(f"step {step + 1}: loss {curve[-1]:.4f}")
hits, elsewhere = (model(x).argmax(dim=-1).data == y).mean(), model.loss(next_x, next_y).item()
print(f"{hits:.1%} of the page predicted; loss on the next page {elsewhere:.2f}")
assert curve[-1] < 0.05 < 0.97 < hits <= 1 < math.log(V) < elsewhere
figure, (left, right) = plots.new_figure(11, 3.6, n_axes=2)
for (name, megabytes), line, colour in zip(peaks.items(), ("--", "-"), (plots.ORANGE, plots.BLUE), strict=True):
    left.plot(N, megabytes, line, marker="o", color=colour, label=name)
left.set(xlabel="tokens in the batch", ylabel="peak memory (MB)", title="Last layer and loss, 8,192 classes")
right.semilogy(curve, color=plots.BLUE, label="the page learned")
right.axhline(math.log(V), color="grey", linestyle=":", label="ln V: guessing")
right.axhline(elsewhere, color=plots.ORANGE, linestyle="--", label="the next page, at the end")
right.set(xlabel="step", ylabel="loss (nats)", title="One page by heart")
left.legend(frameon=False), right.legend(frameon=False)
save_figure("13_results", figure)

# %% [markdown]
# ## Keep
#
# - Tables in, blocks, norm, the token table out. Without positions, attention sees a set.
# - The first loss is ln V, neither more nor less. Layers that write into the stream start smaller, by 1/√(2L).
# - N = (V + T) C + L (12C² + 13C) + 2C. Training costs 6 N operations per token. Nobody has to hold the scores.
#
# Elsewhere: rotations (lesson 16) need no table of T places. Large models often do not tie: as the figure shows, the
# table is a small part of them. Lesson 14 trains on many pages.
#
# To read: Press and Wolf, "Using the output embedding to improve language models", 2017; Radford et al., "Language
# models are unsupervised multitask learners", 2019; Haviv et al., "Transformer language models without positional
# encodings still learn positional information", 2022.

# %%
print(f"Shown: the first loss {curve[0]:.3f}, ln V {math.log(V):.3f}, and {curve[-1]:.3f} after {len(curve)} steps;")
print(f"{totals[1]:,} parameters in GPT-2; a loss in {peaks['chunks'][-1]:.0f} MB, not {peaks['all scores'][-1]:.0f}.")
