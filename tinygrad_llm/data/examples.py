"""What fine-tuning learns from: a text or two with a label, or a question with the place of its answer.

| the task                     | an example                                                          |
| ---------------------------- | ------------------------------------------------------------------- |
| classification               | `TextExample("Great film.", label="good")`                          |
| classification of pairs      | `TextExample("It rains.", "The road is wet.", "follows")`           |
| regression, grading          | `TextExample("Name two gases.", "Oxygen, iron.", 0.5)`              |
| answers to find in a context | `SpanExample("Who wrote it?", "Ada wrote it.", ("Ada",), start=0)`  |
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and what to say of it.

    `label` is the name of a class, or a number to predict; None where it is not known yet. `source` is the place it
    comes from, as in `Document`: `reviews.csv:17`, `docstring:json.loads`.
    """

    text: str
    pair: str | None = None
    label: str | float | None = None
    source: str = ""


@dataclass(frozen=True)
class SpanExample:
    """A question whose answer stands in the context word for word.

    All of `answers` count as right. The first one stands at `context[start:end]`; without an answer in the context
    `answers` is empty, and `start` and `end` are None.
    """

    question: str
    context: str
    answers: tuple[str, ...]
    start: int | None
    source: str = ""

    @property
    def end(self) -> int | None:
        return None if self.start is None else self.start + len(self.answers[0])


Example = TextExample | SpanExample


def label_of(example: TextExample) -> str | float | None:
    """The label, as a function: for `split_examples(examples, stratify=label_of)`."""
    return example.label


def module_of(example: Example) -> str:
    """The top-level module that an embedded example comes from: "json" for `docstring:json.decoder.JSONDecoder`."""
    return example.source.partition(":")[2].partition(".")[0]


def class_names(examples: Iterable[TextExample]) -> list[str]:
    """The labels, each once: whole numbers by their value, then all others by their characters.

    >>> class_names([TextExample("so so", label="10"), TextExample("bad", label="9"), TextExample("?", label="none")])
    ['9', '10', 'none']

    Raises ValueError where an example has a number or nothing for a label.
    """
    labels: set[str] = set()
    for example in examples:
        if not isinstance(example.label, str):
            raise ValueError(
                f"the label of {example.source or example.text[:40]!r} is {example.label!r}, which is no class: "
                "classification needs a string for each example"
            )
        labels.add(example.label)
    return sorted(labels, key=_class_order)


def _class_order(label: str) -> tuple[Hashable, ...]:
    if label.isascii() and label.isdecimal():
        digits = label.lstrip("0")
        return (0, len(digits), digits, label)
    return (1, 0, "", label)


def counted(n: int, what: str) -> str:
    """For messages: "1 example", "2,000 examples"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
