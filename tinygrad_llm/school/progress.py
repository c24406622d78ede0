"""What a learner has done so far: one small JSON file in the user's state folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ..files import read_json, write_json


def state_file() -> Path:
    """`progress.json` where the system keeps a user's state; the variable TINYGRAD_LLM_STATE names another folder."""
    own = os.environ.get("TINYGRAD_LLM_STATE")
    if own:
        folder = Path(own)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "tinygrad_llm"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support" / "tinygrad_llm"
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tinygrad_llm"
    return folder / "progress.json"


class Progress:
    """Per exercise, "05_softmax_cross_entropy/log_softmax", whether it is passed and how often it failed."""

    def __init__(self, path: Path | None = None):
        self.path = state_file() if path is None else path
        self._exercises: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._exercises = _read(self.path)

    def passed(self, exercise: str) -> bool:
        return bool(self._exercises.get(exercise, {}).get("passed", False))

    def failures(self, exercise: str) -> int:
        """How often it failed since it was last passed."""
        return int(self._exercises.get(exercise, {}).get("failures", 0))

    def record(self, exercise: str, passed: bool) -> None:
        """Remember an attempt, and write it down."""
        failures = 0 if passed else self.failures(exercise) + 1
        self._exercises[exercise] = {"passed": passed or self.passed(exercise), "failures": failures}
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"version": 1, "exercises": self._exercises})


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or not record.keys() <= {"passed", "failures"}:
        return False
    passed, failures = record.get("passed", False), record.get("failures", 0)
    return type(passed) is bool and type(failures) is int and 0 <= failures < 2**31


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        exercises = read_json(path)["exercises"]
        if all(name.isascii() and _is_record(record) for name, record in exercises.items()):
            return exercises
    except (ValueError, KeyError, AttributeError):
        pass
    raise ValueError(f"{str(path)!r} is damaged: delete it to start afresh, your answers are not in it")
