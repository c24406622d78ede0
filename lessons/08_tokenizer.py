# %% [markdown]
# # 08 Tokenizer
#
# How does text become numbers, in any language, so that nothing is lost and the rows stay short? At the end of this
# lesson you have a tokenizer that learned its pieces from text and gives every text back exactly, and a second one
# that cuts text as BERT does.
#
# Lesson 07 left us with a corpus of characters. A model takes a row of integers below some V, the *vocabulary size*.
# Each integer is a *token*. The tokenizer decides what one step of the model is, and the model never sees behind it.

# %%
import math
import time
from collections import Counter
from itertools import pairwise

from tinygrad_llm import data, plots, text
from tinygrad_llm.school import save_figure

ADDS = [
    "tinygrad_llm/text/checks.py", "tinygrad_llm/text/char.py", "tinygrad_llm/text/split.py",
    "tinygrad_llm/text/word_counts.py", "tinygrad_llm/text/byte_alphabet.py", "tinygrad_llm/text/bpe_train.py",
    "tinygrad_llm/text/bpe_train_kernels.py", "tinygrad_llm/text/bpe_merge.py", "tinygrad_llm/text/bpe.py",
    "tinygrad_llm/text/bpe_merge_kernels.py", "tinygrad_llm/text/hf_json.py", "tinygrad_llm/text/bert_text.py",
    "tinygrad_llm/text/wordpiece_train.py", "tinygrad_llm/text/wordpiece_train_kernels.py",
    "tinygrad_llm/text/wordpiece.py", "tinygrad_llm/text/wordpiece_json.py", "tinygrad_llm/text/load.py",
]  # fmt: skip
corpus = data.split_documents(data.embedded_corpus("prose"))
train, held_out = data.join_documents(corpus.train), data.join_documents(corpus.validation)
samples = {
    "English": "A child learns to read letter by letter. Later whole words are seen at once, and the letters are "
    "forgotten. A language model starts with words and never learns the letters.",
    "Chinese": "孩子一个字母一个字母地学习阅读。后来一眼看到整个词，字母就被忘记了。语言模型从词开始，从来没学过字母。",
    "code": "def mean(values):\n    if not values:\n        raise ValueError()\n    return sum(values) / len(values)\n",
}

# %% [markdown]
# ## Words? Characters? Bytes?
#
# *A token for each word* fails first: there is always another word. *A token for each character* fails more rarely,
# but Unicode has some 150,000 characters, and what was not in the training text has no number. *A token for each byte*
# cannot fail. In UTF-8 every character is one to four bytes, "n" one, "é" two, "文" three, "🙂" four, and a byte has
# 256 values. So V = 256 writes every text of mankind. The price is length.

# %%
known, others = set(text.split_words(train)), text.split_words(held_out)
share = sum(word not in known for word in others) / len(others)
lacking = set(samples["Chinese"]) - set(text.CharTokenizer.train(train).characters)
print(f"the training text holds {len(known):,} words; {share:.1%} of the words of other text are new")
print(f"it holds {len(set(train))} characters; {len(lacking)} characters of the Chinese sample are new")
print({character: list(character.encode("utf-8")) for character in "né文🙂"})
assert [len(character.encode("utf-8")) for character in "né文🙂"] == [1, 2, 3, 4]
assert min(share, len(lacking)) > 0

# %% [markdown]
# ## Byte-pair encoding
#
# Begin with bytes and let the text say what deserves a token of its own: *take the pair of neighbours that occurs most
# often, make it a new token, repeat* (P. Gage 1994, for compression; Sennrich and others 2016, for language). On paper:
#
#     low × 5, lower × 2, newest × 6, widest × 3
#
#     pairs:    e s 6 + 3 = 9    s t 9    w e 2 + 6 = 8    l o 5 + 2 = 7  …    → es is a token
#     then:     es t 9           l o 7    o w 7            n e 6          …    → est is a token
#     then:     l o 7            o w 7    n e 6            e w 6          …    → lo, and low next
#
# Of two pairs with the same count, e s and s t, take the one whose tokens are older. No pair reaches over the end of a
# word: the text is cut by GPT-2's rule first, which leaves the space with the word that follows.


# %%
def learn_merges_v1(sample, n_merges):
    """The pairs of ids that are merged, in order. The ids 0-255 are the bytes, 256 and up what merges make."""
    words = [list(word.encode("utf-8").translate(text.byte_alphabet.BYTE_IDS)) for word in text.split_words(sample)]
    merges = []
    for new_id in range(256, 256 + n_merges):
        counts = Counter(pair for ids in words for pair in pairwise(ids))
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        for ids in words:
            i = 0
            while i < len(ids) - 1:
                if (ids[i], ids[i + 1]) == merges[-1]:
                    ids[i : i + 2] = [new_id]
                i += 1
    return merges


