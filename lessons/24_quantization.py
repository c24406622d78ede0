# %% [markdown]
# # 24 Quantization
#
# The model is trained, and tuned to preferences (lesson 23). How does it fit into a quarter of the memory, and
# why does it then write faster? At the end you have layers whose weights are bytes, know what the rounding does to the
# perplexity, and have seen with how few bits it breaks.

# %%
import copy
import math
import tempfile
import timeit
from pathlib import Path

import numba
import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import data, nn, optim, plots
from tinygrad_llm.generate import generate
from tinygrad_llm.hub import load_pretrained, save_pretrained
from tinygrad_llm.hub.weights import bfloat16_bits, from_bfloat16
from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.ops.int8_linear import quantize_rows
from tinygrad_llm.school import save_figure
from tinygrad_llm.text import CharTokenizer
from tinygrad_llm.train import language_modelling, train_steps
from tinygrad_llm.train.metrics import mean_loss

ADDS = ["tinygrad_llm/ops/int8_linear.py", "tinygrad_llm/nn/quantized.py"]
numba.set_num_threads(1)  # what one core does; and in models this small, two threads would mostly wait for each other
rng = np.random.default_rng(0)

# %% [markdown]
# ## Half the bits: shorter floats
# A float is sign · 2^exponent · 1.fraction. Lesson 17 read three kinds from files. The bits of −5 = −2² · 5/4 are
#
#     float32    1 10000001 01000000000000000000000     sign, exponent + 127, fraction
#     float16    1 10001 0100000000                     sign, exponent + 15, fraction
#     bfloat16   1 10000001 0100000                     the upper half of the float32
#
# The exponent decides the **range**: 1e5 is beyond float16's largest number, 65,504. The fraction decides the
# **precision**: bfloat16's 7 bits, and the 1 before them, are 2 to 3 decimal digits, and 1e5 becomes 99840.
#
# **Rounding.** Lesson 17 added half of the last bit, then cut: *exactly half* went always away from 0, so that sums may
# drift. The rule is that half goes to the **even** neighbour, whose last bit is 0. From 1 to 2 the steps of bfloat16
# are 1/128, so by hand
#
#     1 + 1/256   half way between 1 (…0) and 1 + 1/128 (…1)           → 1          down
#     1 + 3/256   half way between 1 + 1/128 (…1) and 1 + 2/128 (…0)   → 1.015625   up
#
# In integers: to the 32 bits add 0x7FFF, and 1 more if the last bit to be kept is 1; then cut the lower 16.


# %%
def to_bfloat16(x) -> np.ndarray:
    return from_bfloat16(bfloat16_bits(np.array(x, np.float32)))


assert np.float32(-5).view(np.uint32) == 0b1_10000001_01000000000000000000000
assert np.float16(-5).view(np.uint16) == 0b1_10001_0100000000
assert bfloat16_bits(np.array([-5.0])) == 0b1_10000001_0100000
assert to_bfloat16([1 + 1 / 256, 1 + 3 / 256, 1e5]).tolist() == [1, 1.015625, 99840]
assert np.finfo(np.float16).max == 65504 < 1e5

# %% [markdown]
# ## A quarter of the bits: whole numbers and a scale
# A byte has 256 values. The weights of a row are about equally large, so rather than an exponent each they get one
# factor for all: whole numbers q from −127 to 127, and a float s (*absmax* rounding).
#
#     s = max |w| / 127        q = round(w / s)        w ≈ s q
#
# Rounding moves w/s by at most 1/2, so it moves w by at most **s/2**. −128 is left out: both sides reach equally far.
# On paper, the row (0.503, −1.27, 0.298): s = 0.01, w/s = (50.3, −127, 29.8), q = (50, −127, 30). Errors 0.003, 0 and
# 0.002, below s/2 = 0.005. Errors that fill the range from −s/2 to s/2 evenly have the standard deviation s/√12.
#
# Which weights share a scale? v1 leaves that open: `size` neighbours do. With b bits, s is max |w| / (2^(b−1) − 1).


