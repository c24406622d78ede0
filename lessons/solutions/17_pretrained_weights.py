"""Solutions of lesson 17."""

import json
import math
import re
import struct

import numpy as np


def mean_pool(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    n_tokens = np.maximum(mask.sum(axis=1, keepdims=True), 1)  # (B, 1)
    return np.where(mask[..., None], hidden, 0).sum(axis=1) / n_tokens


def to_ours(
    arrays: dict[str, np.ndarray],
    table: dict[str, str],
    transposed: set[str],
    shapes: dict[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    ours, asked, problems = {}, set(), []
    for name, shape in shapes.items():
        module, _, kind = name.rpartition(".")
        number = re.search(r"\.(\d+)\.", module)
        pattern = table[re.sub(r"\.\d+\.", ".*.", module)]
        their_name = f"{pattern.replace('*', number[1] if number else '')}.{kind}"
        asked.add(their_name)
        if their_name not in arrays:
            problems.append(f"{their_name} is missing")
            continue
        array = arrays[their_name]
        ours[name] = array.T if pattern in transposed and kind == "weight" else array
        if ours[name].shape != shape:
            problems.append(f"{their_name} has another shape, {array.shape}")
    problems += [f"{name} is unexpected" for name in arrays if name not in asked]
    if problems:
        raise ValueError("; ".join(problems))
    return ours


def read_tensor(raw: bytes, name: str) -> np.ndarray:
    start = 8 + int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or start > len(raw):
        raise ValueError("the file ends before its header does")
    try:
        header = json.loads(raw[8:start])
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    about = header.get(name) if isinstance(header, dict) and name != "__metadata__" else None
    if not isinstance(about, dict) or not {"dtype", "shape", "data_offsets"} <= set(about):
        raise ValueError(f"the file has no tensor {name}")
    kind, shape, offsets = about["dtype"], about["shape"], about["data_offsets"]
    types = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    if not isinstance(kind, str) or kind not in types:
        raise ValueError(f"{name} is of an unknown type, {kind!r}")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError(f"{name} has an impossible shape or offsets: {numbers!r}")
    size = math.prod(shape) * np.dtype(types[kind]).itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != size or start + offsets[1] > len(raw):
        raise ValueError(f"{name} has the offsets {offsets}, which do not fit its shape or the file")
    array = np.frombuffer(raw[start + offsets[0] : start + offsets[1]], types[kind])
    if kind == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32).reshape(shape)


def gguf_settings(raw: bytes) -> dict[str, int | float | str | list]:
    place = 0

    def take(n: int) -> bytes:
        nonlocal place
        if n > len(raw) - place:
            raise ValueError(f"the file ends before the {n} bytes at {place} do")
        place += n
        return raw[place - n : place]

    def number(code: str) -> int | float:
        return struct.unpack(f"<{code}", take(struct.calcsize(f"<{code}")))[0]

    def text() -> str:
        return take(number("Q")).decode()  # UnicodeDecodeError is a ValueError

    def value(kind: int) -> int | float | str | list:
        if kind == 9:
            kind, n = number("I"), number("Q")
            if kind in read:
                return [read[kind]() for _ in range(n)]
        if kind not in read:
            raise ValueError(f"the type {kind} is unknown")
        return read[kind]()

    read, settings = {4: lambda: number("I"), 6: lambda: number("f"), 8: text}, {}
    if take(4) != b"GGUF" or number("I") != 3:
        raise ValueError("it is no GGUF file of version 3")
    _, n_settings = number("Q"), number("Q")
    for _ in range(n_settings):
        name = text()
        if name in settings:
            raise ValueError(f"the name {name!r} comes twice")
        settings[name] = value(number("I"))
    return settings