print(text.split_words("the dogs don't bark!"))
assert text.split_words("the dogs don't bark!") == ["the", " dogs", " don", "'t", " bark", "!"]
paper = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
counts = Counter(pair for word, n in paper.items() for pair in pairwise(word) for _ in range(n))
assert [counts[a, b] for a, b in ("es", "st", "we", "lo", "ow", "ne")] == [9, 9, 8, 7, 7, 6]

# %% [markdown]
# ## What is missing: time
#
# For *each* merge `_v1` looks at the *whole* text twice. Double the text and it takes twice as long; a vocabulary of
# 4,096 asks for 3,840 such rounds. The library does the same with two ideas:
#
# - Most words come again and again. Count each different word once (`count_words`), and let its pairs weigh that much.
# - A merge changes little. For each pair keep the list of the places where it stands: a merge visits only those, and
#   corrects the counts around them. A heap knows which pair is next, without looking at the others.
#
# Watch a merge at work: `tinygrad-llm debug 08` stops at the marked line below. What you type:
#
#     tbreak text.bpe_train_kernels.merge_everywhere
#     c                        go on, into the first merge
#     p row, new               all words as ids, -2 at their ends; 256, the token to be
#     ll, then until NN        the whole function; go on to its line NN, the one after `row[right] = MERGED`
#     p row[left], row[right]  256 and -1: two tokens became one, and nothing in the row has moved
#     p weight                 6: the pair stood in "newest", which counts six times

# %%
learned = list(text.learn_merges(paper, 4))  # stop here
assert text.BPETokenizer.from_merges(learned).tokens[256:] == [b"es", b"est", b"lo", b"low"]
sizes, n_merges, slow, fast = (5_000, 10_000, 20_000, 40_000), 50, [], []
for size in sizes:
    start = time.perf_counter()
    expected = learn_merges_v1(train[:size], n_merges)
    middle = time.perf_counter()
    found = list(text.learn_merges(text.count_words(train[:size]), n_merges))
    slow, fast = [*slow, middle - start], [*fast, time.perf_counter() - middle]
    assert found == expected  # the very same merges, in the same order
    print(f"{size:6,} characters, {n_merges} merges: naive {slow[-1]:5.2f} s, library {fast[-1]:.4f} s")
start = time.perf_counter()
merges = list(text.learn_merges(text.count_words(train), 8192 - 256))
whole = time.perf_counter() - start
bpe = text.BPETokenizer.from_merges(merges)
shortest = len(bpe.encode_to_numpy(train)) / len(train)  # a low estimate: as if the rows were so short from the start
estimate = slow[-1] * len(train) / sizes[-1] * len(merges) / n_merges * shortest
print(f"{len(train):,}, {len(merges):,} merges: library {whole:.1f} s, naive at least {estimate / 60:.0f} minutes")
assert slow[-1] > 3 * slow[0]
assert estimate > 50 * whole

# %% [markdown]
# ## Merges as they happen
#
# Each merge is one new token, so the first k merges are the tokenizer of 256 + k tokens: one training gives all sizes.
# To encode, the merges are applied to a word in the order in which they were learned, each where it still applies. So a
# word is cut as it was in training, which is not always into the longest tokens.

# %%
sentence, stages = "The iterator returns the next item.", (0, 30, 100, 300, 1000, 4000)
figure, axes = plots.new_figure(9, 3.6)
for row, k in enumerate(stages):
    tokenizer = text.BPETokenizer.from_merges(merges[:k])
    pieces, left = [tokenizer.decode([token]) for token in tokenizer.encode(sentence)], 0
    print(f"{k:5,} merges, {len(pieces):2} tokens: {'|'.join(pieces)}")
    for number, piece in enumerate(pieces):
        colour = (plots.SKY, plots.YELLOW)[number % 2]
        axes.barh(row, len(piece), left=left, height=0.8, color=colour, edgecolor="black")
        axes.text(left + len(piece) / 2, row, piece, ha="center", va="center", family="monospace", fontsize=11)
        left += len(piece)
    axes.text(left + 0.5, row, f"{len(pieces)} tokens", va="center", fontsize=9)
axes.set_yticks(range(len(stages)), [f"{k:,} merges" for k in stages])
axes.set(xlim=(0, len(sentence) + 4.5), ylim=(len(stages) - 0.4, -0.6), xticks=[], title="Merges as they happen")
axes.spines[:].set_visible(False)
save_figure("08_merges", figure)

