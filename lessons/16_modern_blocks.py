# %% [markdown]
# # 16 Modern blocks
#
# Which parts of GPT-2 did later models replace, and which change pays? Llama (2023) keeps the wiring of lesson 13 and
# swaps parts. We derive and measure each swap. At the end you have `Llama`, and know what makes it learn faster.

# %%
import timeit
from dataclasses import replace

import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import data, nn, optim, plots
from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.models.decoder import initialise
from tinygrad_llm.school import save_figure
from tinygrad_llm.text import CharTokenizer
from tinygrad_llm.train import language_modelling, train_steps
from tinygrad_llm.train.metrics import mean_loss

ADDS = [
    "tinygrad_llm/ops/rms_norm.py", "tinygrad_llm/ops/rope.py", "tinygrad_llm/nn/rotary.py",
    "tinygrad_llm/nn/grouped_query_attention.py", "tinygrad_llm/nn/gated_feed_forward.py",
    "tinygrad_llm/models/llama.py",
]  # fmt: skip
rng = np.random.default_rng(0)


def assert_same(v1, library, *inputs):
    results = []  # of each: the output, and the gradient of each input
    for fn in (v1, library):
        for x in inputs:
            x.zero_grad_()
        out = fn()
        out.backward(np.cos(np.arange(out.data.size)).reshape(out.shape))  # any gradient from above
        results.append([out.data, *(x.grad.data for x in inputs)])
    assert all(np.allclose(one, other, rtol=1e-9, atol=1e-12) for one, other in zip(*results, strict=True))


# %% [markdown]
# ## RMSNorm: LayerNorm without the mean
# LayerNorm (lesson 12) takes the mean away, divides by the standard deviation, scales and shifts. Zhang and Sennrich
# (2019) left out mean and shift, and their models were as good.
#
#     x̂ = x · r,   r = 1 / √(mean(x²) + ε),   out = x̂ · w
#
# Backward, with g = dout · w: x_c is in x̂_c, which gives r g_c, and in r, which is in all of x̂. With ∂r/∂x_c =
# −r³ x_c / C the way through r gives Σ_j g_j x_j · (−r³ x_c / C) = −r x̂_c · mean(g x̂). Together
#
#     dx = r (g − x̂ · mean(g x̂))
#
# On paper: x = (1, 7), w = 1, ε = 0 has the mean square 25, so r = 1/5 and x̂ = (0.2, 1.4). With dout = (1, 0) we have
# mean(g x̂) = 0.1, dx = (0.196, −0.028), and dx · x = 0: to stretch x changes nothing. LayerNorm is blind to a shift as
# well: it makes (−1, 1) of any pair a < b.


# %%
def rms_norm_v1(x, weight, eps):
    return x / ((x * x).mean(dim=-1, keepdim=True) + eps).sqrt() * weight


x = tg.tensor([[1.0, 7.0]], dtype="float64", requires_grad=True)
F.rms_norm(x, 2, eps=0.0).backward(np.array([[1.0, 0.0]]))
assert np.allclose(rms_norm_v1(x, 1.0, 0.0).data, [[0.2, 1.4]])
assert np.allclose([(0.2 * 1 + 1.4 * 0) / 2, *x.grad.data[0]], [0.1, 0.196, -0.028])
x, weight = (tg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((2, 4, 8), (8,)))
assert_same(lambda: rms_norm_v1(x, weight, 1e-5), lambda: F.rms_norm(x, 8, weight, 1e-5), x, weight)
assert np.allclose(F.layer_norm(x + 10, 8).data, F.layer_norm(x, 8).data)
assert not np.allclose(F.rms_norm(x + 10, 8).data, F.rms_norm(x, 8).data)
large = tg.tensor(rng.standard_normal((4096, 512)).astype("float32"), requires_grad=True)
for norm in (lambda x: rms_norm_v1(x, 1.0, 1e-5), nn.LayerNorm(512), nn.RMSNorm(512)):
    ms = 1e3 * min(timeit.repeat(lambda norm=norm: norm(large).sum().backward(), large.zero_grad_, repeat=7, number=1))
    print(f"{type(norm).__name__.replace('function', 'v1'):9} forward and backward: {ms:.1f} ms")

