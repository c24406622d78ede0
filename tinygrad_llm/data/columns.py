"""From the columns of one row to an example, or to one sentence that says why it is none."""

import math
import re
from dataclasses import dataclass
from typing import Any

from .examples import SpanExample, TextExample

_SURROGATES = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class TextColumns:
    """The names of the columns that make a `TextExample`.

    `pair` is the second text of a pair. `label` is the class, or with `numeric=True` the number to predict: a grade, a
    price, a similarity. None for texts without a label.
    """

    text: str = "text"
    pair: str | None = None
    label: str | None = "label"
    numeric: bool = False

    @property
    def names(self) -> list[str]:
        return [name for name in (self.text, self.pair, self.label) if name is not None]

    def example(self, row: dict[str, Any], source: str = "") -> TextExample:
        """Raises ValueError for an empty text or label, and for a label of the wrong type."""
        label = None if self.label is None else (_number if self.numeric else _class)(row[self.label], self.label)
        pair = None if self.pair is None else required_text(row[self.pair], self.pair)
        return TextExample(required_text(row[self.text], self.text), pair, label, source)


@dataclass(frozen=True)
class SpanColumns:
    """The names of the columns that make a `SpanExample`.

    `answer` holds one string, a list of them, or SQuAD's {"text": [...], "answer_start": [...]}; an empty list where
    the context has no answer. None, for the column's name, where the answers are not known. `start` is where the answer
    begins, in characters from 0. Without it the answer is taken to be at the first place where it stands.
    """

    question: str = "question"
    context: str = "context"
    answer: str | None = "answer"
    start: str | None = None

    @property
    def names(self) -> list[str]:
        return [name for name in (self.question, self.context, self.answer, self.start) if name is not None]

    def example(self, row: dict[str, Any], source: str = "") -> SpanExample:
        """Raises ValueError for an empty text, and for an answer that does not stand where it should."""
        question, context = (
            required_text(row[self.question], self.question),
            required_text(row[self.context], self.context),
        )
        if self.answer is None:
            return SpanExample(question, context, (), None, source)
        answers, starts = self._answers(row[self.answer])
        if self.start is not None and answers:
            starts = [row[self.start], *starts[1:]]
        places = [_place(context, answer, start) for answer, start in zip(answers, starts, strict=True)]
        return SpanExample(question, context, tuple(answers), places[0] if places else None, source)

    def _answers(self, value: Any) -> tuple[list[str], list[Any]]:
        """The answers, and where each is said to start."""
        starts = None
        if isinstance(value, dict) and value.keys() >= {"text", "answer_start"}:
            value, starts = value["text"], value["answer_start"]
        answers = [required_text(each, self.answer) for each in (value if isinstance(value, list) else [value])]
        starts = [None] * len(answers) if starts is None else starts if isinstance(starts, list) else [starts]
        if len(starts) != len(answers):
            raise ValueError(f"{self.answer!r} has {len(answers)} answers but {len(starts)} starts")
        return answers, starts


@dataclass(frozen=True)
class Pair:
    """A text and what a model should write for it: its translation, its summary, its answer.

    `origin` is the place it comes from: `phrases.tsv:17`, `number:4021`, `docstring:json.loads`.
    """

    source: str
    target: str
    origin: str = ""

    # What split_examples goes by: the text that should not stand in two parts.

    @property
    def text(self) -> str:
        return self.source

    @property
    def pair(self) -> None:
        return None


@dataclass(frozen=True)
class PairColumns:
    """The names of the columns that make a `Pair`."""

    source: str = "source"
    target: str = "target"

    @property
    def names(self) -> list[str]:
        return [self.source, self.target]

    def example(self, row: dict[str, Any], source: str = "") -> Pair:
        """Raises ValueError for an empty text, and for what is no text."""
        return Pair(required_text(row[self.source], self.source), required_text(row[self.target], self.target), source)


def required_text(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{column!r} should be a text, found {_shown(value)}")
    if not value.strip():
        raise ValueError(f"{column!r} is empty")
    if _SURROGATES.search(value):
        raise ValueError(f"{column!r} has half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return value


def _class(value: Any, column: str) -> str:
    """A string, without blanks around it; JSON's whole numbers and true and false as they are written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        raise ValueError(
            f"{column!r} is the number {value!r}, and a class needs a name: write it in quotes, or read it with "
            "numeric=True to predict numbers"
        )
    return required_text(value, column).strip()


def _number(value: Any, column: str) -> float:
    is_number = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else type(value) in (int, float)
    try:
        number = float(value) if is_number else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{column!r} should be a finite number such as 3.5, found {_shown(value)}")
    return number


def _place(context: str, answer: str, start: Any) -> int:
    """Where the answer begins in the context."""
    first = context.find(answer)
    if first < 0:
        raise ValueError(f"the answer {_shown(answer)} does not stand in the context, word for word")
    if start is None:
        return first
    if isinstance(start, str) and start.strip().isdecimal() and len(start) < 20:
        start = int(start)
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise ValueError(f"the start of the answer should be a whole number from 0, found {_shown(start)}")
    if not context.startswith(answer, start):
        raise ValueError(
            f"the answer {_shown(answer)} does not start at character {start} of the context; "
            f"its first place is {first}"
        )
    return start


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
