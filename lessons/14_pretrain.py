# %% [markdown]
# # 14 Pretrain
#
# How do random numbers become a model that writes, and what if the power fails half-way? Lesson 13's GPT learned one
# page by heart. Ours learns from two megabytes, and at the end it predicts text that it never saw better than zlib and
# lzma do. And a run that was killed goes on as if nothing had happened, bit for bit.

# %%
import math
import subprocess
import sys
import tempfile
import time
import tracemalloc
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tinygrad_llm.functional as F
from tinygrad_llm import data, no_grad, plots, train
from tinygrad_llm.cli.log import read_log
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.train import train_steps
from tinygrad_llm.train.available_memory import available_memory
from tinygrad_llm.train.metrics import bits_per_byte

ADDS = [
    "tinygrad_llm/train/objectives.py", "tinygrad_llm/train/loop.py", "tinygrad_llm/train/metrics.py",
    "tinygrad_llm/train/corpus.py", "tinygrad_llm/train/recipes.py", "tinygrad_llm/train/build.py",
    "tinygrad_llm/train/checkpoint.py",
    "tinygrad_llm/train/checkpoint_facts.py", "tinygrad_llm/train/run.py", "tinygrad_llm/train/available_memory.py",
    "tinygrad_llm/train/memory.py", "tinygrad_llm/train/tracking.py", "tinygrad_llm/autograd/recompute.py",
]  # fmt: skip

# %% [markdown]
# ## A loop, and what it lacks
# Draw a batch, take the gradient of its loss, step: that is `_v1`. Over hours it meets four things.
#
# **The batch does not fit.** The mean over k batches of equal size is the mean of their means, and so is its gradient.
# So take small batches one by one, divide each loss by k, and let `backward` add up: *accumulation*. By hand, targets
# with the losses 1, 3 and 2, 6 have the means 2 and 4, whose mean is 3, as that of all four. (Batches of 1 and of
# 3, 2, 6 would give (1 + 11/3) / 2 = 7/3: unequal ones have to be weighted by their targets.)
#
# **The first steps are blind.** AdamW divides by √v̂, which at step 1 is |g| itself: every parameter moves by the full
# rate, on the word of one batch. So let the rate rise for w steps, (t + 1) / (w + 1), before it falls. **Something is
# out of line.** A strange batch has a long gradient: clip it (lesson 06). An overflow makes one number inf, and a step
# spreads it over all weights. **The power fails**: that is for later.


# %%
def train_v1(model, batches, loss_fn, optimizer, schedule, n_steps):
    for step in range(n_steps):
        loss = loss_fn(model, next(batches))
        model.zero_grad()
        loss.backward()
        optimizer.step(schedule(step))
        yield loss.item()


def parts(config, V, ids):  # in the order in which a loop takes them
    model = train.build_model(config, V)
    batches = data.RandomBatches(ids, config.batch_size, config.max_seq_len, config.seed)
    return model, batches, train.language_modelling, train.build_optimizer(config, model), train.build_schedule(config)


def n_lost(loop):
    model, *others = tiny()
    model.position_embedding.weight.data[0, 0] = np.inf
    try:
        next(loop(model, *others, n_steps=1))
    except FloatingPointError as error:
        print(error)
    return sum(np.isnan(p.data).sum() for p in model.parameters())


config = train.preset("debug").override(n_layers=1, d_model=8, max_seq_len=4)
tiny = partial(parts, config, 11, np.arange(1000) ** 2 % 11)
losses_v1 = list(train_v1(*tiny(), n_steps=10))
print(f"v1: one inf, and a step makes {n_lost(train_v1)} of {tiny()[0].num_parameters()} parameters NaN")
assert n_lost(train_v1) == tiny()[0].num_parameters()

# %% [markdown]
# ## The library's loop
# `train_steps` is that loop and those provisions. What a batch asks of the model is a function, `language_modelling`.
# The loop is a generator: after each step it hands over a `StepInfo`, and *your* code decides on prints, evaluation,
# checkpoints and the end. Nothing calls you back.
#
# `tinygrad-llm debug 14` stops before the first step. `s` enters the generator, `n` goes on: to `_accumulate_gradients`
# (`s` would enter it), `clip_grad_norm_`, `schedule`, `optimizer.step`, until `yield` is next. `p loss, grad_norm` is
# what it hands over. One more `n`, and you are at the head of the loop: the lesson has asked for the next step.

