"""Weights in safetensors files, one or several with an index, as arrays; and the arrays as files.

A file is the length of a header, 8 bytes; the header, JSON that tells type, shape and place of each tensor; and then
their bytes. Quantised weights are in files of another name, since no other program knows what to do with them:
transformers, for one, would pass over them and go on with random numbers.

Nothing here can run code, whatever is in the files. A pickle (.bin, .pt) is never opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..files import read_json, write_json
from ..json_text import shortened

STEM, QUANTIZED_STEM = "model", "model.int8"  # names of files begin with
INT8_WEIGHT = ".int8_weight"  # names of tensors end with
NUMBERS = {"F64", "F32", "F16", "BF16"}  # the types that weights come in
MAX_SHARD_BYTES = 5 * 10**9
HALVES = ("float16", "bfloat16")
# bfloat16 is the upper half of a float32; NumPy has no such type, so its bits are in integers here.
TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "uint16": "BF16", "int8": "I8"}


class WeightFiles:
    """The tensors of a model's folder by name: their shapes at once, their numbers when asked for.

    Raises FileNotFoundError where there are none, ValueError where a file is broken or does not hold what the index
    says, and for a pickle, with the way to convert it.
    """

    def __init__(self, folder: Path, stem: str = STEM):
        single, index = file_names(stem)
        self.path = folder / (single if (folder / single).exists() else index)
        if not self.path.exists():
            raise _no_weights(folder, stem)
        self._files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        weight_map = None if self.path.name == single else _weight_map(self.path)
        for file in [self.path] if weight_map is None else sorted({folder / name for name in weight_map.values()}):
            for name, shape in _shapes(file).items():
                if weight_map is None or weight_map.get(name) == file.name:
                    self._files[name], self.shapes[name] = file, shape
        lacking = [name for name in weight_map or () if name not in self.shapes]
        if lacking:
            raise ValueError(f"{self.path} tells of tensors that are not in its files: {listed(lacking)}")

    def read(self, name: str) -> np.ndarray:
        """The tensor; bfloat16 becomes float32."""
        with _open(self._files[name]) as file:
            if file.get_slice(name).get_dtype() != "BF16":
                return file.get_tensor(name)
        return _read_bfloat16(self._files[name], name)


def file_names(stem: str) -> tuple[str, str]:
    """The only file, or the index of several."""
    return f"{stem}.safetensors", f"{stem}.safetensors.index.json"


def _no_weights(folder: Path, stem: str) -> Exception:
    single, index = file_names(stem)
    pickles = sorted(path.name for suffix in ("bin", "pt", "pth", "ckpt") for path in folder.glob(f"*.{suffix}"))
    if not pickles:
        return FileNotFoundError(f"{str(folder)!r} holds no weights: {single} or {index} is missing")
    return ValueError(
        f"{str(folder)!r} holds {pickles[0]}, which is a pickle: opening one may run any code, so it is not read. "
        "Convert it where you trust it, with transformers: AutoModel.from_pretrained(folder).save_pretrained(other) "
        f"writes {single}"
    )


def _weight_map(path: Path) -> dict[str, str]:
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{path} is damaged: its weight_map should tell the file of each tensor")
    for file in weight_map.values():
        if not isinstance(file, str) or not is_beside(file) or not file.endswith(".safetensors"):
            shown = shortened(repr(file), 80)
            raise ValueError(f"{path} is damaged: {shown} is no name of a safetensors file beside it")
    return weight_map


def is_beside(name: str) -> bool:
    """Whether a name is that of a file in the same folder, on any system: no path, no drive."""
    return re.fullmatch(r"[^/\\:\0\ud800-\udfff]{1,255}", name) is not None and not name.startswith(".")


def _open(path: Path):
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} is missing: get the model's folder again, it is not complete")
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is no complete safetensors file ({shortened(error)}): get it again") from None


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes = {}
    with _open(path) as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_slice(name)
            if tensor.get_dtype() in NUMBERS or (tensor.get_dtype() == "I8" and name.endswith(INT8_WEIGHT)):
                shapes[name] = tuple(tensor.get_shape())
            elif not tensor.get_dtype().startswith(("I", "U", "BOOL")):  # buffers of positions and masks
                raise ValueError(
                    f"{str(path)!r}: {shortened(name, 80)} is of type {tensor.get_dtype()}, but weights of "
                    f"{', '.join(sorted(NUMBERS))} are read here"
                )
    return shapes


def _read_bfloat16(path: Path, name: str) -> np.ndarray:
    """Read here, since safetensors has no array for it; it has already checked all that is in the file."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start, stop = header[name]["data_offsets"]
        file.seek(start + file.tell())
        halves = np.frombuffer(file.read(stop - start), "<u2")
    return from_bfloat16(halves).reshape(header[name]["shape"])


def write_weights(
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    max_shard_bytes: int = MAX_SHARD_BYTES,
    stem: str = STEM,
    dtype: str | None = None,
) -> None:
    """Write model.safetensors, or several files of at most that size with an index; as `dtype`, or as they are.

    Raises ValueError for a weight that is too large for float16.
    """
    single, index = file_names(stem)
    if dtype is not None:
        arrays = {name: as_half(name, array, dtype) for name, array in arrays.items()}
    shards = list(_shards(arrays, max_shard_bytes))
    if len(shards) == 1:
        _write(folder / single, shards[0])
        return
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"{stem}-{number:05}-of-{len(shards):05}.safetensors"
        _write(folder / file, shard)
        weight_map |= dict.fromkeys(shard, file)
    total_size = sum(array.nbytes for array in arrays.values())
    write_json(folder / index, {"metadata": {"total_size": total_size}, "weight_map": weight_map})


def as_half(name: str, array: np.ndarray, dtype: str) -> np.ndarray:
    """The nearest numbers in "float16", or the bits of those in "bfloat16"; of two as near, the even one."""
    if dtype == "bfloat16":
        return bfloat16_bits(array)
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all() and np.isfinite(array).all():
        largest = np.abs(array).max()
        raise ValueError(f"{name} holds {largest:,.0f}, which is beyond float16's largest number, 65,504: use bfloat16")
    return half


def bfloat16_bits(x: np.ndarray) -> np.ndarray:
    """The upper 16 bits of each float32, one more where the lower ones are more than half; at half, to the even one.

    >>> [hex(bits) for bits in bfloat16_bits(np.array([1.0, 1.00390625, 1.01171875]))]  # as they are, down, up
    ['0x3f80', '0x3f80', '0x3f82']
    """
    x = np.ascontiguousarray(x, np.float32)
    bits = x.view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + (bits >> 16 & 1))) >> 16
    quiet_nan = bits >> 16 | 0x40  # rounding could make an infinity of it
    return np.where(np.isnan(x), quiet_nan, rounded).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    header, end = {"__metadata__": {"format": "pt"}}, 0  # transformers asks for this note
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))  # so that each begins at a multiple
    for name, array in ordered:
        place = [end, end := end + array.nbytes]
        header[name] = {"dtype": TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))


def _shards(arrays: Mapping[str, np.ndarray], max_bytes: int) -> Iterator[dict[str, np.ndarray]]:
    shard, size = {}, 0
    for name, array in arrays.items():
        if shard and size + array.nbytes > max_bytes:
            yield shard
            shard, size = {}, 0
        shard[name], size = array, size + array.nbytes
    yield shard


def listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(shortened(name, 120) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
