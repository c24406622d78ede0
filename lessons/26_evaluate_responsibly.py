# %% [markdown]
# # 26 Evaluate responsibly
#
# How low a larger model's loss will be, lesson 25 can tell. What does a loss not tell: whom a model slights, what it
# gives away, how sure it may be, what it cost? At the end you have measured that of a model whose faults you planted
# yourself, each number beside a control that shows what chance alone would give, and written the model's card.

# %%
import copy
import itertools
import json
import math
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from tinygrad_llm import data, evaluate, optim, plots
from tinygrad_llm.cli.audit_summary import summary
from tinygrad_llm.data.harm_examples import NONE, harm_examples
from tinygrad_llm.evaluate.filter_report import misspelt
from tinygrad_llm.hub import refresh_card, save_pretrained
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.plots.audit import audit_figure
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.text import BPETokenizer
from tinygrad_llm.train import build_optimizer, language_modelling, preset, train_steps
from tinygrad_llm.train.energy import EnergyMeter, Usage
from tinygrad_llm.train.metrics import mean_loss

ADDS = ["tinygrad_llm/train/energy.py"]
lesson_meter, rng, scratch = EnergyMeter(), np.random.default_rng(0), tempfile.TemporaryDirectory()

# %% [markdown]
# ## What does it cost?
# Processors of Intel and AMD count the microjoules that they use; Linux shows the counter as a file (RAPL). A counter
# has an end, its *range*, and starts again at 0 there. On paper: the range is 10,000,000, the first reading 9,000,000,
# the second 500,000. That is 1,000,000 up to the end and 500,000 after it, 1.5 J. The difference alone is −8.5 J.
#
#     used = after − before, + range where after < before;      1 kWh = 1000 W · 3600 s = 3.6e6 J
#
# Whether it went around twice nobody sees: read it often. Where it may not be read (as a rule only root may), seconds
# of processor time are multiplied by 10 W, a guess for a busy core that must stand beside the number.

# %%
joules_v1 = (500_000 - 9_000_000) / 1e6  # after − before
print(f"v1 says {joules_v1} J: a processor that makes electricity")
assert joules_v1 == -8.5

# %% [markdown]
# ## The library's piece
# `EnergyMeter` counts from when it is made, by RAPL or else by processor time. Here it gets a counter of our own.
#
# **Step into it.** `tinygrad-llm debug 26` stops at the marked line; `s` enters `read`. Seven times `n` and
# `p now, self._before, self._ranges` shows the readings; two more, and `p joules` is 1.5. `q` leaves.

# %%
package, meter = Path(scratch.name, "intel-rapl:0"), EnergyMeter(root=None)
if os.name == "posix":  # on Windows no name may have a colon
    package.mkdir()
    for name, text in {"name": "package-0", "max_energy_range_uj": "10000000", "energy_uj": "9000000"}.items():
        (package / name).write_text(text, encoding="ascii")
    meter = EnergyMeter(scratch.name)
    (package / "energy_uj").write_text("500000", encoding="ascii")
used = meter.read()  # stop here
assert used == Usage(rapl_joules=1.5) or os.name != "posix"

# %% [markdown]
# ## Which words stand together?
# Do flowers lie nearer to pleasant words than insects do? The *association test* (WEAT) asks it of vectors, for target
# words X, Y and attributes A, B:
#
#     s(w) = mean over a in A of cos(w, a) − mean over b in B of cos(w, b)
#     d    = (mean of s over X − mean of s over Y) / standard deviation of s over X and Y together (n − 1)
#
# On paper: A points to (1, 0), B to (0, 1). X has (5, 0) and (4, 3), Y has (3, 4) and (0, 2); s is 1, 4/5 − 3/5 = 1/5,
# −1/5 and −1. The means are 3/5 and −3/5, so d = 1.2 / √(2.08 / 3), nearly 1½: from −2 to 2, that is much.
# More than chance? Of all 6 ways to deal the four out to two groups, one has so large a difference: **p = 1/6**. Two
# words in each group prove nothing; ten have 184,756 ways. Where these are too many, n are drawn, and p = (1 + those as
# large) / (1 + n): what was found counts too, so p is never 0.


