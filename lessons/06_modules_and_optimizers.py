# %% [markdown]
# # 06 Modules and optimizers
#
# How do we keep thousands of parameters in order, and which way do we move them? Lesson 05 ended with a loss and its
# gradient; here a small network learns three spirals that no straight line separates, by optimizers that you write.

# %%
import math
from functools import partial

import numpy as np

import tinygrad_llm.functional as F
from tinygrad_llm import no_grad, plots, tensor
from tinygrad_llm.nn import Linear, Module, Parameter, ReLU, Sequential
from tinygrad_llm.optim import SGD, Adam, AdamW, Combined, Muon, clip_grad_norm_, cosine, wsd
from tinygrad_llm.optim.muon import orthogonalise
from tinygrad_llm.school import save_figure

ADDS = [
    "tinygrad_llm/ops/activations.py", "tinygrad_llm/ops/linear.py", "tinygrad_llm/nn/module.py",
    "tinygrad_llm/nn/init.py", "tinygrad_llm/nn/linear.py", "tinygrad_llm/nn/activation.py",
    "tinygrad_llm/nn/container.py", "tinygrad_llm/optim/optimizer.py", "tinygrad_llm/optim/sgd.py",
    "tinygrad_llm/optim/adamw.py", "tinygrad_llm/optim/muon.py", "tinygrad_llm/optim/combined.py",
    "tinygrad_llm/optim/clip.py", "tinygrad_llm/optim/schedule.py",
]  # fmt: skip

# %% [markdown]
# ## A module is an object whose attributes are walked
#
# A `Parameter` is a Tensor that wants to be trained; a `Module` is a plain object that holds parameters and other
# modules. To find them all, look through `vars(module)`, the dict of its attributes, and go down into the children.
# `Linear(2, 64)` computes `y = x Wᵀ + b` with a weight (64, 2) and a bias (64,): 2·64 + 64 = 192 numbers. The network
# below has 192 + 4,160 + 195 = 4,547. What does the short walk lack? Language models use one matrix twice, to read
# tokens and to predict them: `_v1` lists it twice, so an optimizer would move it twice. The library lists it once.


# %%
def named_parameters_v1(module, prefix=""):
    for name, value in vars(module).items():
        if isinstance(value, Parameter):
            yield prefix + name, value
        elif isinstance(value, Module):
            yield from named_parameters_v1(value, prefix + name + ".")


class Network(Module):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.hidden = Sequential(Linear(2, 64, rng=rng), ReLU(), Linear(64, 64, rng=rng), ReLU())
        self.out = Linear(64, 3, rng=rng)

    def forward(self, x):  # (B, 2)
        return self.out(self.hidden(x))  # (B, 64), then (B, 3)


network = Network()
print(network, [(name, p.shape) for name, p in network.named_parameters()], sep="\n")
assert list(named_parameters_v1(network)) == list(network.named_parameters())
assert network.num_parameters() == 192 + (64 * 64 + 64) + (64 * 3 + 3) == 4547
network.again = network.out.weight
assert (len(list(named_parameters_v1(network))), len(list(network.parameters()))) == (7, 6)

x, layer = tensor(np.random.default_rng(1).standard_normal((5, 2))), Linear(2, 64).to("float64")
y, y_v1 = layer(x), x @ layer.weight.transpose(0, 1) + layer.bias  # one op; three ops of the lessons before
assert np.allclose(y.data, y_v1.data)
(y - y_v1).sum().backward()  # the gradients by the two ways cancel
assert all(np.allclose(p.grad.data, 0) for p in layer.parameters())

# %% [markdown]
# ## Where to start
#
# From all zeros nothing moves: units that are 0 pass no gradient on. All equal is no better: equal units get equal
# gradients and stay equal. So we draw at random, but how large? A unit sums C products, `y = Σ_c w_c x_c`. With
# independent w of mean 0, (mean of y²) = C · (mean of w²) · (mean of x²), and ReLU drops half of it. The signal keeps
# its size for std(w) = √(2 / C) (He et al. 2015). With half of that each layer halves the signal, with twice of it
# doubles it: a factor of 2^20, about a million, after 20 layers.

# %%
sizes = []
for scale in (0.0, 0.5, 1.0, 2.0):
    rng = np.random.default_rng(0)
    x = tensor(rng.standard_normal((64, 256)))
    weights = [Parameter(scale * math.sqrt(2 / 256) * rng.standard_normal((256, 256))) for _ in range(20)]
    for weight in weights:
        x = F.relu(F.linear(x, weight))
    x.mean().backward()
    sizes.append(math.sqrt(np.mean(x.data**2)))
    print(f"std(w) = {scale} · √(2/C): size {sizes[-1]:.1e}, first gradient {weights[0].grad.data.std():.1e}")
