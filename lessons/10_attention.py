# %% [markdown]
# # 10 Attention
#
# How does a token look back? The bigram model of lesson 09 saw one token, and a table of longer contexts
# shares nothing between them. At the end you have **attention**, a weighted mean over all tokens so far whose weights
# depend on what stands there, its gradient from paper, the reason for its 1/√d, and a model of real text with it.

# %%
import math
import re

import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import data, nn, optim, plots
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.testing import gradcheck
from tinygrad_llm.text import BPETokenizer

ADDS = ["tinygrad_llm/ops/masking.py", "tinygrad_llm/ops/combine.py",
        "tinygrad_llm/ops/attention_layout.py", "tinygrad_llm/ops/attention.py"]  # fmt: skip

# %% [markdown]
# ## First, a plain mean of the past
# Give each token the mean of all tokens up to itself. A mean is a sum with weights, so all T means at once are one
# product of matrices, weights times tokens. Row t of the weights is 1/t for the first t columns:
#
#     1    0    0          the first token sees itself
#     1/2  1/2  0          the second sees two, half of each
#     1/3  1/3  1/3        a 1 in the upper triangle would be a look into the future
#
# The way that we keep is a second one: *scores*, here all 0, then softmax. A forbidden place gets the score −∞, since
# e^(−∞) = 0. Why not a weight of 0 after the softmax? Row 1 would be 1/3, 0, 0: no mean any more. Worse, the sum below
# its fraction still holds the future's scores: another last token, and the first one's output is another.


# %%
def causal(scores):
    """−∞ above the diagonal of (…, T, T): row t keeps columns 0 … t."""
    future = tg.triu(tg.ones(scores.shape[-2:]), 1) != 0
    return scores.masked_fill(future, -math.inf)


means = F.softmax(causal(tg.zeros(3, 3)), dim=-1)
assert np.allclose(means.data, [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]])
for of_last in (0.0, 9.0):  # the score that all tokens give to the last one
    scores = tg.tensor([[0.0, 0.0, of_last]] * 3)
    before, after = F.softmax(causal(scores), dim=-1).data[0], tg.tril(F.softmax(scores, dim=-1)).data[0]
    print(f"row 1 with -inf before {before.tolist()}, with 0 after {after.round(4).tolist()}")
    assert before.tolist() == [1, 0, 0]
    assert np.allclose(after, [1 / (2 + math.exp(of_last)), 0, 0])

# %% [markdown]
# ## Then, weights that depend on the content
# Not all of the past matters alike. So let each token send out a **query** q (what do I look for?), a **key** k (what
# can I be found by?) and a **value** v (what do I hand over?), three vectors made from it by three learned matrices.
# A dot product says how well a query and a key fit:
#
#     S = scale · Q Kᵀ        P = softmax(S, future masked)        O = P V          scale = 1 until we know better
#
# On paper, three tokens, D = 2: the keys are (1, 0), (0, 1), (0, 0), the values (8, 0), (0, 8), (8, 8).
#
#     q₁ = (0, 0)           one score: 0                P₁ = 1                   o₁ = (8, 0)
#     q₂ = (0, ln 3)        scores 0, ln 3              P₂ = 1/4, 3/4            o₂ = (2, 6)
#     q₃ = (ln 2, ln 5)     scores ln 2, ln 5, 0        P₃ = 2/8, 5/8, 1/8       o₃ = (3, 6)
#
# ## The gradient, by hand
# Let dO be the gradient that arrives at O. The products are those of lesson 04, and softmax has the slopes
# ∂p_i/∂s_j = p_i ([i = j] − p_j), so that
#
#     dV = Pᵀ dO       dP = dO Vᵀ       dS = P ∘ (dP − rowsum(P ∘ dP))       dQ = scale · dS K       dK = scale · dSᵀ Q
#
# A key's score rises if its value helps *more than the mean* does: rowsum(P ∘ dP) is the mean of dP under the weights.
# Where P is 0, so is dS: masked places get nothing. On paper, for dO = (1, 0) at the third token only:
#
#     dP₃ = (8, 0, 8)           its mean is 2/8 · 8 + 5/8 · 0 + 1/8 · 8 = 3
#     dS₃ = (2/8 · 5, 5/8 · (−3), 1/8 · 5) = (1.25, −1.875, 0.625), which sums to 0
#     dq₃ = 1.25 k₁ − 1.875 k₂ + 0.625 k₃ = (1.25, −1.875)       dk_j = dS₃_j · (ln 2, ln 5)       dv_j = P₃_j · (1, 0)


