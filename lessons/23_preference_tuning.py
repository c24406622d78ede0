# %% [markdown]
# # 23 Preference tuning
#
# Which of two fluent answers is the better one? Instruction tuning (lesson 22) saw good answers only, so nothing there
# could say. People find it easier to choose than to write: how does a model learn from a choice? At the end, yours
# tells most whole answers from spoiled ones, in modules that it never saw, and you have measured what it paid for that.

# %%
import math
import re
from dataclasses import replace
from functools import partial

import numpy as np

import tinygrad_llm.functional as F
from tinygrad_llm import data, no_grad, optim, plots, tensor
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.nn import add_lora, num_trainable, without_lora
from tinygrad_llm.school import save_figure
from tinygrad_llm.text import BPETokenizer, EncodedChat
from tinygrad_llm.train import build_optimizer, language_modelling, preset, train_steps
from tinygrad_llm.train.chat import PLAIN, write_answers
from tinygrad_llm.train.dpo import PreferenceTuning, dpo_loss, rows_of, sequence_log_probs
from tinygrad_llm.train.finetune import FineTuneConfig
from tinygrad_llm.train.preference_baselines import length_baseline, ngram_baseline
from tinygrad_llm.train.preference_kl import kl_to_reference
from tinygrad_llm.train.preference_rows import AnswerFrame, encode_preferences

ADDS = [
    "tinygrad_llm/train/dpo.py", "tinygrad_llm/train/preference_kl.py", "tinygrad_llm/train/preference_rows.py",
    "tinygrad_llm/train/preference_baselines.py", "tinygrad_llm/data/preferences.py",
]  # fmt: skip

# %% [markdown]
# ## From choices to rewards
# Give each answer a number r, its *reward*. Bradley and Terry (1952) say how often one is chosen over another:
#
#     p(c over d) = e^(r_c) / (e^(r_c) + e^(r_d)) = σ(r_c − r_d),   σ(m) = 1 / (1 + e^(−m))
#
# Only the *margin* m = r_c − r_d counts. On paper: m = ln 3 = 1.0986 gives 3/(3 + 1) = 0.75, a margin of 0 is a coin,
# −ln 3 gives 0.25. The cross-entropy of a choice that was made is −ln σ(m): 0.2877, ln 2 = 0.6931 and 1.3863.
#
# What should a model do with rewards? Earn much, on average over its own answers, but stay near the model that it was,
# π_ref. β is the price of a nat of distance. For one prompt:
#
#     maximise  Σ_y π(y) r(y) − β KL(π ‖ π_ref),     KL(π ‖ π_ref) = Σ_y π(y) ln(π(y) / π_ref(y))
#
# Put all under one logarithm, with π*(y) = π_ref(y) e^(r(y)/β) / Z, where Z makes its sum 1:
#
#     Σ_y π r − β KL(π ‖ π_ref) = −β Σ_y π ln(π / (π_ref e^(r/β))) = β ln Z − β KL(π ‖ π*)
#
# A KL is never below 0, and is 0 only for equal distributions: the optimum is π*. On paper: two answers, π_ref =
# (½, ½), r = (ln 3, 0). For β = 1 the weights are 3 : 1 and π* = (0.75, 0.25); for β = 0.5, a lower price, they are
# 3² : 1 and π* = (0.9, 0.1). Now read the formula backwards. Any model π is the optimum for *some* reward:
#
#     r(y) = β ln(π(y) / π_ref(y)) + β ln Z
#
# Z is a sum over all possible answers, which nobody can compute. But it depends on the prompt alone: in the margin of
# two answers to one prompt it cancels. So no reward model is needed, nor any sampling. That is **DPO**, *direct
# preference optimization* (Rafailov et al. 2023): put that margin into the cross-entropy of the choice.
#
#     Δ = ln(π(c) / π_ref(c)) − ln(π(d) / π_ref(d)),     L = −ln σ(β Δ)
#     ∂L/∂ ln π(c) = −β σ(−β Δ),                          ∂L/∂ ln π(d) = +β σ(−β Δ)
#
# The weight σ(−βΔ) is the probability that the model still gives to the wrong choice: pairs that are clearly right
# teach little. At the start π is π_ref: Δ = 0, the loss is ln 2, and the slopes are ∓β/2.

