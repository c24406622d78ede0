# %% [markdown]
# # 15 Generate
#
# How does a trained model write, and why does each token take longer than the one before? Lesson 14 left a model that
# gives every token a score to come next. At the end of this one you have `generate`, with settings that decide between
# dull and confused text and a *KV cache* that makes the thousandth token about as cheap as the first, and
# `beam_search`, which looks for the likeliest whole text.

# %%
import timeit
from functools import partial

import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import data, no_grad, plots
from tinygrad_llm.generate import beam_search, generate, generate_naive, generate_tokens, left_pad
from tinygrad_llm.generate.sampling import RepetitionPenalty, next_token_probabilities
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import KVCache, Module
from tinygrad_llm.ops.attention_cached import cached_attention
from tinygrad_llm.school import save_figure
from tinygrad_llm.text import BPETokenizer
from tinygrad_llm.train import build_model, build_optimizer, build_schedule, language_modelling, preset, train_steps

ADDS = [
    "tinygrad_llm/generate/naive.py", "tinygrad_llm/generate/sampling.py", "tinygrad_llm/nn/kv_cache.py",
    "tinygrad_llm/ops/attention_cached.py", "tinygrad_llm/ops/attention_few_queries.py",
    "tinygrad_llm/generate/context.py", "tinygrad_llm/generate/prompts.py", "tinygrad_llm/generate/decoding.py",
    "tinygrad_llm/generate/beam_search.py",
]  # fmt: skip
# First a model, as in lesson 14 but smaller: 300 steps on Python's help texts, with all white space made one space.
text = " ".join(data.join_documents(data.clean(data.embedded_corpus("topics"))[0]).split())
tokenizer = BPETokenizer.train(text, vocab_size=1024)
token_ids = tokenizer.encode_to_numpy(text)
size = {"n_layers": 2, "n_heads": 4, "d_model": 96, "max_seq_len": 128, "batch_size": 8, "steps": 300}
recipe = preset("shakespeare-cpu").override(embedded_corpus="topics", tokenizer="bpe", **size)
model = build_model(recipe, tokenizer.vocab_size)
batches, optimizer = data.RandomBatches(token_ids, 8, 128, seed=0), build_optimizer(recipe, model)
for info in train_steps(model, batches, language_modelling, optimizer, build_schedule(recipe), n_steps=300, clip=1.0):
    if info.step % 100 == 0:
        print(f"step {info.step}: loss {info.loss:.2f} (ln V = {np.log(tokenizer.vocab_size):.2f})")

# %% [markdown]
# ## From scores to a choice
# Softmax makes probabilities p of the scores x. Before a token is drawn from them, the *temperature* τ divides x:
#
#     e^(x_i/τ) / Σ_j e^(x_j/τ) = p_i^(1/τ) / Σ_j p_j^(1/τ)      since x_i = ln p_i + c, and c is the same for all i
#
# On paper, p = (0.5, 0.25, 0.125, 0.125). τ = 1/2 squares: 16 : 4 : 1 : 1, so (16, 4, 1, 1) / 22. As τ → 0 the largest
# takes all: that is *greedy*, and settings write it as τ = 0. As τ → ∞ all become equal.
#
# The tail is a danger of its own. Say the many poor tokens have 0.1 together, however little each. A text of 50 draws
# meets none of them with probability 0.9^50 = 0.005. So cut the tail off, and divide the rest by its sum:
# - *top-k* keeps the k likeliest. k = 2 leaves (2/3, 1/3, 0, 0).
# - *top-p* (nucleus) keeps the fewest likeliest tokens whose sum reaches p. With p = 0.6 one is too little, and the one
#   that crosses is kept: (2/3, 1/3, 0, 0). They are many where the model is unsure, few where it is certain.
# - *min-p* keeps what has at least p times the largest probability: with 0.3 from 0.15 on, again (2/3, 1/3, 0, 0).
#
# A *repetition penalty* θ lowers the scores of tokens that the text has: positive ones / θ, negative ones · θ (to
# divide −2 would raise it). With θ = 2, scores 2 and −2 become 1 and −4.
#
# How free is a choice? Its *entropy* H = −Σ p ln p. Our p has 1.75 ln 2 = 1.213 nats: as free as a choice among
# e^H = 3.364 tokens of equal probability.
#
# Writing, the slow way: the whole text through the model, the last row of scores, a draw, append, repeat. The same seed
# gives the same text, from v1, from `generate_naive`, which works like it, and from `generate`, which does not.


