"""What is mutated: every forward, backward and kernel of ops and optim, and the functions that these call there.

Functions that only check arguments or wrap arrays are not reached from there, and are not mutated.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import tinygrad_llm
from tinygrad_llm.autograd import Function
from tinygrad_llm.kernel import plain

from .operators import Mutation, mutations

PACKAGE = Path(tinygrad_llm.__file__).parent
PARTS = ("ops", "optim")
# The steps of the optimizers that are NumPy rather than kernels.
UPDATES = ("AdamW.update", "SGD.update", "Muon.update", "clip_grad_norm_")


@dataclass(frozen=True)
class Target:
    """A function to mutate, by its file and its name; `function` is the object, whose code is exchanged."""

    file: str  # relative to the package: ops/softmax.py
    name: str  # Softmax.backward
    node: ast.FunctionDef
    function: Callable

    @property
    def id(self) -> str:
        return f"{self.file}::{self.name}"


@dataclass(frozen=True)
class Mutant:
    """One step in one target. Its id names both and says which of several equal steps it is, but no line."""

    target: Target
    mutation: Mutation
    ordinal: int

    @property
    def id(self) -> str:
        number = f" #{self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.target.id}::{self.mutation.step}{number}"


def mutants_of(target: Target) -> Iterator[Mutant]:
    steps = Counter()
    for mutation in mutations(target.node):
        steps[mutation.step] += 1
        yield Mutant(target, mutation, steps[mutation.step])


def code_of(node: ast.FunctionDef, file: str) -> CodeType:
    """The code object of a function, compiled by itself."""
    bare = ast.FunctionDef(node.name, node.args, node.body, [], None)
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(bare, node)], []))
    constants = compile(module, file, "exec", dont_inherit=True).co_consts
    return next(each for each in constants if isinstance(each, CodeType) and each.co_name == node.name)


def install(target: Target, node: ast.FunctionDef) -> None:
    """Let the target do what `node` says, whatever names it goes by: the function object stays the same one."""
    target.function.__code__ = code_of(node, str(PACKAGE / target.file))


def all_targets() -> list[Target]:
    """Every target, in the order of their files and lines."""
    functions = {}  # the plain function → its Target, of all functions and methods of the parts
    for part in PARTS:
        for path in sorted((PACKAGE / part).glob("*.py")):
            functions |= _functions_of(path)
    methods: dict[str, list[Callable]] = {}
    for function, target in functions.items():
        if "." in target.name:
            methods.setdefault(target.node.name, []).append(function)
    todo = [function for function, target in functions.items() if _is_root(target)]
    found = set()
    while todo:
        function = todo.pop()
        if function not in found:
            found.add(function)
            todo += _called(functions[function], functions, methods)
    return [target for function, target in functions.items() if function in found]


def _functions_of(path: Path) -> dict[Callable, Target]:
    file = path.relative_to(PACKAGE).as_posix()
    module = importlib.import_module(".".join(("tinygrad_llm", *path.relative_to(PACKAGE).with_suffix("").parts)))
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            function = inspect.unwrap(plain(getattr(module, node.name)))
            found[function] = Target(file, node.name, node, function)
        elif isinstance(node, ast.ClassDef):
            for method in (each for each in node.body if isinstance(each, ast.FunctionDef)):
                function = inspect.unwrap(_raw(getattr(module, node.name), method.name))
                found[function] = Target(file, f"{node.name}.{method.name}", method, function)
    return found


def _raw(owner: type, name: str) -> Callable:
    attribute = vars(owner)[name]
    if isinstance(attribute, property):
        return attribute.fget
    return getattr(attribute, "__func__", attribute)


def is_kernel(node: ast.FunctionDef) -> bool:
    return any("kernel" in ast.unparse(each) for each in node.decorator_list)


def _is_root(target: Target) -> bool:
    if is_kernel(target.node) or target.name in UPDATES:
        return True
    owner = getattr(importlib.import_module(target.function.__module__), target.name.partition(".")[0])
    is_op = isinstance(owner, type) and issubclass(owner, Function)
    return is_op and target.node.name in ("forward", "backward")


def _called(target: Target, functions: dict, methods: dict) -> Iterator[Callable]:
    """The functions of the parts whose names this one's body has, and the methods of their classes."""
    local = target.function.__code__.co_varnames
    for node in ast.walk(target.node):
        if isinstance(node, ast.Name) and node.id not in local:
            value = plain(target.function.__globals__.get(node.id))
            value = inspect.unwrap(value) if callable(value) else value
            if inspect.isfunction(value) and value in functions:
                yield value
        elif isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
            for method in methods.get(node.attr, ()):
                if functions[method].name.partition(".")[0] in ("Options", "Heads"):
                    yield method
