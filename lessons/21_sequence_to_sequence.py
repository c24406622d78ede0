# %% [markdown]
# # 21 Sequence to sequence
#
# A model that points at its answer can say nothing that is not in the text. How does a model write a text of another
# length and language than it reads? At the end you have an encoder-decoder that translates numbers from English to
# Chinese, see which word it looked at for each sign, and know what BLEU, chrF and ROUGE count.

# %%
import math
from functools import partial

import numba
import numpy as np

import tinygrad_llm as tg
import tinygrad_llm.functional as F
from tinygrad_llm import evaluate, nn, plots
from tinygrad_llm.applications import alignment, translate
from tinygrad_llm.data import number_split, source_summaries
from tinygrad_llm.data.pair_batches import PairBatches, collate_pairs, encode_pair, encode_source, frame_id
from tinygrad_llm.evaluate.pairs import evaluate_pairs
from tinygrad_llm.models import Seq2Seq
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.train import language_modelling, train_steps
from tinygrad_llm.train.build import build_optimizer, build_schedule, model_config
from tinygrad_llm.train.pairs import PairCorpus, train_pair_tokenizer
from tinygrad_llm.train.recipes import preset

ADDS = [
    "tinygrad_llm/nn/cross_attention.py", "tinygrad_llm/nn/decoder_block.py", "tinygrad_llm/nn/decoder_cache.py",
    "tinygrad_llm/models/seq2seq.py", "tinygrad_llm/generate/given.py", "tinygrad_llm/train/pairs.py",
    "tinygrad_llm/data/pair_batches.py", "tinygrad_llm/data/pairs.py", "tinygrad_llm/data/translation.py",
    "tinygrad_llm/data/numerals.py", "tinygrad_llm/applications/translate.py",
    "tinygrad_llm/applications/alignment.py", "tinygrad_llm/evaluate/pairs.py", "tinygrad_llm/evaluate/translation.py",
    "tinygrad_llm/evaluate/rouge.py", "tinygrad_llm/evaluate/reference_texts.py",
]  # fmt: skip
numba.set_num_threads(1)  # in models this small, two threads would mostly wait for each other

# %% [markdown]
# ## Ask one text, look into another
# An *encoder* reads the source as in lesson 18, and leaves a vector for each of its S tokens: the memory. A *decoder*
# writes the target from left to right, as a GPT does. Between the two is **cross-attention**:
#
#     queries = x W_q  from the T tokens that are written        weights = softmax(queries · keys / √D)   (T, S)
#     keys = source W_k,  values = source W_v                    mixed   = weights · values
#
# No causal mask: the source is known. On paper, with one number per token and all W equal to 1: the written token asks
# with 1, the source is (0, ln 2, ln 5) = (0, 0.693, 1.609). The weights are (1/8, 2/8, 5/8), and mixed is
# (2 ln 2 + 5 ln 5)/8 = 1.179. In a batch short sources are padded. If the third token is padding, its score becomes
# −∞: the weights are (1/3, 2/3, 0), mixed is (2 ln 2)/3 = 0.462, and nothing depends on the padding.


# %%
def cross_attention_v1(layer, x, source, is_token):
    q, k, v, D, heads = layer.query(x), layer.key(source), layer.value(source), x.shape[-1] // layer.n_heads, []
    for h in range(layer.n_heads):
        part = slice(h * D, h * D + D)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(D)  # (B, T, S)
        heads.append(F.softmax(scores + np.where(is_token[:, None], 0.0, -np.inf), dim=-1) @ v[..., part])
    return layer.out(tg.cat(heads, dim=-1))


paper = nn.CrossAttention(1, 1, bias=False).to("float64")  # its four matrices are one number each
for linear in (paper.query, paper.key, paper.value, paper.out):
    linear.weight.data[...] = 1.0
asks, source = tg.tensor(np.ones((1, 1, 1))), tg.tensor(np.array([[[0], [0.693], [1.609]]]))  # (B, T, C) and (B, S, C)
for is_token, mixed in (([1, 1, 1], 1.179), ([1, 1, 0], 0.462)):
    assert abs(cross_attention_v1(paper, asks, source, np.array([is_token]) == 1).item() - mixed) < 1e-3

