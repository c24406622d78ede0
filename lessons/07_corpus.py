# %% [markdown]
# # 07 Corpus
#
# Where does the text come from, and what has to happen to it before a model may learn from it? At the end of this
# lesson you have a corpus in two parts: each text in it once, in one form, and a second part that the first never saw.
#
# The engine of lessons 01 to 06 makes a loss small on any text, also on one that says the same thing a hundred times,
# and it reports a splendid loss for what it has merely seen before.

# %%
import lzma
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from tinygrad_llm import data, plots
from tinygrad_llm.data import Document, Filters, NearDuplicates, normalize
from tinygrad_llm.data.near_duplicates import shingle_hashes
from tinygrad_llm.data.words import PRIME, WORD
from tinygrad_llm.school import save_figure

ADDS = [
    "tinygrad_llm/data/documents.py", "tinygrad_llm/data/corpora.py", "tinygrad_llm/data/files.py",
    "tinygrad_llm/data/clean.py", "tinygrad_llm/data/fingerprints.py", "tinygrad_llm/data/words.py",
    "tinygrad_llm/data/near_duplicates.py", "tinygrad_llm/data/repetition.py", "tinygrad_llm/data/filters.py",
    "tinygrad_llm/data/split.py",
]  # fmt: skip
rng = np.random.default_rng(0)

# %% [markdown]
# ## Collect
#
# A *document* is one text and its origin. Documents come from your own files: a plain file is one, and so is each row
# of a .jsonl or .csv file; a folder gives all of its files. Or they come from the Python that runs this: its manual
# and its docstrings are about two megabytes of English that need no download.

# %%
own = list(data.read_files(Path(data.__file__).parent))
print(f"a folder gave {len(own)} documents, for example {Path(own[0].source).name}: {own[0].text.splitlines()[0]!r}")
raw = data.embedded_corpus("prose")
print(f"Python gave {len(raw):,}, for example {raw[-1].source}: {raw[-1].text.splitlines()[0]!r}")
assert len(data.join_documents(raw)) > 1_500_000

# %% [markdown]
# ## One form
#
# Two texts that look the same on the screen need not be the same to a program. "é" is one character, or an "e" and an
# accent that moves over it; a line ends with one character, or with two if it was written on Windows. `normalize`
# composes characters (Unicode's form NFC), ends lines with "\n", and takes away what nobody sees: blanks at the ends
# of lines, control characters, a byte order mark. A text that went through it before stays as it is.

# %%
one, other = "caf\u00e9\n", "cafe\u0301 \r\n"
print(f"{one!r} has {len(one)} characters, {other!r} has {len(other)}; equal: {one == other}")
assert one != other
assert normalize(one) == normalize(other) == normalize("café") == "café"
texts = [normalize(document.text) for document in raw]
changed = [document for document, text in zip(raw, texts, strict=True) if document.text != text]
print(f"normalize changed {len(changed):,} documents")

# %% [markdown]
# ## Every text once
#
# The first idea is a set of the texts seen so far. It is exact, and misses a copy with a single changed letter.

# %%
once_v1 = list(dict.fromkeys(texts))  # a dictionary is a set that remembers the order
print(f"without equal texts: {len(texts):,} -> {len(once_v1):,}")
assert len(once_v1) < len(texts)
assert len(dict.fromkeys(["Version 1 of the page.", "Version 2 of the page."])) == 2

# %% [markdown]
# We need a *degree* of equality. Cut each text into its *shingles*, the runs of n neighbouring words, and ask which
# share of all shingles both texts have:
#
#     J(A, B) = |A ∩ B| / |A ∪ B|                  Jaccard similarity, from 0 to 1
#
# On paper, with n = 2: "a b c d" has the shingles ab, bc, cd, and "a b c e" has ab, bc, ce. Two of the four are
# common, so J = 2 / 4. We use n = 5: five words in a row are rarely the same by chance.


