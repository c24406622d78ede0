# %% [markdown]
# # 24 Quantization
#
# The model is trained, and tuned to preferences (lesson 23). How does it fit into a quarter of the memory, and
# why does it then write faster? At the end you have layers whose weights are bytes, or 4 bits in blocks, know what the
# rounding does to the perplexity, and have seen with how few bits it breaks.

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
from tinygrad_llm.ops.block_linear import pack_blocks
from tinygrad_llm.ops.int8_linear import quantize_rows
from tinygrad_llm.school import save_figure
from tinygrad_llm.text import CharTokenizer
from tinygrad_llm.train import language_modelling, train_steps
from tinygrad_llm.train.metrics import mean_loss

ADDS = ["tinygrad_llm/ops/int8_linear.py", "tinygrad_llm/nn/quantized.py",
        "tinygrad_llm/ops/block_linear.py", "tinygrad_llm/nn/block_quantized.py"]  # fmt: skip
numba.set_num_threads(1)  # what one core does; and in models this small, two threads would mostly wait for each other
rng = np.random.default_rng(0)

# %% [markdown]
# ## Half the bits: shorter floats
# A float is sign · 2^exponent · 1.fraction; lesson 17 read three kinds from files. The exponent decides the **range**:
# 1e5 is beyond float16's largest number, 65,504. The fraction decides the **precision**: bfloat16's 7 bits, and the 1
# before them, are 2 to 3 decimal digits, and 1e5 becomes 99840. Lesson 17 rounded *exactly half* always away from 0, so
# that sums may drift. The rule is: to the **even** neighbour, whose last bit is 0. In integers: to the 32 bits add
# 0x7FFF, and 1 more if the last bit to be kept is 1; then cut the lower 16. By hand, where steps are 1/128:
#
#     1 + 1/256   half way between 1 (…0) and 1 + 1/128 (…1)           → 1          down
#     1 + 3/256   half way between 1 + 1/128 (…1) and 1 + 2/128 (…0)   → 1.015625   up


# %%
def to_bfloat16(x) -> np.ndarray:
    return from_bfloat16(bfloat16_bits(np.array(x, np.float32)))


assert np.float32(-5).view(np.uint32) == 0b1_10000001_01000000000000000000000  # −2² · 5/4: sign, exponent + 127, 1/4
assert np.float16(-5).view(np.uint16) == 0b1_10001_0100000000  # sign, exponent + 15, fraction
assert bfloat16_bits(np.array([-5.0])) == 0b1_10000001_0100000  # the upper half of the float32
assert to_bfloat16([1 + 1 / 256, 1 + 3 / 256, 1e5]).tolist() == [1, 1.015625, 99840]
assert np.finfo(np.float16).max == 65504 < 1e5

# %% [markdown]
# ## A quarter of the bits: whole numbers and a scale
# A byte has 256 values. The weights of a row are about equally large, so rather than an exponent each they get one
# factor for all: a float s = max |w| / 127, and whole numbers q = round(w / s) from −127 to 127 (*absmax* rounding), so
# that w ≈ s q. −128 is left out: both sides reach equally far. Rounding moves w/s by at most 1/2, so w by at most s/2.
# On paper, the row (0.503, −1.27, 0.298): s = 0.01, w/s = (50.3, −127, 29.8), q = (50, −127, 30). Errors 0.003, 0 and
# 0.002, below s/2 = 0.005. Errors that fill the range from −s/2 to s/2 evenly have the standard deviation s/√12.
# With b bits, s is max |w| / (2^(b−1) − 1). Which weights share a scale, v1 leaves open: `size` neighbours do.
#
# ## One row ruins the others
# One scale for the whole matrix would be simplest. Take 256 rows of weights with the spread 0.02, and make one row 50
# times as large. The scale must reach that row, and for the others nearly the whole range of q is wasted.


# %%
def quantize_v1(w, size: int, bits: int = 8):  # q (groups, size), scales (groups, 1), and what s q makes of w
    groups = w.reshape(-1, size)
    scale = np.abs(groups).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    scale[scale == 0] = 1  # of zeros
    q = np.rint(groups / scale)
    return q, scale, (q * scale).reshape(w.shape).astype(w.dtype)


row = np.array([0.503, -1.27, 0.298])
q, scale, rounded = quantize_v1(row, size=3)
assert (q.tolist(), scale.round(9).tolist()) == ([[50, -127, 30]], [[0.01]])
assert np.allclose([row / scale[0], np.abs(row - rounded)], [[50.3, -127, 29.8], [0.003, 0, 0.002]])
assert np.abs(row - rounded).max() < scale / 2 == 0.005
w = 0.02 * rng.standard_normal((256, 256)).astype(np.float32)
w[7] *= 50
usual, errors = np.arange(256) != 7, {}
for name, size in (("matrix", w.size), ("row", 256)):
    q, scale, rounded = quantize_v1(w, size)
    errors[name] = error = (w - rounded)[usual]
    n_values = len(np.unique(q.reshape(w.shape)[0]))
    print(f"a scale for each {name}: row 0 has {n_values} different numbers, its error {error[0].std():.1e}")
    assert np.abs(error).max() <= 1.001 * scale.max() / 2
