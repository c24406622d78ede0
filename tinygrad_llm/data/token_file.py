"""Token files: a corpus as numbers on disk, read through a memory map, so that it may be larger than memory.

The file is a header of 512 bytes (a magic line, then JSON, padded with blanks: `head -c 512 FILE` shows
it), then the token ids, 2 bytes each, or 4 where the vocabulary has more than 65,536 tokens, little-endian.

A corpus larger than memory goes through in one pass, document by document:

    report = CleanReport()
    with TokenWriter("train.tokens", tokenizer) as train, TokenWriter("val.tokens", tokenizer) as validation:
        for document in clean_stream(read_files(paths), report):
            (validation if goes_to_validation(document) else train).add(document)
"""

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..json_text import parse_json
from .documents import DOCUMENT_SEPARATOR, Document, cut_before

MAGIC = b"tinygrad_llm tokens\n"
FORMAT_VERSION = 1
HEADER_BYTES = 512
PIECE_CHARACTERS = 1 << 20  # encoded at a time


class Tokenizer(Protocol):
    """What this file needs of a tokenizer; `eos_id` is None where it has no end-of-text token.

    One that frames a text, BERT's, has a `cls_id`, and leaves the frame out where it is told add_special_tokens=False:
    here documents follow each other, with the end-of-text token after each.
    """

    vocab_size: int
    eos_id: int | None

    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class TokenHeader:
    """What a token file says about itself."""

    n_tokens: int
    vocab_size: int
    n_documents: int
    text_bytes: int  # of `join_documents(documents)` in UTF-8: the denominator of bits per byte
    dtype: str  # "uint16" or "uint32"
    crc32: int  # of the token bytes
    version: int = FORMAT_VERSION