# %% [markdown]
# Both kernels move the same large arrays, so they take about as long. The shift is gone, and so is each Linear's bias.
#
# ## RoPE: positions as angles
# GPT adds a learned vector to each token: "I am number 17". But what attention looks for is often a distance, "the one
# before me". Can q know its position m, and k its position n, so that their score depends on m − n alone? Take two
# features, and turn q by the angle mθ, k by nθ. A transposed rotation turns back, and angles add up:
#
#     R(α) = [cos α  −sin α]       ⟨R(mθ) q, R(nθ) k⟩ = qᵀ R(mθ)ᵀ R(nθ) k = qᵀ R((n − m)θ) k
#            [sin α   cos α]
#
# On paper: θ = 90° takes (a, b) to (−b, a). With q = (3, 4) and k = (1, 2), at the positions 1 and 0, the score is
# (−4, 3) · (1, 2) = 2. At 6 and 5, q has turned by 540°, to (−3, −4), and k by 450°, to (−2, 1): 6 − 4 = 2 again.
#
# One pair is back after one turn. So the D features of a head make D/2 pairs, and pair i turns by 10000^(−2i/D) rad per
# token: the first like a second hand, the last like an hour hand. Values are not turned. The naive version multiplies
# by a matrix for each position, 2 × 2 rotations and zeros:


# %%
def rope_v1(x, cos, sin):
    """x (B, T, H, D): each vector times the matrix of its position; feature i goes with feature i + D/2."""
    matrices = [np.block([[np.diag(c), -np.diag(s)], [np.diag(s), np.diag(c)]]) for c, s in zip(cos, sin, strict=True)]
    return tg.stack([x[:, t] @ tg.tensor(R.T.astype("float64")) for t, R in enumerate(matrices)], dim=1)


rotary, (B, T, H, D) = nn.RotaryEmbedding(head_dim=8, max_seq_len=1024), (2, 4, 1, 8)
cos, sin = rotary.cos[:T], rotary.sin[:T]
assert_same(lambda: rope_v1(x.reshape(B, T, H, D), cos, sin), lambda: rotary(x.reshape(B, T, H, D)), x)

# %% [markdown]
# The kernel turns pair by pair: 2D products instead of D². Its backward pass is the same loop with −sin.
#
# **Step into it.** `tinygrad-llm debug 16` stops at the marked line. `s` enters `rotary_embedding`; `n` until
# `RotaryEmbedding.forward` is next, `s`; `n` until `return rotated(…)`, `s`; `n` until `rotate(…)`, `s`: the kernel.
# `n` until `out[n, h, 0, i] = …` is next: `p a, b, cos[t, i], sin[t, i]` shows 3, 4, −1, 0, that is half a turn; two
# `n` later `p out` shows (−3, −4). `q` leaves.

# %%
q, k = tg.tensor([[[3.0, 4.0]]]), tg.tensor([[[1.0, 2.0]]])  # (T, H, D) = (1, 1, 2)
turns = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], np.float32).reshape(4, 2, 1, 1)  # cos and sin of 0°, 90°, …
for m, n in ((6, 5), (1, 0)):
    q_m = F.rotary_embedding(q, *turns[m % 4])  # stop here
    k_n = F.rotary_embedding(k, *turns[n % 4])
    print(f"q at {m}: {q_m.data.ravel().tolist()}, k at {n}: {k_n.data.ravel().tolist()}")
    assert (q_m * k_n).sum().item() == 2
q, k = (tg.tensor(np.tile(rng.standard_normal(8), (1, 48, 1, 1))) for _ in range(2))  # each the same, 48 times
near, far = (rotary(q, start).data[0, :, 0] @ rotary(k, start).data[0, :, 0].T for start in (0, 900))  # (T, T)
assert np.allclose(near, far, atol=1e-5)
assert max(np.ptp(np.diagonal(near, distance)) for distance in range(-47, 48)) < 1e-5 < 1 < np.ptp(near)
figure, (left, right) = plots.new_figure(10.5, 4.6, n_axes=2)
for i, radius, colour, line in ((0, 1, plots.BLUE, "-"), (1, -1.35, plots.ORANGE, "--")):
    for t, (a, b) in enumerate(radius * np.stack([rotary.cos[:6, i], rotary.sin[:6, i]], axis=1)):
        left.plot([0, a], [0, b], line, color=colour)
        left.text(1.1 * a, 1.1 * b, str(t), ha="center", va="center", color=colour)
