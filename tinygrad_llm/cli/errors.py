"""Which errors are about the input or the machine, and what to say about them. All others are bugs: traceback."""

from __future__ import annotations

import errno
import re
import traceback
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_ABOUT_DISK = {
    errno.ENOSPC: "the disk is full: make room, or choose a folder on another disk with --out",
    errno.EDQUOT: "your quota of disk space is used up: make room, or choose another folder with --out",
    errno.EROFS: "it cannot be written, the file system is read-only: choose another folder with --out, or copy a run "
    "that is to go on to a disk that can be written",
    errno.EIO: "the disk failed to read or to write it: look after the disk, and choose another one with --out",
    errno.EACCES: "permission denied: choose a file or folder that is yours, for example with --out",
    errno.EPERM: "the operation is not permitted: choose a file or folder that is yours, for example with --out",
    errno.EEXIST: "a file of that name is in the way: choose another path",
    errno.ENOTEMPTY: "a folder of that name, which is not empty, is in the way: choose another path",
    errno.EFBIG: "no larger file can be written here: choose another folder with --out",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path",
    errno.EISDIR: "it is a folder, but a file is wanted: give the path of a file",
}


def explain(error: Exception) -> str | None:
    """One sentence for a mistake in the input or a problem of the machine, None for a mistake in this program."""
    if isinstance(error, OSError):
        return _about_file(error)
    if type(error).__name__ == "SafetensorError":  # it hides the system's errors in its text
        number = re.search(r"\(os error (\d+)\)", str(error))
        return number and f"a file of weights: {_reason(int(number[1]), str(error))}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error}): choose a smaller model, batch or context"
    if isinstance(error, (ValueError, TypeError, IndexError, FloatingPointError)) and _raised_on_purpose(error):
        return " ".join(str(error).split())
    return None


def _about_file(error: OSError) -> str:
    if error.errno is None:  # raised by this package, with a sentence of its own
        return str(error)
    reason = _reason(error.errno, error.strerror)
    return f"{str(error.filename)!r}: {reason}" if error.filename else str(reason)


def _reason(number: int, otherwise: str) -> str:
    return _ABOUT_DISK.get(number, otherwise)


def _raised_on_purpose(error: Exception) -> bool:
    """Whether a `raise` of this package made the error. It is then about what the package was given; an error that
    arose elsewhere, say in NumPy, is one that the package did not foresee."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return PACKAGE in Path(last.filename).parents and (last.line or "").startswith("raise ")