# %%
margins = np.array([math.log(3), 0, -math.log(3)])
assert math.isclose(margins[0], 1.0986, abs_tol=1e-4)
assert np.allclose(1 / (1 + np.exp(-margins)), [0.75, 0.5, 0.25])
assert np.allclose(-np.log(1 / (1 + np.exp(-margins))), [0.2877, 0.6931, 1.3863], atol=1e-4)
for beta, expected in ((1.0, [0.75, 0.25]), (0.5, [0.9, 0.1])):
    weights = 0.5 * np.exp(margins[:2] / beta)
    assert np.allclose(weights / weights.sum(), expected)
rng = np.random.default_rng(0)
reference, rewards = rng.dirichlet(np.ones(5)), rng.standard_normal(5)
weights, others = reference * np.exp(rewards / 0.5), rng.dirichlet(np.ones(5), 1000)
best = weights / weights.sum()
earned = [(p * (rewards - 0.5 * np.log(p / reference))).sum() for p in (best, *others)]
assert max(earned[1:]) < earned[0]  # π* beats 1,000 random policies
implicit = 0.5 * np.log(best / reference)
assert np.allclose(implicit - implicit[0], rewards - rewards[0])  # β ln Z is gone

# %% [markdown]
# ## The naive way
# ln π(y) of an answer is the sum over its tokens of ln p(token | all before). The prompt's tokens do not count, and
# padding does not; the end of the answer does. `_v1` goes row by row, and makes the scores of all tokens.


# %%
def log_probs_v1(model, chats):
    found = []
    for ids, is_answer in chats:
        log_p = F.log_softmax(model(np.array([ids])), dim=-1)  # (1, T, V)
        found.append(sum(log_p[0, t - 1, ids[t]] for t in range(1, len(ids)) if is_answer[t]))
    return found


def dpo_loss_v1(policy, reference, beta):
    n = len(policy) // 2
    gained = [(p - r) * beta for p, r in zip(policy, reference, strict=True)]
    return sum(-(1 / (1 + (gained[n + i] - gained[i]).exp())).log() for i in range(n)) / n


chats = [EncodedChat([3, 7, 2, 9, 1], [0, 0, 1, 1, 1]), EncodedChat([5, 4, 1], [0, 1, 1])]  # chosen
chats += [EncodedChat([3, 7, 8, 1], [0, 0, 1, 1]), EncodedChat([5, 6, 6, 2, 1], [0, 1, 1, 1, 1])]  # rejected
tiny = GPT(GPTConfig(11, 8, 2, 2, 8, dropout=0.0, init_std=0.5), rng).to("float64").eval()
before = np.array([each.item() for each in log_probs_v1(tiny, chats)])
with np.errstate(over="ignore", divide="ignore"):
    far_off = dpo_loss_v1([tensor(-1000.0), tensor(0.0)], np.zeros(2), 1.0).item()
print(f"for a margin of −1000 v1 says {far_off}")
assert math.isinf(far_off)
assert math.isclose(dpo_loss_v1(log_probs_v1(tiny, chats), before, 0.1).item(), math.log(2))

# %% [markdown]
# Two things are wrong with it. 1 / (1 + e^1000) is 0 in floats, and its logarithm −∞; −ln σ(m) = ln(1 + e^(−m)) can be
# had without that (lesson 05), and for −1000 it is 1000. And the prompts' scores are made for nothing.
#
# ## The library's piece
# `sequence_log_probs` takes all answers as one batch, picks the vectors of the tokens that count *before* it makes
# scores, and makes these for some rows at a time, again in the backward pass (lesson 14's checkpointing). `dpo_loss` is
# a binary cross-entropy with the margins as logits. The reference never changes: `PreferenceTuning` computes its
# log-probabilities once. A KL needs its whole distributions, and so the model; with LoRA that is `without_lora`.
#
# **Step into it.** `tinygrad-llm debug 23` stops at the marked line; `s` enters `sequence_log_probs`. Two times `n`,
# and `p counted.astype(int)` shows which places count: place t predicts token t + 1, so the ones stand a place further
# left than in the masks above. One more `n`, and `p hidden.shape` is (11, 8): of 16 places 11 get scores. `q` leaves.

