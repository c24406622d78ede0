"""The lessons keep their promises: order, completeness, form; and, with `pytest -m lessons`, that each runs."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_llm
from tinygrad_llm.school import all_lessons
from tinygrad_llm.school.map import GATHER, imported_files, readme

ROOT = Path(__file__).parents[1]
LESSONS = all_lessons(ROOT / "lessons")
BY_LESSON = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
# Lessons run side by side here, and small kernels are many times slower where threads share a core.
THREADS = {"04": "2"}  # it shows what a second thread does
# They run once, as notebooks, whose cells are the script's lines; the others in both forms.
LONG = ("12", "14", "18", "19", "20", "22", "23", "25", "26")
SECONDS = 300  # a lesson takes a minute at most where nothing else runs; this machine may be busy

# What a learner builds, piece by piece. The other parts (data, plots, school, cli) are tools around it.
CORE = ("autograd", "ops", "nn", "models", "optim", "text", "train", "generate")
# Files of the core for which lessons are yet to come, with the number of the lesson.
LATER: dict[str, int] = {}
# A file that imports one of a later lesson. Attention with a cache is one function; the lessons tell it in two parts.
AHEAD = {
    "nn/lora.py": {"nn/quantized.py"},
    "nn/attention.py": {"nn/kv_cache.py", "ops/attention_cached.py"},
    "ops/attention.py": {"ops/attention_kernels.py", "ops/attention_few_queries.py"},
    "models/gpt.py": {"nn/kv_cache.py"},
    "models/decoder.py": {"nn/kv_cache.py", "autograd/recompute.py"},
    "evaluate/probabilities.py": {"evaluate/ranks.py"},
    "train/run.py": {"nn/quantized.py"},
    "train/finetune.py": {"nn/lora.py"},
    "train/fine_tuned.py": {"models/seq2seq.py"},
    "train/tasks.py": {"train/span_rows.py", "data/renaming.py", "evaluate/regression.py", "evaluate/spans.py"},
    "hub/configs.py": {"models/bert.py"},
    "hub/pretrained.py": {"models/bert.py", "nn/lora.py", "nn/quantized.py"}
    | {"nn/block_quantized.py", "text/chat.py", "text/chat_jinja.py"},
    "applications/embed.py": {"models/bert.py"},
}


def adder() -> dict[str, int]:
    """The number of the lesson that adds each file."""
    return {name: int(lesson.number) for lesson in LESSONS for name in lesson.adds} | {
        f"tinygrad_llm/{name}": number for name, number in LATER.items()
    }


def core_files() -> set[str]:
    parts = [ROOT / "tinygrad_llm" / part for part in CORE]
    files = {file for part in parts for file in (part.rglob("*.py") if part.is_dir() else [part])}
    return {file.relative_to(ROOT).as_posix() for file in files if file.name != "__init__.py"}


def test_every_core_file_is_added_by_exactly_one_lesson():
    added = [name for lesson in LESSONS for name in lesson.adds] + [f"tinygrad_llm/{name}" for name in LATER]
    assert [name for name in added if added.count(name) > 1] == []
    assert [name for name in added if not (ROOT / name).exists()] == []
    assert sorted(core_files() - set(added)) == []


def test_no_file_is_called_later_though_its_lesson_is_there():
    numbers = {int(lesson.number) for lesson in LESSONS}
    assert {name: number for name, number in LATER.items() if number in numbers} == {}


def test_files_import_only_what_their_lesson_or_an_earlier_one_adds():
    numbers, violations = adder(), []
    for name, number in numbers.items():
        if name not in GATHER:
            ahead = {f"tinygrad_llm/{each}" for each in AHEAD.get(name.removeprefix("tinygrad_llm/"), ())}
            for imported in imported_files(ROOT / name, ROOT) - ahead:
                if numbers.get(imported, 0) > number:
                    violations.append(f"{name} (lesson {number}) imports {imported} (lesson {numbers[imported]})")
    assert violations == []


def used_files(source: str) -> set[str]:
    """The files that define what a script uses of the library: the names it imports, and attributes of its modules."""
    names, tree = {}, ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tinygrad_llm":
                    module = importlib.import_module(alias.name)
                    names[alias.asname or "tinygrad_llm"] = module if alias.asname else tinygrad_llm
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tinygrad_llm":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = getattr(module, alias.name)
    used = [value for value in names.values() if not inspect.ismodule(value)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            value = resolve(node, names)
            used += [value] if value is not None and not inspect.ismodule(value) else []
    modules = {getattr(value, "__module__", None) or "" for value in used}
    files = {inspect.getsourcefile(sys.modules[name]) for name in modules if name.startswith("tinygrad_llm")}
    return {Path(file).relative_to(ROOT).as_posix() for file in files}


def resolve(node: ast.expr, names: dict):
    """The object that `F.softmax` or `tg.nn.Linear` is, if its root is a module of the library."""
    if isinstance(node, ast.Name):
        value = names.get(node.id)
        return value if inspect.ismodule(value) else None
    if isinstance(node, ast.Attribute):
        owner = resolve(node.value, names)
        return getattr(owner, node.attr, None) if inspect.ismodule(owner) else None
    return None


@BY_LESSON
def test_lesson_uses_only_what_is_there_by_then(lesson):
    numbers = adder()
    for path in (lesson.path, lesson.exercises, lesson.solutions):
        late = {
            name for name in used_files(path.read_text(encoding="utf-8")) if numbers.get(name, 0) > int(lesson.number)
        }
        assert late == set(), path


def test_lessons_are_numbered_without_gaps():
    assert [int(lesson.number) for lesson in LESSONS] == list(range(1, len(LESSONS) + 1))


@BY_LESSON
def test_form(lesson):
    lines = lesson.source.splitlines()
    assert 120 <= len(lines) <= 300
    assert max(map(len, lines)) <= 120
    assert lesson.cells[0].is_prose
    assert lesson.cells[0].text.startswith(f"# {lesson.number} ")
    assert "?" in lesson.question
    assert sum(line.rstrip().endswith("# stop here") for line in lines) == 1
    assert "assert " in lesson.source
    assert re.search("(save|show)_figure", lesson.source)
    assert lesson.exercises.exists()
    for name in lesson.adds:
        assert name in lesson.source


@BY_LESSON
def test_numbers_of_the_prose_stand_in_the_code(lesson):
    """What the prose claims with a decimal point is in the code, where an assertion holds it (or it is a setting)."""
    prose = "\n".join(cell.text for cell in lesson.cells if cell.is_prose)
    code = "\n".join(cell.text for cell in lesson.cells if not cell.is_prose)
    numbers = set(re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", prose))
    assert {number for number in numbers if number not in code} == set()


def test_map_is_up_to_date():
    """Else run `python -m tinygrad_llm.school.map`."""
    assert (ROOT / "lessons" / "README.md").read_text(encoding="utf-8") == readme(LESSONS)
    assert (ROOT / "lessons" / "map.svg").exists()


@pytest.mark.lessons
@pytest.mark.parametrize("lesson", [each for each in LESSONS if each.number not in LONG], ids=lambda each: each.number)
def test_lesson_runs(lesson, tmp_path):
    environment = os.environ | {"TINYGRAD_LLM_FIGURES": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["NUMBA_NUM_THREADS"] = THREADS.get(lesson.number, "1")
    command = [sys.executable, "-W", "error::RuntimeWarning", str(lesson.path)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert_pictures(tmp_path, lesson.number)


@pytest.mark.parametrize("lesson", [each for each in LESSONS if each.number in LONG], ids=lambda each: each.number)
def test_a_long_lesson_has_nothing_that_is_in_notebooks_only(lesson):
    source = lesson.path.read_text(encoding="utf-8")
    compile(source, str(lesson.path), "exec")  # no magics, and no await outside of functions
    assert not re.search(r"\b(get_ipython|display)\b", source)


@pytest.mark.lessons
@BY_LESSON
def test_lesson_is_a_notebook_that_executes(lesson, tmp_path, monkeypatch):
    import jupytext
    from nbclient import NotebookClient

    monkeypatch.setenv("TINYGRAD_LLM_FIGURES", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if lesson.number in LONG:
        monkeypatch.setenv("PYTHONWARNINGS", "error::RuntimeWarning")
    monkeypatch.setenv("NUMBA_NUM_THREADS", THREADS.get(lesson.number, "1"))
    notebook = jupytext.read(lesson.path)
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    outputs = list(itertools.chain.from_iterable(cell.get("outputs", ()) for cell in notebook.cells))
    assert any("image/png" in output.get("data", {}) for output in outputs), "a notebook shows its pictures"
    assert any(output.get("name") == "stdout" for output in outputs)
    assert_pictures(tmp_path, lesson.number)


def assert_pictures(folder: Path, number: str) -> None:
    """At least one, of the lesson's own number, and none is of one colour."""
    from matplotlib.image import imread

    pictures = sorted(folder.glob("*.png"))
    assert pictures
    for picture in pictures:
        assert picture.name.startswith(f"{number}_")
        pixels = imread(picture)
        assert pixels[..., :3].std() > 0.01, f"{picture.name} is blank"