assert errors["matrix"].std() > 25 * errors["row"].std()
assert abs((errors["row"] / scale[usual]).std() * math.sqrt(12) - 1) < 0.01

# %% [markdown]
# A row's scale costs 4 bytes, and is a factor of the whole sum: y_n = Σ_k x_k (s_n q_nk) = s_n Σ_k x_k q_nk. With the
# row on paper and x = (1, 2, −1) that is 0.01 · (50 − 254 − 30) = 0.01 · (−234) = −2.34; the exact weights give −2.335.
#
# ## The library's piece
# v1 below makes a float matrix of the bytes, four times as large, then multiplies: it moves *more* memory than a float
# layer. With few rows `F.int8_linear` makes each float where it is used. Gradients flow to x and the bias: dx =
# dy (s ⊙ q), db = Σ dy. q has none, since a whole number cannot move by a little; s is frozen too.
#
# **Step into it.** `tinygrad-llm debug 24` stops at the marked line. `tbreak tg.ops.int8_linear.int8_columns` and `c`
# go on into the kernel; `ll` shows it, and `until NN` goes on to its line NN, `total *= …`. `p quantized, row, total`
# shows bytes (50, −127, 30), x = (1, 2, −1) and the sum −234; after `n`, `p total` has the scale 0.01 in it: −2.34.


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
# texts at once, or M tokens of a prompt, it may still read it once, for 2M operations. *Arithmetic intensity*, which is
# operations / bytes, is 2M / 4 in float32 and 2M / 1 in int8: 1/2 and 2 for one row, 50 and 200 for 100 rows. A core
# can do several operations in the time in which memory brings it one byte (a graphics card more than 100). So with one
# row it waits: time is bytes / bandwidth, and a quarter of the bytes takes about a quarter of the time. With 100 rows
# arithmetic decides, and int8 saves none. N × K weights have 4 N K bytes in float32, N K + 4 N in int8.

# %%
linear = nn.Linear(4096, 4096, bias=False, rng=rng)
layers = {"float32": linear, "int8": nn.QuantizedLinear.from_float(linear)}
assert [nn.weight_bytes(layer) for layer in layers.values()] == [4 * 4096**2, 4096**2 + 4 * 4096]
inputs = {str(n): tg.tensor(np.ones((n, 4096), np.float32)) for n in (1, 4, 16, 64, 256)}
figure, axes = plots.new_figure(7, 3.8)
for (name, layer), colour, line in zip(layers.items(), (plots.ORANGE, plots.BLUE), ("s--", "o-"), strict=True):
    repeats = [timeit.repeat(lambda x=x, layer=layer: layer(x), number=1, repeat=9) for x in inputs.values()]
    ms, megabytes = [1e3 * min(each) for each in repeats], nn.weight_bytes(layer) / 1e6
    axes.semilogy(list(inputs), ms, line, color=colour, label=f"{name}, {megabytes:.0f} MB")
    print(f"{name}: {np.round(ms, 1).tolist()} ms; with one row it reads {megabytes / ms[0]:.0f} GB/s")
axes.set(xlabel="rows of x: texts or tokens at once", ylabel="ms", title="One layer of 4096 × 4096")
axes.legend(frameon=False)
save_figure("24_rows", figure)

# %% [markdown]
# ## A whole model
# `nn.quantize` quantises each `Linear` and `Embedding`; norms and biases are few, and stay floats. First size and
# speed, for which random weights will do: a GPT. Then quality: a Llama for characters, on the text of lesson 16.

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


def perplexity(model, change=lambda w: w) -> float:  # on the held-out text, with change(w) for each matrix w
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
# doubles the step. Against that helps a scale for fewer weights, a *block* of 32: its largest is mostly below that of
# the row, and one large weight spoils its block only. Ours has none; so divide a weight of each norm by 16, and
# multiply the column that meets it by 16: in floats the same model, with one large weight in each row of five matrices.

# %%
odd = copy.deepcopy(model)
for name, parameter in odd.named_parameters():
    if (kind := name.split(".")[-2]) in ("norm1", "query", "key", "value", "norm2", "gate", "up"):
        parameter.data[..., 0] *= 1 / 16 if "norm" in kind else 16
assert math.isclose(perplexity(odd), exact, rel_tol=1e-5)
sharing = {"matrix": (lambda w: w.size, plots.GREEN, "^:"), "row": (lambda w: w.shape[1], plots.ORANGE, "s--"),
           "block of 32": (lambda w: 32, plots.BLUE, "o-")}  # fmt: skip