# %%
steps = train_steps(*tiny(), n_steps=10)
first = next(steps)  # stop here
assert [first.loss, *(info.loss for info in steps)] == losses_v1
assert n_lost(train_steps) == 0
gradients, batch = [], np.random.default_rng(0).integers(0, 11, (2, 8, 4))  # x and y, (8, 4) each
for k in (1, 4):  # one batch of 8, or four of 2
    (model, _, *others), pieces = tiny(), iter(np.split(batch, k, axis=1))
    info = next(train_steps(model.to("float64"), pieces, *others, n_steps=1, accumulate=k, clip=0.1))
    gradients.append(np.concatenate([p.grad.data.ravel() for p in model.parameters()]))
    print(f"{k} batches: loss {info.loss:.9f}, norm {info.grad_norm:.9f}, cut to {np.linalg.norm(gradients[-1]):.6f}")
assert np.allclose(*gradients, rtol=1e-9, atol=1e-15)
assert math.isclose(np.linalg.norm(gradients[0]), 0.1, rel_tol=1e-4)

# %% [markdown]
# ## The text, and the marks to beat
# All settings of a run are one frozen dataclass: `preset(name)`, and `override` for what is different. Ours has BPE
# tokens, three blocks, Muon for their matrices and AdamW for the rest. `read_corpus` cleans and splits by documents
# (lesson 07), `write_tokens` puts the ids on disk (lesson 09). Marks to beat, in bits per byte: the uniform guess, how
# frequent tokens are, counted pairs, zlib, lzma, and the best of lesson 09: lzma after the training text.

# %%
STEPS = 500  # 3,200 take about three minutes, and beat the last of the marks
changes = {"embedded_corpus": "prose", "tokenizer": "bpe", "vocab_size": 1024, "n_layers": 3, "batch_size": 16}
config = train.preset("shakespeare-cpu").override(**changes, steps=STEPS)
print("reading, cleaning and compressing the corpus …")
corpus, folder = train.read_corpus(config), tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
tokenizer, out = train.train_tokenizer(config, corpus), Path(folder.name)
V, T = tokenizer.vocab_size, config.max_seq_len
header = data.write_tokens(out / "train.tokens", corpus.train, tokenizer)
held_out = data.write_tokens(out / "val.tokens", corpus.validation, tokenizer)
ids, held_out_ids = data.open_tokens(out / "train.tokens"), data.open_tokens(out / "val.tokens")
marks, (pairs, unseen) = {}, np.zeros((2, V, V))
np.add.at(pairs, (ids[:-1], ids[1:]), 1)
np.add.at(unseen, (held_out_ids[:-1], held_out_ids[1:]), 1)
for name, counts in (("uniform", np.ones((1, V))), ("frequencies", pairs.sum(axis=0)[None]), ("pairs", pairs)):
    p = (counts + 0.1) / (counts + 0.1).sum(axis=1, keepdims=True)
    marks[name] = bits_per_byte(-(unseen * np.log(p)).sum() / unseen.sum(), held_out.text_bytes / unseen.sum())
texts = data.join_documents(corpus.train), data.join_documents(corpus.validation)
rivals = data.compression_bits_per_byte(*texts)
marks |= zip(("zlib", "lzma", "lzma after training"), vars(rivals).values(), strict=True)
print(f"{len(ids):,} tokens to learn from, {len(held_out_ids):,} held out")
print("bits per byte:", ", ".join(f"{name} {bits:.2f}" for name, bits in marks.items()))

# %% [markdown]
# ## Will it fit?
# Training holds each parameter, its gradient, what the optimizer remembers of it (AdamW two numbers, Muon one), and the
# *activations*, all that backward needs: 16 vectors of C numbers per token and block. They are most of it, and grow
# with batch and depth. `estimate_memory` adds up; `pretrain` refuses what does not fit. *Activation checkpointing*
# (Chen et al. 2016) keeps only each block's input, and runs the block once more when backward comes to it:
# `tg.checkpoint(block, x)` for `block(x)`. Backward costs about two forward passes, so three become four.

# %%
peaks, gradients = [], []
for light in (False, True):
    deep = config.override(n_layers=8, checkpoint_activations=light)
    seconds = min(info.seconds for info in train_steps(*parts(deep, V, ids), n_steps=3))
    tracemalloc.start()
    model, *others = parts(deep, V, ids)
    list(train_steps(model, *others, n_steps=2))
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    gradients.append([p.grad.data for p in model.parameters()])
    estimate = train.estimate_memory(deep, V)
    print(f"8 blocks, a step in {seconds * 1e3:.0f} ms and {peaks[-1] / 1e6:.0f} MB; the estimate was {estimate}")
    assert 0.85 < peaks[-1] / estimate.total < 1.15
assert all(map(np.array_equal, *gradients))  # bit for bit
assert peaks[1] < 0.5 * peaks[0]
print(f"ours: {train.estimate_memory(config, V)}, of {(available_memory() or math.nan) / 1e6:,.0f} MB available")