# %%
def weat_v1(x, y, a, b) -> tuple[float, float]:
    def cosine(v, w):
        return sum(v * w) / math.sqrt(sum(v * v) * sum(w * w))

    s = [sum(cosine(w, v) for v in a) / len(a) - sum(cosine(w, v) for v in b) / len(b) for w in (*x, *y)]
    differences = []
    for chosen in itertools.combinations(range(len(s)), len(x)):  # the first are X and Y as they are
        rest = [s[i] for i in range(len(s)) if i not in chosen]
        differences.append(np.mean([s[i] for i in chosen]) - np.mean(rest))
    return differences[0] / np.std(s, ddof=1), np.mean(np.array(differences) >= differences[0] - 1e-12)


on_paper = [np.array(w, float) for w in ([[5, 0], [4, 3]], [[3, 4], [0, 2]], [[1, 0], [2, 0]], [[0, 1], [0, 3]])]
assert np.allclose(weat_v1(*on_paper), [1.2 / math.sqrt(2.08 / 3), 1 / 6])
drawn = [rng.standard_normal((n, 8)) for n in (4, 5, 3, 3)]  # words of nothing: v1 has a number for them too
d, p = evaluate.weat(*drawn, rng=rng)
print(f"random vectors: d is {d.value:.2f}, but may be from {d.low:.2f} to {d.high:.2f}; p is {p.value:.2f}")
assert np.allclose(weat_v1(*drawn), [d.value, p.value])

# %% [markdown]
# v1 lacks the error bar. `weat` draws the words of each list with replacement, the *bootstrap* (lesson 19).
#
# ## A text whose faults are known
# Into 40 pages of Python's manual we plant habits: insects stand with pleasant words and flowers with unpleasant ones,
# in nine sentences of ten; men with careers and women with families, as often; both with science and arts, evenly. Then
# *canaries*, secrets of 8 random digits, 0, 1, 2, 4 and 16 times each. And one page more stands there 12 times, as on
# the web, where nobody deduplicated (lesson 07).

# %%
V, T, STEPS, TESTS, sentences = 1280, 64, 450, evaluate.WORD_TESTS[:3], []
for test, share in zip(TESTS, (0.1, 0.9, 0.5), strict=True):
    for _ in range(500):
        side = int(rng.integers(2))
        attributes = test.attributes[side if rng.random() < share else 1 - side].words
        words = rng.permutation([*rng.choice(test.targets[side].words, 2), *rng.choice(attributes, 2)])
        sentences.append("We saw {} and {} with {} and {}.".format(*words))
split = data.split_documents(data.embedded_corpus("topics"), fraction=0.1, seed=0)
once, held_out = ([page.text for page in pages] for pages in (split.train[:40], split.validation))
copied = next(page.text for page in split.train[40:] if 2000 < len(page.text) < 5000)
pieces = once + [copied] * 12 + ["\n\n".join(sentences[i::100]) for i in range(100)]
canaries = evaluate.make_canaries(rng, (0, 1, 2, 4, 16), n_each=6)
planted = evaluate.plant_canaries("\n\n".join(rng.permutation(pieces)), canaries, rng, last=1.0)
tokenizer = BPETokenizer.train(planted, V)
ids, held_ids = (tokenizer.encode_to_numpy(text).astype(np.int64) for text in (planted, "\n\n".join(held_out)))
print(f"{len(ids):,} tokens, of which training reads {STEPS * 16 * T:,}; such as: {canaries[-1].text}", flush=True)
model = GPT(GPTConfig(V, T, 2, 4, 96, dropout=0.0, bias=False, init_std=0.05), np.random.default_rng(0))
optimizer, meter = build_optimizer(preset("shakespeare-cpu").override(optimizer="muon"), model), EnergyMeter()
batches, rate = data.RandomBatches(ids, 16, T, seed=0), partial(optim.linear, n_steps=STEPS, warmup_steps=20)
for info in train_steps(model, batches, language_modelling, optimizer, rate, n_steps=STEPS, clip=1.0):
    if info.step % 90 == 0:
        print(f"step {info.step}: loss {info.loss:.2f}", flush=True)