# %%
def attention_v1(q, k, v, scale):
    weights = F.softmax(causal(scale * (q @ k.transpose(-2, -1))), dim=-1)  # (…, T, T)
    return weights @ v, weights  # (…, T, Dv)


rows = [[0.0, 0.0], [0.0, math.log(3)], np.log([2, 5])], np.eye(3, 2), [[8.0, 0.0], [0.0, 8.0], [8.0, 8.0]]
paper = q, k, v = [tg.tensor(np.array(each), requires_grad=True) for each in rows]
out, _ = attention_v1(q, k, v, scale=1.0)
out.backward(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
print(f"o {out.data.round(9).tolist()}, dq of the third {q.grad.data[2].round(9).tolist()}")
assert np.allclose(out.data, [[8, 0], [2, 6], [3, 6]])
assert np.allclose(q.grad.data, [[0, 0], [0, 0], [1.25, -1.875]])
assert np.allclose(k.grad.data, np.outer([1.25, -1.875, 0.625], np.log([2, 5])))
assert np.allclose(v.grad.data, [[2 / 8, 0], [5 / 8, 0], [1 / 8, 0]])

# %% [markdown]
# ## Why 1/√d
# Let the d numbers of q and k be independent with mean 0 and variance 1, as a good start makes them (lesson 06). Each
# product q_c k_c then has mean 0 and variance 1 · 1, and the variances of independent numbers add up:
#
#     var(q · k) = var(Σ_c q_c k_c) = d         so scores are of the size √d, and q · k / √d of the size 1
#
# Many texts leave it out. For d = 64 scores have a size of 8, and e^8 is about 3,000: softmax becomes a choice of one.
# Look at dS = P ∘ (dP − mean) for P = (1, 0, 0 …): in the losers' places P is 0, in the winner's dP *is* the mean. No
# gradient, right or wrong. We measure it for 64 keys, values of 16 numbers and a random dO: the largest weight, and for
# 512 queries, 64 in each of 8 texts, the length of dq.

# %%
widths, rng, measured = [4, 16, 64, 256, 1024], np.random.default_rng(0), {}
for name in ("scaled", "unscaled"):
    for d in widths:
        q, k, v = (tg.tensor(rng.standard_normal((8, 64, n)), requires_grad=True) for n in (d, d, 16))
        weights = F.softmax((q @ k.transpose(-2, -1)) * (d**-0.5 if name == "scaled" else 1.0), dim=-1)  # (8, 64, 64)
        (weights @ v).backward(rng.standard_normal((8, 64, 16)))
        top, lengths = weights.data.max(axis=-1).mean(), np.linalg.norm(q.grad.data, axis=-1).ravel()
        share = np.mean(np.sort(lengths**2)[::-1].cumsum() < 0.9 * np.sum(lengths**2))  # queries with 90% of all
        measured[name, d] = (top, *np.quantile(lengths, [0.5, 0.1, 0.9]), share)
    print(f"{name:8} d = {d}: largest weight {top:.2f}, median |dq| {np.median(lengths):.1e}, 90% in {share:.0%} of q")
assert measured["scaled", 1024][0] < 0.2 < 0.9 < measured["unscaled", 1024][0]
assert measured["unscaled", 1024][1] < 0.1 * measured["scaled", 1024][1] < 0.25 * measured["scaled", 4][1]
assert measured["unscaled", 1024][4] < 0.2 < 0.5 < measured["scaled", 1024][4]

# %% [markdown]
# With the scale d hardly matters. Without it, and d large, most queries get next to nothing, and the few that sit
# between two keys nearly all: a *mean* hides that, the median shows it. Does it matter for learning? A task: 16 pairs
# of a name and a number, then one of the names. Which number stood beside it? Keys come from the names, values from
# the numbers, d = 256. Both variants get the same starts, the same batches and the same three rates of AdamW.


# %%
class Recall(nn.Module):
    def __init__(self, scale, rng):
        self.names, self.numbers = nn.Embedding(32, 32, rng=rng), nn.Embedding(32, 32, rng=rng)
        self.q, self.k = (nn.Parameter(rng.standard_normal((256, 32), np.float32) / math.sqrt(32)) for _ in range(2))
        self.v, self.out, self.scale = nn.Linear(32, 32, rng=rng), nn.Linear(32, 32, rng=rng), scale

    def forward(self, names, numbers, asked):  # (B, 16), (B, 16), (B, 1)
        q, k = F.linear(self.names(asked), self.q), F.linear(self.names(names), self.k)  # (B, 1, 256), (B, 16, 256)
        return self.out(F.scaled_dot_product_attention(q, k, self.v(self.numbers(numbers)), scale=self.scale))[:, 0]


def learn(scale, lr, rng):
    model, right = Recall(scale, rng), []  # the share of right answers, for each batch
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0)
    for _ in range(200):
        names, numbers = np.argsort(rng.random((64, 32)), axis=1)[:, :16], rng.integers(0, 32, (64, 16))
        answers = model(names, numbers, names[:, :1])  # we may always ask for the first: nothing here knows the order
        optimizer.zero_grad()
        F.cross_entropy(answers, tg.tensor(numbers[:, 0])).backward()
        optimizer.step()
        right.append(np.mean(answers.data.argmax(axis=1) == numbers[:, 0]))
    return right