left.set(title="Positions 0 to 5: pair 0 (line), pair 1 (dashes)", xlabel="feature i", ylabel="feature i + D/2")
left.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
image = right.imshow(near, cmap="cividis")
right.set(title="Score of one q and one k, by position", xlabel="position of k", ylabel="position of q")
figure.colorbar(image, ax=right, shrink=0.8)
save_figure("16_rotation", figure)

# %% [markdown]
# The stripes are the proof to look at: along a diagonal m − n stays, and so does the score.
#
# **Two layouts.** Which features make a pair is a matter of taste. The paper and Meta's files take neighbours, (0, 1),
# (2, 3), …: *interleaved*. Hugging Face's Llama files and this library take *halves*: (0, D/2), (1, D/2 + 1), …. Mix
# them up, and every shape fits, nothing raises; even a test with one token passes, since a q and a k at the same
# position are turned alike. To convert weights, reorder the rows of the query and key matrices within each head.

# %%
C, T, cos, sin = 12, 6, rotary.cos[:6], rotary.sin[:6]
tokens, Wq, Wk = (rng.standard_normal(shape) for shape in ((T, C), (8, C), (8, C)))  # one head, interleaved
zq, zk = (tokens @ (W[0::2] + 1j * W[1::2]).T * (cos + 1j * sin) for W in (Wq, Wk))  # each pair one complex number
true_scores = (zq @ zk.conj().T).real
for order, right in (([0, 1, 2, 3, 4, 5, 6, 7], False), ([0, 2, 4, 6, 1, 3, 5, 7], True)):
    q, k = (F.rotary_embedding(tg.tensor(tokens @ W[order].T)[:, None], cos, sin).data[:, 0] for W in (Wq, Wk))
    print(f"rows in the order {order}: scores wrong by up to {abs(q @ k.T - true_scores).max():.0e}")
    assert np.allclose(q @ k.T, true_scores) == right
    assert np.allclose(np.diag(q @ k.T), np.diag(true_scores))  # also where the layouts are mixed up

# %% [markdown]
# ## SwiGLU, and grouped queries
# GPT's feed-forward network is down(gelu(up x)); Shazeer's (2020) is down(silu(gate x) ⊙ up x), silu(z) = z sigmoid(z).
# Where silu(gate x) is near 0 a feature of `up x` is shut out, elsewhere it passes, scaled. Three matrices for two: to
# cost the same, 3 C F = 2 C · 4C, so F = 8/3 C. The reason for it is experience.
#
# Lesson 15's cache keeps a key and a value per head and token. With *grouped queries* several query heads share one
# head of keys and values: h reads h // group. The cache shrinks by that factor; the queries stay as many.