assert np.allclose(sizes, [0, 2**-20, 1, 2**20], rtol=0.7, atol=0)

# %% [markdown]
# `Linear` draws from U(−1/√C, 1/√C), as PyTorch's does: fine for a few layers, too small for twenty (see lesson 12).
#
# ## SGD and momentum
#
# The plainest step is `p ← p − lr · g`. On L = ½ λ p² the slope is g = λ p, so a step multiplies p by (1 − lr · λ). For
# λ = 100: lr = 0.01 lands on 0 at once; 0.019 gives a factor of −0.9 and swings from side to side, ever less; 0.021
# gives −1.1, and p explodes. **The steepest direction limits the rate: lr < 2 / λ.** A flat direction, λ = 1, has to
# live with it and shrinks by a factor of 1 − 0.019 = 0.981 a step.
#
# Momentum keeps a velocity: `v ← β v + g`, `p ← p − lr · v`. A slope that keeps its sign adds up to
# g (1 + β + β² + …) = g / (1 − β), five times g for β = 0.8; one that changes its sign all the time cancels out.


# %%
def sgd_v1(p, g, state, lr, momentum=0.0):
    """The new p. What must be remembered from step to step is in the dict `state`."""
    state["v"] = momentum * state.get("v", 0.0) + g
    return p - lr * state["v"]


def assert_same_steps(step_v1, optimizer_class, **settings):
    state, p_v1, p = {}, np.ones(3), Parameter(np.ones(3))
    optimizer = optimizer_class([p], **settings)
    for g in np.random.default_rng(0).standard_normal((5, 3)):
        p.grad = tensor(g)
        optimizer.step()
        p_v1 = step_v1(p_v1, g, state, **settings)
        np.testing.assert_allclose(p.data, p_v1)


assert_same_steps(sgd_v1, SGD, lr=0.1, momentum=0.8)
factors = [sgd_v1(1.0, slope, {}, lr) for slope, lr in ((100, 0.01), (100, 0.019), (100, 0.021), (1, 0.019))]
assert np.allclose(factors, [0, -0.9, -1.1, 0.981])

# %% [markdown]
# ## Adam, and why AdamW
#
# Slopes differ by orders of magnitude between parameters, and one rate has to fit all. Adam (Kingma and Ba 2015)
# divides each parameter's step by the usual size of its own gradient (β₁ = 0.9, β₂ = 0.999):
#
#     m ← β₁ m + (1 − β₁) g        the recent mean of g
#     v ← β₂ v + (1 − β₂) g²       the recent mean of g²
#     p ← p − lr · m̂ / (√v̂ + ε)    m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)
#
# The first step, t = 1, for g = 10: m = 1 and v = 0.1, too small, since both began at 0. The divisions mend that:
# m̂ = 1 / 0.1 = 10, v̂ = 0.1 / 0.001 = 100, and the step is lr · 10 / √100 = lr. It is lr for g = 0.001, too.
#
# *Weight decay* pulls weights towards 0. Within the loss, as ½ · decay · p², it adds decay · p to g, and Adam divides
# that by √v̂ as well: weights with large gradients hardly decay, those with small ones vanish. AdamW (Loshchilov and
# Hutter 2019) shrinks p beside the gradient, all at one pace. Below, weights of 1 get pure noise of size 10, 1 and 0.01
# as gradients; 1,000 steps with lr · decay = 0.001 should leave 0.999^1000 = 0.37 of each.
#
# `tinygrad-llm debug 06` stops before a step with gradients 10 and 0.001. Type `b optimizer.update`, `c`, then `n` to
# the kernel, `s` into it and `n` through its loop: `p m_i` is 1, `p v_i` 0.1. `_v1` makes many passes, the kernel one.


# %%
def adam_v1(p, g, state, lr, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8):
    g = g + weight_decay * p
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * g
    v = state["v"] = betas[1] * state.get("v", 0.0) + (1 - betas[1]) * g**2
    return p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def adamw_v1(p, g, state, lr, weight_decay=0.01):
    return adam_v1(p - lr * weight_decay * p, g, state, lr)


assert_same_steps(adam_v1, Adam, lr=0.1, weight_decay=0.3)
assert_same_steps(adamw_v1, AdamW, lr=0.1, weight_decay=0.3)

p = Parameter([1.0, 1.0])
p.grad = tensor([10.0, 0.001])
optimizer = AdamW([p], lr=0.1, weight_decay=0.0)
optimizer.step()  # stop here
m, v = (optimizer.state[id(p)][name] for name in ("exp_avg", "exp_avg_sq"))
assert np.allclose([*p.data, m[0], v[0]], [0.9, 0.9, 1.0, 0.1], atol=1e-4)