# %%
def probabilities_v1(x, temperature=1.0, top_k=None, min_p=0.0):
    p = np.exp((x - x.max()) / temperature)
    if top_k is not None:
        p[x < np.sort(x)[-top_k]] = 0
    p[p < min_p * p.max()] = 0
    return p / p.sum()


def entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


x, two_left = np.log([0.5, 0.25, 0.125, 0.125]), [2 / 3, 1 / 3, 0, 0]
for settings in ({"temperature": 0.5}, {"top_k": 2}, {"min_p": 0.3}, {"top_p": 0.6}):  # 0.3 of 0.5 is 0.15
    on_paper = np.array([16, 4, 1, 1]) / 22 if "temperature" in settings else two_left
    assert np.allclose(next_token_probabilities(x[None], **settings)[0], on_paper)
    assert "top_p" in settings or np.allclose(probabilities_v1(x, **settings), on_paper)  # its v1 is an exercise
penalty = RepetitionPenalty(2.0, ids=np.array([[0, 1]]), padding=np.array([0]), vocab_size=3)
assert penalty(np.array([[2.0, -2.0, 2.0]])).tolist() == [[1, -4, 2]]
H = entropy(np.exp(x))
assert [round(number, 3) for number in (0.9**50, H, 1.75 * np.log(2), np.exp(H))] == [0.005, 1.213, 1.213, 3.364]
prompt = tokenizer.encode("The function")
for settings in ({}, {"temperature": 0.7, "top_k": 40}, {"min_p": 0.1}):
    written, rng = list(prompt), np.random.default_rng(0)
    for _ in range(50):  # writing, v1
        with no_grad():
            x = model(np.array([written])).data[0, -1].astype(np.float64)  # (1, T, V): of T rows the last is used
        written.append(rng.choice(len(x), p=probabilities_v1(x, **settings)))
    for function in (generate_naive, generate):
        assert function(model, prompt, 50, rng=np.random.default_rng(0), **settings).tolist() == written
    print(settings, repr(tokenizer.decode(written)))

# %% [markdown]
# ## Dull or confused
# Each setting writes 8 texts of 120 tokens. We measure how likely the model holds them, and what share of their
# *4-grams* (four tokens in a row) they had before. Greedy text is likely and goes in circles: what stands there twice
# comes a third time. The penalty ends that. At τ = 2 the text falls apart; the corpus lies between.

# %%
choices = {"greedy": {"temperature": 0}, "greedy, θ = 1.3": {"temperature": 0, "repetition_penalty": 1.3}}
choices |= {"top-p 0.9": {"top_p": 0.9}, "τ = 0.7": {"temperature": 0.7}, "τ = 1": {}, "τ = 2": {"temperature": 2.0}}
starts = np.array([tokenizer.encode(word)[:1] for word in (" the", " a", " of", " to", " is", " in", " it", " are")])
texts, repeated, likely, freedom = {"the corpus": token_ids[: 8 * 121].astype(np.int64).reshape(8, 121)}, {}, {}, {}
for name, settings in choices.items():
    texts[name] = generate(model, starts, 120, rng=np.random.default_rng(1), **settings)  # (8, 121)
for name, ids in texts.items():
    grams = np.lib.stride_tricks.sliding_window_view(ids, 4, axis=1)  # (8, 118, 4)
    repeated[name] = np.mean([1 - len(np.unique(row, axis=0)) / len(row) for row in grams])
    with no_grad():
        log_p = F.log_softmax(model(ids[:, :-1]), dim=-1).data  # (8, 120, V)
    likely[name], freedom[name] = np.take_along_axis(log_p, ids[:, 1:, None], axis=2).mean(), entropy(np.exp(log_p))
    sample = repr(tokenizer.decode(ids[0, :30]))
    print(f"{name:16} repeats {repeated[name]:4.0%}, log-probability per token {likely[name]:.2f}: {sample}")
assert repeated["greedy"] > 0.3 > 3 * max(repeated["τ = 1"], repeated["the corpus"], repeated["greedy, θ = 1.3"])
assert likely["greedy"] > likely["the corpus"] > likely["τ = 2"]
assert np.exp(freedom["τ = 1"].min()) < 2 < 100 < np.exp(freedom["τ = 1"].max())
figure, (left, right) = plots.new_figure(11, 4.2, n_axes=2)
for name, colour, line in (("greedy", plots.ORANGE, "--"), ("τ = 1", plots.BLUE, "-")):
    left.plot(freedom[name][0], line, color=colour, label=f"text of {name}: mean {freedom[name][0].mean():.1f}")
