# %% [markdown]
# # 12 The Transformer block
#
# Attention lets a token look back, and lesson 11 made it cheap. Can we now stack 24 of it, as we stacked layers of
# neurons? At the end you have the block that GPTs are made of, five ways to wire it with the gradient measured at each
# layer, and a training run where only one of them learns.

# %%
import math

import numba
import numpy as np

import tinygrad_llm as tg
from tinygrad_llm import data, nn, optim, plots, tensor
from tinygrad_llm import functional as F
from tinygrad_llm.school import save_figure

ADDS = [
    "tinygrad_llm/ops/layer_norm.py", "tinygrad_llm/ops/gelu.py", "tinygrad_llm/ops/dropout.py",
    "tinygrad_llm/nn/norm.py", "tinygrad_llm/nn/dropout.py", "tinygrad_llm/nn/attention.py",
    "tinygrad_llm/nn/feed_forward.py", "tinygrad_llm/nn/block.py",
]  # fmt: skip
numba.set_num_threads(1)  # in a lesson this small, two threads would mostly wait for each other
rng = np.random.default_rng(0)
WIDE = math.sqrt(3)  # Linear starts with weights of std 1/√(3C); times this it is 1/√C

# %% [markdown]
# ## Several heads
# The weights of one head sum to 1. A verb that looks at its subject with 0.5 and at its object with 0.5 gets the mean
# of both, and cannot tell which was which. So cut the C features of q, k and v into H *heads* of D = C/H features, let
# each attend by itself, and put the results side by side: (B, T, H · D) = (B, T, C). The products cost the same. A last
# matrix, `out`, mixes the heads. On paper, with D = 2, the vector (1, 2, 3, 4) of a token becomes (1, 2) for head 0 and
# (3, 4) for head 1. `_v1` loops over heads; the library's kernel reads them where they lie in the array (B, T, 3C).


# %%
def multi_head_v1(x, attention):
    _, T, C = x.shape
    q, k, v = attention.qkv(x).chunk(3, dim=-1)  # (B, T, 3C), then three times (B, T, C)
    D, heads = C // attention.n_heads, []
    for h in range(attention.n_heads):
        q_h, k_h, v_h = (each[:, :, h * D : (h + 1) * D] for each in (q, k, v))  # (B, T, D)
        scores = q_h @ k_h.transpose(1, 2) / math.sqrt(D) + tensor(np.triu(np.full((T, T), -np.inf), 1))  # (B, T, T)
        heads.append(F.softmax(scores, dim=-1) @ v_h)  # (B, T, D)
    return attention.out(tg.cat(heads, dim=-1))  # (B, T, C)


def assert_same(out, out_v1, inputs, dout):
    assert np.allclose(out.data, out_v1.data)
    (out - out_v1).backward(dout)  # the gradients by the two ways cancel
    assert all(np.allclose(each.grad.data, 0, atol=1e-12) for each in inputs)


B, T, C = 2, 4, 8
x, dout = tensor(rng.standard_normal((B, T, C)), requires_grad=True), rng.standard_normal((B, T, C))
attention = nn.CausalSelfAttention(C, n_heads=2, rng=rng).to("float64")
assert_same(attention(x), multi_head_v1(x, attention), [x, *attention.parameters()], dout)

token = np.arange(1, 9).reshape(1, 2, 4)  # B = 1, T = 2: the tokens (1, 2, 3, 4) and (5, 6, 7, 8)
right, wrong = token.reshape(1, 2, 2, 2).transpose(0, 2, 1, 3), token.reshape(1, 2, 2, 2)  # (B, H, T, D)
assert (right[0, 0].tolist(), wrong[0, 0].tolist()) == ([[1, 2], [5, 6]], [[1, 2], [3, 4]])

