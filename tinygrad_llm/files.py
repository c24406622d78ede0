"""Files and folders that are there complete or not at all, and JSON that is what it should be."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


def read_json(path: str | os.PathLike, remedy: str = "get it again", kind: type = dict) -> Any:
    """The JSON object, or other `kind`, in a file. Raises FileNotFoundError or ValueError; both tell the remedy."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} is missing: {remedy}")
    try:
        data = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested by the thousand
        raise ValueError(f"{str(path)!r} is damaged, it is no JSON ({error}): {remedy}") from None
    if not isinstance(data, kind):
        raise ValueError(
            f"{str(path)!r} is damaged, it should hold a JSON {kind.__name__}, not a {type(data).__name__}: {remedy}"
        )
    return data


def write_json(path: str | os.PathLike, data: dict | list) -> None:
    write_text(path, json.dumps(data, ensure_ascii=False, indent=2))


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a file in UTF-8; one of that name is replaced when the new one is safe on the disk."""
    with new_file(path) as file:
        file.write(text)


@contextmanager
def new_file(path: str | os.PathLike) -> Iterator[TextIO]:
    """A text file to write, in UTF-8. It gets its name, and replaces one that has it, at the end of the `with` block
    when it is safe on the disk; where that fails nothing is left of it."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: str | os.PathLike, remedy: str) -> Iterator[Path]:
    """A folder to fill; it gets its name at the end of the `with` block, and does not exist where that fails.

    Raises ValueError at once for a folder that has something in it, with the remedy.
    """
    folder = Path(folder)
    require_free(folder, remedy)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    building.mkdir()
    try:
        yield building
        if folder.exists():
            folder.rmdir()  # it is empty
        building.replace(folder)
    except OSError as error:
        error.filename = error.filename or str(folder)  # a failing write does not know where it was
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def require_free(folder: Path, remedy: str) -> None:
    """Raise ValueError unless the folder is new or empty."""
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} exists and is not empty: {remedy}")
