"""The school on a lesson of its own: how it is read, run and graded, whatever the learner's code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import call

from tinygrad_llm import tensor
from tinygrad_llm.school import Progress, WrongAnswer, expect, find_lesson, for_all, for_all_gradients, grade_exercise
from tinygrad_llm.school.cells import read_cells
from tinygrad_llm.school.play import play
from tinygrad_llm.testing import float_arrays, shapes, tensors

LESSON = '''\
"""Not shown."""
# %% [markdown]
# # 07 The number seven
#
# Why is it seven? At the end you **know**.
#
# More words.

# %%
ADDS = ["tinygrad_llm/ops/softmax.py"]
seven = 3 + 4
print("computed", seven)

# %% [markdown]
# Then look.

# %%
assert seven == 7  # stop here
'''
CHECKS = """\
import numpy as np
from tinygrad_llm.school import exercise, expect, for_all
from tinygrad_llm.testing import float_arrays, shapes

@exercise("which numbers stay?", "compare with 0")
def relu(answer):
    expect(answer, np.array([-1.0, 2.0]), equals=np.array([0.0, 2.0]), why="negative numbers become 0")
    for_all(answer, float_arrays(shapes(1, 2, 1, 2)), equals=lambda x: np.maximum(x, 0))

@exercise()
def count(answer):
    expect(answer, 3, equals=[0, 1, 2])
"""
RIGHT = {"relu": "import numpy as np\n    return np.maximum(x, 0)", "count": "return list(range(x))"}


@pytest.fixture
def school(tmp_path, monkeypatch):
    """A folder with one lesson, in which one works; returns a way to write answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYGRAD_LLM_STATE", str(tmp_path / "state"))
    for name in ("exercises", "checks", "solutions"):
        (tmp_path / "lessons" / name).mkdir(parents=True)
    Path("lessons/07_seven.py").write_text(LESSON)
    Path("lessons/checks/07_seven.py").write_text(CHECKS)

    def write(**bodies: str) -> Path:
        file = tmp_path / "lessons" / "exercises" / "07_seven.py"
        functions = (f"def {name}(x):\n    {body}\n" for name, body in (RIGHT | bodies).items())
        file.write_text(bodies.pop("head", "") + "\n".join(functions))
        return file

    write(relu="raise NotImplementedError", count="raise NotImplementedError")
    return write


def test_a_lesson_says_what_it_is(school):
    lesson = find_lesson("7")
    assert (lesson.number, lesson.name, lesson.title) == ("07", "07_seven", "The number seven")
    assert lesson.question == "Why is it seven? At the end you **know**."
    assert lesson.adds == ["tinygrad_llm/ops/softmax.py"]
    assert LESSON.splitlines()[lesson.stop_line - 1].startswith("assert seven")
    assert lesson.exercise_names == ["relu", "count"]
    assert find_lesson("seven") == find_lesson("07_seven") == find_lesson("lessons/07_seven.py") == lesson


def test_cells_keep_their_lines():
    cells = read_cells(LESSON)
    assert [cell.is_prose for cell in cells] == [True, False, True, False]
    assert all(LESSON.splitlines()[cell.line - 1].startswith("# %%") for cell in cells)
    assert cells[2].text == "Then look."


def test_play_shows_prose_between_results(school, capsys):
    play(find_lesson("7"), lambda markdown: print(f"[{markdown.splitlines()[0]}]"))
    assert capsys.readouterr().out.splitlines() == ["[# 07 The number seven]", "computed 7", "[Then look.]"]


def test_an_error_in_a_lesson_names_its_line(school):
    Path("lessons/07_seven.py").write_text(LESSON.replace("== 7", "== 8"))
    with pytest.raises(AssertionError) as caught:
        play(find_lesson("7"), lambda markdown: None)
    last = caught.traceback[-1]
    assert (last.path.name, last.lineno + 1) == ("07_seven.py", find_lesson("7").stop_line)


def test_there_are_lessons_to_list(school):
    code, out, _ = call("lessons")
    assert code == 0
    assert "07 The number seven" in out
    assert "Why is it seven?" in out
    assert "0 of 2" in out
    code, out, _ = call("lesson", "07")
    assert code == 0
    assert "computed 7" in out
    assert "**" not in out


@pytest.mark.parametrize("command", ["lesson", "check", "debug", "notebook"])
def test_an_unknown_lesson_is_one_sentence(school, command):
    code, _, err = call(command, "99")
    assert code == 2
    assert err.count("\n") == 1
    assert "no lesson '99'" in err


