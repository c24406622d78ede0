"""The process in which one exercise is graded: `python -m tinygrad_llm.school.grader ANSWER CHECKS NAME RESULT`.

The learner's code may do anything, from a wrong result to an endless loop or an exit, so it runs here and not in the
process that talks to the learner. What came of it is written to the file RESULT; if there is none, the code crashed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .checks import WrongAnswer, what_was_raised
from .loading import load


def main(answer_path: str, checks_path: str, name: str, result_path: str) -> None:
    result = grade(Path(answer_path), Path(checks_path), name)
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")


def grade(answer_path: Path, checks_path: Path, name: str) -> dict[str, str | None]:
    """`status` is passed, to do, wrong or broken; the rest is what there is to say."""
    check = getattr(load(checks_path, "checks"), name)
    try:
        learner = load(answer_path, "exercises")
    except SyntaxError as error:
        return _result("broken", f"line {error.lineno} is not Python: {error.msg}")
    except (Exception, SystemExit) as error:
        return _result("broken", f"the file cannot be imported: {_raised_at(error, answer_path)}")
    answer = getattr(learner, name, None)
    if answer is None:
        return _result("broken", f"there is no {name!r} in the file any more: an exercise keeps its name")
    return grade_answer(check, answer)


def grade_answer(check: Callable, answer: Any) -> dict[str, str | None]:
    """What the check says of one answer."""
    try:
        check(answer)
    except NotImplementedError:
        return _result("to do", "it still raises NotImplementedError")
    except WrongAnswer as wrong:
        return _result("wrong", wrong.what, wrong.call, wrong.expected, wrong.got)
    except RecursionError:
        return _result("wrong", "it calls itself without end (RecursionError)")
    except (Exception, SystemExit) as error:
        return _result("wrong", what_was_raised(error, answer))
    return _result("passed", "")


def _raised_at(error: BaseException, path: Path) -> str:
    lines, step = [], error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(path):
            lines.append(step.tb_lineno)
        step = step.tb_next
    where = f"line {lines[-1]} raised " if lines else ""
    return f"{where}{type(error).__name__}: {error}"


def _result(status: str, what: str, call=None, expected=None, got=None) -> dict[str, str | None]:
    return {"status": status, "what": what, "call": call, "expected": expected, "got": got}


if __name__ == "__main__":
    main(*sys.argv[1:])
