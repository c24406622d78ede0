"""`tinygrad-llm debug NN` stops at the marked line of a lesson; from there one steps into a kernel's arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pdb_session import ROOT, Debugger, line_of

from tinygrad_llm import kernel
from tinygrad_llm.ops import matmul as matmul_module
from tinygrad_llm.ops.thin_matmul_kernels import thin_matmul_kernel
from tinygrad_llm.school import all_lessons
from tinygrad_llm.school.catalogue import STOP

LESSONS = all_lessons(ROOT / "lessons")
BY_LESSON = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
MATMUL = next(lesson for lesson in LESSONS if lesson.number == "04")


def debugger(lesson, folder: Path) -> Debugger:
    """`tinygrad-llm debug NN`, as one types it."""
    return Debugger(["-m", "tinygrad_llm.cli", "debug", lesson.number], TINYGRAD_LLM_FIGURES=str(folder))


@BY_LESSON
def test_exactly_one_line_is_marked_and_it_is_code(lesson):
    lines = lesson.source.splitlines()
    marked = [number for number, line in enumerate(lines, 1) if STOP in line]
    assert marked == [lesson.stop_line]
    code, _, rest = lines[lesson.stop_line - 1].partition(STOP)
    assert code.strip()
    assert not code.startswith("#")
    assert code.endswith("  ")
    assert rest == ""


@pytest.mark.lessons
@BY_LESSON
def test_debug_stops_at_the_marked_line_with_the_jit_off(lesson, tmp_path):
    with debugger(lesson, tmp_path) as pdb:
        marked = lesson.source.splitlines()[lesson.stop_line - 1].strip()
        place, line = pdb.greeting.splitlines()[-2:]
        assert place.startswith(f"> {lesson.path}({lesson.stop_line})")
        assert line == f"-> {marked}"
        assert marked in pdb.greeting.partition("Kernels are plain Python")[0]
        assert pdb.command("p __import__('tinygrad_llm').kernel.jit_enabled()") == "False"


def test_from_lesson_04_one_steps_into_the_arithmetic_of_the_kernel(tmp_path):
    """Call after call with `step`, then as the lesson says; the numbers are those of its example."""
    plain = kernel.plain(thin_matmul_kernel)
    with debugger(MATMUL, tmp_path) as pdb:
        assert "matmul()" in pdb.command("step")
        pdb.command(f"until {line_of(matmul_module.matmul, 'MatMul.forward(')}")
        assert "forward()" in pdb.command("step")
        pdb.command(f"until {line_of(matmul_module.MatMul.forward, 'multiply(rows')}")
        assert "multiply()" in pdb.command("step")
        pdb.command(f"until {line_of(matmul_module.multiply, 'thin_kernel(out')}")
        pdb.command(f"tbreak {plain.__code__.co_filename}:{line_of(plain, 'M, N = ')}")
        assert "thin_matmul_kernel()" in pdb.command("continue")

        assert "row[j] += a_ik * b_row[j]" in pdb.command(f"until {line_of(plain, 'row[j] +=')}")
        assert float(pdb.command("p float(a_ik)")) == 1.0
        assert json.loads(pdb.command("p b_row.tolist()")) == [5.0, 6.0]
        assert json.loads(pdb.command("p row.tolist()")) == [0.0, 0.0]
        pdb.command("next")
        assert json.loads(pdb.command("p row.tolist()")) == [5.0, 0.0]
        calls = [line.split("(")[0] for line in pdb.command("where").splitlines() if str(ROOT) in line]
        names = [Path(call.lstrip("> ")).name for call in calls]
        assert names == ["04_matmul_kernel.py", "matmul.py", "matmul.py", "matmul.py", "thin_matmul_kernels.py"]


def test_the_commands_that_lesson_04_tells_one_to_type(tmp_path):
    prose = next(cell.text for cell in MATMUL.cells if cell.is_prose and "tbreak" in cell.text)
    typed = [line.strip().split("  ")[0] for line in prose.splitlines() if line.startswith("    ")]
    assert typed[0].startswith("tbreak ")
    plain = kernel.plain(thin_matmul_kernel)
    answers = {}
    with debugger(MATMUL, tmp_path) as pdb:
        for line in typed[:-1]:
            for command in line.replace("NN", str(line_of(plain, "row[j] +="))).split(", then "):
                answers[command] = pdb.command(command)
    assert typed[-1] == "q"
    assert "thin_matmul_kernel()" in answers["c"]
    assert "row[j] += a_ik * b_row[j]" in answers["ll"]
    assert np.float32(1.0).__repr__() in answers["p a_ik, b_row, row"]
    assert answers["p row"] == "array([5., 0.], dtype=float32)"
    assert len([line for line in answers["w"].splitlines() if str(ROOT / "tinygrad_llm") in line]) == 4
