# %% [markdown]
# # 25 Scaling
#
# The model fits into its memory (lesson 24). How large should it be in the first place, if you have ten minutes to
# train it, or ten machines? At the end you have fitted a law to eight small runs and foretold a larger one before it
# was made, have shared a gradient among ranks, and know what the network between them takes away again.

# %%
import copy
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys

import numba
import numpy as np

from tinygrad_llm import data, plots
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.plots.scaling import BySize, PredictedRun, SizeCurve, scaling_plot, spaced
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.text import BPETokenizer
from tinygrad_llm.train import language_modelling
from tinygrad_llm.train.distributed import DataParallel, share_of
from tinygrad_llm.train.scaling_law import ScalingLaw, fit_scaling_law
from tinygrad_llm.train.scaling_plan import SCALING, choose, sized
from tinygrad_llm.train.scaling_runs import Text, make_run, measured_speed, processor_seconds

ADDS = [
    "tinygrad_llm/train/scaling_law.py", "tinygrad_llm/train/scaling_plan.py", "tinygrad_llm/train/scaling_runs.py",
    "tinygrad_llm/train/distributed.py", "tinygrad_llm/train/distributed_ranks.py",
]  # fmt: skip
numba.set_num_threads(1)  # models this small gain nothing by a second thread
rng = np.random.default_rng(0)

# %% [markdown]
# ## A law, by hand
# A training run has N parameters and reads D tokens. For each token a parameter takes part in a product and a sum in
# the forward pass, and in two of each in the backward pass: **6 N D** operations, the *compute*. More of either lowers
# the held-out loss, each on its own less and less:
#
#     L(N, D) = E + A / N^α + B / D^β
#
# E is what no model can guess, A/N^α what one of N parameters cannot hold, B/D^β what it has not read yet. On paper:
# E = 2, A = B = 1000, α = β = ½. For N = 250,000 and D = 1,000,000 L = 2 + 1000/500 + 1000/1000 = 5. Is there a better
# use of these 1.5e12 operations? With 6 N D fixed, the derivative by ln N is 0 where α A/N^α = β B/D^β: one per cent
# more of either buys as much. Here that is N = D = 500,000, and L = 2 + 2 · 1000/707.1 = 4.83.
#
# ## A straight line
# The naive way: a power law is straight where both axes are logarithmic, so draw a line through log L over log x, and
# read off what is to come. On paper, L = 2 + 100/√x: from x = 10⁴ to 10⁶ the loss falls from 3 to 2.1, to 0.7 of what
# it was. On a line it falls as much again by 10⁸, to 1.47. But no x brings it below 2, and there it is 2.01.


# %%
def line_v1(x, losses, at):
    slope, intercept = np.polyfit(np.log(x), np.log(losses), 1)
    return np.exp(intercept + slope * np.log(at))


paper = ScalingLaw(E=2, A=1000, alpha=0.5, B=1000, beta=0.5)
assert (paper.loss(250_000, 1_000_000), 6 * 250_000 * 1_000_000, round(500_000**0.5, 1)) == (5, 1.5e12, 707.1)
assert np.allclose([*paper.optimal(1.5e12), paper.loss(5e5, 5e5)], [500_000, 500_000, 4.83], rtol=1e-3)
floored = line_v1([1e4, 1e6], [2 + 100 / 1e4**0.5, 2 + 100 / 1e6**0.5], at=1e8)
print(f"v1 says {floored:.2f}, which no model can reach: it is below E")
assert (round(2.1 / 3, 6), round(floored, 2), 2 + 100 / 1e8**0.5) == (0.7, 1.47, 2.01)

# %% [markdown]
# ## The library's piece
# L − E is on a line, but nobody knows E. And one axis is too few: above, two runs of one compute had different losses.
# `fit_scaling_law` looks for the five numbers with the smallest errors of log L, from 16 starts, by steps such as
# Newton's. Errors above one per cent count linearly (*Huber loss*), so that one run that failed does not bend the law.
# Then the *bootstrap* (lesson 19): other draws of the errors, other laws, and so an interval for whatever they predict.
#
# **Step into it.** `tinygrad-llm debug 25` stops at the marked line; `s` enters `fit_scaling_law`. Seven times `n`, and
# `p costs` shows where the 16 starts came to: losses without noise leave next to nothing. One more `n`, and
# `p _law(best, *middle)` is the law on paper. `q` leaves.

# %%
n, d = (each.ravel() for each in np.meshgrid([5e4, 1e5, 2e5, 4e5], [1e5, 2e5, 4e5]))
losses = paper.loss(n, d)
found = fit_scaling_law(n, d, losses, rng=rng, n_resamples=1)  # stop here
assert all(np.isclose(getattr(found.law, name), getattr(paper, name), rtol=1e-3) for name in found.names)
lined = 1000 / d**0.5  # where E = A = 0 a line is right, and both ways agree
assert np.isclose(fit_scaling_law(n, d, lined, rng=rng).law.loss(1e6, 1e7), line_v1(d, lined, at=1e7), rtol=2e-3)

