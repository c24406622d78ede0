"""The examples in docstrings run, and what the package exports says what it does."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import tinygrad_llm as tg

GLOBALS = {"np": np, "tensor": tg.tensor, "zeros": tg.zeros}  # what the examples take for granted
MODULES = [m.name for m in pkgutil.walk_packages(tg.__path__, "tinygrad_llm.") if not m.name.endswith("__main__")]
PUBLIC = (
    "",
    ".applications",
    ".autograd",
    ".data",
    ".evaluate",
    ".functional",
    ".hub",
    ".models",
    ".nn",
    ".optim",
    ".text",
    ".train",
)
EXPORTING = [importlib.import_module("tinygrad_llm" + name) for name in PUBLIC]


def examples() -> list:
    """A doctest for each docstring with examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name), name) if test.examples]
    return [pytest.param(test, id=test.name) for test in found]


@pytest.mark.parametrize("test", examples())
def test_examples_give_what_they_show(test):
    test.globs.update({name: value for name, value in GLOBALS.items() if name not in test.globs})
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("module", EXPORTING, ids=lambda module: module.__name__)
def test_exported_functions_and_classes_have_docstrings(module):
    exported = [(name, getattr(module, name)) for name in module.__all__]
    named = [(name, value) for name, value in exported if inspect.isfunction(value) or inspect.isclass(value)]
    assert named
    assert [name for name, value in named if not value.__doc__] == []
