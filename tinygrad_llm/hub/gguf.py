"""GGUF files, read only: one file with a model's settings, its tokenizer and its weights, mostly of 4 or 8 bits.

    "GGUF"  version  number of tensors  number of settings
    settings      name, type, value; lists have a type and a length
    tensors       name, shape, type, offset
    …             padding, then the bytes of the tensors, each at its offset

Little-endian throughout; a text is its length in 8 bytes and its UTF-8. Shapes are written from the fastest axis to the
slowest, the other way round than NumPy's. Whatever the file says of lengths, counts and places is compared with its
size before anything is read or allocated by it, so that a broken or hostile file gets an error, and nothing else.

Quantised weights come in blocks of 32 along a row, each with a scale d of its own, in float16:

    Q8_0    w = d · q          q from −128 to 127, a byte each                               34 bytes
    Q4_0    w = d · (q − 8)    q from 0 to 15: byte j has weight j below, j + 16 above       18 bytes
    Q4_1    w = d · q + m      m, the least weight of the block, too                         20 bytes

Source: the specification of GGUF in the documentation of the project ggml (github.com/ggml-org/ggml, docs/gguf.md).
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAGIC, VERSIONS = b"GGUF", (2, 3)
BLOCK = 32  # weights that share a scale
TEXT, LIST, BOOL = 8, 9, 7
NUMBERS = {
    0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", BOOL: "u1", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
LEAST_BYTES = {TEXT: 8} | {kind: np.dtype(code).itemsize for kind, code in NUMBERS.items()}
LEAST_TENSOR, LEAST_SETTING = 8 + 4 + 8 + 4 + 8, 8 + 4 + 1  # bytes that describe one
MAX_DIMS = 4
MAX_TEXTS = 1 << 20  # names and tokens; in memory a short text takes many times its bytes


class Blocks(NamedTuple):
    """A matrix (N, K) in blocks of 32 weights: w = scale · q + offset."""

    packed: np.ndarray  # int8 (N, K), or uint8 (N, K / 2): byte j of a block of 16 has weight j below, j + 16 above
    scale: np.ndarray  # float32 (N, K / 32)
    offset: np.ndarray | None  # the same; None for bytes, whose range is around 0


class Kind(NamedTuple):
    """How the weights of a tensor are written."""

    name: str
    block_bytes: int
    block: int = 1  # weights in a block
    read: Callable[[np.ndarray], np.ndarray | Blocks] | None = None  # of rows (N, bytes)


def _half(raw: np.ndarray) -> np.ndarray:
    """Two bytes (…, 2) → float32 (…)."""
    return np.ascontiguousarray(raw).view("<f2")[..., 0].astype(np.float32)


def _of_blocks(rows: np.ndarray, block_bytes: int) -> np.ndarray:
    return rows.reshape(len(rows), -1, block_bytes)  # (N, blocks, bytes)


def _read_q8_0(rows: np.ndarray) -> Blocks:
    blocks = _of_blocks(rows, 34)
    return Blocks(blocks[..., 2:].reshape(len(rows), -1).view(np.int8), _half(blocks[..., :2]), None)


def _read_q4_0(rows: np.ndarray) -> Blocks:
    blocks = _of_blocks(rows, 18)
    scale = _half(blocks[..., :2])
    return Blocks(blocks[..., 2:].reshape(len(rows), -1), scale, -8 * scale)


def _read_q4_1(rows: np.ndarray) -> Blocks:
    blocks = _of_blocks(rows, 20)
    return Blocks(blocks[..., 4:].reshape(len(rows), -1), _half(blocks[..., :2]), _half(blocks[..., 2:4]))


KINDS = {
    0: Kind("F32", 4, read=lambda rows: np.ascontiguousarray(rows).view("<f4").astype(np.float32)),
    1: Kind("F16", 2, read=lambda rows: np.ascontiguousarray(rows).view("<f2").astype(np.float32)),
    2: Kind("Q4_0", 18, BLOCK, _read_q4_0),
    3: Kind("Q4_1", 20, BLOCK, _read_q4_1),
    8: Kind("Q8_0", 34, BLOCK, _read_q8_0),
}


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor is, and of which shape."""

    shape: tuple[int, ...]  # the slowest axis first, as in NumPy
    kind: Kind
    start: int  # in the file
    n_bytes: int


def is_gguf(path: Path) -> bool:
    """By its name, so that a file that is missing or broken gets the right error."""
    return path.suffix == ".gguf"