figure, axes = plots.new_figure(13.5, 4, n_axes=3)
for name, scale, colour, line in (("scaled", 1 / 16, plots.BLUE, "-"), ("unscaled", 1.0, plots.ORANGE, "--")):
    top, median, low, high, _ = np.transpose([measured[name, d] for d in widths])
    axes[0].semilogx(widths, top, line, marker="o", color=colour, label=name)
    axes[1].loglog(widths, median, line, marker="o", color=colour, label=f"{name}: median, middle 80%")
    axes[1].fill_between(widths, low, high, color=colour, alpha=0.15)
    runs = {lr: [learn(scale, lr, np.random.default_rng(seed)) for seed in range(3)] for lr in (0.001, 0.003, 0.01)}
    curves = {lr: 100 * np.mean(run, axis=0) for lr, run in runs.items()}
    measured[name] = {lr: round(curve[-40:].mean()) for lr, curve in curves.items()}
    print(f"{name:8} % right in the last 40 batches, by rate: {measured[name]}")
    best = max(curves, key=lambda lr: curves[lr].mean())
    axes[2].plot(plots.running_mean(curves[best], 3), line, color=colour, label=f"{name}, best rate {best}")
axes[0].set(xlabel="d", ylabel="largest weight (mean)", title="64 keys: how hard softmax chooses", ylim=(0, 1))
axes[1].set(xlabel="d", ylabel="length of dq", title="What reaches a query", ylim=(1e-9, 1e3))
axes[2].set(xlabel="step", ylabel="right answers (%)", title="Recall, d = 256, mean of three seeds")
for each in axes:
    each.legend(frameon=False, fontsize=9)
save_figure("10_scale", figure)
assert min(measured["scaled"].values()) > max(measured["unscaled"].values()) + 4

# %% [markdown]
# ## The library's piece
# `F.scaled_dot_product_attention(q, k, v)` has 1/√d unless told otherwise, leading dims for batch and heads, and masks:
# `is_causal=True`, a bool `attn_mask` (True: may look), or numbers to add to the scores. Three files come before it.
# `masking.py` has `triu`, `tril`, `masked_fill` and `where`; `combine.py` has `cat`, `stack` and their inverses;
# `attention_layout.py` describes heads as rows in memory, so that views need no copy.
#
# **Step into it.** `tinygrad-llm debug 10` stops at the marked line, the example from paper. `s` enters the function;
# `n` until `Attention.forward` is next, `s`; `n` until `out = out.reshape(…)` is next. There `p np.exp(lse)` shows 1, 4
# and 8, the sums below the fractions P₁, P₂ and P₃; `p out` the results; `p as_heads(q, options)` q as rows. How
# `attend` got there without a table of scores is for lesson 11; here we check that it is right.