def test_without_lessons_there_is_one_sentence(tmp_path, monkeypatch):
    from tinygrad_llm.school import catalogue

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "site" / "tinygrad_llm" / "school" / "catalogue.py"))
    code, _, err = call("lessons")
    assert code == 2
    assert "git clone" in err


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("raise NotImplementedError", "NotImplementedError"),
        ("return None", "returned None"),
        ("return x.tolist()", "a NumPy array was expected, not list"),
        ("return x[:1] * 0", r"shape must be \(2,\), not \(1,\)"),
        ("return x.astype(int)", "dtype must be float64"),
        ("x *= x > 0\n    return x", "in place"),
        ("return x", r"negative numbers become 0 \(the value at \[0\] is wrong\)"),
        ("return x * (x > 0.5)", "value at .* is wrong"),
        ("return x[5]", "line 2 raised IndexError: index 5"),
        ("return relu(x)", "RecursionError"),
        ("import sys\n    sys.exit(3)", "SystemExit"),
        ("import os\n    os._exit(3)", "exit code 3"),
        ("import os\n    os._exit(0)", "ended Python itself"),
        ("import os, signal\n    os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("print('a line')\n    while True: pass", "more than 5 seconds"),
    ],
)
def test_whatever_the_answer_does_there_is_a_result(school, body, what):
    answer = school(relu=body)
    result = grade_exercise(answer, find_lesson("7").checks, "relu", time_limit=5)
    assert result.status == ("to do" if "NotImplemented" in body else "wrong")
    assert re.search(what, result.what), result
    assert "Traceback" not in result.what + result.printed
    assert ("a line" in result.printed) == ("a line" in body)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def relu(x):\n  return (", "line 2 is not Python"),
        ("\nimport no_such_package\n", "line 2 raised ModuleNotFoundError: No module named 'no_such_package'"),
        ("1 / 0", "line 1 raised ZeroDivisionError"),
        ("raise SystemExit", "line 1 raised SystemExit"),
        ("def rel(x): return x", "there is no 'relu' in the file"),
    ],
)
def test_whatever_is_in_the_file_there_is_a_result(school, text, what):
    answer = school()
    answer.write_text(text)
    result = grade_exercise(answer, find_lesson("7").checks, "relu")
    assert result.status == "broken"
    assert what in result.what


def test_the_smallest_input_that_fails_is_shown(school):
    result = grade_exercise(school(relu="return x * (x > 0.5)"), find_lesson("7").checks, "relu")
    assert result.call == "relu([0.01])"
    assert (result.expected, result.got) == ("[0.01]", "[0.]")


def test_check_goes_from_stubs_to_done(school):
    code, out, _ = call("check", "7")
    assert code == 1
    assert out.count("your turn") == 2
    school(relu="return x", count="return 3")
    assert "hint" not in call("check", "7")[1]
    code, out, _ = call("check", "7")  # the second failure
    assert code == 1
    assert "hint: which numbers stay?" in out
    assert "hint: compare with 0" in call("check", "7")[1]
    school()
    code, out, _ = call("check", "7")
    assert code == 0
    assert "All 2 exercises of lesson 07 are done." in out
    assert "2 of 2" in call("check")[1]


def test_hint_is_given_when_asked_for(school):
    school(relu="return x")
    assert "hint: which numbers stay?" in call("check", "7", "--hint")[1]


def test_answers_may_be_in_another_file(school, tmp_path):
    school().rename(tmp_path / "mine.py")
    assert call("check", "7", "--file", tmp_path / "mine.py")[0] == 0
    code, _, err = call("check", "7", "--file", "nowhere.py")
    assert code == 2
    assert "nowhere.py" in err


def test_progress_is_kept_and_damage_is_told(tmp_path):
    file = tmp_path / "deep" / "progress.json"
    progress = Progress(file)
    progress.record("07_seven/relu", passed=False)
    progress.record("07_seven/relu", passed=False)
    assert Progress(file).failures("07_seven/relu") == 2
    progress.record("07_seven/relu", passed=True)
    progress.record("07_seven/relu", passed=False)
    again = Progress(file)
    assert again.passed("07_seven/relu")  # what was done stays done
    assert again.failures("07_seven/relu") == 1
    assert list(file.parent.iterdir()) == [file]
    for text in ("{", "[]", json.dumps({"exercises": [1]})):
        file.write_text(text)
        with pytest.raises(ValueError, match="damaged"):
            Progress(file)


def test_notebook_has_the_lessons_cells(school, tmp_path):
    code, _, err = call("notebook", "7", "--no-open", "--out", tmp_path / "seven.ipynb")
    assert code == 0, err
    cells = json.loads((tmp_path / "seven.ipynb").read_text())["cells"]
    assert [cell["cell_type"] for cell in cells][-4:] == ["markdown", "code", "markdown", "code"]


def test_expect_compares_types_that_people_mix_up():
    expect(lambda: np.int64(3), equals=3)
    expect(lambda: 3, equals=3.0)
    expect(lambda: (1, [np.float32(2.0)]), equals=(1, [2.0]))
    expect(lambda: tensor([1.0]), equals=tensor([1.0]))
    for got, expected in (
        (True, 1.0),
        ([1], (1,)),
        (np.ones(1), tensor([1.0])),
        ("1", 1),
        ([1, 2], [1, 3]),
        (1.0, 2.0),
    ):
        with pytest.raises(WrongAnswer):
            expect(lambda got=got: got, equals=expected)


def test_gradients_are_checked_on_the_smallest_input():
    for_all_gradients(lambda x: x * x, tensors(shapes(1, 1, 1, 2)))
    with pytest.raises(WrongAnswer, match="expected gradient") as caught:
        for_all_gradients(lambda x: x * x.detach(), tensors(shapes(1, 1, 1, 2)))
    assert "tensor([1.])" in caught.value.call


def test_for_all_takes_several_inputs():
    arrays = float_arrays((2,))
    for_all(lambda a, b, c: a + b * c, arrays, arrays, arrays, equals=lambda a, b, c: a + b * c)
    with pytest.raises(WrongAnswer):
        for_all(lambda a, b: a - b, arrays, arrays, equals=lambda a, b: b - a)
