"""Weights in safetensors files, one or several with an index, as arrays; and the arrays as files.

Nothing here can run code, whatever is in the files. A pickle (.bin, .pt) is never opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..files import read_json, write_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
NUMBERS = {"F64", "F32", "F16", "BF16"}  # the types that weights come in
MAX_SHARD_BYTES = 5 * 10**9


class WeightFiles:
    """The tensors of a model's folder by name: their shapes at once, their numbers when asked for.

    Raises FileNotFoundError where there are none, ValueError where a file is broken or does not hold what the index
    says, and for a pickle, with the way to convert it.
    """

    def __init__(self, folder: Path):
        self.path = folder / (SINGLE if (folder / SINGLE).exists() else INDEX)
        if not self.path.exists():
            raise _no_weights(folder)
        self._files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        weight_map = None if self.path.name == SINGLE else _weight_map(self.path)
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


def _no_weights(folder: Path) -> Exception:
    pickles = sorted(path.name for suffix in ("bin", "pt", "pth", "ckpt") for path in folder.glob(f"*.{suffix}"))
    if not pickles:
        return FileNotFoundError(f"{str(folder)!r} holds no weights: {SINGLE} or {INDEX} is missing")
    return ValueError(
        f"{str(folder)!r} holds {pickles[0]}, which is a pickle: opening one may run any code, so it is not read. "
        "Convert it where you trust it, with transformers: AutoModel.from_pretrained(folder).save_pretrained(other) "
        f"writes {SINGLE}"
    )


def _weight_map(path: Path) -> dict[str, str]:
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{path} is damaged: its weight_map should tell the file of each tensor")
    for file in weight_map.values():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise ValueError(f"{path} is damaged: {file!r} is no name of a safetensors file beside it")
    return weight_map


def _open(path: Path):
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} is missing: get the model's folder again, it is not complete")
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is no complete safetensors file ({error}): get it again") from None


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes = {}
    with _open(path) as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_slice(name)
            if tensor.get_dtype() in NUMBERS:
                shapes[name] = tuple(tensor.get_shape())
            elif not tensor.get_dtype().startswith(("I", "U", "BOOL")):  # buffers of positions and masks
                raise ValueError(
                    f"{str(path)!r}: {name} is of type {tensor.get_dtype()}, but weights of "
                    f"{', '.join(sorted(NUMBERS))} are read here"
                )
    return shapes


def _read_bfloat16(path: Path, name: str) -> np.ndarray:
    """The upper halves of float32 numbers. NumPy has no such type, so the bytes are read here.

    The file begins with the length of its header, 8 bytes; safetensors has already checked all that is in it.
    """
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start, stop = header[name]["data_offsets"]
        file.seek(start + file.tell())
        halves = np.frombuffer(file.read(stop - start), "<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(header[name]["shape"])


def write_weights(folder: Path, arrays: Mapping[str, np.ndarray], max_shard_bytes: int = MAX_SHARD_BYTES) -> None:
    """Write model.safetensors, or several files of at most that size with an index."""
    from safetensors.numpy import save_file

    shards = list(_shards(arrays, max_shard_bytes))
    if len(shards) == 1:
        save_file(dict(arrays), folder / SINGLE, {"format": "pt"})  # transformers asks for this note
        return
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total_size = sum(array.nbytes for array in arrays.values())
    write_json(folder / INDEX, {"metadata": {"total_size": total_size}, "weight_map": weight_map})


def _shards(arrays: Mapping[str, np.ndarray], max_bytes: int) -> Iterator[dict[str, np.ndarray]]:
    shard, size = {}, 0
    for name, array in arrays.items():
        if shard and size + array.nbytes > max_bytes:
            yield shard
            shard, size = {}, 0
        shard[name], size = array, size + array.nbytes
    yield shard


def listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
