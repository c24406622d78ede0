"""`tinygrad-llm tokenize`: train a tokenizer and save it, or show the tokens of a text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..data import clean, embedded_corpus, read_files
from ..text import END_OF_TEXT, BPETokenizer, CharTokenizer, Tokenizer, WordPieceTokenizer, load_tokenizer
from ..train.recipes import did_you_mean

KINDS = ("bpe", "char", "wordpiece")


def tokenize(arguments: argparse.Namespace) -> int:
    return _train(arguments) if arguments.train else _show(arguments)


def _train(arguments: argparse.Namespace) -> int:
    kind = arguments.tokenizer
    if kind not in KINDS:
        raise ValueError(f"--tokenizer must be bpe, char or wordpiece, not {kind!r}{did_you_mean(kind, KINDS)}")
    if not arguments.out:
        raise ValueError("--train needs --out FILE, the place to save the tokenizer")
    if Path(arguments.out).exists():
        raise ValueError(f"{arguments.out!r} exists: choose another --out, or remove it first")
    corpus = arguments.corpus
    documents, _ = clean(read_files(corpus, arguments.encoding) if corpus else embedded_corpus("prose"))
    texts = [document.text for document in documents]
    tokenizer = _trained(kind, texts, arguments.vocab_size)
    n_characters = sum(map(len, texts))
    n_tokens = sum(len(tokenizer.encode_to_numpy(text)) for text in texts)
    tokenizer.save(arguments.out)
    print(
        f"saved {arguments.out}: {tokenizer.vocab_size:,} tokens; the text's {n_characters:,} characters become "
        f"{n_tokens:,} tokens, {n_characters / n_tokens:.2f} characters each"
    )
    return 0


def _trained(kind: str, texts: list[str], vocab_size: int) -> Tokenizer:
    if kind == "char":
        return CharTokenizer.train(texts)
    if kind == "wordpiece":
        return WordPieceTokenizer.train(texts, vocab_size)
    return BPETokenizer.train(texts, vocab_size, special_tokens=[END_OF_TEXT])


def _show(arguments: argparse.Namespace) -> int:
    if not arguments.source:
        raise ValueError(
            "whose tokens? Give --from FILE or --from FOLDER with a tokenizer.json, or make one with --train"
        )
    tokenizer = load_tokenizer(arguments.source)
    text = _standard_input() if arguments.text is None else arguments.text
    ids = tokenizer.encode(text)
    for token in ids:
        print(f"{token:>7}  {_piece(tokenizer, token)}")
    print(f"{len(ids):,} tokens for {len(text):,} characters, {len(text.encode()):,} bytes")
    return 0


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input is not {error.encoding} text: convert it first") from None


def _piece(tokenizer: Tokenizer, token: int) -> str:
    """The token's text in quotes, or its bytes where they are no whole characters."""
    if isinstance(tokenizer, WordPieceTokenizer):
        return repr(tokenizer.tokens[token])
    if isinstance(tokenizer, CharTokenizer):
        return repr(tokenizer.decode([token]))
    raw = tokenizer.decode_bytes([token])
    try:
        return repr(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(raw)