# %%
results, sdpa = [], F.scaled_dot_product_attention
out = sdpa(*paper, is_causal=True, scale=1.0)  # stop here
assert np.allclose(out.data, [[8, 0], [2, 6], [3, 6]])
B, T, C = 2, 4, 8
q, k, v = inputs = [tg.tensor(rng.standard_normal((B, T, C)), requires_grad=True) for _ in range(3)]
for fn in (lambda q, k, v: attention_v1(q, k, v, C**-0.5)[0], lambda q, k, v: sdpa(q, k, v, is_causal=True)):
    for x in inputs:
        x.zero_grad_()
    fn(q, k, v).backward(np.sin(np.arange(B * T * C)).reshape(B, T, C))
    results.append([fn(q, k, v).data, *(x.grad.data for x in inputs)])
    assert gradcheck(fn, q, k, v)
assert all(np.allclose(*pair, rtol=1e-9, atol=1e-12) for pair in zip(*results, strict=True))

# %% [markdown]
# Two properties. **A query that may look at nothing**, as in a sentence of padding, has only scores of −∞, and softmax
# is 0/0. The library gives zeros; no NaN spreads. **Order is lost**: a dot product does not know where a key stands.
# Shuffle the tokens, and without a mask the outputs are shuffled likewise; under the causal mask the last token's
# output is the same for any order of those before. `dog bites man` or `man bites dog`: lesson 13 adds positions.

# %%
may_look = tg.tensor(np.arange(T) != 1).unsqueeze(1)  # (T, 1): the second query may not
blind_v1 = F.softmax((q @ k.transpose(-2, -1)).masked_fill(~may_look, -math.inf), dim=-1) @ v
assert np.isnan(blind_v1.data[:, 1]).all()
assert np.all(sdpa(q, k, v, attn_mask=may_look).data[:, 1] == 0)
for order, is_causal, first in (([2, 0, 3, 1], False, 0), ([2, 0, 1, 3], True, T - 1)):
    shuffled = sdpa(q[:, order], k[:, order], v[:, order], is_causal=is_causal)
    assert np.allclose(sdpa(q, k, v, is_causal=is_causal)[:, order].data[:, first:], shuffled.data[:, first:])

# %% [markdown]
# ## On real text
# The corpus and the BPE tokens of lesson 09. The logits are the log of its bigram table, kept as it is, plus what one
# head adds; the last matrix starts at 0, so we start as the bigram model. Two kinds of keys: a token is found by what
# it is *itself*, or by the one *before* it (`cat` shifts the tokens by one place). The second is the recall task: who
# looks for earlier copies of itself finds what followed them. The figure shows the gain by place: where there is hardly
# a past yet, the head does harm. In the map look for a token that was there before: it looks at that copy's follower.

# %%
print("reading, tokenizing and training (about 20 s) …")
split = data.split_documents(data.clean(data.embedded_corpus("prose"))[0], fraction=0.1, seed=0)
train_text, held_out_text = data.join_documents(split.train), data.join_documents(split.validation)
tokenizer = BPETokenizer.train(train_text, vocab_size=2048)
train_ids, ids = (tokenizer.encode_to_numpy(text).astype(np.int64) for text in (train_text, held_out_text))
V, T, D = tokenizer.vocab_size, 128, 64
counts = np.bincount(train_ids[:-1] * V + train_ids[1:], minlength=V * V).reshape(V, V) + 0.1
table = tg.tensor(np.log(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32))


