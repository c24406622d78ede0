"""The commands of the school: lessons, lesson, check, debug and notebook."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from ..school import Lesson, Progress, Result, all_lessons, find_lesson, grade_exercise
from ..school.catalogue import short_path
from ..school.grading import import_path
from ..school.loading import load

WIDTH = 100  # prose in longer lines is hard to read


def lessons(arguments: argparse.Namespace) -> int:
    """The list of all lessons, how far the learner is, and what is next."""
    console, progress = _console(), Progress()
    table = Table(title="lessons")
    for name in ("", "lesson", "exercises done", "the question"):
        table.add_column(name)
    for lesson in all_lessons():
        names = lesson.exercise_names
        done = sum(progress.passed(f"{lesson.name}/{name}") for name in names)
        mark = "✓" if names and done == len(names) else "·" if done else " "
        table.add_row(
            mark, f"{lesson.number} {lesson.title}", f"{done} of {len(names)}", _first_sentence(lesson.question)
        )
    console.print(table)
    _say_what_is_next(console, progress)
    return 0


def lesson(arguments: argparse.Namespace) -> int:
    """Run one lesson, its prose rendered between the results of its code."""
    from ..school.play import play

    chosen, console = find_lesson(arguments.lesson), _console()

    def show(markdown: str) -> None:
        sys.stdout.flush()
        console.print()
        console.print(Markdown(markdown))
        if arguments.pause:
            console.input("[dim]Enter: go on[/dim]")

    play(chosen, show)
    console.print()
    if chosen.exercise_names:
        console.print(
            f"exercises: {short_path(chosen.exercises)}, then tinygrad-llm check {chosen.number}", style="bold"
        )
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Grade the exercises of a lesson; without a lesson, show how far the learner is."""
    if arguments.lesson is None:
        return lessons(arguments)
    _require("hypothesis", "lessons")
    chosen, console, progress = find_lesson(arguments.lesson), _console(), Progress()
    answer = Path(arguments.file) if arguments.file else chosen.exercises
    if not chosen.exercise_names:
        raise ValueError(f"lesson {chosen.number} has no exercises")
    all_passed = True
    for name in chosen.exercise_names:
        result = grade_exercise(answer, chosen.checks, name)
        key = f"{chosen.name}/{name}"
        if result.status != "to do":
            progress.record(key, result.status == "passed")
        _say(console, result, _hint(chosen, name, progress.failures(key), arguments.hint))
        all_passed &= result.status == "passed"
        if result.status == "to do":
            console.print(f"  your turn: {short_path(answer)}, function {name}", style="dim")
    if all_passed:
        console.print(f"All {len(chosen.exercise_names)} exercises of lesson {chosen.number} are done.", style="bold")
        _say_what_is_next(console, progress)
    return 0 if all_passed else 1


def _say(console: Console, result: Result, hint: str | None) -> None:
    mark, style = {"passed": ("✓", "green"), "to do": ("·", "dim")}.get(result.status, ("✗", "red"))
    console.print(
        Text(f"{mark} {result.name}", style=style) + Text("" if result.status == "passed" else f": {result.what}")
    )
    for label, value in (("for", result.call), ("expected", result.expected), ("got", result.got)):
        if value is not None:
            console.print(Text(f"  {label:<9}" + value.replace("\n", "\n" + " " * 11)))
    if result.printed and result.status != "passed":
        console.print(Text("  your code printed:\n    " + result.printed.replace("\n", "\n    ")), style="dim")
    if hint:
        console.print(Text(f"  hint: {hint}"), style="yellow")


def _hint(lesson: Lesson, name: str, failures: int, wanted: bool) -> str | None:
    """The first hint at the second failure, the next at the third; at once if it is asked for."""
    number = max(failures - 2, 0 if wanted and failures else -1)
    hints = getattr(load(lesson.checks, "checks"), name).hints if number >= 0 else ()
    return hints[min(number, len(hints) - 1)] if hints else None


def _say_what_is_next(console: Console, progress: Progress) -> None:
    for lesson in all_lessons():
        for name in lesson.exercise_names:
            if not progress.passed(f"{lesson.name}/{name}"):
                console.print(f"next: tinygrad-llm lesson {lesson.number}, then its exercise {name}", style="bold")
                return
    console.print("next: nothing, all exercises are done", style="bold")


def debug(arguments: argparse.Namespace) -> int:
    """Start a lesson under pdb, stopped at its marked line, with the JIT off from there."""
    chosen = find_lesson(arguments.lesson)
    if chosen.stop_line is None:
        raise ValueError(f"lesson {chosen.number} has no line that ends with '# stop here'")
    console = _console()
    console.print(
        f"The debugger runs lesson {chosen.number} up to line {chosen.stop_line} and stops before it:", style="bold"
    )
    console.print(Text("  " + chosen.source.splitlines()[chosen.stop_line - 1].strip()), soft_wrap=True)
    console.print(Text(KEY))
    command = [sys.executable, "-m", "pdb"]
    for line in (
        f"tbreak {chosen.path}:{chosen.stop_line}",
        "continue",
        "!import tinygrad_llm; tinygrad_llm.set_jit(False)",
    ):
        command += ["-c", line]
    return subprocess.call([*command, str(chosen.path)], env=os.environ | {"PYTHONPATH": import_path()})


KEY = """
  s        step into this line's call     n      go to the next line
  r        go on to the function's end    c      go on to the next breakpoint
  ll       show the whole function        w      show the calls that led here
  p x      print x                        a      print the arguments
  u, d     look at the caller, and back   q      leave
  b tinygrad_llm/ops/softmax.py:43        stop whenever this line is reached
Kernels are plain Python from here on: step into them like into anything else.
"""


def notebook(arguments: argparse.Namespace) -> int:
    """Write a lesson as a notebook, and open it if Jupyter is installed."""
    chosen, console = find_lesson(arguments.lesson), _console()
    _require("jupytext", "notebook")
    import jupytext

    path = Path(arguments.out) if arguments.out else Path("notebooks") / f"{chosen.name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    jupytext.write(jupytext.read(chosen.path), path)
    console.print(f"wrote {path}")
    if arguments.no_open:
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        console.print("to open it: pip install jupyterlab, or open it in VS Code")
        return 0
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(path)])


def _require(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ValueError(f'this needs {package}: pip install "tinygrad_llm[{extra}]"')


def _console() -> Console:
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    return console


def _first_sentence(text: str) -> str:
    end = min((at for at in (text.find("? "), text.find(". ")) if at >= 0), default=len(text) - 1)
    return text[: end + 1]
