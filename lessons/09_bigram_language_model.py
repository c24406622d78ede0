# %% [markdown]
# # 09 Bigram language model
#
# How can a program write? At the end of this lesson you have the smallest language model there is, made by counting and
# once more by gradient descent, a number that says how good it is, and the first text that it wrote.
#
# Lesson 08 ended with text as a row of integers. A *language model* gives every token the probability to come next.
# One can write with it: draw a token, append it, repeat. And one can measure it: how probable was what really came?

# %%
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_llm import data, nn, optim, plots, tensor
from tinygrad_llm import functional as F
from tinygrad_llm.ops.embedding import sum_rows
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.text import BPETokenizer, CharTokenizer

ADDS = [
    "tinygrad_llm/ops/embedding.py", "tinygrad_llm/ops/indexing.py", "tinygrad_llm/ops/index_key.py",
    "tinygrad_llm/ops/extrema.py", "tinygrad_llm/nn/embedding.py", "tinygrad_llm/data/token_file.py",
    "tinygrad_llm/data/batches.py", "tinygrad_llm/data/baselines.py",
]  # fmt: skip

# %% [markdown]
# ## From the probability of a text to counting pairs
#
# The probability of a text is a product: each token's probability, given all tokens before it. The *bigram model* makes
# one assumption: only the last of them matters. Then the whole model is a table p(next | last), V × V numbers for V
# tokens. Which table fits a text best? If the pair v, w occurs c_vw times, then
#
#     log p(text) = Σ_v Σ_w c_vw · log p(w | v)    after the first token
#
# and each row of p must sum to 1. Move a tiny ε of probability from w to u, and this grows by
# ε · (c_vu / p(u|v) − c_vw / p(w|v)). At the maximum no move helps, so c_vw / p(w|v) is the same for all w. So count
# and divide:
#
#     p(w | v) = c_vw / Σ_u c_vu                   the maximum-likelihood table
#
# By hand, for the text `ananas`: an, na, an, na, as. So p(n|a) = 2/3, p(s|a) = 1/3, p(a|n) = 1. The five steps after
# the first letter have the probability 2/3 · 1 · 2/3 · 1 · 1/3 = 4/27. The mean of −ln p is the *loss*, the
# cross-entropy of lesson 05: 1.9095 / 5 = 0.3819. And e^0.3819 = 1.465 is the *perplexity*: the model was as unsure as
# if it had to choose among 1.465 equally likely letters.


# %%
def count_pairs_v1(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), np.int64)
    for last, following in pairwise(ids):
        counts[last, following] += 1
    return counts


def loss_of(p, counts):
    seen = counts > 0  # of all counted pairs, the mean of −ln p(next | last)
    return -(counts[seen] * np.log(p[seen])).sum() / counts.sum()


fruit = CharTokenizer.train("ananas")
counts = count_pairs_v1(fruit.encode("ananas"), fruit.vocab_size)
table = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (V, V)
loss = loss_of(table, counts)
print(f"{fruit.characters}\n{table.round(3)}\nloss {loss:.4f}, perplexity {np.exp(loss):.3f}")
assert (round(5 * loss, 4), round(loss, 4), round(np.exp(loss), 3)) == (1.9095, 0.3819, 1.465)

# %% [markdown]
# ## On real text
#
# Our text is what the Python that runs this says about itself, cleaned and split as in lesson 07: nine parts to learn
# from, one *held out* for the test. Tokens are characters at first. `bincount` counts without a Python loop.

# %%
print("reading and cleaning the corpus …")
split = data.split_documents(data.clean(data.embedded_corpus("prose"))[0], fraction=0.1, seed=0)
train_text, held_out_text = data.join_documents(split.train), data.join_documents(split.validation)
tokenizer = CharTokenizer.train([train_text, held_out_text])  # of both: it has no token for other characters
V = tokenizer.vocab_size
train_ids, held_out_ids = (tokenizer.encode_to_numpy(text).astype(np.int64) for text in (train_text, held_out_text))


def count_pairs(ids, vocab_size):
    pairs = ids[:-1].astype(np.int64) * vocab_size + ids[1:]  # one integer for each pair
    return np.bincount(pairs, minlength=vocab_size**2).reshape(vocab_size, vocab_size)