for optimizer_class, expected in ((Adam, (0.9, 0.37, 0.0)), (AdamW, (0.37, 0.37, 0.37))):
    rng, p = np.random.default_rng(0), Parameter(np.ones((3, 300)))
    optimizer = optimizer_class([p], lr=0.01, weight_decay=0.1)
    for _ in range(1000):
        p.grad = tensor(np.array([[10.0], [1.0], [0.01]]) * rng.standard_normal((3, 300)))
        optimizer.step()
    print(f"{optimizer_class.__name__:5} leaves {p.data.mean(axis=1).round(2)} where gradients are 10, 1, 0.01")
    assert np.allclose(p.data.mean(axis=1), expected, atol=0.06)

# %% [markdown]
# ## A ravine, the same ravine turned, and Muon
#
# L = ½ (x² + 100 y²) is steep in y and flat in x. Count the steps until the loss stays below 0.01. SGD must respect y's
# limit and creeps along x; momentum gathers speed; Adam gives each coordinate its own scale. Then turn the ravine by
# 45°. SGD and momentum only add vectors and cannot tell. Adam now sees two coordinates with equal slopes, has nothing
# to even out, and falls behind SGD: **Adam looks at each number by itself.**
#
# Muon (Jordan et al. 2024) looks at a weight matrix as a whole. Its gradient is U S Vᵀ: two rotations and, between
# them, the singular values S, of which a few dwarf the rest. Muon steps along U Vᵀ, all singular values 1: no direction
# is neglected, however the ravine is turned. Decomposing is slow, so it multiplies: X ← aX + b(XXᵀ)X + c(XXᵀ)²X keeps U
# and V and turns each s into as + bs³ + cs⁵. Five rounds bring every s from 0.01 to 1 near 1, and near is enough.


# %%
def spirals(n, rng):
    """n points (n, 2) on three noisy arms, and the arm of each (n,)."""
    arms, r = rng.integers(0, 3, n), rng.uniform(0.1, 1.0, n)
    angle = 2 * np.pi * (arms / 3 + 1.2 * r) + 0.12 * rng.standard_normal(n)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1).astype(np.float32), arms


figure, axes = plots.new_figure(9.5, 4.9, 2)
grid, n_steps = np.mgrid[-4.6:1.4:200j, -3.8:2.2:200j], []
turned = math.sqrt(0.5) * np.array([[1.0, -1.0], [1.0, 1.0]])
for axis, title, turn in zip(axes, ("straight", "turned by 45°"), (np.eye(2), turned), strict=True):
    matrix = turn @ np.diag([1.0, 100.0]) @ turn.T
    axis.contour(*grid, np.einsum("i...,ij,j...", grid, matrix, grid) / 2, 4.0 ** np.arange(-2, 6), colors="0.8")
    for name, step, colour, style in (
        ("SGD", partial(sgd_v1, lr=0.019), plots.BLUE, "-"),
        ("momentum", partial(sgd_v1, lr=0.01, momentum=0.8), plots.ORANGE, "--"),
        ("Adam", partial(adam_v1, lr=0.1), plots.GREEN, "-."),
    ):
        path, state = [turn @ [-4.0, 1.0]], {}
        for _ in range(400):
            path.append(step(path[-1], matrix @ path[-1], state))
        n_steps.append(1 + max(t for t, p in enumerate(path) if p @ matrix @ p / 2 > 0.01))
        axis.plot(*np.transpose(path), style, color=colour, linewidth=1.3, label=f"{name}: {n_steps[-1]} steps")
    axis.set(title=f"{title} (grey: lines of equal loss)", xlabel="x", ylabel="y", aspect="equal")
    axis.legend(loc="lower right", fontsize=9)
save_figure("06_ravine", figure)
print("steps of SGD, momentum, Adam, straight and turned:", n_steps)
assert n_steps[:2] == n_steps[3:5]
assert n_steps[1] < n_steps[2] < n_steps[0] < n_steps[5]

points, arms = spirals(2000, np.random.default_rng(2))
F.cross_entropy(network(tensor(points)), tensor(arms)).backward()
g = network.hidden[2].weight.grad.data.astype(np.float64)
u, s, vt = np.linalg.svd(g / np.linalg.norm(g))
after = u.T @ orthogonalise(g) @ vt.T
print("singular values of a gradient:", s[:6].round(3), "after five rounds:", np.diag(after)[:6].round(2))
assert s[0] > 10 * s[5]
assert np.all(abs(np.diag(after)[s > 0.01] - 1) < 0.4)
assert np.allclose(after, np.diag(np.diag(after)), atol=1e-6)  # U and V are as they were

