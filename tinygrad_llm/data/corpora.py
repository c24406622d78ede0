"""The embedded corpus: the Python that runs this is also a text to learn from, so no download is needed.

| kind         | documents                                                   | size on Python 3.11 |
| ------------ | ----------------------------------------------------------- | ------------------- |
| "topics"     | the manual pages behind `help("lambda")`: `pydoc_data`       | 0.5 MB              |
| "docstrings" | modules, classes, functions and methods of the standard library | 1.7 MB          |
| "prose"      | topics, then docstrings: English about Python                | 2.2 MB              |
| "sources"    | the standard library's .py files: Python itself              | 11 MB               |

Sources are parsed, never imported: importing runs code, and some modules open windows, browsers or files.
"""

import ast
import importlib
import inspect
import os
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path

from .documents import Document

KINDS = ("prose", "topics", "docstrings", "sources")

# Tests and the editor are not for reading; site-packages holds other people's code and differs from machine
# to machine.
SKIPPED_FOLDERS = {
    "test", "tests", "idle_test", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__",
}  # fmt: skip

# Written in C, so there is no source to parse; importing them has no side effect and they exist on every
# platform.
C_MODULES = (
    "array", "atexit", "binascii", "builtins", "cmath", "gc",
    "itertools", "marshal", "math", "sys", "time", "unicodedata",
)  # fmt: skip


def embedded_corpus(kind: str = "prose") -> list[Document]:
    """The documents of one kind (see the table above), in the same order on every run of the same Python.

    Raises ValueError for an unknown kind, FileNotFoundError where Python was installed without the files.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown embedded corpus {kind!r}: choose one of {', '.join(KINDS)}")
    library = Path(sysconfig.get_path("stdlib"))
    documents: list[Document] = []
    if kind in ("prose", "topics"):
        documents += manual_topics()
    if kind in ("prose", "docstrings"):
        documents += python_docstrings(library)
        documents += c_docstrings() if documents else []
    if kind == "sources":
        documents += python_sources(library)
    if not documents:
        raise FileNotFoundError(
            f"this Python came without the files of the embedded corpus {kind!r} (looked in {library}): "
            "use --corpus FILE to train on your own text"
        )
    return documents


def manual_topics() -> list[Document]:
    """The language manual's pages, by name; an empty list where the installation has none."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return []
    return [Document(text, f"topic:{name}") for name, text in sorted(topics.items()) if text.strip()]


def library_files(library: Path) -> list[Path]:
    """The standard library's .py files in sorted order, without `SKIPPED_FOLDERS` and build settings."""
    found = []
    for folder, subfolders, names in os.walk(library):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS and not name.startswith("config-")]
        found += [
            Path(folder, name) for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")
        ]
    return sorted(found, key=lambda path: path.relative_to(library).parts)


def python_sources(library: Path) -> list[Document]:
    """One document per file; a file that is not readable as Python text is left out."""
    documents = []
    for path in library_files(library):
        try:
            with tokenize.open(path) as file:  # honours the file's own `coding:` line
                text = file.read()
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        if text.strip():
            documents.append(Document(text, f"source:{path.relative_to(library).as_posix()}"))
    return documents


def parsed_sources(library: Path) -> Iterator[tuple[str, ast.Module]]:
    """Each module's name and syntax tree; a file that this Python cannot parse is left out."""
    for source in python_sources(library):
        path = source.source.removeprefix("source:")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old files hold escapes that newer parsers warn about
                tree = ast.parse(source.text)
        except SyntaxError:
            continue
        yield path.removesuffix(".py").removesuffix("/__init__").replace("/", "."), tree


def python_docstrings(library: Path) -> list[Document]:
    """Every docstring of a module, class, function or method, file by file and top to bottom."""
    return [
        Document(text, f"docstring:{name}")
        for module, tree in parsed_sources(library)
        for name, text in _docstrings_of(tree, module)
    ]


def _docstrings_of(node: ast.Module | ast.ClassDef | ast.FunctionDef, name: str) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(node)
    if text and text.strip():
        yield name, text
    if isinstance(node, (ast.Module, ast.ClassDef)):  # what a function holds inside is nobody's interface
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _docstrings_of(child, f"{name}.{child.name}")


def c_docstrings() -> list[Document]:
    """The docstrings of `C_MODULES`, their public functions, classes and methods, by name."""
    documents = []
    for module_name in C_MODULES:
        module = importlib.import_module(module_name)
        owners = [(module_name, module)]
        for name, value in sorted(vars(module).items()):
            if name.startswith("_") or not callable(value):
                continue
            if module_name == "sys" and name.endswith("hook"):  # notebooks and test runners put their own there
                continue
            if getattr(value, "__module__", None) != module_name:  # put there by a debugger or a notebook
                continue
            owners.append((f"{module_name}.{name}", value))
            if isinstance(value, type):
                owners += [
                    (f"{module_name}.{name}.{method}", attribute)
                    for method, attribute in sorted(vars(value).items())
                    if not method.startswith("_") and callable(attribute)
                ]
        documents += [
            Document(inspect.cleandoc(owner.__doc__), f"docstring:{name}")
            for name, owner in owners
            if isinstance(owner.__doc__, str) and owner.__doc__.strip()
        ]
    return documents