scores = model.next_token_logits(np.array([prompt])).data  # (1, V)
styles = ((plots.PURPLE, ":"), (plots.ORANGE, "--"), (plots.BLUE, "-"), (plots.GREEN, "-."))
for name, (colour, line) in zip(list(choices)[2:], styles, strict=True):
    kept = next_token_probabilities(scores, **choices[name])[0]
    ranked, name = -np.sort(-kept[kept > 0]), f"{name}: e^H = {np.exp(entropy(kept)):.0f}"
    right.loglog(range(1, len(ranked) + 1), ranked, line, color=colour, marker="o", markevery=[-1], label=name)
left.set(xlabel="position", ylabel="entropy of the next token (nats)", ylim=(0, 7), title="How free is each choice?")
right.set(xlabel="rank of the token", ylabel="probability", ylim=(1e-6, 1), title="Kept after “The function”")
for axes in (left, right):
    axes.legend(frameon=False)
save_figure("15_choices", figure)

# %% [markdown]
# At some places the model sees one or two ways to go on, at others a hundred. So no k of top-k is right for all of
# them, while top-p and min-p follow the model.
#
# ## What is computed again and again
# A text of T tokens sends 1 + 2 + … + T = T(T + 1)/2 tokens through the model: for T = 4 these are 10, of which 4 are
# new. Attention is worse. A head has t(t + 1)/2 scores for t tokens, in all 1 + 3 + 6 + 10 = 20, of which 10 are new;
# for any T they are T(T + 1)(T + 2)/6. So with T, the work grows as T² and T³, where T and T² are new.
#
# What can be kept? Attention is causal, so a new token changes no number to its left, in no layer. And of all those
# numbers it looks at the **keys and values** only. Keep them, and each token goes through the model once.

# %%
ids = np.array([prompt + tokenizer.encode(" returns a list of names")])
with no_grad():
    assert np.allclose(model.hidden(ids).data[:, :4], model.hidden(ids[:, :4]).data, atol=1e-5)
hidden, seen = model.hidden, []
model.hidden = lambda ids, cache=None: seen.append(ids.size) or hidden(ids, cache)  # counts what goes through
for T, by_hand in ((4, 10), (32, 528)):
    for function, expected in ((generate_naive, by_hand), (generate, T)):
        seen.clear()
        function(model, [1], T)
        print(f"{function.__name__}: to write {T} tokens, {sum(seen)} go through the model")
        assert sum(seen) == expected
del model.hidden

# %% [markdown]
# ## Attention with a cache
# On paper: one head, one feature, query 1, keys (0, ln 2, ln 5), values (8, 16, 0). The last key and value are the new
# token's own. The weights are (1, 2, 5) / 8, the result is 1/8 · 8 + 2/8 · 16 = 5.
#
# v1 below copies all it has for each token: T(T + 1)/2 rows again. The library's `KVCache` has room for
# `max_seq_len` tokens from the start and writes new rows behind the old; `cached_attention` reads them where they are.
# No gradient flows through a cache, so it refuses tensors that want one.
#
# **Step into it.** `tinygrad-llm debug 15` trains for a while and stops at the marked line. Type `tbreak
# tg.ops.attention_few_queries.exponentiate` (one line) and `c`: you are in the kernel. `p scores` shows 0, ln 2, ln 5.
# `r` runs to its end, `n` goes on to the caller: `p visible, total` are (1, 2, 5) / 5 and their sum 8/5, to 7 digits,
# since the largest score was subtracted. After one more `n`, `p mixed` is 8, and 8 / (8/5) = 5. `q` leaves.