assert np.array_equal(count_pairs(train_ids[:20_000], V), count_pairs_v1(train_ids[:20_000], V))
counts, held_out_counts = count_pairs(train_ids, V), count_pairs(held_out_ids, V)
n_new = int(held_out_counts[counts == 0].sum())
print(f"{V} characters; {len(train_ids):,} to learn from, {len(held_out_ids):,} held out, {n_new} pairs of them new")
assert n_new > 0

# %% [markdown]
# Here is what breaks: a pair that it has not seen has the probability 0 in the table. One such pair in the held-out
# text, and the loss is infinite: the model was sure that this cannot happen, and it did. So we pretend to have seen
# every pair α times more than we did. This is *smoothing*:
#
#     p(w | v) = (c_vw + α) / (Σ_u c_vu + α V)
#
# And what is a good loss? Compare with a model that knows nothing (1/V for each token: perplexity V), and with one that
# knows how frequent each token is, but not what came before. With a memory of one character, the perplexity falls to
# less than 20. The figure shows the table, likely steps in light colours.


# %%
def smooth(counts, alpha):
    return (counts + alpha) / (counts.sum(axis=1, keepdims=True) + alpha * counts.shape[1])


P = smooth(counts, 0.1)
frequencies = np.broadcast_to(smooth(counts.sum(axis=0, keepdims=True), 0.1), (V, V))
models = {"uniform": np.full((V, V), 1 / V), "frequencies": frequencies, "bigram": P}
losses = {name: loss_of(p, held_out_counts) for name, p in models.items()}
for name, loss in losses.items():
    print(f"{name:12} loss {loss:.3f} nats = {loss / np.log(2):.3f} bits, perplexity {np.exp(loss):6.2f}")
assert np.isclose(np.exp(losses["uniform"]), V)
assert np.exp(losses["bigram"]) < 20 < np.exp(losses["frequencies"]) < V

shown = sorted(np.argsort(-counts.sum(axis=1))[:32])  # ids are in the order of the characters
names = [{" ": "space", "\n": "line"}.get(tokenizer.characters[v], tokenizer.characters[v]) for v in shown]
labels = {"row_title": "last character", "column_title": "next character", "unit": "square root of the probability"}
table = np.sqrt(P[np.ix_(shown, shown)])
plots.heat_map(figure_path("09_transitions"), table, names, names, "Which character comes next?", **labels)
show_figure("09_transitions")

# %% [markdown]
# ## The same table, learned
#
# Later models have no formula, only slopes. So learn this one by its slopes too: we know what must come out. Its
# parameters are a table W of scores (*logits*), V × V, and p(· | v) = softmax(W[v]): look up a row, make probabilities.
#
# Looking up rows is an op like any other: `F.embedding(ids, W)`, or `W[ids]`. In the backward pass, the gradient of row
# v is the sum over all places where v was looked up. By hand, for the ids 0, 1, 0:
#
#     dout = [1 2]  of row 0      dW = [6 8]  row 0, used twice: [1 2] + [5 6]
#            [3 4]  of row 1           [3 4]
#            [5 6]  of row 0           [0 0]  row 2, not used
#
# NumPy has a trap here: `dW[ids] += dout` reads, adds and writes *once* per row. With a repeated id one place wins, the
# others are lost, and there is no error. It is the forgotten plus of lesson 01 again. The library's kernel is a loop.
# Its threads share out the columns, since two ids may name one row. Watch it with `tinygrad-llm debug 09`, which stops
# before `sum_rows`: `s` steps in, `n` goes on to the call of the kernel, `s` steps in. `ll` shows it with line numbers;
# `until` with the number of the line `dw[c] += d[c]` runs to there, and `p n, ids[n], d, dw` shows which row goes
# where. `n` goes on, `q` leaves.

