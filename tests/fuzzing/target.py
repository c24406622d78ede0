"""What a target is, and what several of them share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .mutate import Mutator, spoiled_json

SENTENCE = 'Naïve "users" can\'t\tfind 42\u3000things; 中文 🙂 <|endoftext|>[MASK]\n'


@dataclass(frozen=True)
class Target:
    """`read` gives an input to a public reader, and uses what comes back. It raises what the reader raises."""

    name: str
    seeds: tuple[bytes, ...]  # valid inputs, which `read` accepts
    read: Callable[[bytes], None]
    spoil: Mutator = spoiled_json
    names_the_file: bool = True  # its errors do


def put(path: Path, raw: bytes) -> None:
    """A new file, even where one of that name is still mapped into memory."""
    path.unlink(missing_ok=True)
    path.write_bytes(raw)


def as_json(data: Any) -> bytes:
    return json.dumps(data).encode()


def header_of(path: Path) -> tuple[bytes, bytes]:
    """Of a safetensors file the header, JSON, and all that follows."""
    raw = path.read_bytes()
    stop = 8 + int.from_bytes(raw[:8], "little")
    return raw[8:stop], raw[stop:]


def with_header(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def file_target(name: str, path: Path, read: Callable[[], None], **options: Any) -> Target:
    """Each input is written as the file `path`; its present content is the seed."""

    def write_and_read(raw: bytes) -> None:
        put(path, raw)
        read()

    return Target(name, (path.read_bytes(),), write_and_read, **options)


def header_target(name: str, path: Path, read: Callable[[], None], **options: Any) -> Target:
    """Each input is the header of the safetensors file `path`, with the right length before it."""
    header, data = header_of(path)

    def write_and_read(raw: bytes) -> None:
        put(path, with_header(raw, data))
        read()

    return Target(name, (header,), write_and_read, **options)