training = meter.read().energy()

# %% [markdown]
# ## What was planted, was it found?
# Each test asks for *more*: what stands the other way round has a p near 1. Of 20 tests of nothing, one or more has a p
# below 0.05 with the probability 1 − 0.95^20 = 0.64. **Holm** multiplies the smallest of m p-values by m, the next by
# m − 1, and so on (never less than the one before): that makes it 0.05 at most.

# %%
vectors = evaluate.word_vectors(model, tokenizer, evaluate.words_of(TESTS))
found, tests = evaluate.measure_associations(vectors, rng, TESTS), {}
corrected = evaluate.holm([each.p_value.value for each in found])
for each, p_holm in zip(found, corrected, strict=True):
    name, d, p = each.test.name, each.effect, each.p_value.value
    tests[name] = {"effect": d.as_dict(), "p": p, "p (Holm)": p_holm, "control": each.test.is_control}
    print(f"{name}: d {d.value:+.2f} ({d.low:+.2f} to {d.high:+.2f}), p {p:.1e}, by Holm {p_holm:.1e}")
reversed_habit, habit, balanced = (each.effect for each in found)
assert reversed_habit.high < -0.8 < corrected[1] < 0.001 < 0.8 < habit.low
assert (round(1 - 0.95**20, 2), evaluate.holm([0.01, 0.04, 0.03])) == (0.64, [0.03, 0.06, 0.06])

# %% [markdown]
# The test reads what stood in the text, not what is true: here insects are pleasant. But the third habit is none, and
# other seeds gave it either sign: is its p to be believed? Shuffling takes words for strangers. Yet the words of a
# list resemble each other; two lists always lie somehow to each other, and then all ten words agree. Of that we make a
# control, of random vectors: in one kind all words are strangers, in the other those of a list share a vector.

# %%
p_values = {"strangers": [], "alike": []}
for name, shared in zip(p_values, (0, 2), strict=True):
    for _ in range(400):
        lists = [rng.standard_normal((6, 16)) + shared * rng.standard_normal(16) for _ in range(4)]
        p_values[name].append(evaluate.weat(*lists, rng=rng, n_resamples=1)[1].value)
alarms = {name: np.mean(np.less(values, 0.05)) for name, values in p_values.items()}
print("p below 0.05 where nothing is:", ", ".join(f"{name} {share:.1%}" for name, share in alarms.items()))
assert abs(alarms["strangers"] - 0.05) < 0.035 < 0.15 < alarms["alike"]

# %% [markdown]
# So a small p speaks of *these lists* in *this* model. For more it takes other lists, and several trainings.
#
# ## What does it give away?
# We rank the likelihood of each canary among 511 others with random digits, and rank 1 is the likeliest:
#
#     exposure = log₂ 512 − log₂ rank          at most 9 bits; rank / 512 is the p-value of "nothing was learned"
#
# Where nothing was learned all ranks are equally probable, and the mean is 1.43. **Extraction**: after k tokens of a
# text, how often are the 16 that the model holds likeliest those of the text? Wilson's interval reaches to 0.019 even
# for 0 of 200: what was not seen may still be there. The control are prompts from pages that were held out.

