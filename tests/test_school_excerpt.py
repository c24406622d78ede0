"""Exercises and later lessons take a class out of a lesson, without running it."""

from __future__ import annotations

import pytest

from tinygrad_llm.school import from_lesson

LESSON = """\
# %% [markdown]
# # 01 Doubling
#
# How much is twice as much?

# %%
import math

print("the lesson runs")


class Doubler:
    def __call__(self, x):
        return math.floor(2 * x)


answer = Doubler()(21)
"""


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    path = tmp_path / "lessons" / "01_doubling.py"
    path.parent.mkdir()
    path.write_text(LESSON, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_a_class_comes_without_what_the_lesson_does(lesson, capsys):
    Doubler = from_lesson("01", "Doubler")
    assert Doubler()(1.75) == 3
    assert capsys.readouterr().out == ""
    assert from_lesson("doubling", "Doubler") is Doubler


def test_it_keeps_its_lines_for_the_debugger(lesson):
    code = from_lesson("01", "Doubler").__call__.__code__
    assert code.co_filename == str(lesson)
    assert LESSON.splitlines()[code.co_firstlineno - 1].strip().startswith("def __call__")


@pytest.mark.parametrize("name", ["Halver", "answer"])
def test_other_names_are_refused(lesson, name):
    with pytest.raises(ValueError, match=f"lesson 01 defines no '{name}': see 01_doubling.py"):
        from_lesson("01", name)
