"""What the checks of exercises are written with: `lessons/checks/NN_name.py` says what a right answer does.

    @exercise("softmax of large scores must not overflow: what may be subtracted from all of them?")
    def softmax(answer):
        expect(answer, np.zeros((1, 2)), equals=np.full((1, 2), 0.5))
        for_all(answer, float_arrays((2, 3)), equals=softmax_ref)

The function has the name of the exercise and gets the learner's answer. It ends quietly, or raises `WrongAnswer` with
the smallest input that shows the mistake, what was expected and what came.
"""

from __future__ import annotations

import copy
import reprlib
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..testing import gradcheck


class WrongAnswer(Exception):
    """A mistake in an answer, as a teacher would put it. `call` shows the inputs; what is None is not told."""

    def __init__(self, what: str, call: str | None = None, expected: str | None = None, got: str | None = None):
        super().__init__(what)
        self.what, self.call, self.expected, self.got = what, call, expected, got


def exercise(*hints: str):
    """Mark a check as an exercise, with what to say when it fails for the second time, the third time, …"""

    def mark(check: Callable) -> Callable:
        check.hints = hints
        return check

    return mark


def expect(answer: Callable, *inputs, equals, rtol: float = 1e-6, atol: float = 1e-8, why: str = "") -> Any:
    """Call `answer(*inputs)` and compare what it returns with `equals`: type, shape and values. Returns it."""
    call = call_text(answer, inputs)
    got = call_answer(answer, inputs, call)
    compare(got, equals, call, rtol, atol, why)
    return got


def for_all(
    answer: Callable,
    *strategies,
    equals: Callable,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    why: str = "",
    max_examples: int = 50,
) -> None:
    """`expect(answer, *inputs, equals=equals(*inputs))` on inputs that hypothesis draws, and shrinks if they fail.

    Arrays shrink best if they have at most six elements: `float_arrays(shapes(1, 2, 1, 2))`.
    """

    def check(*inputs):
        expect(answer, *inputs, equals=equals(*copy.deepcopy(inputs)), rtol=rtol, atol=atol, why=why)

    search(check, *strategies, max_examples=max_examples)


def for_all_gradients(answer: Callable[..., Tensor], *strategies, why: str = "", max_examples: int = 25) -> None:
    """The gradients of `answer`, which maps tensors to a tensor, against central differences."""

    def check(*inputs):
        call = call_text(answer, inputs)
        try:
            gradcheck(answer, *inputs)
        except NotImplementedError:
            raise
        except (AssertionError, TypeError, ValueError, RuntimeError) as error:
            raise WrongAnswer(why or str(error), call) from error

    search(check, *strategies, max_examples=max_examples)


def search(check: Callable, *strategies, max_examples: int = 50) -> None:
    """Run `check(*inputs)` on drawn inputs; what it raises in the end is about the smallest inputs that fail."""
    from hypothesis import HealthCheck, given, settings

    options = settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    options(given(*strategies)(_quiet(check, len(strategies))))()


def _quiet(check: Callable, n: int) -> Callable:
    """A function with `n` arguments by name, since hypothesis looks at signatures."""

    def one(a):
        check(a)

    def two(a, b):
        check(a, b)

    def three(a, b, c):
        check(a, b, c)

    def four(a, b, c, d):
        check(a, b, c, d)

    return (one, two, three, four)[n - 1]


def demand(condition: bool, what: str, call: str | None = None, expected: Any = None, got: Any = None) -> None:
    """Raise WrongAnswer with `what` is wrong unless `condition` holds."""
    if not condition:
        shown = [None if value is None else show(value) for value in (expected, got)]
        raise WrongAnswer(what, call, *shown)


def call_answer(answer: Callable, inputs: tuple, call: str | None = None) -> Any:
    """`answer(*inputs)` on copies of the inputs, which it must leave as they are."""
    given = copy.deepcopy(inputs)
    call = call or call_text(answer, inputs)
    try:
        got = answer(*given)
    except (NotImplementedError, WrongAnswer):
        raise
    except Exception as error:
        raise WrongAnswer(what_was_raised(error, answer), call) from error
    for number, (before, after) in enumerate(zip(inputs, given, strict=True)):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=before.dtype.kind in "fc"):
            what = f"your answer changes its input number {number + 1} in place: work on a copy"
            raise WrongAnswer(what, call, show(before), show(after))
    return got


