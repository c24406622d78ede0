"""Files and folders that are there complete or not at all, and JSON that is what it should be.

What is new is written under a temporary name, flushed to the disk, and only then renamed, which happens at once or not
at all. Whenever the program is killed or the power fails, a name stands for the whole old content or the whole new one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .json_text import parse_json, shortened
from .lock import LOCK_NAME, Lock

if TYPE_CHECKING:
    import numpy as np

MOST_JSON_BYTES = 32 << 20  # of a file that is no table

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp|\.tmp\w{6}")  # the latter are of the package safetensors


def read_json(path: str | os.PathLike, remedy: str = "get it again", kind: type = dict) -> Any:
    """The JSON object, or other `kind`, in a file. Raises FileNotFoundError or ValueError; both tell the remedy."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} is missing: {remedy}")
    if path.stat().st_size > MOST_JSON_BYTES:
        raise ValueError(f"{str(path)!r} is damaged, it has more than {MOST_JSON_BYTES:,} bytes: {remedy}")
    try:
        data = parse_json(path.read_bytes().decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged, it is no JSON ({shortened(error)}): {remedy}") from None
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
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_tensors(
    path: str | os.PathLike,
    arrays: dict[str, np.ndarray],
    metadata: dict[str, str] | None = None,
    keep_as: str | os.PathLike | None = None,
) -> None:
    """Write a safetensors file as `replacing` does. Raises OSError or SafetensorError where the disk refuses it."""
    from safetensors.numpy import save_file

    with replacing(path, keep_as) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(arrays, temporary, metadata)  # only its owner could read the file that it makes
        temporary.chmod(mode)


@contextmanager
def replacing(path: str | os.PathLike, keep_as: str | os.PathLike | None = None) -> Iterator[Path]:
    """The name of a file to write. At the end of the `with` block, when the file is safe on the disk, it is renamed to
    `path`; where that fails nothing is left of it.

    What had the name `path` before is then called `keep_as`, if that is given. The steps are in such an order that a
    kill between any two leaves whole files only, and what is called `keep_as` goes when the new one is safe.
    """
    path = Path(path)
    temporary, old = (_temporary(Path(each)) if each else None for each in (path, keep_as))
    try:
        yield temporary
        _sync(temporary)
        if old and path.exists():
            _second_name(path, old)
        temporary.replace(path)
        _sync(path.parent)
        if old and old.exists():
            old.replace(keep_as)
    except OSError as error:
        _name(error, path, temporary)
        raise
    finally:
        for each in filter(None, (temporary, old)):
            with suppress(OSError):
                each.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """Of this process: two that write the same file do not mix what they write."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _name(error: OSError, path: Path, temporary: Path) -> None:
    """Let an error name `path`, where it names nothing, as failing writes do, or what nobody knows."""
    named = None if error.filename is None else Path(os.fspath(error.filename))
    if error.errno is not None and (named is None or temporary in (named, *named.parents)):
        error.filename, error.filename2 = str(path), None


def _second_name(path: Path, other: Path) -> None:
    """Let `other` be the same file as `path`, or where a file system has no hard links a copy of it."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
        _sync(other)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing. Only for who has locked the folder: any other
    process might be writing them still."""
    for path in folder.glob(".*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: str | os.PathLike, remedy: str, lock: Lock | None = None) -> Iterator[Path]:
    """A folder to fill; it gets its name at the end of the `with` block, and does not exist where that fails.

    It is locked while it is filled, and a `lock` that is given keeps it locked. Raises at once ValueError for a folder
    that has something in it, with the remedy, and BlockingIOError where another process is filling it.
    """
    folder = Path(folder)
    require_free(folder, remedy)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.with_name(f".{folder.name}.tmp")  # the same for all processes: only one can have its lock
    with Lock() if lock is None else nullcontext(lock) as held:
        held.take(building, called=folder)
        try:
            _empty(building)  # of what a killed process left
            require_free(folder, remedy)  # another may have finished meanwhile
            yield building
            _sync_tree(building)
            require_free(folder, remedy)
            if folder.exists():
                folder.rmdir()  # it is empty
            held.rename(folder)
        except BaseException as error:
            if isinstance(error, OSError):
                _name(error, folder, building)
            if held.holds(building):  # it has no other name yet
                _empty(building)
                held.release()
                with suppress(OSError):  # another process may have made it its own
                    building.rmdir()
            raise
        _sync(folder.parent)


def require_free(folder: Path, remedy: str) -> None:
    """Raise ValueError unless the folder is new or empty."""
    if folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise ValueError(f"{str(folder)!r} exists and is not empty: {remedy}")


def _empty(building: Path) -> None:
    """Remove all but the lock, as far as possible."""
    for path in building.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK_NAME:
            with suppress(OSError):
                path.unlink()


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are safe on the disk. Windows has no way to open a folder, nor a
    need to."""
    if not path.is_dir():
        with path.open("rb+" if os.name == "nt" else "rb") as file:
            os.fsync(file.fileno())
    elif os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
