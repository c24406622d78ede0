"""A class or function that a lesson defines, without running the lesson: for its exercises and for later lessons.

    Value = from_lesson("01", "Value")

`import` cannot name a file that begins with a digit, and to run a lesson would print and draw all it has to show.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

from .catalogue import Lesson, find_lesson


def from_lesson(wanted: str, name: str) -> Any:
    """The class or function `name` of the lesson `wanted`, the same object each time.

    Raises ValueError if there is no such lesson, or it defines nothing of that name.
    """
    lesson = find_lesson(wanted)
    definitions = _definitions(lesson)
    if not hasattr(definitions, name):
        raise ValueError(f"lesson {lesson.number} defines no {name!r}: see {lesson.path.name}")
    return getattr(definitions, name)


def _definitions(lesson: Lesson) -> ModuleType:
    loader = _DefinitionsLoader(f"definitions_of_{lesson.name}", str(lesson.path))
    spec = importlib.util.spec_from_file_location(loader.name, lesson.path, loader=loader)
    loaded = sys.modules.get(spec.name)
    if loaded is not None and loaded.__file__ == str(lesson.path):
        return loaded
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    loader.exec_module(module)
    return module


class _DefinitionsLoader(importlib.machinery.SourceFileLoader):
    """Runs a file's imports, classes and functions, and nothing else. They keep their lines, for the debugger."""

    def get_code(self, name: str):
        tree = ast.parse(self.get_data(self.path), self.path)
        kept = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
        tree.body = [node for node in tree.body if isinstance(node, kept)]
        return self.source_to_code(tree, self.path)