# %% [markdown]
# The last lines show the commonest error. (B, T, C) reshaped to (B, T, H, D) keeps the order in memory. Directly to
# (B, H, T, D) has the right shape too, but head 0 gets both halves of the first token.
#
# ## A stack of them
# For given weights, attention is linear in v. Between two of them goes something that is not, on each token by itself:
# a *feed-forward* network, C → 4C → C, with a soft kink between (GELU, below). Attention has 4C² weights, this has 8C².
# We stack 24 pairs, with weights of std 1/√C to keep the size of a signal in a linear layer (lesson 06), send a random
# gradient in at the top, and measure its norm at the parameters of each block.


# %%
def make_blocks(wiring, n_layers, d_model, rng, scale=WIDE):
    blocks, no_dropout = nn.Sequential(), nn.Dropout(0.0)  # Sequential() is the identity while it has no parts
    for _ in range(n_layers):
        attention = nn.CausalSelfAttention(d_model, n_heads=4, rng=rng)
        feed_forward = nn.FeedForward(d_model, 4 * d_model, nn.GELU(), rng=rng)
        norm1, norm2 = (nn.LayerNorm(d_model) if "norm" in wiring else nn.Sequential() for _ in range(2))
        if wiring in ("plain", "norms only"):
            blocks.append(nn.Sequential(norm1, attention, norm2, feed_forward))
        elif wiring == "post-norm":
            blocks.append(nn.PostNormBlock(attention, norm1, feed_forward, norm2, no_dropout))
        else:  # "pre-norm"; the same without norms has "residuals only"
            blocks.append(nn.PreNormBlock(norm1, attention, norm2, feed_forward, no_dropout))
    for name, parameter in blocks.named_parameters():
        if parameter.ndim == 2:
            parameter.data *= scale
        if wiring == "pre-norm, scaled" and name.endswith(("attention.out.weight", "feed_forward.down.weight")):
            parameter.data /= math.sqrt(2 * n_layers)
    return blocks


def profile_of(wiring):
    """Per block: the norm of its gradient, the share of its result that differs by position, the result's variance."""
    rng = np.random.default_rng(1)
    blocks = make_blocks(wiring, 24, 64, rng).to("float64")
    x, dout = rng.standard_normal((2, 4, 32, 64))  # B = 4, T = 32, C = 64
    x, spread, variance = tensor(x), [], []
    for block in blocks:
        x = block(x)
        variance.append(np.mean(x.data**2))
        spread.append(np.sqrt(np.mean((x.data - x.data.mean(axis=1, keepdims=True)) ** 2) / variance[-1]))
    x.backward(dout)
    return [math.sqrt(sum((p.grad.data**2).sum() for p in block.parameters())) for block in blocks], spread, variance


profiles = {"plain": profile_of("plain")}
gradient, spread, _ = profiles["plain"]
print(f"plain: gradient {gradient[0]:.0e} at block 1, {gradient[-1]:.0e} at block 24; spread {spread[-1]:.0e}")
assert spread[-1] < 1e-9 < gradient[0] / gradient[-1] < 1e-4

# %% [markdown]
# The first block hears almost nothing. And something else is lost: each attention takes a mean of what it sees, the
# means of means become equal, and at the top all positions hold the same vector (spread is the share that differs).
#
# ## Residuals
# Let each part *add* to x, in place of replacing it (He et al. 2016):
#
#     x ← x + f(x)         dx = dout + f'(x)ᵀ dout
#
# The gradient passes on as it is, plus what f adds, and so does the position's own vector. But parts as large as x
# itself double the variance each time, and 48 of them explode.
#
# ## LayerNorm, by hand
# So give each part an input of one size, whatever x has become. For each token's vector, over its C features:
#
#     μ = mean_c x_c     r = 1 / √(mean_c (x_c − μ)² + ε)     x̂ = (x − μ) r     out = w x̂ + b
#
# Backward, with g = dout · w: x_c acts on x̂_i directly, through μ, and through r. As Σ_i (x_i − μ) = 0, the variance
# has the slope 2 (x_c − μ)/C, so ∂r/∂x_c = −½ r³ · 2 (x_c − μ)/C = −r² x̂_c/C, and
#
#     ∂x̂_i/∂x_c = r [i = c] − r/C − r x̂_i x̂_c / C
#     dx_c = Σ_i g_i ∂x̂_i/∂x_c = r (g_c − mean_i g_i − x̂_c · mean_i (g_i x̂_i))        dw = Σ dout x̂     db = Σ dout
#
# On paper: x = (1, 1, 5, 5) has μ = 3, variance 4, r = ½, x̂ = (−1, −1, 1, 1). With g = (4, 0, 0, 0), mean g = 1 and
# mean (g x̂) = −1, so dx = ½ (4 − 1 − 1, −1 − 1, −1 + 1, −1 + 1) = (1, −1, 0, 0). Both means subtracted say the same
# thing: to shift or stretch x changes nothing, so dx has no part along (1, 1, 1, 1) and none along x̂.