# %% [markdown]
# ## The library's pieces
# `CrossAttention` computes this for all heads in the fused kernel of lesson 11, which never holds the weights.
# `DecoderBlock` has three parts: it looks at its own text, then at the source, then comes the feed-forward network.
# `Seq2Seq` has an encoder, a decoder of such blocks, and one table of token vectors for both texts.
#
# **Step into it.** `tinygrad-llm debug 21` stops at the marked line, the example from above with its mask. Three times
# `s` enters `CrossAttention.forward`; five times `n`, and attention comes next. `p queries.data, keys.data` are 1 and
# the source, `p self.weights(x, source).data` the weights without a mask. After one more `n`, `p mixed.data` is 0.462.

# %%
mixed = paper(asks, source, np.array([[[[True, True, False]]]]))  # stop here
assert abs(mixed.item() - 0.462) < 1e-3
assert np.allclose(paper.weights(asks, source).data, [1 / 8, 2 / 8, 5 / 8], atol=1e-3)
rng, (B, T, S, C, H) = np.random.default_rng(0), (2, 4, 5, 8, 2)
layer, causal = nn.CrossAttention(C, H, rng=rng), nn.CausalSelfAttention(C, H, rng=rng)
norms, thinks = [nn.LayerNorm(C) for _ in range(3)], nn.FeedForward(C, 16, nn.GELU(), rng=rng)
block = nn.DecoderBlock(norms[0], causal, norms[1], layer, norms[2], thinks, nn.Dropout(0.0)).to("float64")
x, source = (tg.tensor(rng.standard_normal((B, n, C)), requires_grad=True) for n in (T, S))
is_token = np.arange(S) < np.array([[5], [3]])  # (B, S)
y = x + causal(norms[0](x))
y = y + cross_attention_v1(layer, norms[1](y), source, is_token)
y = y + thinks(norms[2](y))  # what the block does, by v1
mask = is_token[:, None, None]  # (B, 1, 1, S): for all heads and queries
of_layer = layer(x, source, mask), cross_attention_v1(layer, x, source, is_token)
for library, v1 in (of_layer, (block(x, source, mask), y)):
    assert np.allclose(library.data, v1.data)
    upstream = rng.standard_normal((B, T, C))
    library.backward(upstream)
    assert np.all(source.grad.data[1, 3:] == 0)  # no gradient reaches padding
    v1.backward(-upstream)  # the gradients of both ways cancel
    used = [each for each in (x, source, *block.parameters()) if each.grad is not None]
    assert all(np.allclose(each.grad.data, 0, atol=1e-12) for each in used)

# %% [markdown]
# ## Teacher forcing, and a loss that never becomes 0
# In training the decoder reads the *right* target, shifted by one place: a frame `|` begins target_in, and ends
# target_out and the source. So all T places are learned in one pass, as in a GPT:
#
#     source  f o u r |        target_in  | 四        target_out  四 |
#
# *Label smoothing*, for training only, asks for less than certainty: a part ε of the probability is meant for all V
# tokens alike. With V = 5 and ε = 0.1 the right one should get 0.9 + 0.02 = 0.92, each other one 0.02. The loss
# −Σ q ln p has the gradient p − q (lesson 05). It is least at p = q, and to be surer costs more. A perfect prediction
# still has this loss, the entropy of q: −0.92 ln 0.92 − 4 · 0.02 ln 0.02 = 0.0767 + 0.3130 = 0.3897.


# %%
def smoothed(V, epsilon):
    q = (1 - epsilon) * np.eye(V)[0] + epsilon / V  # the right token is the first
    return q, -(q * np.log(q)).sum()


q, entropy = smoothed(5, 0.1)
terms = [*q[:2], -0.92 * math.log(0.92), -4 * 0.02 * math.log(0.02), entropy]
assert np.allclose(terms, [0.92, 0.02, 0.0767, 0.3130, 0.3897], atol=1e-4)
scores = tg.tensor(np.log([q, q * [8, 1, 1, 1, 1]]), requires_grad=True)  # p = q, and one that is surer
losses = F.cross_entropy(scores, tg.tensor([0, 0]), label_smoothing=0.1, reduction="none")
losses.sum().backward()
assert np.allclose(scores.grad.data, F.softmax(scores.detach()).data - q)
assert math.isclose(losses.data[0], entropy)
assert losses.data[1] > entropy + 0.05

