"""Tasks out of the running Python, and the split that keeps their parts apart."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_llm
from tinygrad_llm.data import (
    corpora,
    docstring_packages,
    label_of,
    module_of,
    parameter_grades,
    signature_pairs,
    signature_questions,
    split_examples,
    tasks,
)
from tinygrad_llm.data.signatures import library_signatures, read_signature

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def packages():
    return docstring_packages()


@pytest.fixture(scope="module")
def pairs():
    return signature_pairs()


@pytest.fixture(scope="module")
def questions():
    return signature_questions()


@pytest.fixture
def small_library(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(
        "raise SystemExit('imported!')\n"
        "class Till:\n"
        "    def __init__(self, owner, cash=0, *, drawer: int = 1, **extra):\n"
        "        '''Open a till for its owner. It is empty.'''\n"
        "    @staticmethod\n"
        "    def count(coins, /, *notes, base=0) -> int:\n"
        "        '''Return the sum of all coins and notes. Coins first.'''\n"
        "    @property\n"
        "    def total(self):\n        '''How much money is in it now.'''\n"
        "    @total.setter\n"
        "    def total(self, money):\n        '''Set how much is in it.'''\n"
        "    def _hidden(self, a, b):\n        '''Not to be asked about, ever.'''\n"
        "async def close(till, hour=0, day=0):\n    '''Returns the key\nof the till\n\nMore.'''\n"
        "def bare(a, b): pass\n"
    )
    (tmp_path / "copy_of.py").write_text("def close(till, x=1):\n    '''Close.'''\n")
    for module in (corpora, tasks):
        monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def test_signatures_know_the_place_of_each_part(small_library):
    found = {signature.name: signature for signature in library_signatures(small_library)}
    assert [found[name].text for name in found] == [
        "def close(till, x=1)",
        "def __init__(self, owner, cash=0, *, drawer: int = 1, **extra)",
        "def count(coins, /, *notes, base=0) -> int",
        "def total(self)",
        "async def close(till, hour=0, day=0)",
        "def bare(a, b)",
    ]
    assert found["shop.Till.__init__"].parameter_names == ["owner", "cash", "drawer", "extra"]
    assert found["shop.Till.count"].parameter_names == ["coins", "notes", "base"]
    assert found["shop.Till.count"].returns.text == "int"
    assert found["shop.Till.count"].module == "shop"
    assert [parameter.stars for parameter in found["shop.Till.__init__"].parameters] == ["", "", "", "**"]


ARGUMENTS = st.sampled_from(
    [
        "",
        "a",
        "a, b=1",
        "*, a",
        "*a",
        "**a",
        "a, /",
        "a, /, b",
        "a, b='x, y', /, c=None, *, d, e={}, **f",
        "*a, b=(1, 2)",
    ]
) | st.sampled_from(["a: int", "a: int = 1, *b: str, c: 'X' = 2", "a: list[int], **b: Any"])


@given(ARGUMENTS, st.sampled_from(["", " -> int", " -> dict[str, 'X']"]), st.booleans())
def test_a_signature_parses_back(arguments, returns, is_async):
    (function,) = ast.parse(f"{'async ' * is_async}def f({arguments}){returns}: pass").body
    signature = read_signature(function, "m.f")
    (again,) = ast.parse(f"{signature.text}: pass").body
    assert ast.dump(again) == ast.dump(function)
    parts = [signature.returns] if signature.returns else []
    for parameter in signature.parameters:
        parts += [part for part in (parameter.name, parameter.annotation, parameter.default) if part]
    assert all(signature.text.startswith(part.text, part.start) for part in parts)
    assert sorted(signature.parameter_names) == sorted(
        node.arg for node in ast.walk(function) if isinstance(node, ast.arg)
    )


def test_questions_of_a_small_library(small_library):
    found = {example.question: example.answers[0] for example in signature_questions()}
    next_of_close = {name: f"Which parameter of `shop.close` comes after `{name}`?" for name in ("till", "hour")}
    asked = [name for name, question in next_of_close.items() if question in found]
    assert len(asked) == 1
    assert found.pop(next_of_close[asked[0]]) == {"till": "hour", "hour": "day"}[asked[0]]
    rest = {question: answer for question, answer in found.items() if "comes after" not in question}
    assert rest == {
        "What is the default of `x` in `copy_of.close`?": "1",
        "Which parameter of `copy_of.close` has the default `1`?": "x",
        "What is the first parameter of `copy_of.close`?": "till",
        "What is the default of `cash` in `shop.Till.__init__`?": "0",
        "What is the default of `drawer` in `shop.Till.__init__`?": "1",
        "Which parameter of `shop.Till.__init__` has the default `0`?": "cash",
        "Which parameter of `shop.Till.__init__` has the default `1`?": "drawer",
        "Which parameter of `shop.Till.__init__` takes all further keyword arguments?": "extra",
        "What is the first parameter of `shop.Till.__init__`?": "owner",
        "What is the default of `base` in `shop.Till.count`?": "0",
        "Which parameter of `shop.Till.count` has the default `0`?": "base",
        "Which parameter of `shop.Till.count` takes all further positional arguments?": "notes",
        "What is the first parameter of `shop.Till.count`?": "coins",
        "What does `shop.Till.count` return?": "the sum of all coins and notes",
        "What is the default of `hour` in `shop.close`?": "0",
        "What is the default of `day` in `shop.close`?": "0",
        "What is the first parameter of `shop.close`?": "till",
        "What does `shop.close` return?": "the key\nof the till",
    }


def test_questions_of_the_real_library(questions):
    assert len(questions) > 5000
    for example in questions:
        assert example.context[example.start : example.end] == example.answers[0]
        assert example.question.startswith(("What ", "Which "))
        assert len(example.context) <= 1200
    kinds = Counter((example.source.partition(":")[0], example.answers[0]) for example in questions)
    assert max(kinds.values()) == 100  # None, the default of half of all parameters, is held down
    by_question = {example.question: example.answers[0] for example in signature_questions(10**9)}
    assert by_question["What is the default of `timeout` in `subprocess.Popen.communicate`?"] == "None"
    assert by_question["What is the first parameter of `json.dumps`?"] == "obj"
    assert by_question["What does `glob.glob` return?"].startswith("a list of paths")


def test_packages_do_not_stand_in_their_own_texts(packages):
    counts = Counter(label_of(example) for example in packages)
    assert len(counts) == 10
    assert 100 <= min(counts.values()) <= max(counts.values()) == 200
    for example in packages:
        assert example.label == module_of(example)
        assert example.label not in example.text.lower()
        assert len(example.text.split()) >= 5
    texts = [" ".join(example.text.lower().split()) for example in packages]
    assert len(set(texts)) == len(texts)


def test_package_choices():
    assert set(Counter(map(label_of, docstring_packages(4, 30))).values()) == {30}
    with pytest.raises(ValueError, match=r"n_classes must lie between 2 and \d+, the number of packages; got 1"):
        docstring_packages(n_classes=1)


def test_no_side_of_a_pair_gives_the_label_away(pairs):
    assert Counter(map(label_of, pairs))["same"] == len(pairs) / 2 > 2000
    for key in (lambda example: (example.source, example.text), lambda example: (module_of(example), example.pair)):
        labels = {}
        for example in pairs:
            labels.setdefault(key(example), []).append(example.label)
        assert {tuple(sorted(each)) for each in labels.values()} == {("different", "same")}
    for example in pairs:
        name = example.source.rpartition(".")[2]
        assert (re.search(r"def (\w+)", example.pair)[1] == name) or example.label == "different"


def test_grades_are_the_share_of_right_names():
    examples = parameter_grades()
    for example in examples:
        function = ast.parse(f"{example.text}: pass").body[0]
        right = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
        answer = example.pair.split(", ")
        assert len(set(answer)) == len(answer)
        assert example.label * len(answer) == pytest.approx(len(right.intersection(answer)))
    grades = np.array([example.label for example in examples])
    assert len(grades) > 1000
    assert abs(grades.mean() - 0.5) < 0.05
    assert 0.3 < grades.std() < 0.45


def test_another_seed_draws_other_examples(packages, pairs, questions):
    assert docstring_packages(seed=1) != packages
    assert signature_pairs(seed=1) != pairs
    assert signature_questions(seed=1) != questions


def test_another_process_gives_the_same_examples_even_without_docstrings(small_library):
    """Hashes of strings differ from process to process; -OO strips docstrings from code, but not from sources."""
    show = (
        "[example for example in docstring_packages(2, 20) if example.label == 'builtins'],"
        "signature_pairs(), parameter_grades(), signature_questions()"
    )
    code = (
        "import sys; from tinygrad_llm.data import *; from tinygrad_llm.data import tasks;"
        f"tasks.sysconfig.get_path = lambda name: {str(small_library)!r}; print(sys.flags.optimize, {show}, sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-OO", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(Path(tinygrad_llm.__file__).parents[1]), "PYTHONHASHSEED": "7"},
    )
    builtins = [example for example in docstring_packages(2, 20) if example.label == "builtins"]
    here = [builtins, signature_pairs(), parameter_grades(), signature_questions()]
    assert result.stdout.splitlines() == ["2", *map(repr, here)], result.stderr
    assert all(here)


def test_python_without_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks.sysconfig, "get_path", lambda name: str(tmp_path))
    for task in (signature_pairs, parameter_grades, signature_questions):
        with pytest.raises(FileNotFoundError, match="came without the sources of its standard library"):
            task()
    with pytest.raises(FileNotFoundError, match="came without the files"):
        docstring_packages()


def test_splits_of_the_embedded_tasks(packages, pairs, questions):
    split = split_examples(packages, stratify=label_of)
    for part, fraction in zip(PARTS, (0.8, 0.1, 0.1), strict=True):
        shares = Counter(map(label_of, getattr(split, part)))
        for label, n in Counter(map(label_of, packages)).items():
            assert abs(shares[label] - fraction * n) <= 2
    for examples, stratify in ((pairs, label_of), (questions, None)):
        split = split_examples(examples, stratify=stratify, group=module_of)
        modules = [set(map(module_of, getattr(split, part))) for part in PARTS]
        assert modules[0].isdisjoint(modules[1] | modules[2])
        assert modules[1].isdisjoint(modules[2])
        assert len(split.test) == pytest.approx(0.1 * len(examples), rel=0.1)