# %% [markdown]
# ## Round trips in any language
#
# The bytes of the tokens, one after another, are the bytes of the text. So decoding is exact for every text there is,
# whatever the tokenizer was trained on. Only a *part* of the tokens may end inside of a character: then its bytes
# are no character yet, and a program that shows tokens as they come has to wait for the rest.

# %%
every_character = "".join(chr(code_point) for code_point in range(0x110000) if not 0xD800 <= code_point < 0xE000)
for sample in (every_character, *samples.values(), "नमस्ते दुनिया", "مرحبا بالعالم", "👩‍👩‍👧 e\u0301"):
    assert bpe.decode(bpe.encode(sample)) == sample
part = bpe.decode(bpe.encode("文")[:1])
print(f"all {len(every_character):,} characters of Unicode come back; of 文 the first token alone is {part!r}")
assert part == "\ufffd"

# %% [markdown]
# ## What a vocabulary is good for
#
# A larger vocabulary makes shorter rows: more bytes per token. Here are tokenizers of 256, 512, … 8,192 tokens, all
# learned from the same English text about Python, on three texts that are not in it: English, the same in Chinese, and
# code. A model has a row of weights for each token, say 128, so a vocabulary is not free either.

# %%
steps, curves = [256 * 2**k for k in range(6)], {name: [] for name in samples}
for size in steps:
    tokenizer = text.BPETokenizer.from_merges(merges[: size - 256])
    for name, sample in samples.items():
        curves[name].append(len(sample.encode("utf-8")) / len(tokenizer.encode(sample)))
    shown = ", ".join(f"{name} {curve[-1]:.2f}" for name, curve in curves.items())
    print(f"V = {size:5,}: bytes per token: {shown}; weights for the tokens: {128 * size:9,}")
assert all(curve[0] == 1 and curve == sorted(curve) for curve in curves.values())
assert curves["English"][-1] > 2.5 > 1.5 > curves["Chinese"][-1]

# %% [markdown]
# English gains with each doubling, Chinese next to nothing: merges are statistics of the training text, and that holds
# no Chinese. The length of the row is what one pays for, and what must fit into the model: the same thought is dearer
# in a language that the tokenizer has not seen. Chinese in the training text changes that; a hundred copies of two
# sentences stand in for it. (Words as BERT counts them: each Chinese character and each punctuation mark is one.)