# %%
def shingles_v1(text, n=5):
    words = WORD.findall(text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def jaccard_v1(a, b):
    return len(a & b) / len(a | b)


assert jaccard_v1(shingles_v1("a b c d", 2), shingles_v1("a b c e", 2)) == 2 / 4
pages = [text for text in once_v1 if 60 <= len(text.split()) <= 600]
sets = [shingles_v1(text) for text in pages[:300]]
start = time.perf_counter()
similarities = [jaccard_v1(a, b) for a, b in combinations(sets, 2)]
seconds_per_pair = (time.perf_counter() - start) / len(similarities)
assert len(similarities) == 300 * 299 // 2
print(f"300 pages are {len(similarities):,} pairs, {1e6 * seconds_per_pair:.1f} µs each;", end=" ")
print(f"a million pages would take {seconds_per_pair * 1e12 / 2 / 86_400:.0f} days")

# %% [markdown]
# N texts are N (N − 1) / 2 pairs, and the whole set of each must be at hand. Two ideas mend that.
#
# ## First idea: a few numbers instead of a set
#
# Give each shingle a random number, the same wherever it occurs, and of each text keep only the smallest. When are the
# minima of A and B the same? The smallest number in A ∪ B is equally likely to belong to any shingle of it. If that
# shingle is in both texts, both have this minimum; if not, only one has. So
#
#     P(min A = min B) = |A ∩ B| / |A ∪ B| = J
#
# Do it with 128 independent ways to hand out numbers, and the share of equal minima estimates J, off by about
# √(J (1 − J) / 128), at most 0.044. A text of any length becomes 128 numbers, its *MinHash signature*. The "random"
# numbers come from arithmetic: x is the shingle as a number, p = 2³¹ − 1 a prime, and a and b are drawn once:
#
#     h(x) = (a · x + b) mod p
#
# By hand with p = 7, a = 3, b = 2: the shingles {1, 4, 6} become {5, 0, 6}, and {1, 3, 6} become {5, 4, 6}. The minima
# 0 and 4 differ; J = 2 / 4 says that they do so half of the time.
#
# Step into it: in `tinygrad-llm debug 07` type `s` four times to get into `signature`, `n` until the call of
# `minima_kernel` is next, and `s` again. There `n` walks through the formula: `p shingle`, `p factors[k]`, `p h`.

# %%
assert [[(3 * x + 2) % 7 for x in shingles] for shingles in ((1, 4, 6), (1, 3, 6))] == [[5, 0, 6], [5, 4, 6]]
assert round(np.sqrt(0.5 * 0.5 / 128), 3) == 0.044
index = NearDuplicates()
assert not index.seen_before("one two three four five six")  # stop here
assert index.seen_before("One two three FOUR five six")
assert len(set(shingle_hashes(pages[0]))) == len(sets[0])
shingles, functions = shingle_hashes(pages[0]).tolist(), np.stack([index.factors, index.offsets], axis=1).tolist()
signature_v1 = [min((a * x + b) % PRIME for x in shingles) for a, b in functions]
assert index.signature(pages[0]).tolist() == signature_v1

# %% [markdown]
# ## Second idea: compare with few
#
# Cut the 128 minima into 32 *bands* of 4. Two texts are compared only if they agree in a whole band, and a table from
# bands to texts finds those at once (*locality-sensitive hashing*). One band agrees with probability J⁴, all 32 fail
# with (1 − J⁴)³², so a pair is compared with probability 1 − (1 − J⁴)³²: at J = 0.8 all but certain, at J = 0.2
# 5 %. Do pages keep to the two formulas? We change more and more of their words, and look.


# %%
def with_changed_words(text, share):
    return " ".join(f"changed{rng.integers(10_000)}" if rng.random() < share else word for word in text.split(" "))


assert 1 - (1 - 0.8**4) ** 32 > 0.9999999
assert round(1 - (1 - 0.2**4) ** 32, 2) == 0.05
pairs = [(text, with_changed_words(text, share=rng.random() ** 3)) for text in sorted(pages, key=len)[-60:]]
J = np.array([jaccard_v1(shingles_v1(text), shingles_v1(altered)) for text, altered in pairs])
indexes = [NearDuplicates(seed=seed) for seed in range(20)]
agree = np.array([[each.signature(a) == each.signature(b) for each in indexes] for a, b in pairs])  # (60, 20, 128)
estimate = agree[:, 0].mean(axis=1)
in_a_band = agree.reshape(60, 20, 32, 4).all(axis=3).any(axis=2).mean(axis=1)
print(f"MinHash with 128 minima: off by {np.abs(estimate - J).mean():.3f} on average over 60 pairs")
assert np.abs(estimate - J).mean() < 0.044
assert np.abs(in_a_band - (1 - (1 - J**4) ** 32)).mean() < 0.05

figure, (left, right) = plots.new_figure(11, 4.5, n_axes=2)
x = np.linspace(0, 1, 200)
spread = 2 * np.sqrt(x * (1 - x) / 128)
left.fill_between(x, x - spread, x + spread, color=plots.BLUE, alpha=0.15, label="two standard errors")
left.plot(x, x, color=plots.BLUE, linewidth=1, label="exact")
left.plot(J, estimate, "o", color=plots.ORANGE, markersize=4, label="60 pairs of pages")
left.set(xlabel="true similarity J", ylabel="share of 128 minima that agree", title="MinHash estimates J")
for rows, style, colour in ((1, ":", plots.PURPLE), (4, "-", plots.BLUE), (16, "--", plots.GREEN)):
    right.plot(x, 1 - (1 - x**rows) ** (128 // rows), style, color=colour, label=f"{128 // rows} × {rows} minima")
right.plot(J, in_a_band, "o", color=plots.ORANGE, markersize=4, label="32 × 4, measured")
right.set(xlabel="true similarity J", ylabel="probability to be compared", title="Bands of minima", ylim=(-0.05, 1.35))
right.set_yticks(np.linspace(0, 1, 6))
left.legend(frameon=False)
right.legend(frameon=False, loc="upper left", ncols=2)
save_figure("07_minhash", figure)

start = time.perf_counter()
repeats = sum(map(NearDuplicates(threshold=0.8).seen_before, pages))
seconds, by_pairs = time.perf_counter() - start, seconds_per_pair * len(pages) ** 2 / 2
print(f"{len(pages):,} pages: {seconds:.2f} s, pair by pair about {by_pairs:.1f} s; {repeats} near-duplicates")
assert by_pairs > 3 * seconds

# %% [markdown]
# ## Worth learning from
#
# A filter does not read: it *measures* something that prose has within wide bounds. `MASSIVE_TEXT` holds those that
# DeepMind set for web pages: 50 to 100,000 words of 3 to 10 letters on average, few symbols, some of the commonest
# English words, little that stood before in the same text.

# %%
page = next(text for text in pages if data.MASSIVE_TEXT.reason(text) is None)
examples = {
    "a manual page": page,
    "a menu": "\n".join(f"* {word}" for word in page.split()),
    "a table of numbers": "\n".join(f"the sum of {i} is {i * i}, {i**3}, {i**4}" for i in range(99)),
    "a broken record": "buy the best and the cheapest with us! " * 20,
    "a Chinese classic": "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。" * 30,
}
for name, text in examples.items():
    share, reason = data.script_share(text, ("Latin",)), data.MASSIVE_TEXT.reason(text)
    print(f"{name:20} {share:4.0%} Latin letters    {reason or 'stays'}")
    assert (reason is None) == (name == "a manual page")
assert Filters(scripts=("Han",)).reason(examples["a Chinese classic"]) is None

# %% [markdown]
# The rules judged the Chinese classic by English words, which it does not have. Bounds belong to a language and a
# purpose: choose them by reading what they throw away. `Filters(scripts=("Han",))` asks for a script alone.
#
# `clean` takes all steps: it normalizes, drops equal texts, long paragraphs that stood in an earlier document, what
# the filters refuse (nothing unless you give some), and near-duplicates.

# %%
_, report = data.clean(raw, filters=data.MASSIVE_TEXT)
print(f"with the rules for web pages, {report}\n")
corpus, report = data.clean(raw)
print(f"        documents  characters\nbefore {report.documents_in:10,} {report.characters_in:11,}")
print(f"after  {report.documents_out:10,} {report.characters_out:11,}\n{report}")
assert 0.5 * len(raw) < len(corpus) < len(raw)
assert data.clean(corpus)[0] == corpus

# %% [markdown]
# ## How a leak flatters
#
# A model is judged on *validation* text that it did not learn from. If a copy of that text stands in the training
# part, we measure memory and call it understanding. As long as there is no language model (lesson 09) a compressor
# will do: it predicts, too, and pays in bits for what it did not expect. The bits for a validation text are those by
# which it makes the compressed training text longer.
#
# The web is full of mirrors, so of a share of the pages we make a copy with a new headline and one word in a hundred
# changed. Then we split at random, or clean first. 200 *fresh* pages are kept aside: what validation should foretell.


# %%
def bits_per_byte(train, validation):
    alone, both = (len(lzma.compress(data.join_documents(part).encode())) for part in (train, train + validation))
    return 8 * (both - alone) / len(data.join_documents(validation).encode())


def mirror(document):
    text = f"Mirror {rng.integers(10**6)}\n\n" + with_changed_words(document.text, share=0.01)
    return Document(text, f"mirror:{document.source}")


some = rng.permutation([document for document in corpus if 300 <= len(document.text) <= 3000]).tolist()
fresh, crawl = some[:200], some[200:1200]
shares, curves = (0, 0.25, 0.5, 1), {"random split": [], "cleaned at 0.8": [], "cleaned at 0.5": [], "fresh pages": []}
for share in shares:
    found = rng.permutation(crawl + [mirror(document) for document in crawl[: int(share * len(crawl))]]).tolist()
    validation, train = found[: len(found) // 10], found[len(found) // 10 :]
    curves["random split"].append(bits_per_byte(train, validation))
    curves["fresh pages"].append(bits_per_byte(train, fresh))
    for threshold in (0.8, 0.5):
        split = data.split_documents(data.clean(found, near_duplicate_threshold=threshold)[0])
        curves[f"cleaned at {threshold}"].append(bits_per_byte(split.train, split.validation))
    print(f"{share:4.0%} of pages copied: " + ", ".join(f"{name} {each[-1]:.2f}" for name, each in curves.items()))

figure, axes = plots.new_figure(7.5, 4.5)
looks = (("o-", plots.ORANGE), ("s-.", plots.PURPLE), ("^-", plots.BLUE), ("--", plots.GREEN))
for (name, curve), (style, colour) in zip(curves.items(), looks, strict=True):
    axes.plot(shares, curve, style, color=colour, linewidth=1.8, label=name)
axes.set(xlabel="share of pages that have a copy", ylabel="bits per byte", title="A leak flatters", ylim=(0, None))
axes.legend(frameon=False, loc="lower left")
save_figure("07_leak", figure)
half = {name: curve[2] for name, curve in curves.items()}
assert half["random split"] < 0.7 * half["fresh pages"]
assert half["random split"] < half["cleaned at 0.8"] < half["cleaned at 0.5"]
assert half["cleaned at 0.5"] > 0.8 * half["fresh pages"]

# %% [markdown]
# The model did not get better, it met old friends. Cleaning at the usual 0.8 left a part of the leak: the pages are
# short and one changed word is in five shingles, so that many a copy has J below 0.8. At 0.5 little is left. The
# threshold is a setting: plant copies of the kind you fear, and measure. `split_documents` chooses whole documents by
# a hash of their text. Equal texts stay together, and the order of the documents does not matter.

# %%
split, again = data.split_documents(corpus), data.split_documents(corpus[::-1])
assert {document.text for document in split.validation} == {document.text for document in again.validation}
assert {document.text for document in split.train}.isdisjoint(document.text for document in split.validation)
print(f"the embedded corpus is split {split.how}")
print("bits per byte with half of the pages copied:", ", ".join(f"{name} {bits:.2f}" for name, bits in half.items()))

# %% [markdown]
# ## Keep
#
# - One form, every text once, then the split: in this order, or copies stand on both sides.
# - The share of equal minima estimates the share of common shingles; bands find the pairs worth comparing.
# - A filter measures and does not read. Look at what it throws away.
#
# **What it costs.** In memory, per document, 128 minima and in 32 bands the way to the texts that share them. The texts
# themselves need not be there: `clean_stream` takes one document after the other.
#
# **Where the real world differs.** Crawls first take the text out of HTML, tell apart languages of one script, remove
# addresses, and look for the test sets of benchmarks in the text. Copyright and consent are no matter for a filter.
#
# **Further reading.** A. Broder, "On the resemblance and containment of documents" (1997). J. Rae and others, "Scaling
# Language Models: Methods, Analysis & Insights from Training Gopher" (2021), appendix A. K. Lee and others,
# "Deduplicating Training Data Makes Language Models Better" (2022).
