"""log.jsonl: one JSON object a line for each logged step, in the order of the steps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..files import write_text


class Log:
    """Writes and reads a run's log; used in a `with` block."""

    def __init__(self, path: Path, start_step: int):
        """Lines of steps after `start_step` are dropped: a run that resumes from a checkpoint takes them anew."""
        self.path = path
        kept = [json.dumps(line) + "\n" for line in read_log(path) if line["step"] <= start_step]
        write_text(path, "".join(kept))

    def __enter__(self) -> Log:
        self._file = self.path.open("ab", buffering=0)  # unbuffered: what a full disk refused is not tried once more
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def write(self, **values: Any) -> None:
        """Add a line. Raises OSError, which names the file, where the disk is full or cannot be written."""
        rest = (json.dumps(values) + "\n").encode()
        try:
            while rest:  # a disk that is about to be full takes a part
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            error.filename = str(self.path)
            raise

    def sync(self) -> None:
        """Wait until all lines are safe on the disk: before a checkpoint, since what it holds is not logged again."""
        os.fsync(self._file.fileno())


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines; one that was cut off, as when the machine went down, is left out. Empty where there is no file."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict) and isinstance(values.get("step"), int):
            lines.append(values)
    return lines
