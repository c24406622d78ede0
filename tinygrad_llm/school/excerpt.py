"""A class or function that a lesson defines, without running the lesson: for its exercises and for later lessons.

    Value = from_lesson("01", "Value")

`import` cannot name a file that begins with a digit, and to run a lesson would print and draw all it has to show.
"""

from __future__ import annotations

import ast
import functools
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from .catalogue import find_lesson
from .loading import load


def from_lesson(wanted: str, name: str) -> Any:
    """The class or function `name` of the lesson `wanted`, the same object each time.

    Raises ValueError if there is no such lesson, or it defines nothing of that name.
    """
    lesson = find_lesson(wanted)
    definitions = _definitions(lesson.path)
    if not hasattr(definitions, name):
        raise ValueError(f"lesson {lesson.number} defines no {name!r}: see {lesson.path.name}")
    return getattr(definitions, name)


@functools.cache
def _definitions(path: Path) -> ModuleType:
    return load(path, "definitions_of", _DefinitionsLoader)


class _DefinitionsLoader(SourceFileLoader):
    """Runs a file's imports, classes and functions, and nothing else. They keep their lines, for the debugger."""

    def get_code(self, name: str):
        tree = ast.parse(self.get_data(self.path), self.path)
        kept = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
        tree.body = [node for node in tree.body if isinstance(node, kept)]
        return self.source_to_code(tree, self.path)