# %%
def layer_norm_v1(x, weight, bias, eps=1e-5):
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + eps).sqrt() * weight + bias


paper = tensor([[1.0, 1.0, 5.0, 5.0]], requires_grad=True)
out = F.layer_norm(paper, 4, eps=0.0)
out.backward(np.array([[4, 0, 0, 0]], np.float32))
assert np.allclose([out.data[0], paper.grad.data[0]], [[-1, -1, 1, 1], [1, -1, 0, 0]])
weight, bias = (tensor(rng.standard_normal(C), requires_grad=True) for _ in range(2))
assert_same(F.layer_norm(x, C, weight, bias), layer_norm_v1(x, weight, bias), [x, weight, bias], dout)

# %% [markdown]
# ## GELU and dropout
# ReLU passes x or 0; where it is off it passes no gradient either. GELU(x) = x Φ(x) multiplies x by the chance that a
# normal variable is below it: smooth, and with a slope on both sides of 0. GELU(1) = 0.8413. Φ needs erf, the library's
# default; GPT-2, and so lesson 13, takes a formula with tanh, `approximate="tanh"`, which differs by less than 0.0005.
#
# *Dropout* sets each number to 0 with probability p, so that no feature may rely on another, and divides the others by
# 1 − p. The expectation stays: p · 0 + (1 − p) · x / (1 − p) = x. After `eval()` it is the identity.

# %%
assert math.isclose(F.gelu(tensor(1.0)).item(), 0.8413, abs_tol=1e-4)
at = tensor(np.linspace(-6, 6, 1201))
assert 0.0004 < abs(F.gelu(at, approximate="tanh").data - F.gelu(at).data).max() < 0.0005
dropout, ones = nn.Dropout(0.25, np.random.default_rng(0)), tg.ones(100_000)
assert abs(dropout(ones).mean().item() - 1) < 0.01
assert dropout.eval()(ones) is ones

# %% [markdown]
# ## The block
# The two orders, as `nn/block.py` has them, for a part f = attention, then f = feed-forward:
#
#     PostNormBlock   x ← norm(x + f(x))       the Transformer of 2017, BERT
#     PreNormBlock    x ← x + f(norm(x))       GPT-2, Llama
#
# In the first the sum is normalised each time: with f(x) as large as x that divides x by √2, at each of 48 parts. In
# the second the sum runs through untouched, from the first block to the last. It is called the *residual stream*: the
# parts read it through a norm, and write by adding.
#
# **Step into it.** `tinygrad-llm debug 12` stops before a block. Type `tbreak tg.ops.layer_norm.layer_norm_row`, `c`:
# you are in the kernel, and `w` shows the way. `ll` has line numbers; go to that of `r = ...` with `until`. There
# `p mu, squares` are 3 and 16, as on paper; after one more `n`, `p r` is 0.5 but for ε. Leave with `q`.