bits_tried, curves, (figure, panels) = [8, 6, 5, 4, 3, 2], [], plots.new_figure(12, 4.2, n_axes=2)
for axes, each, title in zip(panels, (model, odd), ("Where it breaks", "One weight of a row is large"), strict=True):
    for name, (size, colour, line) in sharing.items():
        changes = [lambda w, size=size, bits=bits: quantize_v1(w, size(w), bits)[2] for bits in bits_tried]
        curves.append(np.array([perplexity(each, change) for change in changes]))
        print(f"{title}, a scale for each {name}:", ", ".join(f"{p:.2f}" for p in curves[-1]), flush=True)
        axes.semilogy(bits_tried, curves[-1], line, color=colour, label=f"a scale for each {name}")
    axes.axhline(exact, color="black", linewidth=0.8, label="float32")
    axes.set(xlabel="bits for each weight", ylabel="perplexity", title=title, xlim=(8.3, 1.7), ylim=(5, 3e4))
panels[0].legend(frameon=False, loc="upper left")
save_figure("24_bits", figure)
by_matrix, by_row, by_block, _, odd_by_row, odd_by_block = curves
assert abs(by_row[0] / rounded["int8"] - 1) < 1e-3  # the library's rounding is v1's
assert by_row[2] < 1.03 * exact < by_matrix[3] < 3 * exact < by_block[5]
assert (np.diff([by_block, by_row, by_matrix], axis=0)[:, 4:] > 0).all()
assert odd_by_row[0] < 1.03 * exact < odd_by_block[3] < 0.8 * odd_by_row[3]

# %% [markdown]
# With a scale for each row 5 bits lose little, 4 and 3 lose more, and 2 break the model, whatever shares a scale. With
# a large weight in each row bytes still do, and 4 bits need blocks. Ours are a third of a row; longer rows gain more.
#
# ## 4 bits in blocks
# GGUF files (lesson 17) have blocks of 32 with a float16 each: 4½ bits a weight. As half a byte holds 0 to 15, Q4_0
# stores Q = q + 8, so w = s Q − 8 s; byte j has weight j below and j + 16 above. On paper, a block of zeros but for
# w_0 = 0.7, w_1 = −0.3, w_16 = −0.1: s = 0.1, q = 7, −3 and −1; the bytes begin 15 + 16 · 7 = 127, 5 + 16 · 8 = 133,
# 8 + 16 · 8 = 136. `F.block_linear` has a scale s and an offset o (here −8 s) for each block b of a row n:
#
#     y_n = Σ_b (s_nb Σ_k∈b x_k Q_nk + o_nb Σ_k∈b x_k)        dx = dy W        the last sum is the same for each n


# %%
def q4_0_v1(w: np.ndarray):  # (N, K) → bytes (N, K/2), scales and offsets (N, K/32)
    q, scale, _ = quantize_v1(w, 32, bits=4)
    halves, scale = (q + 8).astype(np.uint8).reshape(-1, 2, 16), scale.reshape(len(w), -1)
    return (halves[:, 0] | halves[:, 1] << 4).reshape(len(w), -1), scale, -8 * scale


paper = np.array([[0.7, -0.3, *[0] * 14, -0.1, *[0] * 15]])
assert [each[0, :3].round(9).tolist() for each in q4_0_v1(paper)] == [[127, 133, 136], [0.1], [-0.8]]
layer = nn.BlockLinear(pack_blocks(*q4_0_v1(w)))  # what load_pretrained("….gguf", keep_quantized=True) makes
assert nn.weight_bytes(layer) == 256**2 // 2 + 2 * 4 * 256**2 // 32  # in memory s and o are float32
for n_rows in (1, 100):
    x, results = rng.standard_normal((n_rows, 256)), []
    for fn in (lambda x: x @ tg.tensor(quantize_v1(w, 32, 4)[2].astype(float)).T, layer):
        y = fn(leaf := tg.tensor(x, requires_grad=True))
        (y * y).sum().backward()
        results.append([y.data, leaf.grad.data])
    assert all(np.allclose(one, other, rtol=1e-5, atol=1e-5) for one, other in zip(*results, strict=True))

# %% [markdown]
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
# 3. 8 bits are nearly free, 4 cost some percent and want blocks, 2 break the model.
#
# - **What it costs.** The weights are frozen. With many rows floats must be made first.
# - **Where the real world differs.** Bytes times bytes is faster, but rounds x too. In large models some features of x
#   are far larger than all others; LLM.int8() keeps those in 16 bits. For 4 bits, GPTQ rounds column by column, where
#   the next make up for the error; AWQ scales up, before rounding, the weights that meet large x.
# - **Further reading.** Dettmers et al., "8-bit Optimizers via Block-wise Quantization" (2022), "LLM.int8()" (2022),
#   "QLoRA" (2023). Frantar et al., "GPTQ" (2022). Lin et al., "AWQ" (2023).

# %%
print(f"int8: {total_bytes['int8'] / total_bytes['float32']:.0%} of the bytes,", end=" ")
print(f"{speed['int8'] / speed['float32']:.1f} times the tokens/s, perplexity {exact:.3f} -> {rounded['int8']:.3f}")
print(f"4 bits, one weight of a row large: {odd_by_row[3]:.1f} with a scale for a row, {odd_by_block[3]:.1f} in blocks")