# %% [markdown]
# ## Three spirals, with clipping and a schedule
#
# One strange batch can have a huge gradient. `clip_grad_norm_` takes all gradients as one long vector and shortens it
# to a limit, direction kept. Ordinary batches are noisy, too, so that p ends up around the minimum, the closer the
# smaller the steps. A *schedule* therefore maps the step to a factor on lr: a short warm-up while Adam's means are
# young, then a fall as half a cosine, or (WSD: warm-up, stable, decay) late, so that one may decide late when to stop.
#
# Now 300 batches of 128 points, four optimizers from the same start, each at the best of a few rates tried. Muon gets
# the middle matrix, AdamW the rest. A single `Linear` can only draw straight lines and shows what ReLU is worth.

# %%
schedule = partial(cosine, n_steps=300, warmup_steps=20)
another = partial(wsd, n_steps=300, warmup_steps=20, decay_steps=60)
figure, axis = plots.new_figure(6.5, 3.3)
axis.plot([schedule(step) for step in range(300)], "-", color=plots.BLUE, label="cosine")
axis.plot([another(step) for step in range(300)], "--", color=plots.ORANGE, label="WSD")
axis.set(title="two schedules", xlabel="step", ylabel="factor on the learning rate", ylim=(0, 1.05))
axis.legend(loc="lower center")
save_figure("06_schedules", figure)

grid, accuracy, regions = np.mgrid[-1.2:1.2:250j, -1.2:1.2:250j].astype(np.float32), {}, {}
everywhere = tensor(np.concatenate([points, grid.reshape(2, -1).T]))
figure, axes = plots.new_figure(12.5, 4.3, 3)
for name, model, make_optimizer, colour, style in (
    ("a single Linear", Linear(2, 3, rng=np.random.default_rng(0)), partial(AdamW, lr=0.03), "0.5", "-"),
    ("SGD", Network(), partial(SGD, lr=1.2), plots.BLUE, "-"),
    ("momentum", Network(), partial(SGD, lr=0.2, momentum=0.9), plots.ORANGE, "--"),
    ("AdamW", Network(), partial(AdamW, lr=0.03), plots.GREEN, "-."),
    ("Muon, AdamW", Network(), lambda p: Combined(AdamW(p[:2] + p[3:], 0.01), Muon(p[2:3], 0.1)), plots.PURPLE, ":"),
):
    rng, optimizer, losses = np.random.default_rng(1), make_optimizer(list(model.parameters())), []
    for step in range(300):
        batch, targets = spirals(128, rng)
        loss = F.cross_entropy(model(tensor(batch)), tensor(targets))
        loss.backward()
        clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step(lr_factor=schedule(step))
        optimizer.zero_grad()
        losses.append(loss.item())
    with no_grad():
        answers = model(everywhere).data.argmax(axis=1)
    accuracy[name], regions[name] = np.mean(answers[:2000] == arms), answers[2000:].reshape(250, 250)
    print(f"{name:15} loss {np.mean(losses[-30:]):.3f}, right on {accuracy[name]:.1%} of 2,000 new points")
    axes[2].semilogy(plots.running_mean(np.array(losses), 5), style, color=colour, label=name)
colours = (plots.BLUE, plots.ORANGE, plots.GREEN)
for axis, name in zip(axes, ("a single Linear", "AdamW"), strict=False):
    axis.contourf(*grid, regions[name], (-0.5, 0.5, 1.5, 2.5), colors=colours, alpha=0.25)
    for arm, marker in enumerate("os^"):
        axis.plot(*points[arms == arm][:120].T, marker, color=colours[arm], markersize=3)
    axis.set(title=f"{name}: {accuracy[name]:.0%} right", xlabel="x", ylabel="y", aspect="equal")
axes[2].set(title="training loss, mean of 11 batches", xlabel="step", ylabel="cross-entropy (nats)")
axes[2].legend(fontsize=8)
save_figure("06_spirals", figure)
assert accuracy["a single Linear"] < 0.6 < 0.97 < min(accuracy["AdamW"], accuracy["Muon, AdamW"])

# %% [markdown]
# ## To keep
#
# - A module is a walk over attributes. A good start keeps the size of the signal: std(w) = √(2 / C) before ReLU.
# - Momentum adds up what stays the same; Adam makes the rate a length for each number, Muon for the whole matrix.
# - Clip the gradient, warm up, end with small steps, and decay weights beside the gradient.
#
# Momentum and Muon remember one number for each parameter, Adam two: twice the model's own memory. No optimizer always
# wins, and rates are tuned for each. Read on: Sutskever et al. 2013 (momentum), Hägele et al. 2024 (WSD).