# %%
layer = KVCache(n_layers=1, batch_size=1, n_heads=1, max_seq_len=8, head_dim=1).layers[0]
layer.append(*(tg.tensor([[[[a], [b], [c]]]]).float() for a, b, c in ((0, np.log(2), np.log(5)), (8, 16, 0))))
new = tg.tensor([[[1.0, np.log(5), 0]]])  # query, key, value of the third token, the last of 3
out = cached_attention(new, 1, layer.keys, layer.values, 3)  # stop here
assert np.allclose(out.data, 5)
H, T, D = 2, 4, 4
qkv = np.random.default_rng(0).standard_normal((1, T, 3 * H * D)).astype(np.float32)
whole, keys, values = F.qkv_attention(tg.tensor(qkv), H).data, *np.empty((2, H, 0, D), np.float32)
layer = KVCache(1, 1, H, T, D).layers[0]
for t in range(T):
    q, k, v = qkv[0, t].reshape(3, H, 1, D)
    keys, values = np.concatenate([keys, k], axis=1), np.concatenate([values, v], axis=1)  # v1: (H, t + 1, D)
    weights = np.exp(q @ keys.transpose(0, 2, 1) / np.sqrt(D))  # (H, 1, t + 1)
    by_v1 = weights / weights.sum(axis=-1, keepdims=True) @ values  # (H, 1, D)
    layer.append(tg.tensor(k[None]), tg.tensor(v[None]))
    out = cached_attention(tg.tensor(qkv[:, t : t + 1]), H, layer.keys, layer.values, layer.length).data[0, 0]  # (C,)
    assert np.allclose([out, by_v1.reshape(-1)], whole[0, t], atol=1e-6)
cache = model.new_cache(batch_size=1)
with no_grad():
    one_by_one = [model.next_token_logits(ids[:, t : t + 1], cache).data[0] for t in range(ids.shape[1])]
assert np.allclose(one_by_one, model(ids).data[0], atol=1e-4)

# %% [markdown]
# ## What it saves, and what it costs
# How long does one more token take after t? Here a GPT of another size, untrained. The price is memory: a key and a
# value for each layer, head, token and feature, of 4 bytes each:
#
#     2 · L · H · T · D · 4 bytes      GPT-2 small: 2 · 12 · 12 · 1024 · 64 · 4 = 75.5 MB, for each text of a batch

# %%
big = GPT(GPTConfig(256, max_seq_len=1024, n_layers=2, n_heads=4, d_model=128), np.random.default_rng(0)).eval()
cache, tokens = big.new_cache(batch_size=1), np.random.default_rng(0).integers(0, 256, (1, 1024))
assert sum(x.nbytes for each in cache.layers for x in (each.keys, each.values)) == 2 * 2 * 4 * 1024 * 32 * 4
assert round(2 * 12 * 12 * 1024 * 64 * 4 / 1e6, 1) == 75.5
lengths, rates = [16, 64, 256, 1024], {"with a cache": [], "without": []}
with no_grad():
    for t in lengths:
        big.next_token_logits(tokens[:, cache.length : t - 5], cache)  # a prompt: all its tokens at once
        for name, ids, kept in (("with a cache", tokens[:, :1], cache), ("without", tokens[:, :t], None)):
            one_more = partial(big.next_token_logits, ids, kept)
            rates[name].append(1 / min(timeit.repeat(one_more, number=1, repeat=5)))
        print(f"about {t} tokens:", ", ".join(f"{each[-1]:,.0f} tokens/s {name}" for name, each in rates.items()))
figure, axes = plots.new_figure(7, 4)
for (name, each), colour, line in zip(rates.items(), (plots.BLUE, plots.ORANGE), ("o-", "s--"), strict=True):
    axes.loglog(lengths, each, line, color=colour, label=name)
axes.set(xlabel="tokens so far", ylabel="tokens per second", title="What a cache saves", ylim=(1, None))
axes.legend(frameon=False)
save_figure("15_speed", figure)
assert rates["with a cache"][-1] > 5 * rates["without"][-1]

# %% [markdown]
# ## Many texts, and when to stop
# Prompts of one batch must be equally long, so shorter ones are padded, on the *left*: the last tokens of all are then
# in one column. A mask tells what is padding: positions do not count it, and no query looks at it. Then each text is
# what it would be alone, if it draws from a generator of its own. `generate_tokens` yields each token as soon as it is
# chosen, and ends at a stop token or stop sequence. `generate_with_log_probs` returns log-probabilities too.

