"""Run a lesson in a terminal: its prose is shown where it stands, its code runs as it is.

The file is loaded with each line `# %% [markdown]` replaced by a call that shows the prose below it. All other lines
keep their places, so that errors and breakpoints name the lesson's own lines.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import SourceFileLoader

from .catalogue import Lesson
from .cells import read_cells
from .loading import load


def play(lesson: Lesson, show: Callable[[str], None]) -> None:
    """Run the lesson, and call `show(markdown)` for each cell of prose before the code after it."""
    prose = {cell.line: cell.text for cell in lesson.cells}
    load(lesson.path, "lesson", _LessonLoader, _show_prose=lambda line: show(prose[line]))


class _LessonLoader(SourceFileLoader):
    def get_code(self, name: str):
        """Compiled each time: what Python keeps in __pycache__ is the file without the calls."""
        source = self.get_data(self.path).decode("utf-8")
        lines = source.splitlines()
        for cell in read_cells(source):
            if cell.is_prose:
                lines[cell.line - 1] = f"_show_prose({cell.line})"
        return self.source_to_code("\n".join(lines), self.path)
