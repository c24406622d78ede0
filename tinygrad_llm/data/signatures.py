"""The functions of the standard library, with the place of each part in the text of their signature.

    def run(*popenargs, input=None, capture_output=False, timeout=None, check=False, **kwargs)

The sources are parsed, never imported, and parsing keeps docstrings under `python -OO` too.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .corpora import parsed_sources

Function = ast.FunctionDef | ast.AsyncFunctionDef
MAX_SIGNATURE = 400  # characters; a few generated functions are longer


@dataclass(frozen=True)
class Part:
    """A piece of a signature: `signature[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True)
class Parameter:
    """`stars` is "*" or "**" before the parameter that takes all further arguments, else empty."""

    name: Part
    annotation: Part | None
    default: Part | None
    stars: str = ""


@dataclass(frozen=True)
class Signature:
    """A function of a module or of a class in it. `parameters` has no `self` or `cls`, the text has."""

    name: str  # "json.decoder.JSONDecoder.decode"
    text: str  # "def decode(self, s, _w=WHITESPACE.match)"
    parameters: tuple[Parameter, ...]
    returns: Part | None  # the annotation
    docstring: str  # empty where there is none

    @property
    def module(self) -> str:
        """The top-level one: "json"."""
        return self.name.partition(".")[0]

    @property
    def parameter_names(self) -> list[str]:
        return [parameter.name.text for parameter in self.parameters]


@cache
def library_signatures(library: Path) -> tuple[Signature, ...]:
    """All functions and methods that have a name without underscore in front, and `__init__`; file by file."""
    found: dict[str, Signature] = {}
    for module, tree in parsed_sources(library):
        for name, function, in_class in _functions_of(tree, module):
            signature = read_signature(function, name, in_class)
            if len(signature.text) <= MAX_SIGNATURE:
                found.setdefault(name, signature)  # a property's setter bears the name of its getter
    return tuple(found.values())


def _functions_of(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, Function, bool]]:
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _functions_of(child, f"{name}.{child.name}")
        elif isinstance(child, Function) and (child.name == "__init__" or not child.name.startswith("_")):
            yield f"{name}.{child.name}", child, isinstance(node, ast.ClassDef)


def read_signature(function: Function, name: str, in_class: bool = False) -> Signature:
    """In one line, spaced as PEP 8 has it; the docstring is the one that `help` shows."""
    writer = _Writer("async def " if isinstance(function, ast.AsyncFunctionDef) else "def ")
    writer.add(f"{function.name}(")
    parameters = writer.add_parameters(function.args)
    writer.add(")")
    returns = writer.add_part(" -> ", function.returns)
    is_static = any(getattr(each, "id", "") == "staticmethod" for each in function.decorator_list)
    if in_class and not is_static and (function.args.posonlyargs or function.args.args):
        del parameters[0]
    docstring = ast.get_docstring(function) or ""
    return Signature(name, writer.text, tuple(parameters), returns, docstring)


class _Writer:
    """The text of a signature as it grows."""

    def __init__(self, text: str) -> None:
        self.text = text

    def add(self, text: str) -> Part:
        part = Part(text, len(self.text))
        self.text += text
        return part

    def add_part(self, before: str, node: ast.expr | None) -> Part | None:
        """`before` and the expression, or nothing where there is none."""
        if node is None:
            return None
        self.add(before)
        return self.add(ast.unparse(node))

    def add_parameters(self, args: ast.arguments) -> list[Parameter]:
        positional = [*args.posonlyargs, *args.args]
        defaults = [None] * (len(positional) - len(args.defaults)) + args.defaults
        listed = [(arg, default, "") for arg, default in zip(positional, defaults, strict=True)]
        if args.posonlyargs:
            listed.insert(len(args.posonlyargs), (None, None, "/"))
        if args.vararg or args.kwonlyargs:
            listed.append((args.vararg, None, "*"))
        listed += [(arg, default, "") for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
        if args.kwarg:
            listed.append((args.kwarg, None, "**"))
        parameters = []
        for index, (arg, default, stars) in enumerate(listed):
            self.add(", " * (index > 0) + stars)
            if arg is not None:  # not the bare / or *
                name, annotation = self.add(arg.arg), self.add_part(": ", arg.annotation)
                equals = " = " if annotation else "="
                parameters.append(Parameter(name, annotation, self.add_part(equals, default), stars))
        return parameters