# %% [markdown]
# ## The run
# To see what it learns we let it write, at a temperature of 0.7 (lesson 09): slowly, since each token reads the whole
# context again; lesson 15 mends that. What does it cost? The seconds of all cores (a thread that waits busily counts,
# too), times an assumption, 10 watts for a busy core: an estimate, without the rest of the machine. TensorBoard, where
# it is installed, draws the curves while a run goes on: from an `EventWriter`, or with `pretrain --tensorboard`.


# %%
def write(prompt, n, temperature=0.7):
    text, rng = tokenizer.encode(prompt), np.random.default_rng(0)
    with no_grad():
        for _ in range(n):
            logits = model.next_token_logits(np.array([text[-T:]]))  # (1, V)
            p = F.softmax(logits[0] / temperature, dim=0).numpy().astype("float64")
            text.append(int(rng.multinomial(1, p / p.sum()).argmax()))
    return tokenizer.decode(text)


(model, *others), history, validation, began = parts(config, V, ids), [], [], time.process_time()
print(f"before: {write('Return the', 40)!r}")
for info in train_steps(model, *others, n_steps=config.steps, clip=config.clip):
    history.append(info)
    if info.step % 100 == 0:
        result = train.evaluate(model, held_out_ids, held_out.text_bytes, 64, T, max_tokens=16_384)
        validation.append((info.step, result.bits_per_byte))
        print(f"step {info.step}: loss {info.loss:.3f}, held out {result.bits_per_byte:.3f} bits per byte")
    if info.step in (50, 200, STEPS):
        print(f"  {write('Return the', 60)!r}")
joules = (time.process_time() - began) * 10
final = train.evaluate(model, held_out_ids, held_out.text_bytes, 64, T)
print(f"held out: loss {final.loss:.3f}, perplexity {final.perplexity:.1f}, {final.bits_per_byte:.3f} bits per byte")
assert final.bits_per_byte < marks["pairs"] - 0.1 < marks["lzma"] < marks["zlib"]
assert STEPS > 500 or final.bits_per_byte > marks["lzma after training"]
assert STEPS < 3200 or final.bits_per_byte < marks["lzma after training"]
if find_spec("tensorboard"):
    with train.EventWriter(Path(folder.name, "events")) as events:
        for info in history:
            events.scalars(info.step, {"train/loss": info.loss, "train/grad_norm": info.grad_norm})
curve = [(info.step, bits_per_byte(info.loss, header.text_bytes / header.n_tokens)) for info in history]
levels = {name: marks[name] for name in ("zlib", "lzma after training")}
plots.loss_curve(figure_path("14_loss"), curve, validation, levels, title="A GPT learns from the documentation")
show_figure("14_loss")
cut = [(info.step - 1, info.grad_norm) for info in history if info.grad_norm > config.clip]
figure, axes = plots.new_figure(9, 3.8)
axes.plot([info.grad_norm for info in history], color=plots.BLUE, linewidth=0.7, label="norm of the gradient")
axes.plot(*zip(*cut, strict=True), "x", color=plots.ORANGE, markersize=3, label=f"above {config.clip}: cut")
axes.plot([info.lr / config.learning_rate for info in history], "--", color="black", label="factor on the rate")
axes.set(xlabel="step", ylabel="norm, and factor", title=f"Schedule and clipping: {len(cut)} gradients are cut")
axes.legend(frameon=False)
save_figure("14_steps", figure)
assert 10 < len(cut) < len(history) / 2

# %% [markdown]
# ## Killed
# `tinygrad-llm pretrain` runs the same loop and saves a *checkpoint* now and then: under another name, flushed to the
# disk, then renamed, so that there is always a whole one. Here it trains a smaller model in a process of its own. When
# its log has 220 lines we kill it, without a warning, and then `--resume`: the steps since the last checkpoint are done
# again. Does it get the losses of a run that was never stopped?

# %%
OPTIONS = "--preset shakespeare-cpu --n-layers 2 --n-heads 2 --d-model 64 --dropout 0.1 --batch-size 24 --steps 360 "
OPTIONS += "--optimizer adamw --beta2 0.999 --learning-rate 0.01 --schedule wsd "
OPTIONS += "--checkpoint-every 90 --log-every 1 --evaluate-every 0 --corpus"
command, text, log = [sys.executable, "-m", "tinygrad_llm.cli", "pretrain"], out / "text.txt", out / "run" / "log.jsonl"
text.write_text(texts[0][:150_000], encoding="utf-8")
print("training in another process, to be killed …")
process = subprocess.Popen([*command, *OPTIONS.split(), text, "--out", log.parent], stdout=subprocess.DEVNULL)
while len(read_log(log)) < 220:
    assert process.poll() is None, "it ended before it could be killed"
    time.sleep(0.02)