class LookingBack(nn.Module):
    def __init__(self, key, rng):
        self.key, self.embed, self.out = key, nn.Embedding(V, D, rng=rng), nn.Linear(D, V, bias=False)
        self.q, self.k, self.v = (nn.Linear(D, D, bias=False, rng=rng) for _ in range(3))
        self.out.weight.data[:] = 0

    def qkv(self, ids):  # (B, T)
        x = self.embed(ids)  # (B, T, D)
        before = tg.cat([tg.zeros_like(x[:, :1]), x[:, :-1]], dim=1)  # (B, T, D), nothing before the first
        return self.q(x), self.k(before if self.key == "before" else x), self.v(x)

    def forward(self, ids):
        return F.embedding(ids, table) + self.out(sdpa(*self.qkv(ids), is_causal=True))  # (B, T, V)


windows, targets = (part[: len(part) // T * T].reshape(-1, T) for part in (ids[:-1], ids[1:]))  # (n, T)
losses = {"bigram": -table.data[windows, targets]}  # (n, T)
for key in ("itself", "before"):
    model, batches = LookingBack(key, np.random.default_rng(0)), data.RandomBatches(train_ids, 8, T, seed=0)
    optimizer = optim.AdamW(model.parameters(), lr=0.02, weight_decay=0)
    for step in range(250):
        x, y = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(model(x).reshape(-1, V), y.reshape(-1)).backward()
        optimizer.step(optim.schedule.linear(step, 250))
    with tg.no_grad():
        pairs = zip(windows, targets, strict=True)
        losses[key] = np.stack([F.cross_entropy(model(x[None])[0], y, reduction="none").data for x, y in pairs])
bits = {name: loss.mean() / math.log(2) * len(ids) / len(held_out_text.encode()) for name, loss in losses.items()}
assert bits["before"] < bits["itself"] < bits["bigram"] - 0.05
figure, axes = plots.new_figure(7, 3.8)
for key, colour, line in (("itself", plots.ORANGE, "--"), ("before", plots.BLUE, "-")):
    gain = (losses["bigram"] - losses[key]).mean(axis=0).reshape(-1, 8).mean(axis=1) / math.log(2)  # by 8 places
    axes.plot(np.arange(4.5, T, 8), gain, line, marker="o", color=colour, label=f"key: {key}")
    assert gain[0] < 0 < gain[-1]
axes.set(xlabel="place in the window (tokens)", ylabel="bits saved per token", title="One head on top of the bigram")
axes.legend(frameon=False)
save_figure("10_text", figure)
sentences = re.findall(r"[A-Z][a-z][^.\n]*\.", held_out_text)
usable = [each for each in map(tokenizer.encode, sentences) if 16 <= len(each) <= 22]
shown = max(usable, key=lambda each: len(each) - len(set(each)))  # the one with the most repeated tokens
weights = attention_v1(*model.qkv(np.array([shown])), D**-0.5)[1].data[0]
words = [tokenizer.decode([token]) for token in shown]
plots.attention_map(figure_path("10_attention_map"), weights, words, "key: the token before")
show_figure("10_attention_map")
followers = np.equal.outer(shown, [-1, *shown[:-1]]) & np.tri(len(shown), dtype=bool)  # of earlier copies
found = weights[followers].sum() / followers.any(axis=1).sum()
assert found > 0.2

# %% [markdown]
# ## Keep
# 1. O = softmax(Q Kᵀ / √d, −∞ where one may not look) V: a mean of values, weighted by how queries and keys fit.
# 2. dS = P ∘ (dP − rowsum(P ∘ dP)). Without 1/√d scores grow as √d, P becomes 0 or 1, and few queries can learn.
# 3. Attention sees a set, not a sequence: what is to count as order must be in the vectors.
#
# - **What it costs.** T² scores for each head: a table of 1 GB at T = 16,384. Must it exist? That is for lesson 11.
# - **Where the real world differs.** Many heads and layers, whose "induction heads" learn to do what we did by `cat`.
# - **Further reading.** Bahdanau et al., "Neural machine translation by jointly learning to align and translate"
#   (2015); Vaswani et al., "Attention is all you need" (2017); Olsson et al., on induction heads (2022).

# %%
print(f"Recall, % right by rate: with 1/√d {measured['scaled']}, without {measured['unscaled']}")
print("Bits per byte, held out:", ", ".join(f"{name} {value:.3f}" for name, value in bits.items()))
print(f"In the map, tokens that were there before give {found:.0%} of their weight to what followed there.")