def what_was_raised(error: BaseException, answer: Callable) -> str:
    """The error of a learner's code, and the line of their file that it comes from."""
    file = sys.modules[answer.__module__].__file__
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]}" if lines else "your code"
    message = " ".join(str(error).split())
    return f"{where} raised {type(error).__name__}" + (f": {message}" if message else "")


def compare(got: Any, expected: Any, call: str, rtol: float = 1e-6, atol: float = 1e-8, why: str = "") -> None:
    """Raise WrongAnswer unless `got` is `expected`; floating-point numbers may differ a little."""
    wrong = _difference(got, expected, rtol, atol)
    if wrong:
        raise WrongAnswer(f"{why} ({wrong})" if why else wrong, call, show(expected), show(got))


def _difference(got: Any, expected: Any, rtol: float, atol: float) -> str | None:
    """What is different, in a few words; None where nothing is."""
    if got is None and expected is not None:
        return "your function returned None: is there a `return`?"
    if isinstance(expected, (np.ndarray, Tensor)):
        if not isinstance(got, type(expected)):
            wanted = "a NumPy array" if isinstance(expected, np.ndarray) else "a Tensor"
            return f"{wanted} was expected, not {type(got).__name__}"
        arrays = (got.data, expected.data) if isinstance(expected, Tensor) else (got, expected)
        return _array_difference(*arrays, rtol, atol)
    if isinstance(expected, bool) or not isinstance(expected, (float, np.floating)):
        return _plain_difference(got, expected, rtol, atol)
    if not isinstance(got, (int, float, np.number)) or isinstance(got, bool):
        return f"a number was expected, not {type(got).__name__}"
    return None if np.isclose(got, expected, rtol, atol, equal_nan=True) else "the value is wrong"


def _plain_difference(got: Any, expected: Any, rtol: float, atol: float) -> str | None:
    if isinstance(expected, (tuple, list)) and type(got) is type(expected):
        if len(got) != len(expected):
            return f"{len(expected)} elements were expected, not {len(got)}"
        for number, (one, other) in enumerate(zip(got, expected, strict=True)):
            wrong = _difference(one, other, rtol, atol)
            if wrong:
                return f"element {number}: {wrong}"
        return None
    if isinstance(expected, (int, np.integer)) and not isinstance(expected, bool) and isinstance(got, np.integer):
        got = int(got)
    if type(got) is not type(expected) and not isinstance(got, type(expected)):
        return f"{type(expected).__name__} was expected, not {type(got).__name__}"
    return None if got == expected else "the result is another one"


def _array_difference(got: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> str | None:
    if got.shape != expected.shape:
        return f"the shape must be {expected.shape}, not {got.shape}"
    if got.dtype.kind != expected.dtype.kind:
        return f"the dtype must be {expected.dtype}, not {got.dtype}"
    if expected.dtype.kind not in "fc":
        return None if np.array_equal(got, expected) else "the values are wrong"
    close = np.isclose(got, expected, rtol, atol, equal_nan=True)
    if close.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"the value at {list(index)} is wrong" if index else "the value is wrong"


def call_text(answer: Callable, inputs: tuple) -> str:
    """The call as one would write it: `softmax(array([[0., 1.]]))`."""
    return f"{getattr(answer, '__name__', 'answer')}({', '.join(show(each) for each in inputs)})"


def show(value: Any) -> str:
    """A value, short enough to read."""
    if isinstance(value, np.ndarray):
        value = value + 0.0 if value.dtype.kind == "f" else value  # −0 is shown as 0
        text = np.array2string(value, precision=6, threshold=24, edgeitems=2, separator=", ", max_line_width=90)
        return text if value.size else f"an empty array of shape {value.shape}"
    if isinstance(value, Tensor):
        return f"tensor({show(value.data)})"
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.8g}"
    if isinstance(value, np.generic):
        return repr(value.item())
    if type(value) in (tuple, list) and len(value) <= _short.maxlist:
        inside = ", ".join(map(show, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return _short.repr(value)


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200
_short.maxlist = _short.maxtuple = _short.maxdict = 20