# %%
def grouped_v1(layer, x):
    (B, T, _), D, group = x.shape, layer.head_dim, layer.n_heads // layer.n_kv_heads
    q, k, v = (part(x).reshape(B, T, -1, D) for part in (layer.query, layer.key, layer.value))
    q, k, mask, mixed = layer.rotary(q), layer.rotary(k), tg.tensor(np.triu(np.full((T, T), -np.inf), 1)), []
    for h in range(layer.n_heads):
        scores = q[:, :, h] @ k[:, :, h // group].transpose(1, 2) / D**0.5  # (B, T, T)
        mixed.append(F.softmax(scores + mask, dim=-1) @ v[:, :, h // group])  # (B, T, D)
    return layer.out(tg.cat(mixed, dim=-1))  # (B, T, C)


gated = nn.GatedFeedForward(8, 21, nn.SiLU(), bias=False, rng=rng).to("float64")
gate, up, down = gated.gate.weight, gated.up.weight, gated.down.weight
assert_same(lambda: (F.silu(x @ gate.T) * (x @ up.T)) @ down.T, lambda: gated(x), x, gate, up, down)
grouped = nn.GroupedQueryAttention(8, n_heads=4, n_kv_heads=2, rotary=nn.RotaryEmbedding(2, 16), rng=rng).to("float64")
assert_same(lambda: grouped_v1(grouped, x), lambda: grouped(x), x, *grouped.parameters())
assert nn.GatedFeedForward(96, 256, nn.SiLU(), bias=False).num_parameters() == 2 * 96 * (4 * 96)
for n_kv_heads in (9, 3, 1):  # SmolLM2-135M: 30 layers, D = 64, 9 heads of queries, 3 of keys and values
    cache_bytes = sum(2 * layer.keys.nbytes for layer in nn.KVCache(30, 1, n_kv_heads, 256, 64).layers)
    print(f"KV heads: {n_kv_heads}, bytes of cache per token: {cache_bytes // 256:,}")
    assert cache_bytes == 2 * 30 * 256 * n_kv_heads * 64 * 4  # keys and values, layers, tokens, heads, D, float32

# %% [markdown]
# ## The same budget
# A GPT and a Llama of equal size (d_ff makes up for what Llama saves) read the same characters of lesson 09's text,
# with a rate and an initial spread that suit both. The rate stays constant, so that each point of a curve is the end
# of a budget. And GPT with one change at a time, for a third of the steps.

# %%
print("reading, then training for half a minute or more …")
split = data.split_documents(data.clean(data.embedded_corpus("prose"))[0], fraction=0.1, seed=0)
texts = [data.join_documents(documents) for documents in (split.train, split.validation)]
tokenizer = CharTokenizer.train(texts)
train_ids, held_out = (tokenizer.encode_to_numpy(text).astype(np.int64) for text in texts)
V, T, C, L, H = tokenizer.vocab_size, 64, 64, 2, 4


def new_gpt(seed, change=""):
    rng = np.random.default_rng(seed)
    model = GPT(GPTConfig(V, T, L, H, C, dropout=0.0, bias=change != "no biases"), rng)
    for block in model.blocks:
        if change == "RMSNorm":
            block.norm1, block.norm2 = nn.RMSNorm(C, 1e-5), nn.RMSNorm(C, 1e-5)
        elif change == "SwiGLU":
            block.feed_forward = nn.GatedFeedForward(C, 8 * C // 3, nn.SiLU(), rng=rng)
        elif change == "2 key heads of 4":  # this attention has no biases
            block.attention = nn.GroupedQueryAttention(C, H, H // 2, lambda x, start: x, rng)
        elif change == "RoPE":
            block.attention = nn.GroupedQueryAttention(C, H, H, nn.RotaryEmbedding(C // H, T), rng)
            model.position_embedding = lambda positions: 0.0
    initialise(model, 0.1, L, rng)
    return model


def learn(model, n_steps, seed):
    """The held-out loss after each 100 steps."""
    optimizer = optim.AdamW(optim.decay_matrices(model.parameters(), 0.1), lr=4e-3, betas=(0.9, 0.99))
    batches, rate, curve = data.RandomBatches(train_ids, 8, T, seed), (lambda step: min(1, (step + 1) / 30)), []
    for info in train_steps(model, batches, language_modelling, optimizer, rate, n_steps=n_steps, clip=1.0):
        if info.step % 100 == 0:
            curve.append(mean_loss(model, data.sequential_batches(held_out[:8193], 32, T)))
    return curve


size = new_gpt(0).num_parameters()
d_ff = round(((size - V * C - C) / L - 2 * C - 3 * C * C) / (3 * C))  # a block: norms 2C, q and out 2C², k and v C²
config = LlamaConfig(V, T, L, H, H // 2, C, d_ff, rope_theta=10_000.0, init_std=0.1)
counted = V * C + C + L * (2 * C + 3 * C * C + 3 * C * d_ff)
assert 0.99 * size < counted == Llama(config).num_parameters() < 1.01 * size
gpt_curves, llama_curves, changes = [], [], {}
for seed in (0, 1):
    llama = Llama(config, np.random.default_rng(seed))
    gpt_curves.append(learn(new_gpt(seed), 600, seed))
    llama_curves.append(learn(llama, 600, seed))
    print(f"seed {seed}: GPT {gpt_curves[-1][-1]:.3f}, Llama {llama_curves[-1][-1]:.3f} after 600 steps", flush=True)
for change in ("no biases", "RMSNorm", "SwiGLU", "2 key heads of 4", "RoPE"):
    changes[change] = learn(new_gpt(0, change), 200, seed=0)[-1] - gpt_curves[0][1]
    print(f"GPT with {change}: {changes[change]:+.3f} after 200 steps", flush=True)
gaps = np.subtract(gpt_curves, llama_curves)  # (seeds, evaluations)
assert (gaps[:, 1:] > 0).all()
assert (gaps[:, 5] < gaps[:, 2]).all()
assert changes["RoPE"] < -3 * max(abs(effect) for change, effect in changes.items() if change != "RoPE")

# %% [markdown]
# Llama leads with both seeds, and most of the lead is RoPE. Each other change moves the loss by less than a third of
# what RoPE does. A likely reason: "the one before me" is one rotation for a head to find, but 63 pairs of places for
# GPT. From step 300 on the lead shrinks: do not expect as much of a model that has read a trillion tokens.
#
# ## Beyond the trained length
# GPT's table ends at `max_seq_len`. Llama's angles go on, but its slow pairs have only seen a part of a turn.
# `LinearScaling` slows all pairs, so that 256 positions have the angles of 64: neighbours become alike, and one has to
# train on with it. `Llama3Scaling` slows the slow pairs only. Our Llama on 256 tokens, without more training:

# %%
windows, by_position = held_out[: 96 * 257].reshape(96, 257), {}
for scaling in (None, nn.LinearScaling(4.0), nn.Llama3Scaling(4.0, 1.0, 4.0, T)):
    longer = Llama(replace(config, max_seq_len=4 * T, rope_scaling=scaling))
    longer.load_state_dict(llama.state_dict())
    with tg.no_grad():
        log_p = F.log_softmax(longer(windows[:, :-1]), dim=-1).data  # (96, 256, V)
    losses = -np.take_along_axis(log_p, windows[:, 1:, None], axis=-1)
    by_position[type(scaling).__name__] = losses.reshape(96, 16, 16).mean(axis=(0, 2))  # for each 16 positions
ends = np.array([(losses[:4].mean(), losses[8:].mean()) for losses in by_position.values()], float)
print(f"loss at 0 to 63, and at 128 to 255, with {', '.join(by_position)}: {ends.round(2).tolist()}")
assert max(ends[0, 0], ends[2, 1]) + 0.1 < min(ends[1, 0], ends[0, 1])
figure, (left, middle, right) = plots.new_figure(15, 4.2, n_axes=3)
for name, curves, colour, line in (("GPT", gpt_curves, plots.ORANGE, "--"), ("Llama", llama_curves, plots.BLUE, "-")):
    left.plot(range(100, 601, 100), np.transpose(curves), line, color=colour, label=[name, None])
left.set(xlabel="step", ylabel="held-out loss (nats per character)", title="Equal size and text, two seeds each")
middle.barh(list(changes), changes.values(), color=plots.SKY)
middle.set(xlabel="change of the held-out loss (nats)", title="GPT with one change, after 200 steps")
middle.locator_params(axis="x", nbins=5)
for name, colour, line in zip(by_position, (plots.BLUE, plots.ORANGE, plots.GREEN), ("-", "--", ":"), strict=True):
    right.plot(range(8, 256, 16), by_position[name], line, color=colour, label=name.replace("NoneType", "none"))
right.set(xlabel="position", ylabel="loss (nats per character)", title=f"Llama, trained on {T} positions")
left.legend(frameon=False)
right.legend(frameon=False, title="scaling")
save_figure("16_gpt_vs_llama", figure)

# %% [markdown]
# ## Keep
# 1. RMSNorm: x / √(mean x²), dx = r (g − x̂ · mean(g x̂)). SwiGLU: silu(gate x) ⊙ up x, with d_ff = 8/3 C.
# 2. RoPE: turn pairs of q and k by position · θ_i, and scores know distances. The layout of the pairs is a convention.
# 3. Grouped queries: the cache has 2 · layers · KV heads · D numbers per token.
#
# - **What it costs.** RoPE takes 2D products for each vector of q and k, and two tables of T · D/2 numbers.
# - **Where the real world differs.** Llama 3 8B has 8 heads of keys for 32 of queries, and 500,000 in place of 10,000.
# - **Further reading.** Su et al., "RoFormer" (2021). Zhang and Sennrich, "Root mean square layer normalization"
#   (2019). Shazeer, "GLU variants improve Transformer" (2020). Ainslie et al., "GQA" (2023).

# %%
early, late = gaps.mean(axis=0)[[1, 5]]
print(f"Llama leads by {early:.2f} nats after 200 steps, RoPE alone by {-changes['RoPE']:.2f}; {late:.2f} after 600.")
