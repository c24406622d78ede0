"""Texts and tables: corpora, examples, conversations, pairs, preferences, and token files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tinygrad_llm.data import (
    Document,
    PairColumns,
    SpanColumns,
    TextColumns,
    open_tokens,
    read_conversations,
    read_files,
    read_pairs,
    read_preferences,
    read_table,
    write_tokens,
)
from tinygrad_llm.data.token_file import HEADER_BYTES, MAGIC
from tinygrad_llm.text import CharTokenizer

from .mutate import Mutator, spoiled_bytes, spoiled_json, spoiled_lines
from .target import Target, as_json, put

ENCODINGS = ("utf-8", "utf-8", "utf-16", "latin-1", "gb18030", "utf-7", "shift_jis", "utf-32-le", "cp1252", "utf-8-sig")
LABELS = TextColumns(pair="pair")
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "The cat sat on the mat.",
                    "qas": [{"question": "Who sat?", "answers": [{"text": "The cat", "answer_start": 0}]}],
                }
            ]
        }
    ]
}
CONVERSATIONS = (
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]},
    {"instruction": "Say it in French.", "input": "Hello!", "output": "Bonjour !", "system": "Be brief."},
)
SPAN = {"question": "Who sat?", "context": "The cat sat.", "answer": {"text": ["The cat"], "answer_start": [0]}}


def _lines(*rows: dict) -> bytes:
    return b"".join(as_json(row) + b"\n" for row in rows)


def _delimited(mark: str, *rows: tuple[str, ...]) -> bytes:
    return "".join(mark.join(row) + "\n" for row in rows).encode()


Reader = Callable[[Path], object]
READERS: dict[str, tuple[str, tuple[bytes, ...], Mutator, Reader]] = {
    "table-jsonl": (
        "a.jsonl",
        (_lines({"text": "good", "pair": "a", "label": "yes"}, {"text": "bad", "pair": "b", "label": 3}),),
        spoiled_lines,
        partial(read_table, columns=LABELS),
    ),
    "table-csv": (
        "a.csv",
        (_delimited(",", ("text", "label"), ('"a, ""b"""', "1.5"), ("c", "-3e2")),),
        spoiled_bytes,
        partial(read_table, columns=TextColumns(numeric=True)),
    ),
    "table-tsv": (
        "a.tsv",
        (_delimited("\t", ("text", "pair", "label"), ("good", "a", "yes"), ('"x\ny"', "b", "no")),),
        spoiled_bytes,
        partial(read_table, columns=LABELS),
    ),
    "table-squad": ("a.json", (as_json(SQUAD),), spoiled_json, partial(read_table, columns=SpanColumns())),
    "table-spans": (
        "a.jsonl",
        (_lines(SPAN, {**SPAN, "answer": ["cat"]}, {**SPAN, "answer": "sat"}),),
        spoiled_lines,
        partial(read_table, columns=SpanColumns()),
    ),
    "table-starts": (
        "a.jsonl",
        (_lines({**SPAN, "answer": "cat", "start": 4}, {**SPAN, "answer": "sat", "start": "8"}),),
        spoiled_lines,
        partial(read_table, columns=SpanColumns(start="start")),
    ),
    "conversations": ("a.jsonl", (_lines(*CONVERSATIONS),), spoiled_lines, read_conversations),
    "pairs-tsv": ("a.tsv", (_delimited("\t", ("a cat", "un chat"), ("a dog", "un chien")),), spoiled_bytes, read_pairs),
    "pairs-jsonl": (
        "a.jsonl",
        (_lines({"en": "a cat", "fr": "un chat"}, {"en": "a dog", "fr": "un chien"}),),
        spoiled_lines,
        partial(read_table, columns=PairColumns("en", "fr")),
    ),
    "preferences": (
        "a.jsonl",
        (
            _lines(
                {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"},
                {"prompt": "Hi", "chosen": "Yes?", "rejected": "No"},
            ),
        ),
        spoiled_lines,
        read_preferences,
    ),
    "corpus-jsonl": (
        "a.jsonl",
        (_lines({"text": "A first document."}, {"text": "A second one."}),),
        spoiled_lines,
        lambda path: list(read_files(path)),
    ),
    "corpus-csv": (
        "a.csv",
        (_delimited(",", ("text", "more"), ("A first document.", "1"), ('"A\nsecond"', "2")),),
        spoiled_bytes,
        lambda path: list(read_files(path)),
    ),
}
TARGETS = dict.fromkeys((*READERS, "corpus-text", "token-file", "token-header"), 5.0)


def make(name: str, folder: Path) -> Target:
    if name.startswith("token"):
        return _token_target(name, folder / "a.tokens")
    if name == "corpus-text":
        return _corpus_target(name, folder / "a.txt")
    file, seeds, spoil, read = READERS[name]
    path = folder / file

    def write_and_read(raw: bytes) -> None:
        put(path, raw)
        read(path)

    return Target(name, seeds, write_and_read, spoil)


def _corpus_target(name: str, path: Path) -> Target:
    """The first byte of an input chooses the encoding."""
    text = "Größe, 中文, 🙂, and plain words.\r\nA second line.\rA third.\n"
    seeds = []
    for number, encoding in enumerate(ENCODINGS):
        seeds.append(bytes([number]) + text.encode(encoding, "ignore"))

    def write_and_read(raw: bytes) -> None:
        put(path, raw[1:])
        list(read_files(path, ENCODINGS[(raw or b"\0")[0] % len(ENCODINGS)]))

    return Target(name, tuple(seeds), write_and_read, spoiled_bytes)


def _token_target(name: str, path: Path) -> Target:
    write_tokens(path, [Document("abc abc", "a"), Document("cab", "b")], CharTokenizer.train("abc \n"))
    raw = path.read_bytes()
    header, tokens = raw[len(MAGIC) : HEADER_BYTES].strip(), raw[HEADER_BYTES:]
    json.loads(header)

    def write_and_read(raw: bytes) -> None:
        if name == "token-header":
            raw = (MAGIC + raw).ljust(HEADER_BYTES - 1)[: HEADER_BYTES - 1] + b"\n" + tokens
        put(path, raw)
        open_tokens(path).sum()

    if name == "token-header":
        return Target(name, (header,), write_and_read)
    return Target(name, (raw,), write_and_read, spoiled_bytes)