# %%
block = make_blocks("pre-norm", 1, 4, np.random.default_rng(0)).to("float64")[0]
row = tensor(np.array([[[1.0, 1.0, 5.0, 5.0]]]))
result = block(row)  # stop here
by_hand = row + multi_head_v1(layer_norm_v1(row, block.norm1.weight, block.norm1.bias), block.attention)
by_hand = by_hand + block.feed_forward(layer_norm_v1(by_hand, block.norm2.weight, block.norm2.bias))
assert np.allclose(result.data, by_hand.data)

# %% [markdown]
# ## Five wirings, measured
# The gradient of the plain stack vanishes, with residuals alone it explodes. With norms alone it is fine, and useless:
# the positions are all alike again. Post-norm keeps a gradient and a few per cent of the differences, pre-norm half.
#
# Its stream has a price: each part adds a vector of about one variance s², nearly independent at the start, so after n
# blocks the variance is 1 + 2 n s²: linear in depth. GPT-2 multiplies the weights that write, `attention.out` and
# `feed_forward.down`, by 1/√(2 n_layers) at the start. All parts together then add about s², whatever the depth. In the
# figure it is "scaled", and lesson 13 does so.

# %%
for wiring in ("residuals only", "norms only", "post-norm", "pre-norm", "pre-norm, scaled"):
    profiles[wiring] = profile_of(wiring)
looks = {
    "plain": (plots.ORANGE, ":"), "residuals only": (plots.SKY, "-."), "norms only": (plots.GREEN, "--"),
    "post-norm": (plots.PURPLE, (0, (9, 1))), "pre-norm": (plots.BLUE, "-"), "pre-norm, scaled": ("black", ":"),
}  # fmt: skip
figure, axes = plots.new_figure(13, 4, n_axes=3)
for name, (gradient, spread, variance) in profiles.items():
    print(f"{name:16} gradient {gradient[0]:.0e} to {gradient[-1]:.0e}, spread {spread[-1]:.0e}")
    for axis, values in zip(axes, (gradient, spread, variance), strict=True):
        if axis is not axes[2] or name.startswith("pre"):
            axis.plot(range(1, 25), values, color=looks[name][0], linestyle=looks[name][1], label=name)
for axis, title in zip(axes, ("Gradient norm", "Share that differs by position", "Variance of stream"), strict=True):
    axis.set(title=title, xlabel="block", yscale="linear" if axis is axes[2] else "log")
axes[1].legend(frameon=False, fontsize=8)  # for all three
save_figure("12_depth", figure)
gradients, spreads, variances = ({name: each[i] for name, each in profiles.items()} for i in range(3))
assert gradients["residuals only"][0] > 1e6 * gradients["pre-norm"][0]
assert all(max(gradients[name]) < 10 * min(gradients[name]) for name in profiles if "norm" in name)
assert spreads["norms only"][-1] < 1e-3 < spreads["post-norm"][-1] < 0.1 < 0.3 < spreads["pre-norm"][-1]
assert 1.7 < (variances["pre-norm"][23] - 1) / (variances["pre-norm"][11] - 1) < 2.3
assert variances["pre-norm, scaled"][-1] < 3

# %% [markdown]
# ## Which of them learns?
# Twelve blocks on the bytes of real text, 100 steps of AdamW. Each byte has a vector, and so has each position (lesson
# 13 says why). A model that does not know what it has read cannot beat the entropy of the bytes' frequencies.

# %%
print("reading text …")
text = data.join_documents(data.clean(data.embedded_corpus("prose")[:400])[0])
ids, V, T, C = np.frombuffer(text.encode(), np.uint8).astype(np.int64), 256, 32, 32
entropy = -sum(q * math.log(q) for q in np.unique(ids, return_counts=True)[1] / len(ids))


