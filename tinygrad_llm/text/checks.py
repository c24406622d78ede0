"""What every tokenizer checks of its input, and how it reads and writes its file."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def check_text(text: str) -> None:
    """Raises TypeError if `text` is no str, ValueError if a lone surrogate, which UTF-8 lacks, is in it."""
    if not isinstance(text, str):
        raise TypeError(f"the text must be a str, got {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text holds the lone surrogate {text[error.start]!r} at position {error.start:,}, which is "
            "half of a character: remove it, or read the file with errors='replace'"
        ) from None


def check_ids(ids: Iterable[int] | np.ndarray, vocab_size: int) -> list[int]:
    """`ids` as a list of ints. Raises TypeError if they are no row of integers, IndexError out of range."""
    array = np.asarray(ids if hasattr(ids, "__len__") else list(ids))
    if array.size == 0:
        return []
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"token ids must be a flat row of integers, got {array.dtype} of shape {array.shape}")
    if array.min() < 0 or array.max() >= vocab_size:
        wrong = array[(array < 0) | (array >= vocab_size)][0]
        raise IndexError(f"the token id {wrong} is out of range: this vocabulary has the ids 0 to {vocab_size - 1:,}")
    return array.tolist()


def read_json(path: str | os.PathLike) -> dict:
    """The JSON object in a file. Raises FileNotFoundError, or ValueError if the file holds none."""
    raw = Path(path).read_bytes()
    try:
        data = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested by the thousand
        raise ValueError(f"{path} is not JSON, so no tokenizer file ({error}): save the tokenizer again") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds a JSON {type(data).__name__}, but a tokenizer file holds an object")
    return data


def write_json(path: str | os.PathLike, data: dict) -> None:
    """Write a JSON file that appears under its name complete or not at all."""
    write_text(path, json.dumps(data, ensure_ascii=False, indent=2))


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a file in UTF-8 that appears under its name complete or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