# %% [markdown]
# ## Training, with and without a bottleneck
# Numbers from 0 to 9,999, and in the test other ones than in training. The first decoders had **one vector** for the
# whole source (Sutskever et al. 2014); train such a one as well, which sees only the mean of the memory. The recipe is
# `translate-numbers`, made smaller: Muon, and characters as tokens.

# %%
parts = number_split(0, 9999, 999_999, n_train=10_000, n_held_out=200)
changes = {"d_model": 64, "steps": 400, "max_seq_len": 80, "schedule": "linear", "min_learning_rate": 0.0}
recipe = preset("translate-numbers").override(learning_rate=0.004, **changes)
tokenizer = train_pair_tokenizer(recipe, PairCorpus(parts, "", ""))
V, frame = tokenizer.vocab_size, frame_id(tokenizer)
encoded, batch_of = [encode_pair(tokenizer, pair) for pair in parts.train], partial(collate_pairs, frame=frame)
print(f"{V} characters; first pairs:", *(f"{pair.source} → {pair.target}" for pair in parts.train[:2]), sep="\n  ")


class OneVector(Seq2Seq):
    def loss(self, source, source_mask, target_in, target_out):
        share = (source_mask / source_mask.sum(axis=1, keepdims=True)).astype(np.float32)[:, None]  # (B, 1, S)
        hidden = self.decode(target_in, tg.tensor(share) @ self.encode(source, source_mask))  # a memory (B, 1, C)
        W = self.token_embedding.weight
        return F.linear_cross_entropy(hidden, W, target_out, label_smoothing=0.1 * self.training)


def train(kind):
    model, curve = kind(model_config(recipe, V), np.random.default_rng(0)), []
    loop = (PairBatches(encoded, 64, frame), language_modelling, build_optimizer(recipe, model), build_schedule(recipe))
    for info in train_steps(model, *loop, n_steps=recipe.steps, clip=1.0):
        curve.append(info.loss)
        if info.step % 100 == 0:
            print(f"{kind.__name__}: step {info.step}, loss {np.mean(curve[-50:]):.3f}", flush=True)
    return model.eval(), curve


test = batch_of([encode_pair(tokenizer, pair) for pair in parts.test])
(narrow, narrow_curve), (model, curve) = train(OneVector), train(Seq2Seq)
with tg.no_grad():
    narrow_loss, loss = narrow.loss(*test).item(), model.loss(*test).item()
floor = smoothed(V, 0.1)[1]
print(f"floor {floor:.4f}, end {np.mean(curve[-50:]):.4f}; unseen numbers {loss:.3f}, by one vector {narrow_loss:.3f}")
assert min(curve + narrow_curve) > floor - 1e-5
assert loss < narrow_loss / 1.5
figure, axes = plots.new_figure(8, 4)
axes.plot(plots.running_mean(narrow_curve, 20), "--", color=plots.ORANGE, label="one vector")
axes.plot(plots.running_mean(curve, 20), color=plots.BLUE, label="cross-attention")
axes.axhline(floor, color="black", linestyle=":", label="a perfect prediction")
axes.set(xlabel="step", ylabel="loss with smoothed labels (nats)", ylim=(0.5, 2.5), title="A bottleneck, and none")
axes.legend(frameon=False)
save_figure("21_training", figure)

# %% [markdown]
# ## What it has learned, and what it has not
# To write, the decoder reads its own last token. `Given`, a model with the sources that it has read, lets lesson 15's
# generation work as it is; a `DecoderCache` holds the keys and values of the source, computed once. *Exact match* asks
# for the whole text: greedy writing reaches it just where each token is right after right ones. But a prefix with a
# mistake was in no training, and after one the model does worse than teacher forcing says: *exposure bias*.