process.kill()
process.wait()
run, killed = train.open_run(log.parent), [line["loss"] for line in read_log(log)]
checkpoint = train.load_checkpoint(run.checkpoint_path("last"))
start, how = checkpoint.step, {"n_steps": run.config.steps, "clip": run.config.clip}
print(f"killed after step {len(killed)}, the last checkpoint is of step {start}; resuming …")
subprocess.run([*command, "--resume", log.parent], check=True, stdout=subprocess.DEVNULL)
resumed = [line["loss"] for line in read_log(log)]
print("the same run in this process, never stopped …")
its_parts = run.config, run.tokenizer.vocab_size, data.open_tokens(run.folder / "train.tokens")
whole = [info.loss for info in train_steps(*parts(*its_parts), **how)]
assert 0 < start < len(killed) < len(whole)
assert resumed == whole == killed + whole[len(killed) :]
print(f"{len(whole)} losses are equal bit for bit; {len(killed) - start} steps were done twice")

# %% [markdown]
# ## What a checkpoint must hold
# The weights are not enough: the next step depends on all that the steps before left behind. Forget one thing at a
# time: the optimizer's moments; the number of the step, from which the schedule makes the rate; the position in the
# data. (And dropout draws from a generator, whose state is in the checkpoint, too.) The first makes a jump, the second
# keeps the rate high where it should fall. The third makes no jump at all, and that is worse: its losses are only those
# of other batches, the run reads its beginning again, and nothing tells you.

# %%
figure, (left, right) = plots.new_figure(11, 4.2, n_axes=2)
left.plot(whole, color=plots.SKY, linewidth=4, label="never stopped")
left.plot(killed, "--", color=plots.ORANGE, label="killed")
left.plot(range(start, len(whole)), resumed[start:], "k-", linewidth=0.8, label="resumed")
left.axis((start - 40, len(killed) + 40, min(whole[: len(killed) + 40]) - 0.05, whole[start - 40] + 0.3))
without, colours = {}, {"position": "0.7", "moments": plots.ORANGE, "step": plots.BLUE}
for (forgotten, colour), style in zip(colours.items(), (":", "-", "--"), strict=True):
    model, batches, objective, optimizer, schedule = parts(*its_parts)
    checkpoint.restore(model, optimizer, None if forgotten == "position" else batches)
    optimizer = train.build_optimizer(run.config, model) if forgotten == "moments" else optimizer
    factors = np.roll([schedule(n) for n in range(len(whole))], start if forgotten == "step" else 0)  # from step 0 on
    steps = train_steps(model, batches, objective, optimizer, factors.__getitem__, start_step=start, **how)
    d = without[forgotten] = np.subtract([info.loss for info in steps], whole[start:])
    print(f"{forgotten} forgotten: next 10 steps {d[1:11].mean():+.3f} nats, last 20 {d[-20:].mean():+.3f} nats")
    right.plot(range(start, len(whole)), d, style, color=colour, label=f"{forgotten} forgotten", linewidth=1)
right.axhline(0, color="black", linewidth=0.8)
left.set(title="Killed, and resumed", xlabel="step", ylabel="loss (nats)")
right.set(title="What a forgotten part does to the loss", xlabel="step", ylabel="nats above the run never stopped")
left.legend(frameon=False)
right.legend(frameon=False)
save_figure("14_resume", figure)
assert without["moments"][1:11].mean() > 0.05 > abs(without["position"][1:].mean())
assert without["step"][-20:].mean() > 0.03

# %% [markdown]
# ## Keep
# 1. Accumulate what does not fit, warm up, clip, and stop at the first NaN, before it reaches the weights.
# 2. Compare in bits per byte, on text held out, with rivals that are cheap: counted pairs, zlib, lzma.
# 3. A checkpoint holds all that the next step depends on. Then a killed run and one never stopped are the same.
#
# - **What it costs.** N parameters and n tokens: about 6 N n operations (lesson 13). Memory: mostly activations.
# - **Where the real world differs.** After 500 steps, lzma with the training text still wins; set STEPS to 3200, and it
#   loses. Large runs take trillions of tokens on thousands of processors, of which one fails every few hours (see "The
#   Llama 3 herd of models", 2024): without checkpoints none would come to its end.
# - **Further reading.** McCandlish et al., "An empirical model of large-batch training" (2018); Strubell et al.,
#   "Energy and policy considerations for deep learning in NLP" (2019).

# %%
folder.cleanup()
print(f"From {history[0].loss:.2f} to {final.loss:.2f} nats, for {joules:,.0f} joules if a busy core takes 10 watts.")
print(f"Killed at {len(killed)}, resumed at {start}: equal. Checkpointed: {peaks[1] / peaks[0]:.0%} of the memory.")