# %%
ids, targets = rows_of(chats)  # (4, 4) each
policy = sequence_log_probs(tiny, ids, targets)  # stop here
assert np.allclose(policy.data, before, rtol=1e-12)
assert ((targets >= 0).sum(), ids.size) == (11, 16)
old = before + np.array([0.5, -2.0, 3.0, 0.25])
difference = dpo_loss_v1(log_probs_v1(tiny, chats), old, 0.3) - dpo_loss(policy, old, 0.3)[0]
difference.backward()  # the gradients of both ways cancel
assert abs(difference.item()) < 1e-12
assert all(np.allclose(p.grad.data, 0, atol=1e-12) for p in tiny.parameters())
four = tensor(old, requires_grad=True)
dpo_loss(four, before, 0.1)[0].backward()
gained = old - before
weight = 1 / (1 + np.exp(0.1 * (gained[:2] - gained[2:]))) / 2  # σ(−β Δ), in the mean of two pairs
assert np.allclose(four.grad.data, 0.1 * np.concatenate([-weight, weight]))
assert dpo_loss(tensor([-1000.0, 0.0]), np.zeros(2), 1.0)[0].item() == 1000
add_lora(tiny, 2, 4, rng=rng)
for name, p in tiny.named_parameters():
    p.data += 0.1 * name.endswith("lora_b")
with without_lora(tiny):
    assert np.allclose(sequence_log_probs(tiny, ids, targets).data, before, rtol=1e-12)
print("v1 and the library agree, forward and gradient; without its adapters a model is its own reference")

# %% [markdown]
# ## Pairs, and a model
# Python's docstrings, right, and spoiled in one of three ways: cut short, gone on too long, or with shuffled words.
# Held-out pairs are of other modules. The base is small, and is trained here: on the docstrings of modules that are not
# held out, right answers to questions about them, and the manual. Some pages of that are kept back, for later.

# %%
print("reading Python's own functions …", flush=True)
V, T, C, STEPS = 1024, 64, 128, 250
parts = data.split_docstring_preferences(data.docstring_preferences(kinds=("truncated", "run on", "shuffled")), 0.15)
known, unseen = ({data.module_of(each) for each in some} for some in (parts.train, parts.validation + parts.test))
assert not known & unseen
parts = {  # the function's name without its module
    name: [replace(each, prompt=re.sub(r"`[\w.]+\.(\w+)`", r"`\1`", each.prompt)) for each in some]
    for name, some in vars(parts).items()
}
docstrings = [each.text for each in data.embedded_corpus("docstrings") if data.module_of(each) not in unseen]
pages, questions = data.embedded_corpus("topics"), "".join(f"{each.prompt}\n{each.chosen}\n" for each in parts["train"])
tokenizer = BPETokenizer.train("\n".join(docstrings)[:400_000] + questions, V)
ids = tokenizer.encode_to_numpy("\n\n".join([*docstrings, questions, *(page.text for page in pages[:64])]))
manual = tokenizer.encode_to_numpy(data.join_documents(pages[64:])).astype("int64")[: 200 * T + 1]
encoded = {name: encode_preferences(some, AnswerFrame(tokenizer), T) for name, some in parts.items()}
(_, pairs), (_, validation), (examples, test) = encoded.values()
examples, test, validation = examples[:400], test[:400], validation[:200]
print("\n".join(f"{each.kind}: {each.chosen!r}, not {each.rejected!r}" for each in examples[:3]))
base = GPT(GPTConfig(V, T, 2, 4, C, dropout=0.0, bias=False, init_std=0.05), np.random.default_rng(0))
optimizer = build_optimizer(preset("shakespeare-cpu").override(optimizer="muon"), base)
schedule, batches = partial(optim.linear, n_steps=STEPS, warmup_steps=20), data.RandomBatches(ids, 16, T, seed=0)
for info in train_steps(base, batches, language_modelling, optimizer, schedule, n_steps=STEPS, clip=1.0):
    if info.step % 50 == 0:
        print(f"base: step {info.step}, loss {info.loss:.3f}", flush=True)
