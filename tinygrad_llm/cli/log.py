"""log.jsonl: one JSON object a line for each logged step, in the order of the steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Log:
    """Writes and reads a run's log; used in a `with` block."""

    def __init__(self, path: Path, start_step: int):
        """Lines of steps after `start_step` are dropped: a run that resumes from a checkpoint takes them anew."""
        self.path = path
        kept = [json.dumps(line) + "\n" for line in read_log(path) if line["step"] <= start_step]
        path.write_text("".join(kept), encoding="utf-8")

    def __enter__(self) -> Log:
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def write(self, **values: Any) -> None:
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines; one that was cut off, as when the machine went down, is left out. Empty where there is no file."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
