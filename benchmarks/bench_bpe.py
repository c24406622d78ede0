"""BPE: seconds to learn a vocabulary, and megabytes of text encoded a second; the same merges and ids on all sides.

    python benchmarks/bench_bpe.py                 # needs the extra `compare`: tokenizers, tiktoken
    python benchmarks/bench_bpe.py --english book.txt --chinese poems.txt --code source.txt --large corpus.txt

Training is against Hugging Face tokenizers, which uses all cores, with the split of GPT-2 on both sides; ours uses
one. minbpe's algorithm takes an hour for 1 MB, so it has a row with a small text.
Encoding is against tiktoken and tokenizers, one thread each, with the same merges: 32,768 tokens learned from all
texts. Neither tiktoken nor ours remembers words, so the first call is as fast as the next; tokenizers does.

Texts that are not given come from this installation: docstrings of the standard library for English, its sources
for code, all installed Python sources up to 50 MB for the large one. Chinese there is none: give a file, for example
of https://github.com/chinese-poetry/chinese-poetry (`npm pack chinese-poetry`).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import sysconfig
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from bpe_peers import hugging_face_encoder, hugging_face_trainer, minbpe_train, tiktoken_encoder
from interleave import Side, medians
from report import Row, command_line

from tinygrad_llm.data import embedded_corpus, join_documents
from tinygrad_llm.text import BPETokenizer

MEGABYTE = 1_000_000
LARGE, SMALL, ENCODED = 50 * MEGABYTE, MEGABYTE, 2 * MEGABYTE
VOCAB_SIZES = (4096, 32768)
NAIVE_BYTES, NAIVE_VOCAB_SIZE = 64_000, 512
TRAINING_REACH = 1.0  # of tokenizers' time
ENCODING_REACH = {"tiktoken": 1.0, "tokenizers": 5.0}  # times its speed
TEXTS = ("english", "chinese", "code", "large")


def rows(quick: bool, files: dict[str, str | None]) -> list[Row]:
    """About 5 minutes."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: write_text(name, files[name], Path(folder), quick) for name in TEXTS}
        paths = {name: path for name, path in paths.items() if path}
        tokenizer_file = str(Path(folder, "tokenizer.json"))
        BPETokenizer.train([read(path, LARGE) for path in paths.values()], VOCAB_SIZES[-1]).save(tokenizer_file)
        found = [*training_rows(paths, quick), naive_row(paths["english"])]
        return found + encoding_rows(paths, tokenizer_file, quick)


def training_rows(paths: dict[str, str], quick: bool) -> list[Row]:
    found = []
    with Side(__file__, "ours") as ours, Side(__file__, "tokenizers") as peer:
        for name, n_bytes, rounds in (("english", SMALL, 5), ("large", LARGE, 1)):
            for vocab_size in VOCAB_SIZES:
                case = ["train", paths[name], n_bytes, vocab_size]
                compare_merges(*case[1:])
                seconds = medians([ours, peer], case, *((1, 1) if quick else (rounds, 2)))
                what = f"training, {describe(name, paths[name], n_bytes)}, vocabulary {vocab_size:,}"
                times = (seconds["ours"], seconds["tokenizers"])
                found.append(Row("bpe", what, "HF tokenizers", *times, "s", "lower", TRAINING_REACH))
    return found


def naive_row(path: str) -> Row:
    with Side(__file__, "ours") as ours, Side(__file__, "minbpe") as peer:
        case = ["train", path, NAIVE_BYTES, NAIVE_VOCAB_SIZE]
        seconds = medians([ours, peer], case, 1, 1)
    hours = seconds["minbpe"] * (SMALL / NAIVE_BYTES) * (4096 - 256) / (NAIVE_VOCAB_SIZE - 256) / 3600
    what = f"training, {describe('english', path, NAIVE_BYTES)}, vocabulary {NAIVE_VOCAB_SIZE}"
    note = f"1 MB and 4,096 would take minbpe about {hours:.1g} h, by bytes × merges"
    return Row("bpe", what, "minbpe's algorithm", seconds["ours"], seconds["minbpe"], "s", "lower", note=note)


