"""Exercises: each solution passes, each stub does not, and at least one plausible wrong answer to each is found out."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest

from tinygrad_llm.school import all_lessons
from tinygrad_llm.school.grader import grade_answer
from tinygrad_llm.school.loading import load

LESSONS = all_lessons(Path(__file__).parents[1] / "lessons")
EXERCISES = [
    pytest.param(lesson, name, id=f"{lesson.number}-{name}") for lesson in LESSONS for name in lesson.exercise_names
]
WRONG = Path(__file__).parent / "wrong_answers"


@cache
def module(path: Path):
    return load(path, f"tests_{path.parent.name}")


def wrong_answers(lesson, name: str) -> dict:
    """Those to one exercise, by what is wrong with each."""
    return {
        key.partition("__")[2]: value
        for key, value in vars(module(WRONG / lesson.path.name)).items()
        if key.startswith(f"{name}__")
    }


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)
def test_every_lesson_has_exercises_that_fit_together(lesson):
    def public(path: Path) -> list[str]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        names = [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        return [node.name for node in names if not node.name.startswith("_")]

    assert len(lesson.exercise_names) >= 2
    stubs = public(lesson.exercises)
    assert [name for name in stubs if name in lesson.exercise_names] == lesson.exercise_names
    assert set(lesson.exercise_names) <= set(public(lesson.solutions))
    named = {name.partition("__")[0] for name in public(WRONG / lesson.path.name)}
    assert named == set(lesson.exercise_names), "a wrong answer for each exercise, named exercise__what_is_wrong"


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_solution_passes(lesson, name):
    result = grade_answer(getattr(module(lesson.checks), name), getattr(module(lesson.solutions), name))
    assert result["status"] == "passed", result


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_stub_is_to_do(lesson, name):
    stub = getattr(module(lesson.exercises), name)
    assert inspect.getdoc(stub)
    assert grade_answer(getattr(module(lesson.checks), name), stub)["status"] == "to do"


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_wrong_answers_fail(lesson, name):
    answers = wrong_answers(lesson, name)
    assert answers
    for what, answer in answers.items():
        result = grade_answer(getattr(module(lesson.checks), name), answer)
        assert result["status"] == "wrong", f"{what} was not found out"
        assert result["what"]


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_exercise_has_hints(lesson, name):
    assert len(getattr(module(lesson.checks), name).hints) >= 2


def test_there_are_at_least_twenty():
    assert len(EXERCISES) >= 20