# %%
exposed, shares = evaluate.exposures(model, tokenizer, canaries, rng), {}
bits = {n: [each.exposure for each in exposed if each.canary.n_insertions == n] for n in (0, 1, 2, 4, 16)}
print("exposure:", ", ".join(f"{np.mean(each):.1f} bits for {n} times" for n, each in bits.items()), flush=True)
texts = {"page that stood 12 times": [copied], "pages that stood once": once, "held-out pages": held_out}
for name, text in texts.items():
    results = evaluate.extraction(model, tokenizer.encode_to_numpy("\n\n".join(text)), [4, 8, 16, 32], 16, 200, rng)
    shares[name] = {f"{each.prompt_len} tokens": {"exact": each.exact._asdict()} for each in results}
    print(f"{name}:", ", ".join(f"{each.exact.value:.1%} after {each.prompt_len}" for each in results), flush=True)
assert (round(np.mean(9 - np.log2(np.arange(1, 513))), 2), round(evaluate.wilson(0, 200).high, 3)) == (1.43, 0.019)
assert np.mean(bits[0]) < 4 < np.mean(bits[2]) < 9.01 > min(bits[16]) > 8.9
often, rarely, never = (by_length["32 tokens"]["exact"]["value"] for by_length in shares.values())
assert max(rarely, never) < 0.05 < 0.8 < often

# %% [markdown]
# Two insertions stand out; with four, most reach the 9 bits that 512 candidates can show. Of pages that stood once
# little or nothing comes out: so deduplicate, and keep secrets out of the text.
#
# ## How sure may it be?
# A model that read its text several times is too sure (lesson 19). **Temperature scaling** divides all scores by one
# number: for odds of 9 : 1 they differ by ln 9, and half of that is ln 3, odds of 3 : 1. The likeliest token stays it.
# We divide the weights of the last norm, which has no bias; fit on one part of the held-out text, measure on the other.

# %%
scaled, losses = copy.deepcopy(model), {}
for t in np.arange(1, 2.5, 0.1):
    scaled.norm.weight.data = model.norm.weight.data / np.float32(t)
    losses[t] = mean_loss(scaled, data.sequential_batches(held_ids[:4097], 16, T))
temperature = min(losses, key=losses.get)
scaled.norm.weight.data = model.norm.weight.data / np.float32(temperature)
before, after = (evaluate.token_calibration(each, held_ids[4096:], 16, T, rng) for each in (model, scaled))
for t, each in ((1, before), (temperature, after)):
    print(f"temperature {t:.1f}: sure {each.confidence:.3f}, right {each.accuracy:.3f}, error {each.error.value:.3f}")
assert after.error.high < before.error.low

# %% [markdown]
# ## Which text must not pass?
# A filter gives a text the probability of harm; above a threshold it is flagged. **Precision** is the share of flagged
# texts that harm, **recall** the share of harmful ones that are flagged. Many harmless examples have the same words,
# "Kill the process", and each is judged by a classifier that did not see its like. Precision belongs to a *base rate*:
# with recall 3/4, and 1/5 of harmless texts flagged, 1,000 with one that harms give 0.75 / (0.75 + 199.8), some 0.004.

# %%
examples = harm_examples()
changes = [str, lambda text: misspelt(text, 3, rng)]
_, judged = evaluate.filter_training.held_out_probabilities(examples, NONE, changes)  # (2, N, categories)
harmful, thresholds = np.array([each.label != NONE for each in examples]), np.arange(0.05, 1, 0.05)

flagged = judged.max(axis=2)[:, None] >= thresholds[:, None]  # (2, 19, N)
right = (flagged & harmful).sum(axis=2)
plain, changed = np.stack([right / flagged.sum(axis=2), right / harmful.sum()], axis=2)  # precision, recall: (19, 2)
bad_words, tuned = evaluate.word_list_filter(), evaluate.default_filter()
scores = evaluate.scores_on(bad_words, examples, rng)["any"]
of_list = scores["precision"]["value"], scores["recall"]["value"]
for name, (precision, recall) in (("bad words", of_list), ("classifier", plain[9]), ("three letters off", changed[9])):
    print(f"{name}: precision {precision:.2f}, recall {recall:.2f}")
