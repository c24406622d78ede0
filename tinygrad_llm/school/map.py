"""The map of the lessons: `python -m tinygrad_llm.school.map` writes lessons/README.md and the picture in it.

A lesson stands on those whose files its own files import. Both are read from the sources: `ADDS` of each lesson, and
the import statements of the files that it names.
"""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

from .. import plots
from .catalogue import Lesson, all_lessons, lessons_folder

# They bring the others together: they import from all lessons, and none stands on another because of them.
GATHER = {"__init__.py", "tinygrad_llm/ops/operators.py", "tinygrad_llm/functional.py"}
HEAD = """\
# Lessons

Each lesson asks what the one before it left open, builds the naive answer, measures what is wrong with it, and then
takes the library's piece: steps into it, and asserts that both agree.

```bash
pip install -e ".[lessons]"
tinygrad-llm lessons         # the list, what you have done, and what is next
tinygrad-llm lesson 01       # run one; its prose is shown between the results
tinygrad-llm check 01        # grade your answers in lessons/exercises/
tinygrad-llm debug 01        # stop inside it with a debugger, and step into the library
tinygrad-llm notebook 01     # the same as a notebook (pip install -e ".[notebook]")
```

They are plain Python files in cells: VS Code and Jupyter open them as they are, and
`python lessons/01_scalar_autograd.py` runs one. Pictures go to `lessons/figures/`. Your answers go into the files in
`lessons/exercises/`; one way to do each is in `lessons/solutions/`. How to use a debugger here is told in
[debugging.md](debugging.md).

![which lesson stands on which](map.svg)

An arrow goes from a lesson to one whose files use its files.

| lesson | its question | adds |
| --- | --- | --- |
"""


def readme(lessons: list[Lesson]) -> str:
    """The text of lessons/README.md."""
    rows = []
    for lesson in lessons:
        files = ", ".join(f"`{name.removeprefix('tinygrad_llm/')}`" for name in lesson.adds)
        row = (
            f"[{lesson.number} {lesson.title}]({lesson.path.name})",
            lesson.question,
            files or "what it needs itself",
        )
        rows.append("| " + " | ".join(row) + " |\n")
    return HEAD + "".join(rows)


def dependencies(lessons: list[Lesson], root: Path) -> list[tuple[str, str]]:
    """(earlier, later): the numbers of two lessons where a file of the later imports one of the earlier directly.

    Of these only what does not follow from others, and at least the lesson before where a lesson adds no file.
    """
    adder = {name: lesson.number for lesson in lessons for name in lesson.adds}
    stands_on: dict[str, set[str]] = {lesson.number: set() for lesson in lessons}
    for name, number in adder.items():
        if name not in GATHER:
            stands_on[number] |= {adder[each] for each in imported_files(root / name, root) if each in adder}
    for before, lesson in itertools.pairwise(lessons):
        if not stands_on[lesson.number] - {lesson.number}:
            stands_on[lesson.number].add(before.number)
    above: dict[str, set[str]] = {}
    edges = []
    for lesson in lessons:
        direct = sorted(each for each in stands_on[lesson.number] if each < lesson.number)
        above[lesson.number] = set(direct).union(*(above[each] for each in direct))
        edges += [
            (each, lesson.number)
            for each in direct
            if not any(each in above[other] for other in direct if other != each)
        ]
    return edges


def imported_files(path: Path, root: Path) -> set[str]:
    """The files of the package, as "tinygrad_llm/ops/common.py", whose names this one imports."""
    found = set()
    for node in _imports(path):
        module = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        found |= {_defined_in(module, alias.name) for alias in node.names}
    return {file.relative_to(root).as_posix() for file in found - {None}}


def _imports(path: Path) -> list[ast.ImportFrom]:
    """The relative import statements of a file, wherever they stand."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]


def _defined_in(module: Path, name: str) -> Path | None:
    """The file that `name` of a module or package comes from: a module itself, or what the package takes it from."""
    for file in (module.with_suffix(".py"), (module / name).with_suffix(".py")):
        if file.exists():
            return file
    package = module / "__init__.py"
    for node in _imports(package) if package.exists() else ():
        if name in [alias.asname or alias.name for alias in node.names] and node.module:
            return _defined_in(module.joinpath(*node.module.split(".")), name)
    return None


def draw(path: Path, lessons: list[Lesson], root: Path) -> None:
    """The picture, PNG or SVG by the suffix of `path`."""
    numbers = [lesson.number for lesson in lessons]
    labels = [f"{lesson.number} {lesson.title}" for lesson in lessons]
    edges = [(numbers.index(one), numbers.index(other)) for one, other in dependencies(lessons, root)]
    plots.layered_graph(path, labels, edges, ["value"] * len(lessons))


def main() -> None:
    folder = lessons_folder()
    lessons = all_lessons(folder)
    (folder / "README.md").write_text(readme(lessons), encoding="utf-8")
    draw(folder / "map.svg", lessons, folder.parent)


if __name__ == "__main__":
    main()
