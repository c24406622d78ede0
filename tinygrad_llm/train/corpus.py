"""From text to token files: read, clean, split, train the tokenizer, encode.

A corpus that fits in memory is split by whole documents into exact shares. A larger one streams from its files, as
often as it is needed, and each document's hash says on which side it is.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..data import (
    CleanReport,
    Document,
    clean,
    clean_stream,
    embedded_corpus,
    goes_to_validation,
    read_files,
    split_documents,
    write_tokens,
)
from ..data.documents import cut_before
from ..text import END_OF_TEXT, BPETokenizer, CharTokenizer, Tokenizer, WordPieceTokenizer
from .recipes import PretrainConfig

IN_MEMORY_BYTES = 128 << 20
STREAM_CHARACTERS = 1 << 16  # a longer document is cut, so that there are many to choose the validation part from
VALIDATION_BYTES = 8 << 20  # of a streamed corpus: enough for an exact measurement, and it is read in a minute
TOKENIZER_CHARACTERS = 64 << 20  # merges learned from so much text are as good as from all of it


@contextmanager
def encoded_files(paths: Sequence[str], encoding: str, tokenizer: Tokenizer) -> Iterator[tuple[Path, list[Document]]]:
    """Other text than a run's, to measure a model on: its documents, cleaned, and a token file of them for the while.

    Raises as `read_files`.
    """
    documents, _ = clean(read_files(paths, encoding))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "corpus.tokens")
        write_tokens(path, documents, tokenizer)
        yield path, documents


@dataclass(frozen=True)
class Corpus:
    """The two parts of the text, and in words what was done to it."""

    train: Iterable[Document]  # can be walked through more than once
    validation: list[Document]
    cleaning: str
    how_split: str


def read_corpus(config: PretrainConfig) -> Corpus:
    """The config's files, or the embedded corpus.

    Raises FileNotFoundError for a missing file, ValueError for one that is empty, binary or in another encoding, for a
    text too short to be split, and where neither files nor an embedded corpus are named.
    """
    if not config.corpus and config.embedded_corpus == "none":
        raise ValueError(
            "this preset has no text of its own: give one with --corpus FILE, for example a plain-text Shakespeare, "
            "or take --embedded-corpus prose"
        )
    if _size(config.corpus) > IN_MEMORY_BYTES and not config.max_characters:
        return _streamed(config)
    documents, report = clean(_read(config))
    split = split_documents(documents, config.validation_fraction)
    return Corpus(split.train, split.validation, str(report), split.how)


def train_tokenizer(config: PretrainConfig, corpus: Corpus) -> Tokenizer:
    """Pieces learned from the training text, by BPE or WordPiece; or all characters of both parts, so that none is
    unknown."""
    if config.tokenizer == "char":
        documents = itertools.chain(corpus.train, corpus.validation)
        return CharTokenizer.train(itertools.chain(["\n"], (document.text for document in documents)))
    texts = (document.text for document in first_characters(corpus.train, TOKENIZER_CHARACTERS))
    if config.tokenizer == "wordpiece":
        return WordPieceTokenizer.train(texts, config.vocab_size)
    return BPETokenizer.train(texts, config.vocab_size, special_tokens=[END_OF_TEXT])


def first_characters(documents: Iterable[Document], limit: int) -> Iterator[Document]:
    """Documents until they come to `limit` characters; the last one is cut."""
    for document in documents:
        yield replace(document, text=document.text[:limit])
        limit -= len(document.text)
        if limit <= 0:
            return


def _read(config: PretrainConfig) -> Iterable[Document]:
    if config.corpus:
        documents = read_files(config.corpus, config.encoding)
    else:
        documents = embedded_corpus(config.embedded_corpus)
    return first_characters(documents, config.max_characters) if config.max_characters else documents


def _size(paths: Iterable[str]) -> int:
    files = [path.rglob("*") if path.is_dir() else [path] for path in map(Path, paths)]
    return sum(file.stat().st_size for file in itertools.chain(*files) if file.is_file())


def _streamed(config: PretrainConfig) -> Corpus:
    fraction = min(config.validation_fraction, VALIDATION_BYTES / _size(config.corpus))
    report = CleanReport()
    documents = clean_stream(_short_documents(config), report)
    validation = [document for document in documents if goes_to_validation(document, fraction)]
    how = f"as a stream, by document: {len(validation):,} of {report.documents_out:,} for validation"
    return Corpus(_TrainingStream(config, fraction), validation, str(report), how)


@dataclass(frozen=True)
class _TrainingStream:
    """Reads and cleans the files anew on each walk, so that only one document at a time is in memory."""

    config: PretrainConfig
    fraction: float

    def __iter__(self) -> Iterator[Document]:
        for document in clean_stream(_short_documents(self.config), CleanReport()):
            if not goes_to_validation(document, self.fraction):
                yield document


def _short_documents(config: PretrainConfig) -> Iterator[Document]:
    for document in read_files(config.corpus, config.encoding):
        start = 0
        while start < len(document.text):
            window = document.text[start : start + STREAM_CHARACTERS]
            whole = start + STREAM_CHARACTERS >= len(document.text)
            cut = len(window) if whole else cut_before(window, STREAM_CHARACTERS, STREAM_CHARACTERS // 2)
            yield replace(document, text=window[:cut])
            start += cut