# %%
for name, pairs, lowest, highest in (("unseen", parts.test, 0.8, 1), ("beyond", parts.beyond, 0, 0.05)):
    batch, scores = batch_of([encode_pair(tokenizer, pair) for pair in pairs]), evaluate_pairs(model, tokenizer, pairs)
    written = [each.text for each in translate(model, tokenizer, [pair.source for pair in pairs])]
    both, counts = list(zip(pairs, written, strict=True)), batch.target_out != -100
    with tg.no_grad():  # the likeliest token of each place, after right ones, with the mask and without
        likeliest = [model(batch.source, batch.target_in, m).data.argmax(axis=-1) for m in (batch.source_mask, None)]
    right, unmasked = (each == batch.target_out for each in likeliest)  # (B, T)
    own = sum(a == b for pair, text in both for a, b in zip(pair.target + "|", text + "|", strict=False)) / counts.sum()
    teacher, without = right[counts].mean(), (unmasked | ~counts).all(axis=1).mean()
    print(f"{name}: exact {scores.exact_match:.1%}, without the source mask {without:.1%}, chrF {scores.chrf:.1f};")
    print(f"  of the tokens {teacher:.1%} are right after right ones, {own:.1%} after the model's own; wrong are")
    print("  " + ", ".join(f"{pair.source} → {text}" for pair, text in both if text != pair.target)[:160], "…")
    assert lowest <= scores.exact_match <= highest
    assert abs(scores.exact_match - (right | ~counts).all(axis=1).mean()) < 0.02
    assert max(own - teacher, without - scores.exact_match) <= 0

# %% [markdown]
# Within the range most are right, beyond it none: 万, for ten thousand, was in no target. What the model has learned is
# a rule for what it saw, not how numbers work.
#
# ## Where it looks
# Nobody told it which word belongs to which sign. In numbers such as 3,452, which word gets most of a digit's
# attention? The picture has one number, with the signs in Pinyin, as fonts often lack them.

# %%
four = [pair for pair in parts.test if len(pair.target) == 7 and "零" not in pair.target and "-" in pair.source]
hits = []  # a thousand b hundred and c-d: the digits are words 0, 2, 5 and 6, and characters 0, 2, 4 and 6
for pair in four:
    rows = np.array(encode_source(tokenizer, pair.source)), np.array([frame, *tokenizer.encode(pair.target)])
    weights = alignment(model, *rows)[-1].mean(axis=0)  # (T, S), the mean of the last block's heads
    by_word = weights[:, :-1] @ np.eye(7)[np.cumsum([c in " -" for c in pair.source])]  # (T, words)
    hits += (by_word[[0, 2, 4, 6]].argmax(axis=1) == [0, 2, 5, 6]).tolist()
print(f"{len(four)} numbers: {np.mean(hits):.0%} of their digits look most at their own word of seven")
assert np.mean(hits) > 0.7
names = "yī (1), èr (2), sān (3), sì (4), wǔ (5), liù (6), qī (7), bā (8), jiǔ (9), shí (10), bǎi (100), qiān (1000)"
pinyin = dict(zip("一二三四五六七八九十百千", names.split(", "), strict=True))
labels = [*(pinyin[c] for c in pair.target), "| (end)"], [*pair.source.replace(" ", "·"), "|"]
titles = {"row_title": "writes", "column_title": "looks at", "unit": "weight, mean of the heads"}
plots.heat_map(figure_path("21_alignment"), weights, *labels, f"Cross-attention, {pair.origin}", **titles)
show_figure("21_alignment")

# %% [markdown]
# ## The likeliest text
# Greedy writing cannot take back a token. On paper, two steps over the tokens a, b, c, and p of the whole text:
#
#     first   a 0.6  b 0.4        then, after a:  0.4  0.3  0.3        after b:  0.9  0.05  0.05
#     greedy  a a = 0.6 · 0.4 = 0.24        best  b a = 0.4 · 0.9 = 0.36
#
# Two beams keep a *and* b, and find it. How much is that worth here? Length penalty 0 compares sums alone.

