"""A pdb session as one has it in a terminal, for the tests of debugging."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

import pexpect

import tinygrad_llm

ROOT = Path(tinygrad_llm.__file__).parents[1]


class Debugger:
    """Runs `python ARGUMENTS` in `folder`, which starts pdb, and talks to it."""

    def __init__(self, arguments: list[str], folder: Path = ROOT, **environment: str):
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        plain_terminal = {"TERM": "dumb", "NO_COLOR": "1", "PYTHON_COLORS": "0", "PYTHONPATH": paths}
        plain_terminal["NUMBA_DISABLE_JIT"] = "0"  # unless the test says otherwise
        self.terminal = pexpect.spawn(
            sys.executable,
            arguments,
            env=os.environ | plain_terminal | environment,
            cwd=folder,
            encoding="utf-8",
            timeout=120,
            echo=False,
            dimensions=(60, 300),
        )
        self.greeting = self._until_prompt()

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *exception) -> None:
        self.terminal.close(force=True)

    def command(self, line: str) -> str:
        """What pdb answers."""
        self.terminal.sendline(line)
        return self._until_prompt()

    def _until_prompt(self) -> str:
        self.terminal.expect_exact("(Pdb) ")
        return self.terminal.before.replace("\r\n", "\n").strip()


def line_of(function, text: str) -> int:
    """The number in its file of the first line of `function` that contains `text`."""
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)