# %%
ids, dout = np.array([0, 1, 0]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
dW = sum_rows((3, 2), dout, ids)  # stop here
trap = np.zeros((3, 2))
trap[ids] += dout
print("dW", dW.tolist(), "  the trap", trap.tolist())
assert (dW.tolist(), trap.tolist()) == ([[6, 8], [3, 4], [0, 0]], [[5, 6], [3, 4], [0, 0]])
W = tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
for rows in (F.embedding(ids, W), W[ids], tensor(np.eye(3)[ids]) @ W):  # the last is the same as a product, of 0 and 1
    W.zero_grad_()
    rows.backward(dout)
    assert rows.data.tolist() == [[0, 1], [2, 3], [0, 1]]
    assert np.array_equal(W.grad.data, dW)

# %% [markdown]
# Now the slope of the loss. By lesson 05 the gradient of one place's cross-entropy is p − (1 at the right token). Row v
# is looked up n_v = Σ_w c_vw times among N pairs, and its gradients sum to
#
#     dL/dW[v] = (n_v · softmax(W[v]) − c_v) / N
#
# That is zero exactly where softmax(W[v]) = c_v / n_v. So the lowest loss is at the counted table, and descent has
# nowhere else to go. The slopes of a rare token's row are small (n_v / N); AdamW divides that out (lesson 06).
#
# The batches come from a *token file*: ids on disk, 2 bytes each, read where they are needed, so that a corpus may be
# larger than memory. `RandomBatches` cuts windows out of it at random places; the target y is x, one token later.

# %%
model = nn.Embedding(V, V, rng=np.random.default_rng(0))
F.cross_entropy(model(train_ids[:4999]), train_ids[1:5000]).backward()
p, c = F.softmax(model.weight.detach(), dim=1).numpy(), count_pairs(train_ids[:5000], V)
assert np.allclose(model.weight.grad.data, (c.sum(axis=1, keepdims=True) * p - c) / c.sum(), rtol=0, atol=1e-6)
folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
data.write_tokens(Path(folder.name, "train.tokens"), split.train, tokenizer)
tokens = data.open_tokens(Path(folder.name, "train.tokens"))
batches = data.RandomBatches(tokens, batch_size=32, seq_len=64, seed=0)
optimizer, curve = optim.AdamW(model.parameters(), lr=0.1, weight_decay=0), []
for step in range(300):
    x, y = next(batches)  # (B, T) each
    loss = F.cross_entropy(model(x).reshape(-1, V), y.reshape(-1))  # (B, T, V) to (B · T, V)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step(optim.schedule.linear(step, 300))
    learned = F.softmax(model.weight.detach(), dim=1).numpy()
    curve.append(loss_of(learned, counts))
assert np.array_equal(x[:, 1:], y[:, :-1])
floor, on_held_out = loss_of(smooth(counts, 1e-9), counts), loss_of(learned, held_out_counts)
print(f"nats: training part {curve[-1]:.3f} learned, {floor:.3f} counted; held out {on_held_out:.3f} learned")
assert floor < curve[-1] < floor + 0.05
assert on_held_out < losses["bigram"] + 0.05

# %% [markdown]
# Learned and counted differ by less than 0.05 nats, held out as well. No α was needed: no score went down to −∞.
#
# ## Writing
#
# Draw the next token from the row of the last one, append, repeat. To take always the likeliest (`argmax`) ends in a
# circle, as soon as a token comes back. The *temperature* T goes between: divide the logits by T, which raises p to the
# power 1/T. T < 1 favours the likely, T > 1 the unlikely.


# %%
def write(p, last, n, temperature, rng):
    p = p ** (1 / temperature)
    p /= p.sum(axis=1, keepdims=True)
    out = [last]
    for _ in range(n):
        out.append(rng.choice(len(p), p=p[out[-1]]))
    return out


start, likeliest = tokenizer.encode("T")[0], tensor(P).argmax(dim=1).numpy()
greedy = [start]
for _ in range(2 * V):
    greedy.append(likeliest[greedy[-1]])
print(f"always the likeliest: {tokenizer.decode(greedy[:40])!r}, a circle of {len(set(greedy[V:]))}")
assert len(set(greedy[V:])) < 20
for T in (0.5, 1.0, 2.0):
    print(f"temperature {T}: {tokenizer.decode(write(P, start, 120, T, np.random.default_rng(3)))!r}")

# %% [markdown]
# ## Larger tokens, and a fair comparison
#
# A BPE token (lesson 08) may be a word. But perplexities of different vocabularies cannot be compared: to guess one of
# 2,048 is harder, yet each guess covers more text. So compare the loss of the whole text in bits, per *byte* of it. A
# coder that knows the model (arithmetic coding) makes a file of that size. So zlib is a language model, too: a rival.

# %%
bpe = BPETokenizer.train(train_text, vocab_size=2048)
bpe_P = smooth(count_pairs(bpe.encode_to_numpy(train_text), bpe.vocab_size), 0.1)
bpe_held_out = count_pairs(bpe.encode_to_numpy(held_out_text), bpe.vocab_size)
print("compressing …")
rivals = data.compression_bits_per_byte(train_text, held_out_text)
totals = {name: loss * held_out_counts.sum() for name, loss in losses.items()}
totals["bigram of BPE tokens"] = loss_of(bpe_P, bpe_held_out) * bpe_held_out.sum()
bits_per_byte = {name: total / np.log(2) / len(held_out_text.encode()) for name, total in totals.items()}
bits_per_byte |= {"zlib": rivals.zlib_bits_per_byte, "lzma": rivals.lzma_bits_per_byte}
bits_per_byte["lzma after training"] = rivals.lzma_primed_bits_per_byte
print("bits per byte:", ", ".join(f"{name} {bits:.2f}" for name, bits in bits_per_byte.items()))
print(repr(bpe.decode(write(bpe_P, bpe.encode("The")[0], 40, 1.0, np.random.default_rng(0)))))
ranking = sorted(bits_per_byte, key=bits_per_byte.get)
assert ranking[:4] == ["lzma after training", "bigram of BPE tokens", "lzma", "zlib"]

# %% [markdown]
# Pairs of characters lose against zlib, which finds repeated words. Pairs of BPE tokens beat zlib and lzma. But an lzma
# that has read the training part beats them all: it looks *back*, as far as it likes. To beat it is for lesson 14.
#
# ## What a bigram cannot know
#
# Is a ")" due? That depends on a "(" some words ago, of which one token of memory says nothing. So why not count which
# character follows the last k of them? There are V^k such contexts. How many of those we meet are new?

# %%
new = {}
for k in range(1, 7):  # k characters as one integer
    known, met = (sliding_window_view(ids[:-1], k) @ V ** np.arange(k) for ids in (train_ids, held_out_ids))
    new[k] = 1 - np.isin(met, np.unique(known)).mean()
assert new[1] < 0.001 < 0.05 < new[6]
figure, (left, middle, right) = plots.new_figure(width=13, height=3.8, n_axes=3)
left.plot(curve, color=plots.BLUE)
left.axhline(floor, color=plots.GREEN, linestyle="--")
left.set(xlabel="step", ylabel="loss (nats)", ylim=(floor - 0.1, floor + 2), title="Learned (line), counted (dashes)")
colours = ["#BBBBBB" if "z" in name else plots.BLUE for name in ranking]
middle.bar_label(middle.barh(ranking, sorted(bits_per_byte.values()), color=colours), fmt="%.2f", padding=3)
middle.set(xlabel="bits per byte, held out", title="Models (blue), compressors (grey)", xlim=(0, 8))
right.plot(list(new), [100 * share for share in new.values()], "o-", color=plots.ORANGE)
right.set(xlabel="characters of context", ylabel="new ones in the held-out text (%)", title="Contexts never seen")
save_figure("09_results", figure)

# %% [markdown]
# Counts say nothing about a new context: what they know of "the cat" is no help with "the dog". We need a model that
# looks far back *and* shares what it learns between similar contexts.
#
# ## Keep
#
# - A language model is p(next | before). Loss: the mean −ln p of what came. Perplexity: e^loss. Bits per byte compare
#   across tokenizers, and with compressors.
# - Counting, and descending the cross-entropy of an `Embedding`, lead to the same table. Rows used twice get the sum of
#   both gradients. It costs V × C numbers; the look-up copies rows and multiplies nothing.
# - A table of longer contexts grows without sharing. Lesson 10 looks back in another way: attention.
#
# Elsewhere: Kneser-Ney smoothing falls back to shorter contexts. Counted models are fast, so they still filter the
# training text of large ones.
#
# To read: Shannon, "A mathematical theory of communication", 1948 (it has samples like ours, made by hand); Chen and
# Goodman, "An empirical study of smoothing techniques for language modeling", 1999; Bengio et al., "A neural
# probabilistic language model", 2003; Delétang et al., "Language modeling is compression", 2024.

# %%
folder.cleanup()
print(f"Shown: a memory of one character takes the perplexity from {V} to {np.exp(losses['bigram']):.1f}; descent ends")
print(f"{curve[-1] - floor:.3f} nats above counting. Best in bits per byte: {', '.join(ranking[:3])}.")
