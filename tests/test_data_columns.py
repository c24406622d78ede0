"""From a row's columns to an example: classes, numbers, answers, and what is said of those that are none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import SpanColumns, SpanExample, TextColumns, TextExample, class_names

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)


@pytest.mark.parametrize(
    ("value", "label"),
    [(" ham ", "ham"), (1, "1"), (-7, "-7"), (True, "true"), ("True", "True"), ("1", "1"), ("1.5", "1.5")],
)
def test_classes(value, label):
    example = TextColumns(pair="b").example({"text": " a ", "b": "c ", "label": value}, "x.csv:2")
    assert example == TextExample(" a ", "c ", label, "x.csv:2")  # texts are left as they are


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "'label' is the number 1.5, and a class needs a name: .* numeric=True"),
        (" ", "'label' is empty"),
        (None, "'label' should be a text, found None"),
        (["a" * 99], r"'label' should be a text, found \['a{55}…$"),
        ("\udc00", "'label' has half of a surrogate pair"),
    ],
)
def test_no_classes(value, message):
    with pytest.raises(ValueError, match=message):
        TextColumns().example({"text": "a", "label": value})


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30))
def test_numbers(number):
    for value in (number, str(number), f" {number} "):
        example = TextColumns(label="n", numeric=True).example({"text": "a", "n": value})
        assert example.label == float(number)
        assert isinstance(example.label, float)


NO_NUMBERS = ["good", "", "1,5", "1_0", "nan", math.nan, math.inf, "1e999", True, None, "٣", "9" * 400, 10**400, [1]]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: str(value)[:9])
def test_no_numbers(value):
    with pytest.raises(ValueError, match=r"'label' should be a finite number such as 3\.5, found"):
        TextColumns(numeric=True).example({"text": "a", "label": value})


@given(TEXTS, TEXTS, TEXTS, st.booleans())
def test_answers_stand_where_they_say(before, answer, after, as_text):
    context = before + answer + after
    start = str(len(before)) if as_text else len(before)  # as in a .csv file, or as in a .jsonl file
    row = {"question": "what?", "context": context, "at": start}
    nested = {"text": [answer, after], "answer_start": [start, context.index(after)]}
    for value in (answer, [answer, after], {"text": answer, "answer_start": start}, nested):
        example = SpanColumns(start="at").example(row | {"answer": value})
        assert (example.start, example.answers[0]) == (len(before), answer)
        assert context[example.start : example.end] == answer
    for value in (answer, [answer, after]):
        assert SpanColumns().example(row | {"answer": value}).start == context.index(answer)
    assert SpanColumns().example(row | {"answer": nested}).start == len(before)


def test_a_question_without_an_answer():
    row = {"q": "Why?", "c": "Because.", "a": []}
    for value in ([], {"text": [], "answer_start": []}):
        example = SpanColumns("q", "c", "a").example(row | {"a": value})
        assert example == SpanExample("Why?", "Because.", (), None)
        assert example.end is None


@pytest.mark.parametrize(
    ("answer", "start", "message"),
    [
        ("Ada", 2, "the answer 'Ada' does not start at character 2 of the context; its first place is 0"),
        ("ada", 0, "the answer 'ada' does not stand in the context"),
        ("Ada", -1, "should be a whole number from 0, found -1"),
        ("Ada", "x", "should be a whole number from 0, found 'x'"),
        ("Ada", "1" * 5000, "should be a whole number from 0, found '1111"),
        ("Ada", 0.0, "should be a whole number from 0, found 0.0"),
        ("Ada", True, "should be a whole number from 0, found True"),
        ("", 0, "'answer' is empty"),
        (None, 0, "'answer' should be a text, found None"),
        ({"text": ["Ada"]}, 0, "'answer' should be a text, found {"),
        (["Ada", "Bob"], 0, "the answer 'Bob' does not stand in the context"),
        ({"text": ["Ada"], "answer_start": []}, 0, "'answer' has 1 answers but 0 starts"),
        ({"text": ["Ada", "and"], "answer_start": [0, 5]}, 0, "the answer 'and' does not start at character 5"),
    ],
)
def test_answers_that_are_not_there(answer, start, message):
    row = {"question": "Who?", "context": "Ada and Ada", "answer": "Ada", "at": 8}
    assert SpanColumns(start="at").example(row).start == 8
    with pytest.raises(ValueError, match=message):
        SpanColumns(start="at").example(row | {"answer": answer, "at": start})


@given(st.lists(st.text("0129abé", min_size=1, max_size=5), min_size=1))
def test_class_names_are_sorted_once_each(labels):
    names = class_names([TextExample("a", label=label) for label in labels])
    assert sorted(names) == sorted(set(labels))
    assert names == class_names([TextExample("a", label=label) for label in reversed(labels)])
    values = [int(name) if name.isdecimal() else math.inf for name in names]
    assert values == sorted(values)


def test_class_names_need_classes():
    for label in (None, 1.0):
        with pytest.raises(ValueError, match=r"the label of 'a\.csv:2' is .*, which is no class"):
            class_names([TextExample("a", label=label, source="a.csv:2")])