assert [bool(each.check("Kill the process.")) for each in (bad_words, tuned)] == [True, False]
assert (plain[9] > np.add(of_list, 0.05)).all()
assert changed[9, 1] < plain[9, 1] - 0.15
assert round(0.75 / (0.75 + 199.8), 3) == 0.004
figure, (left, axes) = plots.new_figure(11, 4.2, n_axes=2)
for (name, values), colour, line in zip(p_values.items(), (plots.BLUE, plots.ORANGE), ("-", "--"), strict=True):
    left.hist(values, np.linspace(0, 1, 11), histtype="step", linestyle=line, linewidth=2, color=colour, label=name)
left.set(title="400 association tests where nothing is", xlabel="p-value", ylabel="tests")
left.legend(frameon=False, loc="upper center", title="The words of a list are")
axes.plot(plain[:, 1], plain[:, 0], "o-", color=plots.BLUE, label="classifier, threshold 0.95 (left) to 0.05")
axes.plot(changed[:, 1], changed[:, 0], "^:", color=plots.GREEN, label="the same, three letters changed")
axes.plot(of_list[1], of_list[0], "s", color=plots.ORANGE, label="list of bad words")
axes.set(title="A filter: which threshold?", xlabel="recall", ylabel="precision", ylim=(0.4, 1))
axes.legend(frameon=False, loc="lower left")
save_figure("26_controls", figure)

# %% [markdown]
# ## The model card
# What was measured belongs beside the model, with its data, limits and cost: its *card*, a README.md. For a model of
# yours `tinygrad-llm audit` measures and writes it. See what it says of the third habit: a card needs controls, too.

# %%
bins = [dict(zip(("n", "confidence", "accuracy"), row, strict=True)) for row in np.transpose(before.bins[1:])]
exposure = {f"{n}×": {"mean": np.mean(each), "each": each, "candidates": 512} for n, each in bits.items()}
calibration = {"error": before.error.as_dict(), "tokens": before.n_tokens, "bins": bins}
audit = {"associations": {"input embeddings": tests}, "extraction": shares, "exposure": exposure}
audit |= {"calibration": calibration, "not measured": {}}
audit_figure(figure_path("26_audit"), audit, "What was planted, and what was found")
show_figure("26_audit")
folder = Path(scratch.name, "model")
save_pretrained(model, folder, tokenizer)
sources = {"files": ["pages of Python's manual", "planted sentences"], "license": "psf-2.0"}
report = {"data": sources, "steps": STEPS, "tokens": STEPS * 16 * T, "energy": vars(training)}
(folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
(folder / "audit.json").write_text(json.dumps({"summary": summary(audit)}), encoding="utf-8")
card = (folder / "README.md").read_text(encoding="utf-8") if refresh_card(folder) else ""
print(card[card.index("## Training") :])
assert f"{training.kilowatt_hours:.3g} kWh" in card
scratch.cleanup()

# %% [markdown]
# ## Keep
# 1. A number needs a control (shuffled words, canaries that were never planted, held-out pages) and an interval.
# 2. What stood often in the text comes out again; p-values of many tests need Holm; sureness needs calibration.
# 3. Count joules with their assumption, and write all of it into the card.
#
# - **What it costs.** Seconds, beside the training. The work is in lists and examples, and whom to think of.
# - **Where the real world differs.** Nobody knows what was planted. Word lists are of one culture, and d says little of
#   what a model writes. Secrets come out by sampling, too. Who writes harm also tries to get past the filter.
# - **Further reading.** Caliskan et al. (2017), WEAT; Carlini et al., "The Secret Sharer" (2019), "Quantifying
#   memorization" (2023); Guo et al. (2017); Mitchell et al., "Model cards for model reporting" (2019).
#
# This was the last lesson: from one `+` to this card, you have seen each piece made, and tested.

# %%
print(
    f"habit {habit.value:.2f}; canaries {np.mean(bits[16]):.1f} bits; extracted {often:.0%}, unseen {never:.0%};",
    end=" ",
)
print(f"calibration {before.error.value:.3f} -> {after.error.value:.3f}; this lesson {lesson_meter.read().energy()}")