# %% [markdown]
# ## Eight runs
# Now real ones, on the prose of lesson 07. Three sizes, of heads of 32 features, each with a schedule of its own that
# falls to 0 at its end: a run that is broken off half way is worse than one planned as short. The runs also tell how
# long a token takes at each size, in processor time, so that other programs do not count.
# The law will lie within about a per cent of them, a line will not. But look at the intervals: very different laws go
# through eight points! Near the runs these agree about the loss, far away they do not. So predict, and only then make
# the larger run: width 64, twice its longest run's text.

# %%
V, T, BATCH = 2048, 128, 5
split = data.split_documents(data.clean(data.embedded_corpus("prose"))[0], fraction=0.1, seed=0)
texts = [data.join_documents(documents) for documents in (split.train, split.validation)]
tokenizer = BPETokenizer.train(texts[0][:400_000], V)
text = Text(*(tokenizer.encode_to_numpy(each).astype(np.int64) for each in texts), len(texts[1].encode()), V)
config = SCALING.override(batch_size=BATCH, max_seq_len=T, evaluation_tokens=32_768)


def made(n_heads, steps):
    run = make_run(sized(config, n_heads).override(steps=steps), text, clock=processor_seconds)
    print(f"width {run.d_model}, {run.n_tokens:,} tokens: loss {run.loss:.3f}, {run.seconds:.1f} s", flush=True)
    return run


plan = {1: (141, 283, 566), 2: (128, 255, 510), 3: (136, 210)}  # heads, and steps
runs = [made(n_heads, steps) for n_heads, numbers in plan.items() for steps in numbers]
n, d, losses = (np.array([getattr(run, name) for run in runs], float) for name in ("n_parameters", "n_tokens", "loss"))
fit, speed = fit_scaling_law(n, d, losses, rng=rng), measured_speed(runs)
line_off = np.std(np.log(losses / line_v1(n * d, losses, at=n * d)))
print(f"runs are off the law by {fit.spread:.1%}, off the line by {line_off:.1%}")
print("\n".join(f"  {name} = {fit.interval(name)}" for name in fit.names), *fit.warnings(), sep="\n")
assert fit.spread < 0.015 < 0.025 < line_off

n_larger, d_larger = n[3], 1020.0 * BATCH * T
predicted, far = fit.predict(n_larger, d_larger), fit.predict(100 * n_larger, 100 * d_larger)
by_line = line_v1(n * d, losses, at=n_larger * d_larger)
print(f"predicted: {predicted}; by the line {by_line:.3f}; 100 times the size and text: {far}", flush=True)
check = made(2, 1020)
law_off, line_off = (value / check.loss - 1 for value in (predicted.value, by_line))
print(f"measured {check.loss:.3f}: the law was off by {law_off:+.1%}, the line by {line_off:+.1%}")
assert predicted.low < check.loss < predicted.high
assert abs(law_off) < 0.025 < line_off
assert far.high - far.low > 2 * (predicted.high - predicted.low)

# %% [markdown]
# ## How large, for so many minutes?
# You have minutes, not operations, and the smallest model cannot keep a core busy: it does fewer in a second. `choose`
# takes the measured time of a token, gives each size as many tokens as it has time for, and asks the law. Text is
# limited too: what is read more than four times teaches less (Muennighoff et al. 2023).

# %%
law, most, by_size, curves = fit.law, 4 * len(text.train), {}, {}
for seconds in (10, 30, 100):
    best = choose(law, speed, config, V, seconds, most, largest=max(n))
    print(f"{seconds} s: width {best.config.d_model}, {best.n_tokens:,} tokens, loss {best.loss:.2f}")
    sizes, star = spaced(n, beyond=4), (best.n_parameters, best.loss) if seconds == 100 else None
    tokens = np.array([min(seconds / speed.at(size), most) for size in sizes])
    by_size[f"{seconds} s"] = BySize(sizes, law.loss(sizes, tokens), star)
for size in np.unique(n):
    of_size, along = n == size, spaced(d[n == size], beyond=2)
    points = 6 * size * d[of_size], losses[of_size]
    curves[f"{size:,.0f} parameters"] = SizeCurve(*points, 6 * size * along, law.loss(size, along))
along = spaced(6 * n * d, beyond=2)
larger = PredictedRun(6 * n_larger * d_larger, predicted.value, predicted.low, predicted.high, check.loss)
scaling_plot(figure_path("25_law"), curves, (along, law.loss(*law.optimal(along))), by_size, larger)
show_figure("25_law")
operations = 6e-9 * np.array(speed.n_parameters) / speed.seconds_per_token
print("10⁹ operations in a second, by size:", operations.round().tolist())
assert operations[0] < 0.9 * operations[1]

