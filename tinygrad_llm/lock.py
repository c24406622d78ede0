"""One process at a time in a folder, by a lock that the operating system opens when its holder ends, however it ends.

The lock is not the file `.lock` but the kernel's note that a process holds it open: flock on Unix, locking of a byte on
Windows. After SIGKILL or a power failure the file may be left, and means nothing. Its content is for people: who holds
it, and since when.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import platform
import time
from pathlib import Path

LOCK_NAME = ".lock"
_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_RENAMES_WHAT_IS_OPEN = os.name == "posix"
_FAR_BEYOND = 1 << 30  # the byte that Windows locks; others can still read the file's beginning


class Lock:
    """Used in a `with` block, which opens it at the end:

    with Lock() as lock:
        lock.take("runs/laptop-1")
    """

    def __init__(self):
        self._descriptor: int | None = None
        self._path = Path()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error) -> None:
        self.release()

    def take(self, folder: str | os.PathLike, called: str | os.PathLike | None = None) -> None:
        """Lock the folder, which is made where it does not exist; at once or not at all.

        Raises BlockingIOError, which tells who has it and what to do, where another holds it: `called` is the name to
        call the folder by. Raises OSError where nothing can be written there. A file system without locks, as some
        network drives are, locks nobody out.
        """
        self._path, called = Path(folder) / LOCK_NAME, str(called or folder)
        while self._descriptor is None:
            try:
                self._path.parent.mkdir(exist_ok=True)
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                if isinstance(error, FileNotFoundError) and self._path.parent.parent.is_dir():
                    continue  # who had it has just finished, and the folder has another name now
                error.filename = called
                raise
            if not any(_try_to_lock(descriptor) or time.sleep(0.02) for _ in range(3)):  # it may be `is_locked` below
                holder = _holder(self._path)
                os.close(descriptor)
                raise BlockingIOError(
                    f"{called!r} is in use by {holder}: wait until that has ended, or end it with Ctrl-C there, or "
                    "choose another folder"
                )
            if _is_open_as(descriptor, self._path):
                self._descriptor = descriptor
            else:  # the lock of a file that was removed is no lock
                os.close(descriptor)
        self._sign()

    def holds(self, folder: Path) -> bool:
        """Whether this, and no other, is the lock of the folder."""
        return self._descriptor is not None and _is_open_as(self._descriptor, folder / LOCK_NAME)

    def rename(self, new: Path) -> None:
        """Give the locked folder another name; it stays locked."""
        old = self._path.parent
        if _RENAMES_WHAT_IS_OPEN:
            old.replace(new)
            self._path = new / LOCK_NAME
        else:
            self.release()
            old.replace(new)
            self.take(new)

    def release(self) -> None:
        """Remove the file and open the lock; nothing happens where none is held."""
        if self._descriptor is None:
            return
        try:
            with contextlib.suppress(OSError):  # what is left of it does no harm
                if _RENAMES_WHAT_IS_OPEN and self.holds(self._path.parent):
                    self._path.unlink()
        finally:
            os.close(self._descriptor)
            self._descriptor = None
        with contextlib.suppress(OSError):
            if not _RENAMES_WHAT_IS_OPEN:
                self._path.unlink()  # Windows refuses to where another has opened it meanwhile

    def _sign(self) -> None:
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        text = json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since})
        with contextlib.suppress(OSError):  # a full disk may be what the holder is about to mend
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, text.encode())


def is_locked(folder: str | os.PathLike) -> bool:
    """Whether a process holds the lock of the folder right now."""
    try:
        descriptor = os.open(Path(folder) / LOCK_NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_to_lock(descriptor)
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has not signed yet
        return "another process"


def _is_open_as(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_to_lock(descriptor: int) -> bool:
    """Whether the lock of this open file is ours now. Raises nothing where the file system has no locks: then it is."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, _FAR_BEYOND, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _UNSUPPORTED
    return True