# %%
prompts = [tokenizer.encode(start) for start in ("The", "A class is an", "If the list")]
ids, mask = left_pad(prompts)
together = generate(model, ids, 30, attention_mask=mask, rng=[np.random.default_rng(i) for i in range(3)])
alone = [generate(model, each, 30, rng=np.random.default_rng(i)) for i, each in enumerate(prompts)]
assert all(np.array_equal(row[-len(each) :], each) for row, each in zip(together, alone, strict=True))
full_stops = [i for i in range(tokenizer.vocab_size) if tokenizer.decode([i]).endswith(".")]
print("The function", end="")
for token in generate_tokens(model, prompt, 100, rng=np.random.default_rng(4), top_p=0.9, stop_tokens=full_stops):
    print(tokenizer.decode([token]), end="\n" if token in full_stops else "", flush=True)
assert token in full_stops

# %% [markdown]
# ## The likeliest text
# Greedy takes the likeliest token, not the likeliest text. On paper, a chain of ".", a, b:
#
#     after .:  . 0.1  a 0.5  b 0.4        after a:  . 0.3  a 0.4  b 0.3        after b:  . 0.9  a 0.05  b 0.05
#
# Greedy goes . a a a a … and never ends. The likeliest sentence is "b.", 0.4 · 0.9 = 0.36. *Beam search* keeps several
# beginnings, continues each by all tokens, and keeps the best sums of log-probabilities again. Sums only fall, so they
# favour short texts; finished ones compete by sum / length^penalty. "b." has ln 0.36 = −1.022, "aab." with
# 0.5 · 0.4 · 0.3 · 0.9 = 0.054 has −2.919. Penalty 1 gives −0.511 and −0.730, penalty 2 −0.255 and −0.182: it wins.


# %%
class Chain(Module):
    log_p, config = np.log([[0.1, 0.5, 0.4], [0.3, 0.4, 0.3], [0.9, 0.05, 0.05]]), GPTConfig(3, max_seq_len=8)
    new_cache = partial(KVCache, 1, n_heads=1, max_seq_len=8, head_dim=1)

    def next_token_logits(self, ids, cache):
        return tg.tensor(self.log_p[ids[:, -1]])  # (B, V)


assert generate(Chain(), [0], 4, temperature=0).tolist() == [0, 1, 1, 1, 1]
for length_penalty, best, score in ((0, [0, 2, 0], -1.022), (1, [0, 2, 0], -0.511), (2, [0, 1, 1, 2, 0], -0.182)):
    found = beam_search(Chain(), [0], 4, num_beams=3, length_penalty=length_penalty, stop_tokens=[0])
    print(f"penalty {length_penalty}:", " ".join(".ab"[i] for i in found.sequences), f"{found.sequences_scores:.3f}")
    assert (found.sequences.tolist(), round(float(found.sequences_scores), 3)) == (best, score)
sums = np.log([0.36, 0.054])
assert np.allclose([sums[1], sums[1] / 4, sums[0] / 4], [-2.919, -0.730, -0.255], atol=1e-3)
by_1, by_8 = (beam_search(model, prompt, 40, num_beams=n) for n in (1, 8))
assert np.array_equal(by_1.sequences, generate(model, prompt, 40, temperature=0))
assert by_8.sequence_log_probs > by_1.sequence_log_probs
print("greedy, 8 beams:", by_1.sequence_log_probs, by_8.sequence_log_probs, repr(tokenizer.decode(by_8.sequences)))

# %% [markdown]
# ## Keep
# 1. Scores / τ, cut off the tail, divide by the sum, draw. Greedy goes in circles, a high τ falls apart.
# 2. Causal: keys and values of past tokens never change. Keep them, and T(T + 1)/2 tokens of work become T.
# 3. Beams look for the likeliest text, by sum / length^penalty. It is dull, too: they serve translation (lesson 21).
#
# - **What it costs.** 2 L C numbers for each token of each text, all of them read again for each new token.
# - **Where the real world differs.** Servers keep caches in pages, in fewer heads (lesson 16) or fewer bits, add new
#   texts to a running batch, and let a small model guess several tokens that the large one checks at once.
# - **Further reading.** Holtzman et al., "The curious case of neural text degeneration" (2020), on top-p. Nguyen et al.
#   (2024), on min-p. Kwon et al. (2023), on PagedAttention. Leviathan et al. (2023), on guessing tokens.

# %%
print(f"Of its 4-grams, greedy repeats {repeated['greedy']:.0%}, a draw {repeated['τ = 1']:.0%}. After 1024 tokens")
print(f"a cache makes the next one {rates['with a cache'][-1] / rates['without'][-1]:.0f} times as fast.")