class GGUFFile:
    """`settings` by name; `tensors` by name, read by `read`. The file is mapped, and takes no memory of its own.

    Raises FileNotFoundError where there is no such file, ValueError for one that is damaged or of another kind.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{str(path)!r} is no file: give the path of a model in GGUF format")
        self._size = self.path.stat().st_size
        if self._size < 24:
            raise self.wrong("it is shorter than the beginning of one")
        with self.path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._place, self._n_texts = 4, 0
        if self._map[:4] != MAGIC:
            raise self.wrong("it does not begin with GGUF")
        version = self._number("<I")
        if version not in VERSIONS:
            raise self.wrong(f"its version is {version}, and only {' and '.join(map(str, VERSIONS))} are read here")
        n_tensors, n_settings = (self._count(least) for least in (LEAST_TENSOR, LEAST_SETTING))
        self.settings: dict[str, Any] = {}
        for _ in range(n_settings):
            name = self._text()
            self._unique(name, self.settings)
            self.settings[name] = self._value(self._number("<I"), name)
        self.tensors = self._read_tensors(n_tensors)

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{str(self.path)!r} is no GGUF file that can be read: {what}")

    def read(self, name: str) -> np.ndarray | Blocks:
        """The tensor as float32 of its shape, or a matrix in blocks."""
        info = self.tensors[name]
        n_rows = math.prod(info.shape[:-1])
        raw = np.frombuffer(self._map, np.uint8, info.n_bytes, info.start).reshape(n_rows, -1)
        found = info.kind.read(raw)
        self._forget_pages(info)
        if not isinstance(found, Blocks):
            return found.reshape(info.shape)
        if not all(part is None or np.isfinite(part).all() for part in found[1:]):
            raise self.wrong(f"{name!r} holds scales that are infinite or no numbers")
        return found

    def _forget_pages(self, info: TensorInfo) -> None:
        """The system may take back the memory in which it showed the tensor: it has been copied."""
        if hasattr(mmap, "MADV_DONTNEED"):
            start = info.start - info.start % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, start, info.start + info.n_bytes - start)

    def _read_tensors(self, n_tensors: int) -> dict[str, TensorInfo]:
        described = {}
        for _ in range(n_tensors):
            name = self._text()
            self._unique(name, described)
            described[name] = self._describe(name)
        alignment = self.settings.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise self.wrong(f"general.alignment is {alignment!r}, not a power of two")
        data_start = -(-self._place // alignment) * alignment
        tensors, total = {}, 0
        for name, (shape, kind, offset) in described.items():
            n_bytes = math.prod(shape) // kind.block * kind.block_bytes
            start = data_start + offset
            total += n_bytes
            if offset % alignment or start + n_bytes > self._size or total > self._size:  # the last if they overlap
                raise self.wrong(f"the {n_bytes:,} bytes of {name!r} at {start:,} are not within its {self._size:,}")
            tensors[name] = TensorInfo(shape, kind, start, n_bytes)
        return tensors

    def _describe(self, name: str) -> tuple[tuple[int, ...], Kind, int]:
        n_dims = self._number("<I")
        if not 1 <= n_dims <= MAX_DIMS:
            raise self.wrong(f"the tensor {name!r} has {n_dims} dims, not 1 to {MAX_DIMS}")
        shape = tuple(self._number("<Q") for _ in range(n_dims))[::-1]
        kind = KINDS.get(number := self._number("<I"))
        if kind is None:
            known = ", ".join(each.name for each in KINDS.values())
            raise self.wrong(f"the tensor {name!r} is of type {number}, which is none of {known}")
        if 0 in shape or shape[-1] % kind.block:
            raise self.wrong(f"the tensor {name!r} of type {kind.name} has the impossible shape {shape}")
        return shape, kind, self._number("<Q")

    def _unique(self, name: str, known: dict) -> None:
        if name in known:
            raise self.wrong(f"the name {name!r} comes twice")

    def _value(self, kind: int, name: str) -> Any:
        if kind == TEXT:
            return self._text()
        if kind == LIST:
            kind = self._number("<I")
            n = self._count(LEAST_BYTES.get(kind, 1))
            return [self._text() for _ in range(n)] if kind == TEXT else self._array(kind, n, name)
        number = self._array(kind, 1, name)[0]
        # 0.00001 in float32 is 0.00000999999974738; its shortest form is what was meant
        return float(str(number)) if number.dtype == np.float32 else number.item()

    def _array(self, kind: int, n: int, name: str) -> np.ndarray:
        if kind not in NUMBERS:
            raise self.wrong(
                f"the setting {name!r} is of the type {kind}, which is none of a single value or of a list"
            )
        found = np.frombuffer(self._bytes(n * LEAST_BYTES[kind]), NUMBERS[kind])
        return found.astype(bool) if kind == BOOL else found

    def _text(self) -> str:
        self._n_texts += 1
        if self._n_texts > MAX_TEXTS:
            raise self.wrong(f"it has more than {MAX_TEXTS:,} texts in it")
        raw = self._bytes(self._count(1))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.wrong(f"the text {raw[:40]!r} is not UTF-8") from None

    def _count(self, least_bytes: int) -> int:
        """A number of things that take at least so many bytes each."""
        n = self._number("<Q")
        if n * least_bytes > self._size - self._place:
            raise self.wrong(f"it tells of {n:,} things, which is more than the rest of it can hold")
        return n

    def _number(self, code: str) -> int:
        return struct.unpack(code, self._bytes(struct.calcsize(code)))[0]

    def _bytes(self, n: int) -> bytes:
        start, self._place = self._place, self._place + n
        if self._place > self._size:
            raise self.wrong("it is truncated")
        return self._map[start : self._place]