# %% [markdown]
# ## More machines: shares of a batch
# In *data parallel* training each machine, a *rank*, has the whole model and takes some rows of each batch; gradients
# are added up, and all take the same step. Why not their mean? On paper: rank 0 has a row with 3 targets, rank 1 one
# with 1. Their losses, means over their own targets, are 2 and 6. The batch's loss is (3 · 2 + 1 · 6)/4 = 3, but the
# mean of the two is 4: the lone target counts as much as three. So each rank's loss is multiplied by its *part* of the
# targets, ¾ and ¼, before gradients are added (`share_of`).
#
# The sum is an *all-reduce*. If all send to rank 0, which adds and sends back, 2 (n − 1) arrays go through its network
# card. In a *ring* each rank sends to its neighbour only: of n pieces of the array, in n − 1 rounds sums go around and
# grow, in n − 1 more the finished sums go around (exercise `ring_all_reduce`):
#
#     bytes that a rank sends = 2 (n − 1)/n · bytes       three ranks, 12 bytes each: 16; through rank 0 go 48
#
# **While the backward pass goes on.** It begins with the last layer, whose gradients are complete first; a hook on each
# parameter tells when. `DataParallel` packs them into *buckets*, and a full one sets off at once. The token embedding
# is last: it is the output layer, but also the way *in*. To see that without a network we take the ranks one after the
# other: the last ones leave what they send, rank 0 comes at the end and adds.


# %%
class OneByOne:
    def __init__(self, rank, left):  # left[rank]: what each rank has sent
        self.rank, self.size, self.is_first, self.left, self.events = rank, len(left), rank == 0, left, []
        self.broadcast = self.wait = lambda array: None  # models are copies, and sums are there at once
        self.Test = lambda: True

    def start_sum(self, array):
        self.events.append(array.nbytes)
        self.left[self.rank].append(array.copy())
        if self.is_first:
            array += sum(sent[len(self.left[0]) - 1] for sent in self.left[1:])
        return self


def gradient_v1(model, batch):
    model.zero_grad()
    language_modelling(model, batch).backward()
    return [p.grad.data for p in model.parameters()]


model = GPT(GPTConfig(512, 32, n_layers=2, n_heads=2, d_model=64, dropout=0.0, bias=False), rng)
batch = tuple(rng.integers(0, 512, (2, 4, 32)))
batch[1][2, 5:] = batch[1][3] = data.masking.IGNORED  # a row with 5 targets, and one without any
shares, parts = zip(*(share_of(batch, rank, 4) for rank in range(4)), strict=True)
assert np.allclose(parts, np.array([32, 32, 5, 0]) / 69)
for dtype, limit in (("float64", 1e-12), ("float32", 1e-5)):
    left, model = [[], [], [], []], model.to(dtype)
    for rank in (3, 2, 1, 0):
        ranks, own = OneByOne(rank, left), copy.deepcopy(model)
        for name, p in own.named_parameters():
            p.register_post_accumulate_grad_hook(lambda _, ranks=ranks, name=name: ranks.events.append(name))
        DataParallel(own, ranks, bucket_bytes=65536).gradients(own, iter([batch]), language_modelling, 1, 0)
    whole, *naive = (gradient_v1(model, each) for each in (batch, *shares))
    found = [p.grad.data for p in own.parameters()], [np.mean(each, axis=0) for each in zip(*naive, strict=True)]
    off, mean_off = (max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(g, whole, strict=True)) for g in found)
    print(f"{dtype}: the gradient of four ranks is off by {off:.0e}, the mean of their own by {mean_off:.2f}")
    assert off < limit < 0.1 < mean_off
print("complete, and bytes that set off:", *ranks.events[1:], sep="\n  ")  # the first sum is that of the loss
assert ranks.events[1:2] + ranks.events[-2:] == ["norm.weight", "token_embedding.weight", 4 * 512 * 64]
last_part = ranks.events[-1] / (4 * model.num_parameters())
print(f"when the last gradient is complete, {1 - last_part:.0%} of the bytes are on their way")

# %% [markdown]
# ## Two ranks
# Now real processes and messages (MPI), if `pip install "tinygrad_llm[mpi]"` was done; else the rest still holds. Each
# rank computes the whole batch alone, then its half. Its work is processor time up to the end of the backward pass.