base.eval()

# %% [markdown]
# ## Training
# Each run starts from this base, reads 800 pairs once, drawn by its seed, and has the same rate: β = 0.05 and β = 0.5,
# two seeds each. One more trains LoRA's adapters only, at a higher rate. At each evaluation we note, on held-out pairs,
# the margin; the share whose chosen answer *gained* more, the reward accuracy; how much ln π of both answers changed;
# the KL to the reference, Σ p ln(p/p_ref), per token of right answers; and the loss on the manual's pages.

# %%
drawn = [np.random.default_rng(seed).permutation(len(pairs))[:800] for seed in (0, 1)]


def run(beta, seed, rank=0):
    model, rows, at = GPT(base.config).eval(), [], 0
    model.load_state_dict(base.state_dict())
    if rank:
        add_lora(model, rank, 2 * rank, rng=np.random.default_rng(seed))
    settings = {"layer_decay": 1.0, "weight_decay": 0.0, "patience": 99, "evaluations_per_epoch": 5, "seed": seed}
    config = FineTuneConfig(epochs=1, learning_rate=2e-3 if rank else 5e-4, **settings)
    used = {"train": [pairs[i] for i in drawn[seed]], "validation": validation, "test": test}
    tuning = PreferenceTuning(model, used, config, beta)

    def note(step, scores):
        kl = kl_to_reference(model, [pair.chosen for pair in validation[:100]], None if rank else base)
        changes = (scores.policy - scores.reference).mean(axis=0)  # (2,)
        with no_grad():
            loss = model.loss(manual[:-1].reshape(-1, T), manual[1:].reshape(-1, T)).item()
        rows.append([step, scores.margins.mean(), scores.reward_accuracy, *changes, kl, loss])

    note(0, tuning.scores("validation"))
    for report in tuning.train():
        note(report.step, tuning.validation)
        at = len(rows) - 1 if report.is_best else at  # the weights of the best evaluation are kept
    name, result = f"β = {beta}, {'LoRA' if rank else f'seed {seed}'}", tuning.scores("test")
    print(f"{name}, {num_trainable(model):,} numbers: reward accuracy {result.reward_accuracy:.3f}", flush=True)
    return name, model, tuning.model.margins, result, np.array(rows), np.subtract(rows[at], rows[0])


runs = [run(*each) for each in ((0.05, 0), (0.05, 1), (0.5, 0), (0.5, 1), (0.05, 0, 8))]

# %% [markdown]
# ## What was learned
# Cheap rivals first: the length, and a logistic regression on words and pairs of words. And the base itself: which
# answer is likelier? A sum of negative numbers prefers the short: of answers that ran on it is right nearly always, of
# those cut short nearly never. The mean per token is fairer. DPO of all weights beats each of them, with both β.

# %%
kinds, some = np.array([each.kind for each in examples]), [encoded["train"][0][i] for i in drawn[0]]
sizes = np.array([[sum(chat.loss_mask) for chat in pair] for pair in test])  # (n, 2)
before, after, asked = runs[0][3].reference, runs[2][3], [(("user", each.prompt),) for each in examples[:2]]
likelier, per_token = (log_p[:, 0] > log_p[:, 1] for log_p in (before, before / sizes))
rivals = {"length": length_baseline(some, examples).mean(), "n-grams": ngram_baseline(some, examples).mean()}
rivals |= {"base": likelier.mean(), "base, per token": per_token.mean()}
print(", ".join(f"{name} {share:.3f}" for name, share in rivals.items()))
for name, right in (("base, likelier", likelier), ("tuned, rewards", after.rewards_right)):
    print(f"{name}:", ", ".join(f"{kind} {right[kinds == kind].mean():.2f}" for kind in np.unique(kinds)))
assert likelier[kinds == "truncated"].mean() < 0.05 < 0.95 < likelier[kinds == "run on"].mean()
print(f"base: {write_answers(base, tokenizer, PLAIN, asked, 16)}")
for name, model, _, result, rows, end in runs:
    assert np.allclose(rows[0, 1:6], [0, 0.5, 0, 0, 0], atol=1e-4)
    assert "LoRA" in name or result.reward_accuracy > max(rivals.values()) + 0.03
    assert end[4] < end[3] < 0  # the chosen answers have become less likely, too
    print(f"{name}, step {end[0]:.0f}: ln π {end[3]:+.1f} and {end[4]:+.1f}, KL {end[5]:.2f}, manual {end[6]:+.2f};")
    print(f"  {write_answers(model, tokenizer, PLAIN, asked, 16)}")