def encoding_rows(paths: dict[str, str], tokenizer_file: str, quick: bool) -> list[Row]:
    found = []
    with Side(__file__, "ours") as ours, Side(__file__, "tiktoken") as tiktoken, Side(__file__, "tokenizers") as hf:
        for name in ("english", "chinese", "code"):
            if name not in paths:
                note = f"not measured: no text, give --{name} FILE"
                found.append(Row("bpe", f"encoding {name}", "tiktoken", None, None, "MB/s", "higher", note=note))
                continue
            case = ["encode", paths[name], ENCODED, tokenizer_file]
            compare_ids(*case[1:])
            seconds = medians([ours, tiktoken, hf], case, *((1, 1) if quick else (5, 3)))
            megabytes = len(read(paths[name], ENCODED).encode()) / MEGABYTE
            speed = {side: megabytes / each for side, each in seconds.items()}
            for peer, reach in ENCODING_REACH.items():
                what = f"encoding {describe(name, paths[name], ENCODED)}"
                found.append(Row("bpe", what, peer, speed["ours"], speed[peer], "MB/s", "higher", reach))
    return found


def make(side: str, case: list):
    """What a side's process measures: ["train", file, bytes, vocabulary] or ["encode", file, bytes, tokenizer]."""
    task, path, n_bytes, setting = case
    text = read(path, n_bytes)
    if task == "train":
        if side == "tokenizers":
            return hugging_face_trainer(text, setting)
        return {"ours": partial(BPETokenizer.train, text, setting), "minbpe": partial(minbpe_train, text, setting)}[
            side
        ]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if side == "ours":
        return partial(BPETokenizer.load(setting).encode_to_numpy, text)
    return {"tiktoken": tiktoken_encoder, "tokenizers": hugging_face_encoder}[side](setting, text)


def compare_merges(path: str, n_bytes: int, vocab_size: int) -> None:
    """Raise AssertionError unless tokenizers learns the same tokens in the same order."""
    text = read(path, n_bytes)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "tokenizer.json"))
        hugging_face_trainer(text, vocab_size)().save(file)
        assert BPETokenizer.load(file).tokens == BPETokenizer.train(text, vocab_size).tokens, (path, vocab_size)


def compare_ids(path: str, n_bytes: int, tokenizer_file: str) -> None:
    """Raise AssertionError unless all sides make the same ids."""
    case = ["encode", path, n_bytes, tokenizer_file]
    ours, *peers = (np.asarray(make(side, case)()) for side in ("ours", "tiktoken", "tokenizers"))
    for peer in peers:
        np.testing.assert_array_equal(ours, peer)


def describe(name: str, path: str, n_bytes: int) -> str:
    return f"{len(read(path, n_bytes).encode()) / MEGABYTE:.3g} MB of {name} ({Path(path).stem})"


def read(path: str, n_bytes: int) -> str:
    return Path(path).read_bytes()[:n_bytes].decode("utf-8", errors="ignore")


def write_text(name: str, file: str | None, folder: Path, quick: bool) -> str | None:
    """The file of a text: the user's own, or one made of what is installed; None where there is nothing."""
    if file:
        return file
    makers = {"english": docstrings, "code": library_sources, "large": installed_sources}
    if name not in makers:
        return None
    title, text = makers[name](2 * MEGABYTE if quick else LARGE)
    path = folder / f"{title}.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def docstrings(n_bytes: int) -> tuple[str, str]:
    return "docstrings of Python", join_documents(embedded_corpus("prose"))[:n_bytes]


def library_sources(n_bytes: int) -> tuple[str, str]:
    return "sources of Python", join_documents(embedded_corpus("sources"))[:n_bytes]


def installed_sources(n_bytes: int) -> tuple[str, str]:
    """Python files of the standard library and of installed packages, in random order until there is enough."""
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    files = sorted({path for folder in folders for path in folder.rglob("*.py")})
    random.Random(0).shuffle(files)
    texts, size = [], 0
    for path in files:
        if size >= n_bytes:
            break
        texts.append(path.read_text(encoding="utf-8", errors="ignore"))
        size += len(texts[-1].encode())
    return "installed Python files", "\n".join(texts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in TEXTS:
        parser.add_argument(f"--{name}", default=os.environ.get(name.upper()))
    chosen, sys.argv[1:] = parser.parse_known_args()
    command_line(__doc__, lambda quick: rows(quick, vars(chosen)), make)