# %%
WORKER = """
import json, time, numba, numpy as np
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.train import language_modelling
from tinygrad_llm.train.distributed import DataParallel
from tinygrad_llm.train.distributed_ranks import Ranks
numba.set_num_threads(1)
ranks, rng, ends, work, waits = Ranks(), np.random.default_rng(0), [], [], []
model = GPT(GPTConfig(1024, 64, 3, 3, 96, dropout=0.0, bias=False), rng)
batch, parallel = tuple(rng.integers(0, 1024, (2, 32, 64))), DataParallel(model, ranks)
model.token_embedding.weight.register_post_accumulate_grad_hook(lambda _: ends.append(time.process_time()))
alone = lambda: language_modelling(model, batch).backward()
half = lambda: parallel.gradients(model, iter([batch]), language_modelling, 1, 0)
for gradients in [alone] * 10 + [half] * 30:
    model.zero_grad()
    began = time.process_time()
    gradients()
    work.append(ends[-1] - began)
    waits.append(parallel.exposed_seconds)
if ranks.is_first:
    print(json.dumps({"alone": min(work[:10]), "half": min(work[10:]), "wait": min(np.diff(waits[9:]))}))
"""
mpiexec = shutil.which("mpiexec", path=f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
outcome = 'not measured: pip install "tinygrad_llm[mpi]", then run this again'
if mpiexec and importlib.util.find_spec("mpi4py"):
    command, one_thread = [mpiexec, "-n", "2", sys.executable, "-c", WORKER], {"OPENBLAS_NUM_THREADS": "1"}
    found = json.loads(subprocess.check_output(command, env=os.environ | one_thread))
    print("a batch", ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in found.items()))
    outcome = f"{found['alone'] / (found['half'] + found['wait']):.2f} times as fast, with a core for each"
    assert found["half"] < 0.9 * found["alone"]

# %% [markdown]
# ## Many machines, by arithmetic
# A message takes its bytes / bandwidth, and a *latency* however short it is. For our widest model, by the time that a
# token of it takes on one core here, and stated figures of two networks:
#
#     all-reduce = 2 (n − 1)/n · bytes / bandwidth + 2 (n − 1) · latency
#     wait       = all-reduce; with overlap the larger of its last bucket and of all-reduce − backward
#     efficiency = computing / (computing + wait),    backward = 2/3 of computing

# %%
networks = {"1 Gb/s, 50 µs": (1e9 / 8, 50e-6, plots.ORANGE), "10 Gb/s, 20 µs": (10e9 / 8, 20e-6, plots.BLUE)}
machines, n_bytes, compute = 2.0 ** np.arange(7), 4 * max(n), 64 * T * speed.seconds_per_token[-1]
cases = {"64 rows for each machine": compute, "64 rows in all": compute / machines}
figure, both = plots.new_figure(11, 4, n_axes=2)
for (i, title), name, when in itertools.product(enumerate(cases), networks, ("after", "during")):
    (bandwidth, latency, colour), computing = networks[name], cases[title]
    wait = 2 * (machines - 1) / machines * n_bytes / bandwidth + 2 * (machines - 1) * latency
    wait = np.maximum(last_part * wait, wait - 2 / 3 * computing) if when == "during" else wait
    efficiency, line = computing / (computing + wait), "o-" if when == "during" else "s--"
    both[i].plot([f"{m:.0f}" for m in machines], 100 * efficiency, line, color=colour, label=f"{name}, {when} backward")
    both[i].set(title=title, xlabel="machines", ylabel="efficiency (%)", ylim=(0, 104))
    assert efficiency[-1] > 0.6 if i == 0 else (np.diff(efficiency) < 0).all()
both[0].legend(frameon=False, loc="lower left")
save_figure("25_machines", figure)

# %% [markdown]
# With rows of its own a machine stays busy, but beyond a *critical batch* more rows save hardly any steps. A shared
# batch runs out of work. Overlap is perfect here; `benchmarks/many_machines.md` counts messages for each bucket.
#
# ## Keep
# 1. L = E + A/N^α + B/D^β, compute 6 N D. A line without E misses, and far beyond its runs a law is a guess.
# 2. Predict, then measure, and count in the minutes that you have: `tinygrad-llm scale --minutes 10`.
# 3. Gradients add up, by parts of the targets. A ring moves < 2 × their bytes: `mpiexec -n 4 tinygrad-llm pretrain`.
#
# - **What it costs.** Minutes for small runs, so that hours for the large one are not spent on the wrong size.
# - **Where the real world differs.** Hundreds of runs; models cut up; other forms: `scale` tries `form="coupled"` too.
# - **Further reading.** Kaplan et al., "Scaling Laws for Neural Language Models" (2020). Hoffmann et al., "Training
#   Compute-Optimal Large Language Models" (2022). Li et al., "PyTorch Distributed" (2020).

# %%
print(f"predicted {predicted.value:.3f}, measured {check.loss:.3f}; a line: {by_line:.3f}; two ranks: {outcome}")