def train(wiring, seed, warmup_steps=0, scale=WIDE):
    rng, losses = np.random.default_rng(seed), []
    embedding, positions = nn.Embedding(V, C, rng=rng), nn.Embedding(T, C, rng=rng)
    norm = nn.LayerNorm(C) if "norm" in wiring else nn.Sequential()
    stack = nn.Sequential(make_blocks(wiring, 12, C, rng, scale), norm, nn.Linear(C, V, rng=rng))
    model = nn.Sequential(embedding, positions, stack)
    optimizer = optim.AdamW(model.parameters(), lr=0.003)
    for step in range(100):
        batch = ids[rng.integers(0, len(ids) - T, 16)[:, None] + np.arange(T + 1)]  # (B, T + 1)
        x = embedding(batch[:, :-1]) + positions(np.arange(T))  # (B, T, C)
        loss = F.cross_entropy(stack(x).reshape(-1, V), batch[:, 1:].reshape(-1))
        losses.append(loss.item())
        if losses[-1] > 50:
            break  # hopeless: a uniform guess costs ln 256, less than 6
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(min(1, (step + 1) / (warmup_steps + 1)))
    print(f"{wiring:14} seed {seed} warm-up {warmup_steps:2} scale {scale:.2f}: loss {np.mean(losses[-20:]):7.2f}")
    return np.array(losses)


figure, axis = plots.new_figure(8, 4)
final = {}
for name in list(profiles)[:5]:
    runs = [train(name, seed) for seed in (0, 1)]
    final[name] = [losses[-20:].mean() for losses in runs]
    for losses, label in zip(runs, (name, None), strict=True):
        axis.plot(plots.running_mean(losses, 5), color=looks[name][0], linestyle=looks[name][1], label=label)
axis.axhline(entropy, color="0.5", linewidth=0.8, label="entropy of frequencies")
axis.set(title="Twelve blocks, two seeds each", xlabel="step", ylabel="loss (nats)", ylim=(2.6, 4.5))
axis.legend(frameon=False)
save_figure("12_training", figure)
small = {name: train(name, 0, scale=1.0)[-20:].mean() for name in ("residuals only", "post-norm", "pre-norm")}
warmed_up = train("post-norm", 0, warmup_steps=40)[-20:].mean()
assert max(final["pre-norm"]) < entropy - 0.2 < 50 < min(final["residuals only"])
assert np.allclose([*final["plain"], *final["norms only"], *final["post-norm"], warmed_up], entropy, rtol=0, atol=0.15)
assert max(small.values()) < final["post-norm"][0] - 0.05

# %% [markdown]
# Only pre-norm gets below the entropy. Plain, norms only and post-norm stop near it: they learn frequencies, nothing
# from what they read. Residuals alone have a loss above 50, outside of the figure. A warm-up of 40 steps does not wake
# post-norm within these 100. Smaller weights do: from the start of `Linear` (`scale` 1.0) it learns, as do residuals
# alone, since their parts are small beside x. Pre-norm learns from either. (The last four runs are of one seed each.)
#
# ## Keep
# 1. H heads of C/H features look at H things for the price of one: reshape to (B, T, H, D), then transpose.
# 2. Residuals keep gradients and positions, norms keep sizes. x + f(norm(x)) has both.
# 3. LayerNorm's dx = r (g − mean g − x̂ · mean(g x̂)). The stream's variance grows with depth: scale what writes.
#
# - **What it costs.** 12C² weights a block. LayerNorm keeps μ and r per row for backward, and computes x̂ again.
# - **Where the real world differs.** BERT is post-norm, with small weights and 10,000 steps of warm-up.
# - **Further reading.** Vaswani et al. 2017; He et al. 2016 (residuals); Ba et al. 2016 (LayerNorm); Xiong et al. 2020
#   (pre- and post-norm); Dong et al. 2021 (positions become alike); Hendrycks and Gimpel 2016; Srivastava et al. 2014.

# %%
print(f"24 plain blocks weaken a gradient {gradients['plain'][-1] / gradients['plain'][0]:.0e} times. After 100 steps:")
print({name: [round(float(loss), 2) for loss in losses] for name, losses in final.items()}, f"entropy {entropy:.2f}")