(figure, (left, middle, right)), (second, (near, far)) = (plots.new_figure(5 * n, 4, n_axes=n) for n in (3, 2))
colours = (plots.ORANGE, plots.ORANGE, plots.BLUE, plots.BLUE, plots.GREEN)
for (name, _, margins, _, rows, _), colour, line, marker in zip(runs, colours, "-:-:-", "ooss^", strict=True):
    style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 4}
    if line == "-" and "LoRA" not in name:
        thick = {"color": colour, "alpha": 0.5, "linewidth": 3, "label": f"{name}, training"}
        left.plot(range(1, len(margins) + 1), plots.running_mean(margins, 3), **thick)
        left.plot(rows[:, 0], rows[:, 1], label=f"{name}, held out", **style)
        right.plot(rows[:, 0], rows[:, 3], label=f"{name}, chosen", **style)
        right.plot(rows[:, 0], rows[:, 4], label=f"{name}, rejected", **style | {"linestyle": "--"})
    for axes, column in ((middle, 2), (near, 5), (far, 6)):
        axes.plot(rows[:, 0], rows[:, column], label=name, **style)
for axes, title, unit in (
    (left, "The margin grows", "margin β Δ"), (middle, "Held-out pairs told apart", "reward accuracy"),
    (right, "Both answers fall", "change of ln π (nats)"), (near, "How far from the base", "KL (nats per token)"),
    (far, "What it forgets", "loss on the manual (nats)"),
):  # fmt: skip
    axes.set(title=title, xlabel="step", ylabel=unit)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
save_figure("23_margins", figure)
save_figure("23_forgets", second)
moved = np.array([rows - rows[0] for *_, rows, _ in runs[:4]])  # (runs, evaluations, 7)
assert np.all(moved[:2, -1, 5:].min(axis=0) > 1.2 * moved[2:, -1, 5:].max(axis=0))
assert runs[4][-1][6] > moved[2:, -1, 6].max()  # LoRA
assert np.all(moved[:, 1, 2] > 0.5 * moved[:, -1, 2])
assert np.all(moved[:, 1, 6] < 0.5 * moved[:, -1, 6])
assert np.mean([run[3].reward_accuracy for run in runs[:2]]) < 0.03 + min(run[3].reward_accuracy for run in runs[2:4])

# %% [markdown]
# The loss sees a difference only: it does not mind that the chosen answer falls, if the other falls further. What is
# lost goes to texts that nobody compared, and answers may decay: see those of β = 0.05 above. A low price buys more of
# that, and here no accuracy, with both seeds. Adapters are no insurance: at its rate LoRA forgets as well. Most of the
# accuracy is there after ten steps, most of the forgetting comes later: watch both, and stop in time.
#
# ## Keep
# 1. A choice is a logistic regression on the margin of rewards; DPO's reward is β ln(π / π_ref), and Z cancels.
# 2. At the start ln 2 and a coin's accuracy. Watch ln π of both, not only the margin.
# 3. Measure the price: the KL to the reference, and the loss on text that has nothing to do with the pairs.
#
# - **What it costs.** Two answers per example; the reference is asked once. With LoRA it is the model itself.
# - **Where the real world differs.** People choose between answers that the model itself wrote; labels are noisy (label
#   smoothing: cDPO); some add the loss of lesson 22 on the chosen answer, so that it does not fall.
# - **Further reading.** Ouyang et al. (2022), with a reward model and reinforcement learning; Azar et al., "A general
#   theoretical paradigm to understand learning from human preferences" (2023); Pal et al., "Smaug" (2024).

# %%
for name, _, _, result, _, end in runs:
    print(
        f"{name}: {result.reward_accuracy:.0%} of other modules' pairs told apart, for {end[6]:.2f} nats of the manual"
    )
