"""Run a lesson in a terminal: its prose is shown where it stands, its code runs as it is.

The file is loaded with each line `# %% [markdown]` replaced by a call that shows the prose below it. All other lines
keep their places, so that errors and breakpoints name the lesson's own lines.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable

from .catalogue import Lesson


def play(lesson: Lesson, show: Callable[[str], None]) -> None:
    """Run the lesson, and call `show(markdown)` for each cell of prose before the code after it."""
    loader = _LessonLoader(lesson)
    spec = importlib.util.spec_from_file_location(f"lesson_{lesson.name}", lesson.path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    prose = {cell.line: cell.text for cell in lesson.cells}
    module._show_prose = lambda line: show(prose[line])
    sys.modules[spec.name] = module
    loader.exec_module(module)


class _LessonLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, lesson: Lesson):
        super().__init__(f"lesson_{lesson.name}", str(lesson.path))
        self.lesson = lesson

    def get_code(self, name: str):
        """Compiled each time: what Python keeps in __pycache__ is the file without the calls."""
        lines = self.lesson.source.splitlines()
        for cell in self.lesson.cells:
            if cell.is_prose:
                lines[cell.line - 1] = f"_show_prose({cell.line})"
        return self.source_to_code("\n".join(lines), str(self.lesson.path))