# %%
def tokens_per_word(kind, encode):
    ratios = {name: len(encode(sample)) / len(text.split_bert_words(sample)) for name, sample in samples.items()}
    print(f"{kind}, tokens per word: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    return ratios


some_chinese = "孩子后来学习阅读，从来没忘记一个字母。模型从整个词开始学习语言，就一眼看到了字母。" * 100
bpe, with_chinese = text.BPETokenizer.train(train, 4096), text.BPETokenizer.train([train, some_chinese], 4096)
kinds = {"BPE, English": bpe.encode, "BPE, Chinese, too": with_chinese.encode}
per_word = {kind: tokens_per_word(kind, encode) for kind, encode in kinds.items()}
assert bpe.merges == merges[: 4096 - 256]
assert per_word["BPE, English"]["Chinese"] > 2 > 1.5 > per_word["BPE, Chinese, too"]["Chinese"]

# %% [markdown]
# ## WordPiece
#
# BERT's tokenizer is the other classic. **The text is cleaned first.** Capitals and accents go; each punctuation mark
# and each Chinese character is a word. What is gone is lost: this is for models that read, not for models that write.
#
# **No merges are kept.** The smallest pieces are characters, and a piece that continues a word is marked: "##able". At
# each place the longest piece is taken that fits. If none fits, the *whole word* is [UNK]. On paper: with un, una,
# ##aff, ##ffable, ##able, "unaffable" is una ##ffable. Without ##ffable it is [UNK], although un ##aff ##able would do:
# there is no way back.
#
# **The merge is another one.** Frequent letters meet often by accident. Among N pieces at random, ab would stand
# count(a) · count(b) / N times. Schuster and Nakajima (2012) merge the pair that makes the text likelier, by about
#
#     gain(ab) = count(ab) · log( count(ab) · N / (count(a) · count(b)) )
#
# One often reads that WordPiece takes the largest ratio count(ab) / (count(a) · count(b)), without the factor in front.
# That would spend the vocabulary on pairs that hardly ever occur: see the five best by each score. Google never
# published its trainer; Hugging Face's "WordPieceTrainer" takes the plain count, as BPE does. Ours takes the gain.

# %%
vocabulary = {"un", "una", "##aff", "##able"}
for pieces, expected in ((vocabulary | {"##ffable"}, ["una", "##ffable"]), (vocabulary, ["[UNK]"])):
    print(f"unaffable is {text.split_word('unaffable', pieces)}")
    assert text.split_word("unaffable", pieces) == expected
word_counts, count, pair_count = Counter(text.split_bert_words(train)), Counter(), Counter()
for word, n in word_counts.items():
    symbols = text.wordpiece_train.symbols_of(word)  # ["l", "##o", "##w"] for "low"
    for symbol in symbols:
        count[symbol] += n
    for pair in pairwise(symbols):
        pair_count[pair] += n
ratio = {(a, b): n / (count[a] * count[b]) for (a, b), n in pair_count.items()}
gain = {pair: n * math.log(ratio[pair] * count.total()) for pair, n in pair_count.items()}
best = {}
for name, score in (("count", pair_count), ("ratio", ratio), ("gain", gain)):
    best[name] = sorted(score, key=lambda pair, score=score: (-score[pair], pair))[:5]
    print(f"best by {name}: " + ", ".join(f"{a} {b} ({pair_count[a, b]:,} times)" for a, b in best[name]))
assert next(text.learn_pieces(word_counts, 1)) == best["gain"][0][0] + best["gain"][0][1].removeprefix("##")
assert pair_count[best["ratio"][0]] < 0.01 * pair_count[best["gain"][0]]

wordpiece = text.WordPieceTokenizer.train(train, 4096)
encoding = wordpiece.encode_with_offsets("Naïve users of ITERATORS?", "Unaffable 🙂 [MASK]!")
print(*(f"{wordpiece.tokens[i]}/{kind}" for i, kind in zip(encoding.ids, encoding.token_type_ids, strict=True)))
print(wordpiece.decode(encoding.ids))
assert {wordpiece.cls_id, wordpiece.sep_id, wordpiece.unk_id, wordpiece.mask_id} <= set(encoding.ids)
assert wordpiece.encode("naive") == wordpiece.encode("NAÏVE")
per_word["WordPiece, English"] = tokens_per_word("WordPiece, English", lambda sample: wordpiece.encode(sample)[1:-1])
lost = wordpiece.encode(samples["Chinese"]).count(wordpiece.unk_id) / len(text.split_bert_words(samples["Chinese"]))
assert lost > 0.5

figure, (left, right) = plots.new_figure(11, 4.3, n_axes=2)
looks = (("o-", plots.BLUE), ("s--", plots.ORANGE), ("^-.", plots.GREEN))
for (name, curve), (style, colour) in zip(curves.items(), looks, strict=True):
    left.semilogx(steps, curve, style, base=2, color=colour, label=name)
left.set_xticks(steps, [f"{size:,}" for size in steps])
left.set(xlabel="vocabulary size (tokens)", ylabel="bytes per token", title="BPE learned from English", ylim=(0, None))
left.legend(frameon=False)
for number, (kind, ratios) in enumerate(per_word.items()):
    places, colour = [place + 0.27 * (number - 1) for place in range(3)], (plots.BLUE, plots.SKY, plots.PURPLE)[number]
    right.bar_label(right.bar(places, ratios.values(), 0.25, color=colour, label=kind), fmt="%.2f", fontsize=8)
right.text(1.27, 0.1, f"{lost:.0%} [UNK]", rotation=90, ha="center", va="bottom", fontsize=8)
right.set(xticks=range(3), xticklabels=samples, ylabel="tokens per word", ylim=(0, 3.9), title="4,096 tokens each")
right.legend(frameon=False)
save_figure("08_languages", figure)

# %% [markdown]
# ## Keep
#
# - Bytes can write everything; merges make the frequent short. Encoding applies them in the order they were learned.
# - BPE gives every text back. WordPiece cuts by its vocabulary alone, cleans first, and loses what it does not know.
# - A vocabulary is made of its training text: what it has not seen is cut small, or lost.
#
# **What it costs.** Time to count words and merge, V rows of weights in the model, and blindness: a model that sees no
# letters miscounts the r in "strawberry", and stumbles over numbers that are cut now so, now so.
#
# **Where the real world differs.** GPT-2 has 50,257 tokens, later models 100,000 and more, and cut numbers by threes.
# `load_tokenizer` reads the files of GPT-2 and BERT, and then the ids are Hugging Face's, one for one.
#
# **Further reading.** Gage, "A New Algorithm for Data Compression" (1994). Sennrich, Haddow and Birch, "Neural Machine
# Translation of Rare Words with Subword Units" (2016). Schuster and Nakajima, "Japanese and Korean Voice Search"
# (2012). Petrov and others, "Language Model Tokenizers Introduce Unfairness Between Languages" (2023).

# %%
print(f"Shown: {len(merges):,} merges in {whole:.1f} s, naive {estimate / 60:.0f} minutes or more; exact round trips;")
print(f"{curves['English'][-1]:.1f} bytes per token in English, {curves['Chinese'][-1]:.1f} in Chinese.")
