"""Where the lessons are, and what each says about itself: its number, title, question and the files it adds.

A lesson is `lessons/NN_name.py`, with files of the same name beside it:

    lessons/exercises/NN_name.py    what the learner completes
    lessons/checks/NN_name.py       how that is graded
    lessons/solutions/NN_name.py    one way to do it
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .cells import Cell, read_cells

_LESSON = re.compile(r"(\d\d)_[a-z][a-z0-9_]*\.py")
STOP = "# stop here"  # marks the line at which `tinygrad-llm debug NN` stops


@dataclass(frozen=True)
class Lesson:
    """One lesson, read from its file but not run."""

    path: Path

    @property
    def number(self) -> str:
        return self.path.stem[:2]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def exercises(self) -> Path:
        return self.path.parent / "exercises" / self.path.name

    @property
    def checks(self) -> Path:
        return self.path.parent / "checks" / self.path.name

    @property
    def solutions(self) -> Path:
        return self.path.parent / "solutions" / self.path.name

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def cells(self) -> list[Cell]:
        return read_cells(self.source)

    @cached_property
    def title(self) -> str:
        """The first heading, without its number: "# 05 Softmax and cross-entropy" is "Softmax and cross-entropy"."""
        headings = (line for cell in self.cells if cell.is_prose for line in cell.text.splitlines())
        first = next((line for line in headings if line.startswith("# ")), f"# {self.name[3:].replace('_', ' ')}")
        return re.sub(r"^#\s+(\d\d[.:]?\s+)?", "", first)

    @cached_property
    def question(self) -> str:
        """The first paragraph after the heading: what the previous lesson left open."""
        prose = next((cell.text for cell in self.cells if cell.is_prose), "")
        paragraphs = [part for part in re.split(r"\n\s*\n", prose) if part.strip() and not part.startswith("#")]
        return " ".join(paragraphs[0].split()) if paragraphs else ""

    @cached_property
    def adds(self) -> list[str]:
        """The library's files that this lesson introduces, as its line `ADDS = [...]` names them."""
        for node in ast.parse(self.source, str(self.path)).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["ADDS"]:
                return ast.literal_eval(node.value)
        return []

    @cached_property
    def stop_line(self) -> int | None:
        """The number of the line that ends with the mark for the debugger."""
        lines = self.source.splitlines()
        return next((number for number, line in enumerate(lines, 1) if line.rstrip().endswith(STOP)), None)

    @cached_property
    def exercise_names(self) -> list[str]:
        """The functions and classes of its checks that are exercises, in the order they stand there."""
        if not self.checks.exists():
            return []
        body = ast.parse(self.checks.read_text(encoding="utf-8"), str(self.checks)).body
        return [node.name for node in body if isinstance(node, ast.FunctionDef) and _is_exercise(node)]


def _is_exercise(node: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Call) and ast.unparse(each.func) == "exercise" for each in node.decorator_list)


def lessons_folder() -> Path:
    """The folder `lessons` of the place one works in, or else of the repository this package runs from.

    Raises FileNotFoundError where there is neither: an installed package alone has no lessons.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[2]):
        if any(_LESSON.fullmatch(path.name) for path in (folder / "lessons").glob("*.py")):
            return folder / "lessons"
    raise FileNotFoundError(
        "there is no folder 'lessons' here: work in a copy of the repository (git clone), whose lessons you may edit"
    )


def all_lessons(folder: Path | None = None) -> list[Lesson]:
    """All lessons in their order."""
    folder = lessons_folder() if folder is None else folder
    return [Lesson(path) for path in sorted(folder.glob("*.py")) if _LESSON.fullmatch(path.name)]


def find_lesson(wanted: str, folder: Path | None = None) -> Lesson:
    """The lesson "5", "05", "softmax_cross_entropy", or whose path this is. Raises ValueError if there is none."""
    lessons = all_lessons(folder)
    stem = Path(wanted).stem
    for lesson in lessons:
        if stem.zfill(2) == lesson.number or stem in (lesson.name, lesson.name[3:]):
            return lesson
    numbers = f"{lessons[0].number} to {lessons[-1].number}" if len(lessons) > 1 else lessons[0].number
    raise ValueError(f"there is no lesson {wanted!r}: choose a number from {numbers} (see tinygrad-llm lessons)")


def short_path(path: Path) -> Path:
    """As one would type it here: relative to the current folder where it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