# %%
def quantize_v1(w: np.ndarray, size: int, bits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers (groups, size) and scales (groups, 1) of w, of any shape."""
    groups = w.reshape(-1, size)
    scale = np.abs(groups).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    scale[scale == 0] = 1  # of zeros
    return np.rint(groups / scale), scale


def rounded_v1(w: np.ndarray, size: int, bits: int = 8) -> np.ndarray:
    q, scale = quantize_v1(w, size, bits)
    return (q * scale).reshape(w.shape).astype(w.dtype)


row = np.array([0.503, -1.27, 0.298])
q, scale = quantize_v1(row, size=3)
assert (q.tolist(), scale.round(9).tolist()) == ([[50, -127, 30]], [[0.01]])
assert np.allclose(row / scale, [[50.3, -127, 29.8]])
assert np.allclose(np.abs(row - rounded_v1(row, size=3)), [0.003, 0, 0.002])
assert np.abs(row - rounded_v1(row, size=3)).max() < scale / 2 == 0.005

# %% [markdown]
# ## One row ruins the others
# One scale for the whole matrix would be simplest. Take 256 rows of weights with the spread 0.02, and make one row 50
# times as large. The scale must reach that row, and for the others nearly the whole range of q is wasted.

# %%
w = 0.02 * rng.standard_normal((256, 256)).astype(np.float32)
w[7] *= 50
usual, errors, bins = np.arange(256) != 7, {}, np.logspace(-7, -1, 61)
figure, axes = plots.new_figure(7.5, 3.8)
for name, size, colour, hatch in (("matrix", w.size, plots.ORANGE, "//"), ("row", 256, plots.BLUE, "")):
    q, scale = quantize_v1(w, size)
    errors[name] = error = (w - rounded_v1(w, size))[usual]
    n_values = len(np.unique(q.reshape(w.shape)[0]))
    print(f"a scale for each {name}: row 0 has {n_values} different numbers, its error {error[0].std():.1e}")
    assert np.abs(error).max() <= 1.001 * scale.max() / 2
    axes.hist(np.abs(error).ravel(), bins, color=colour, alpha=0.7, hatch=hatch, label=f"a scale for each {name}")
assert errors["matrix"].std() > 25 * errors["row"].std()
assert abs((errors["row"] / scale[usual]).std() * math.sqrt(12) - 1) < 0.01
axes.axvline(0.02, color="black", linestyle=":", label="spread of the weights")
axes.set(xscale="log", xlabel="|error| of a weight", ylabel="weights", title="255 usual rows, beside one large row")
axes.legend(frameon=False, loc="upper left")
save_figure("24_errors", figure)

# %% [markdown]
# A row's scale costs 4 bytes, and is a factor of the whole sum: y_n = Σ_k x_k (s_n q_nk) = s_n Σ_k x_k q_nk. With the
# row on paper and x = (1, 2, −1) that is 0.01 · (50 − 254 − 30) = 0.01 · (−234) = −2.34; the exact weights give −2.335.
#
# ## The library's piece
# v1 below makes a float matrix of the bytes, four times as large, then multiplies: it moves *more* memory than a float
# layer. With few rows `F.int8_linear` makes each float where it is used. Gradients flow to x and the bias: dx =
# dy (s ⊙ q), db = Σ dy. q has none, since a whole number cannot move by a little; s is frozen too.
#
# **Step into it.** `tinygrad-llm debug 24` stops at the marked line. Type
#
#     tbreak tg.ops.int8_linear.int8_columns, then c     go on, into the kernel
#     ll, then until NN                                  go on to its line NN: total *= …
#     p quantized, row, total                            bytes (50, −127, 30), x = (1, 2, −1), the sum −234
#     n, then p total                                    times the scale 0.01: −2.34. Leave with q


# %%
def int8_linear_v1(x, q, scale, bias):
    return x @ (tg.tensor(q.data.astype(x.dtype)) * tg.tensor(scale.data[:, None].astype(x.dtype))).T + bias


q, scale = (tg.tensor(each) for each in quantize_rows(row[None]))  # int8 (1, 3), float32 (1,)
with tg.matmul_backend("kernel"):
    y = F.int8_linear(tg.tensor([[1.0, 2.0, -1.0]]), q, scale)  # stop here
tg.set_jit(True)  # if the debugger had it switched off
assert np.allclose([y.item(), row @ [1, 2, -1], q.data[0] @ [1, 2, -1]], [-2.34, -2.335, -234])
q, scale = (tg.tensor(each) for each in quantize_rows(w))
assert np.array_equal(q.data, quantize_v1(w, size=256)[0])
for n_rows in (1, 16, 100):  # few, some and many rows go different ways
    x, bias, results = *(tg.tensor(rng.standard_normal(size), requires_grad=True) for size in ((n_rows, 256), 256)), []
    for fn in (int8_linear_v1, F.int8_linear):
        x.grad = bias.grad = None
        out = fn(x, q, scale, bias)
        out.backward(np.cos(np.arange(out.data.size)).reshape(out.shape))  # any gradient from above
        results.append([out.data, x.grad.data, bias.grad.data])
    assert all(np.allclose(one, other, rtol=1e-9, atol=1e-12) for one, other in zip(*results, strict=True))
    assert np.allclose(F.int8_linear(x.float(), q, scale, bias.float()).data, out.data, rtol=1e-4, atol=1e-4)
    assert q.grad is scale.grad is None

# %% [markdown]
# ## Why fewer bytes are faster
# To write a token, a linear layer reads each weight once, and does 2 operations with it: times x, and plus. With M
# texts at once, or M tokens of a prompt, it may still read it once, for 2M operations. *Arithmetic intensity* is
#
#     operations / bytes:   2M / 4 in float32, 2M / 1 in int8;  that is 1/2 and 2 for one row, 50 and 200 for 100 rows
#
# A core can do several operations in the time in which memory brings it one byte (a graphics card more than 100). So
# with one row it waits: time is bytes / bandwidth, and a quarter of the bytes takes about a quarter of the time. With
# 100 rows arithmetic decides, and int8 saves none. N × K weights have 4 N K bytes in float32, N K + 4 N in int8.

# %%
linear = nn.Linear(4096, 4096, bias=False, rng=rng)
layers = {"float32": linear, "int8": nn.QuantizedLinear.from_float(linear)}
assert [nn.weight_bytes(layer) for layer in layers.values()] == [4 * 4096**2, 4096**2 + 4 * 4096]
row_counts, ms = [1, 4, 16, 64, 256], {name: [] for name in layers}
figure, axes = plots.new_figure(7, 3.8)
for (name, layer), colour, line in zip(layers.items(), (plots.ORANGE, plots.BLUE), ("s--", "o-"), strict=True):
    for n_rows in row_counts:
        x = tg.tensor(np.ones((n_rows, 4096), np.float32))
        ms[name].append(1e3 * min(timeit.repeat(lambda layer=layer, x=x: layer(x), number=1, repeat=9)))
    megabytes = nn.weight_bytes(layer) / 1e6
    axes.semilogy([str(n) for n in row_counts], ms[name], line, color=colour, label=f"{name}, {megabytes:.0f} MB")
    print(f"{name}: {np.round(ms[name], 1).tolist()} ms; with one row it reads {megabytes / ms[name][0]:.0f} GB/s")
axes.set(xlabel="rows of x: texts or tokens at once", ylabel="ms", title="One layer of 4096 × 4096")
axes.legend(frameon=False)
save_figure("24_rows", figure)

# %% [markdown]
# ## A whole model
# `nn.quantize` puts quantised layers in place of each `Linear` and `Embedding`; norms and biases are few, and stay
# floats. First size and speed, which do not depend on what the weights are: a GPT with random ones. Then the quality
# of a model that has learned something, a Llama for characters, on the text of lesson 16.

# %%
big = GPT(GPTConfig(1024, max_seq_len=64, n_layers=4, n_heads=10, d_model=640, dropout=0.0), rng).eval()
speed, total_bytes = {}, {}
for name, model in (("float32", copy.deepcopy(big)), ("int8", nn.quantize(big))):
    total_bytes[name] = nn.weight_bytes(model)
    speed[name] = 16 / min(timeit.repeat(lambda model=model: generate(model, [0], 16), number=1, repeat=4))
    print(f"{name}: {total_bytes[name] / 1e6:.1f} MB, {speed[name]:.0f} tokens/s", flush=True)
assert total_bytes["int8"] < 0.26 * total_bytes["float32"]
split = data.split_documents(data.clean(data.embedded_corpus("prose"))[0], fraction=0.1, seed=0)
texts = [data.join_documents(documents) for documents in (split.train, split.validation)]
tokenizer = CharTokenizer.train(texts)
train_ids, held_out = (tokenizer.encode_to_numpy(text).astype(np.int64) for text in texts)
sizes = {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 96, "d_ff": 256}
model = Llama(LlamaConfig(tokenizer.vocab_size, 64, **sizes, rope_theta=10_000.0, init_std=0.1), rng)
optimizer = optim.AdamW(optim.decay_matrices(model.parameters(), 0.1), lr=3e-3, betas=(0.9, 0.99))
batches, rate = data.RandomBatches(train_ids, 8, 64, seed=0), (lambda step: optim.cosine(step, 500, warmup_steps=30))
for info in train_steps(model, batches, language_modelling, optimizer, rate, n_steps=500, clip=1.0):
    if info.step % 100 == 0:
        print(f"step {info.step}: loss {info.loss:.2f}", flush=True)


def perplexity(model, change=lambda w: w) -> float:
    """On the held-out text, of a copy of the model with change(w) for each matrix w."""
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.data = change(parameter.data) if parameter.ndim == 2 else parameter.data
    return math.exp(mean_loss(model, data.sequential_batches(held_out[:8193], 32, 64)))


int8, exact = nn.quantize(copy.deepcopy(model)), perplexity(model)
rounded = {"bfloat16": perplexity(model, to_bfloat16), "int8": perplexity(int8)}
print(f"perplexity {exact:.4f} in float32;", ", ".join(f"{value:.4f} in {name}" for name, value in rounded.items()))
assert all(abs(value / exact - 1) < 0.002 for value in rounded.values())

# %% [markdown]
# Both change it by less than two thousandths: the errors of many weights in a sum have either sign, and mostly cancel.
#
# ## Where it breaks
# Why not 4 bits, 3 or 2? They leave 7, 3 and 1 steps to each side, where 8 bits have 127, and each bit less at least
# doubles the step. Against that helps a scale for fewer weights, a *block* of 32, whose largest is mostly below that of
# the row. A 16-bit scale for each 32 weights makes 4 bits 4 + 16/32, that is 4½.

# %%
sharing = {"matrix": lambda w: w.size, "row": lambda w: w.shape[1], "block of 32": lambda w: 32}
bits_tried, curves = [8, 6, 5, 4, 3, 2], {}
figure, axes = plots.new_figure(7.5, 4.2)
styles = ((plots.GREEN, "^:"), (plots.ORANGE, "s--"), (plots.BLUE, "o-"))
for (name, size), (colour, line) in zip(sharing.items(), styles, strict=True):
    changes = [lambda w, size=size, bits=bits: rounded_v1(w, size(w), bits) for bits in bits_tried]
    curves[name] = np.array([perplexity(model, change) for change in changes])
    print(f"a scale for each {name}:", ", ".join(f"{p:.2f}" for p in curves[name]), flush=True)
    axes.semilogy(bits_tried, curves[name], line, color=colour, label=f"a scale for each {name}")
axes.axhline(exact, color="black", linewidth=0.8, label="float32")
axes.set(xlabel="bits for each weight, without the scales", ylabel="perplexity", title="Where it breaks")
axes.invert_xaxis()
axes.legend(frameon=False)
save_figure("24_bits", figure)
by_matrix, by_row, by_block = curves.values()
assert abs(by_row[0] / rounded["int8"] - 1) < 1e-3  # the library's rounding is v1's
assert by_row[2] < 1.03 * exact < by_matrix[3] < 3 * exact < by_block[5]
assert (np.diff([by_block, by_row, by_matrix], axis=0)[:, 4:] > 0).all()

# %% [markdown]
# With a scale for each row 5 bits lose little, 4 and 3 lose more, and 2 break the model, whatever shares a scale. Our
# rows of 96 are only three blocks; the longer a row, the more blocks help. So 4 bits come in blocks: GGUF's Q4_0 has a
# float16 for each 32 weights.
#
# ## Saved, and tuned
# `save_pretrained` writes float32, 16 bits or bytes with scales; `load_pretrained` reads each. Bytes can even be tuned:
# they stay as they are, and a LoRA (lesson 22) beside them learns. That is the idea of *QLoRA*, the last three lines.

# %%
file_bytes, scratch = {}, tempfile.TemporaryDirectory()
for name, each, dtype in (("float32", model, None), ("bfloat16", model, "bfloat16"), ("int8", int8, None)):
    save_pretrained(each, Path(scratch.name, name), tokenizer, dtype=dtype)
    file_bytes[name] = Path(scratch.name, name, f"model{'.int8' * (name == 'int8')}.safetensors").stat().st_size
again = load_pretrained(Path(scratch.name, "int8")).model
scratch.cleanup()
print(f"weights on disk: {file_bytes}")
assert file_bytes["int8"] < 0.28 * file_bytes["float32"] < 0.56 * file_bytes["bfloat16"]
assert np.array_equal(again(held_out[None, :64]).data, int8(held_out[None, :64]).data)
nn.add_lora(again, rank=4, alpha=8, rng=rng)
language_modelling(again, next(batches)).backward()  # the optimizer would get nn.lora_parameters(again)
assert all((p.grad is not None) == ("lora" in name) for name, p in again.named_parameters())

# %% [markdown]
# ## Keep
# 1. s = max |w| / 127 for each row, q = round(w / s), error at most s/2; y_n = s_n Σ x_k q_nk.
# 2. A token reads all weights for 2 operations each, so bytes are time. With many rows they are not.
# 3. 8 bits are nearly free, 4 cost some percent, 2 break the model.
#
# - **What it costs.** The weights are frozen. With many rows floats must be made first.
# - **Where the real world differs.** Bytes times bytes is faster still, but rounds x too. A few features of x are far
#   larger than all others in large models; LLM.int8() keeps those in 16 bits. For 4 bits, GPTQ rounds column by column,
#   and the columns to come make up for the error; AWQ scales the weights that meet large x up before rounding.
# - **Further reading.** Dettmers et al., "LLM.int8()" (2022), "QLoRA" (2023). Frantar et al., "GPTQ" (2022). Lin et
#   al., "AWQ" (2023). Nagel et al., "A White Paper on Neural Network Quantization" (2021).

# %%
print(f"int8: {total_bytes['int8'] / total_bytes['float32']:.0%} of the bytes,", end=" ")
print(f"{speed['int8'] / speed['float32']:.1f} times the tokens/s, perplexity {exact:.3f} -> {rounded['int8']:.3f}")