class TokenWriter:
    """Writes a token file document by document; used in a `with` block.

    The file appears under its name complete or not at all: it is written beside it, flushed to the disk and
    renamed when the block ends well, and removed when it does not.
    """

    def __init__(self, path: str | os.PathLike, tokenizer: Tokenizer) -> None:
        self.path = Path(path)
        self.tokenizer = tokenizer
        self.dtype = "uint16" if tokenizer.vocab_size <= 2**16 else "uint32"
        self.n_tokens = self.n_documents = self.text_bytes = self.crc32 = 0
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> "TokenWriter":
        self._file = self._temporary.open("wb")
        self._file.write(b" " * HEADER_BYTES)
        return self

    def add(self, document: Document) -> None:
        """Append one document; the end-of-text token follows it, or without one a blank line precedes it."""
        for _ in self.add_pieces(document):
            pass

    def add_pieces(self, document: Document) -> Iterator[None]:
        """`add`, pausing after each piece of about a million characters to let the caller show progress."""
        eos_id = self.tokenizer.eos_id
        if self.n_documents > 0:
            self.text_bytes += len(DOCUMENT_SEPARATOR)
            if eos_id is None:
                self._write(self.tokenizer.encode(DOCUMENT_SEPARATOR))
        options = {"add_special_tokens": False} if hasattr(self.tokenizer, "cls_id") else {}
        for piece in _pieces(document.text):
            self._write(self.tokenizer.encode(piece, **options))
            self.text_bytes += len(piece.encode("utf-8"))
            yield
        if eos_id is not None:
            self._write([eos_id])
        self.n_documents += 1

    def _write(self, ids: list[int] | np.ndarray) -> None:
        ids = np.asarray(ids, dtype=np.int64)
        vocab_size = self.tokenizer.vocab_size
        if ids.size and not (0 <= ids.min() and ids.max() < vocab_size):
            wrong = ids[(ids < 0) | (ids >= vocab_size)][0]
            raise ValueError(f"the tokenizer gave the token id {wrong}, but its vocab_size is {vocab_size}")
        raw = ids.astype(np.dtype(self.dtype).newbyteorder("<")).tobytes()
        self._file.write(raw)
        self.crc32 = zlib.crc32(raw, self.crc32)
        self.n_tokens += ids.size

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        try:
            with self._file:  # closes it: Windows renames closed files only
                if kind is None:
                    self._finish()
            if kind is None:
                self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self.n_tokens == 0:
            raise ValueError(f"there is no text to write to {str(self.path)!r}: the corpus has no documents")
        self._file.seek(0)
        self._file.write((MAGIC + json.dumps(asdict(self.header)).encode()).ljust(HEADER_BYTES - 1) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    @property
    def header(self) -> TokenHeader:
        """The header for what was added so far."""
        counts = (self.n_tokens, self.tokenizer.vocab_size, self.n_documents, self.text_bytes)
        return TokenHeader(*counts, dtype=self.dtype, crc32=self.crc32)


def write_tokens(
    path: str | os.PathLike,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    progress: Callable[[TokenHeader], None] | None = None,
) -> TokenHeader:
    """Encode the documents into a token file, in bounded memory, and return its header.

    `progress` is called with the header so far about once per million characters and once at the end.
    Raises ValueError for a corpus without text and for token ids outside the vocabulary, OSError where the
    disk is full or not writable; then an earlier file of that name is untouched.
    """
    reported = 0
    with TokenWriter(path, tokenizer) as writer:
        for document in documents:
            for _ in writer.add_pieces(document):
                if progress is not None and writer.text_bytes - reported >= PIECE_CHARACTERS:
                    reported = writer.text_bytes
                    progress(writer.header)
    if progress is not None:
        progress(writer.header)
    return writer.header


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        window = text[start : start + PIECE_CHARACTERS]
        cut = cut_before(window, PIECE_CHARACTERS, earliest=PIECE_CHARACTERS // 2)
        yield window[:cut]
        start += cut
    if start < len(text):
        yield text[start:]


def read_token_header(path: str | os.PathLike) -> TokenHeader:
    """What the token file says about itself, after checking that it is one and that it is complete."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no token file {str(path)!r}: write it with write_tokens first")
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES)
    if not raw.startswith(MAGIC):
        raise ValueError(f"{str(path)!r} is not a token file of tinygrad_llm: write one with write_tokens")
    try:
        header = TokenHeader(**parse_json(raw[len(MAGIC) :].decode("utf-8")))
        counts = {name: value for name, value in asdict(header).items() if name != "dtype"}
        if not all(type(value) is int and 0 <= value < 2**63 for value in counts.values()) or not header.n_tokens:
            raise ValueError("a count that is none")
        itemsize = {"uint16": 2, "uint32": 4}[header.dtype]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"the header of the token file {str(path)!r} is damaged: write the file again") from None
    if header.version != FORMAT_VERSION:
        raise ValueError(
            f"the token file {str(path)!r} has format version {header.version}, this program reads "
            f"{FORMAT_VERSION}: write the file again"
        )
    expected, size = HEADER_BYTES + itemsize * header.n_tokens, path.stat().st_size
    if size != expected:
        raise ValueError(
            f"the token file {str(path)!r} has {size:,} bytes where its header promises {expected:,} "
            f"({header.n_tokens:,} tokens): it is truncated or damaged, write it again"
        )
    return header


def open_tokens(path: str | os.PathLike, verify: bool = True) -> np.memmap:
    """The tokens, uint16 or uint32 (N,), as a read-only memory map.

    Raises FileNotFoundError, or ValueError for a file that is foreign, truncated or damaged. The checksum
    means reading the file once, about a second per gigabyte; `verify=False` leaves it out, the length is
    checked all the same.
    """
    header = read_token_header(path)
    dtype = np.dtype(header.dtype).newbyteorder("<")
    tokens = np.memmap(path, dtype=dtype, mode="r", offset=HEADER_BYTES, shape=(header.n_tokens,))
    if verify:
        crc32, step = 0, 1 << 22
        for start in range(0, len(tokens), step):
            crc32 = zlib.crc32(tokens[start : start + step], crc32)
        if crc32 != header.crc32:
            raise ValueError(f"the tokens in {str(path)!r} do not match their checksum: write the file again")
    return tokens