# %%
p = np.array([[0.6], [0.4]]) * np.array([[0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])  # of all texts, (first, second)
assert (p[0].argmax(), divmod(int(p.argmax()), 3)) == (0, (1, 0))
assert np.allclose([p[0, 0], p[1, 0]], [0.24, 0.36])
figure, axes = plots.new_figure(6, 4.6)
for name, pairs, marker in (("beyond", parts.beyond, "x"), ("unseen", parts.test, "o")):
    both = [translate(model, tokenizer, [pair.source for pair in pairs], n, length_penalty=0.0) for n in (1, 4)]
    log_p = np.array([[each.log_prob for each in found] for found in both])  # (2, N)
    exact = [float(np.mean([p.target == t.text for p, t in zip(pairs, found, strict=True)])) for found in both]
    likelier, less = (int((sign * (log_p[1] - log_p[0]) > 1e-3).sum()) for sign in (1, -1))
    print(f"{name}: of {len(pairs)} texts {likelier} are likelier with 4 beams, {less} less likely; exact: {exact}")
    assert max(less / len(pairs), abs(exact[1] - exact[0])) < 0.05
    axes.plot(*log_p, marker, color=plots.ORANGE if marker == "x" else plots.BLUE, fillstyle="none", label=name)
axes.axline((-1, -1), slope=1, color="black", linewidth=0.8)
axes.set(xlabel="ln p of the greedy text", ylabel="ln p of the text of 4 beams", title="Beam against greedy")
axes.legend(frameon=False)
save_figure("21_beams", figure)

# %% [markdown]
# Likelier is hardly better here: where the model is wrong, the search is not to blame.
#
# ## How good is a text?
# A sentence has many right translations, so exact match is too strict. **BLEU** counts n-grams of words, each at most
# as often as in the reference. On paper, "the cat sat on the mat" for "the cat sat on a mat at home": 5/6 of the words
# are right (one "the" is too many), 3/5 of the pairs, 2/4 of the triples, 1/3 of the fours: geometric mean 0.5373. It
# has 6 words, not 8: the *brevity penalty* is e^(1 − 8/6) = 0.7165, and BLEU = 100 · 0.7165 · 0.5373 = 38.50.
# **chrF** takes n-grams of characters, n = 1 to 6, the mean precision P and recall R, and F = 5 P R / (4 P + R). For
# 九百一十五 instead of 九百零五, 3/5, 1/4, 0, 0 and 3/4, 1/3, 0, 0 give 25.67; the reference has no n-gram of 5.
#
# **ROUGE-L**, for summaries, takes the longest common subsequence: "the exponent of adjusted self" for "return the
# adjusted exponent of self" has "the exponent of self", 4 words. P = 4/5, R = 4/6, F1 = 8/11. The same model learns to
# summarise (`tinygrad-llm pretrain --model seq2seq --pairs summaries`). To beat: the function's name as summary.

# %%
penalty, mean = math.exp(1 - 8 / 6), (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4)
bleu = evaluate.sentence_bleu("the cat sat on the mat", ["the cat sat on a mat at home"]).score
assert np.allclose([penalty, mean, 100 * penalty * mean, bleu], [0.7165, 0.5373, 38.50, 38.50], rtol=1e-4)
P, R = (3 / 5 + 1 / 4) / 4, (3 / 4 + 1 / 3) / 4
assert np.allclose([500 * P * R / (4 * P + R), evaluate.sentence_chrf("九百一十五", ["九百零五"])], 25.67, rtol=1e-3)
rouge = evaluate.rouge_l("the exponent of adjusted self", ["return the adjusted exponent of self"])
assert np.allclose(rouge, [4 / 5, 4 / 6, 8 / 11])
functions = source_summaries()  # reads Python's own sources
names = [pair.origin.rpartition(".")[2] for pair in functions]
rouge = evaluate.rouge_scores(names, [[pair.target] for pair in functions])
print(f"{len(functions):,} functions, the name as summary: {rouge}; such as {names[0]!r} for {functions[0].target!r}")
assert rouge.rouge_2.f1.mean() < rouge.rouge_l.f1.mean() < 0.5

# %% [markdown]
# ## Keep
# 1. Cross-attention: queries from the text that is written, keys and values from the one that is read; mask padding.
# 2. Train on right prefixes, write on your own. Smoothed labels leave a loss, the entropy of what is asked for.
# 3. Beams find likelier texts. BLEU and chrF compare n-grams, ROUGE-L the order; none of them understands.
#
# - **What it costs.** T · S scores per head and layer, and 4 C² + 6 C more weights per decoder block, norm included.
# - **Where the real world differs.** Millions of pairs, pieces of words; decoders alone, the source as prompt.
# - **Further reading.** Bahdanau et al. (2015), on alignment; Vaswani et al. (2017); Papineni et al. (2002), on BLEU.

# %%
print(f"Unseen numbers: {exact[0]:.0%} exact, {exact[1]:.0%} with beams, {loss:.2f} nats per token instead of the")
print(f"{narrow_loss:.2f} through one vector. In {np.mean(hits):.0%} of the cases a digit looks most at its own word.")
