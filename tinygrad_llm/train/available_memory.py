"""How much memory this process can still get: what the machine has free, within the limits of its control groups.

Containers and job schedulers set such limits, and a process that goes beyond them is killed without a word, however
much memory the machine itself has free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Per version of control groups: folder under /sys/fs/cgroup, limit, usage, and the file cache in memory.stat, which
# counts as used but gives way.
_V1 = ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("", "memory.max", "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes, or None where the system does not say. Where only the size of the machine's memory is known, it is that.

    `root` is where /proc and /sys lie.
    """
    free = _meminfo(root / "proc" / "meminfo")
    if free is None:
        return _installed_memory()
    return max(0, min([free, *_within_limits(root)]))


def _meminfo(path: Path) -> int | None:
    """Linux's own estimate of what can be had without swapping."""
    for line in _lines(path):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _installed_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, other systems not these names
        return None


def _within_limits(root: Path) -> Iterator[int]:
    """What each limit on this process, or on a group that its group is part of, leaves."""
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        hierarchy, limit_file, usage_file, cache = _V1 if controllers else _V2
        top = root / "sys" / "fs" / "cgroup" / hierarchy
        folder = top / group.strip("/")
        # Inside a container the path may be the host's, of which only the top is to be seen.
        for each in (folder, *(parent for parent in folder.parents if parent.is_relative_to(top))):
            limit, usage = _number(each / limit_file), _number(each / usage_file)
            if limit is not None and usage is not None:
                yield limit - usage + _cached(each / "memory.stat", cache)


def _cached(path: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in _lines(path) if line.split()[:1] == [name]), 0)


def _number(path: Path) -> int | None:
    """None where there is no such file, or it says "max"."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
