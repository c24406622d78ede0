"""The rules of the house, read off the sources: who may import whom, how long a file may be, what is never used."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from op_cases import cases_by_family

import tinygrad_llm
from tinygrad_llm.autograd import Function

PACKAGE = Path(tinygrad_llm.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 300

# Each part of the package, and the parts it may import: lower ones only.
ENGINE = {"kernel", "autograd", "ops"}
LAYERS = ENGINE | {"functional", "nn"}
MODELS = LAYERS | {"optim", "models"}
MAY_IMPORT = {
    "kernel": set(),
    "memory": set(),
    "autograd": set(),
    "json_text": set(),
    "lock": set(),
    "files": {"json_text", "lock"},
    "text": {"kernel", "json_text", "files"},
    "data": {"kernel", "json_text"},
    "ops": {"kernel", "autograd"},
    "functional": {"ops"},
    "nn": ENGINE | {"functional"},
    "optim": ENGINE,
    "models": LAYERS,
    "generate": MODELS,
    "hub": MODELS | {"text", "json_text", "files", "memory"},
    "applications": MODELS | {"files", "text", "data", "generate", "hub"},
    "evaluate": MODELS | {"text", "data", "generate", "applications"},
    "train": MODELS | {"json_text", "files", "text", "data", "generate", "evaluate", "hub"},
    "warm_up": ENGINE | {"functional", "optim"},
    "testing": {"autograd"},
    "plots": {"autograd", "files"},
    "school": {"autograd", "testing", "plots", "text", "files"},
    "cli": MODELS
    | {
        "lock",
        "files",
        "applications",
        "text",
        "data",
        "generate",
        "evaluate",
        "train",
        "hub",
        "plots",
        "warm_up",
        "school",
        "",
    },
    "__main__": {"cli"},
}

# They take long to import, and a user of the engine alone may need none of them.
IMPORTED_WHERE_USED = {"numba", "matplotlib", "rich", "hypothesis", "jupytext", "torch", "tensorboard", "mpi4py"}
HEAVY_BUT_NEEDED = {"cli": {"rich"}, "plots": {"matplotlib"}, "school": {"matplotlib"}}
NEVER_IMPORTED = {"pickle", "marshal", "shelve", "dill", "urllib", "http", "socket", "requests", "torch", "tokenizers"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__", "vectorize", "guvectorize", "breakpoint"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"


def imported_modules(path: Path, node: ast.AST) -> list[str]:
    """The full names that an import statement loads: a submodule where the name is one, else the module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = module_name(path).split(".")
        levels_up = node.level - (path.name == "__init__.py")
        base = ".".join([*package[: len(package) - levels_up], *([node.module] if node.module else [])])
    names = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else base for name in names]


def statements_at_import(tree: ast.AST):
    """All nodes that run when the module is imported: not those inside functions."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from statements_at_import(child)


def part_of(name: str) -> str:
    """The part that a module of the package belongs to, '' for the package itself."""
    return name.split(".")[1] if "." in name else ""


def test_every_part_is_a_planned_one():
    """A new file beside the planned ones needs a place in the order of imports first."""
    parts = {part_of(name) for name in MODULES} - {""}
    assert parts <= set(MAY_IMPORT)


def test_imports_point_one_way():
    violations = []
    for name, path in MODULES.items():
        for node in ast.walk(tree_of(path)) if part_of(name) else ():
            for target in imported_modules(path, node):
                if target.split(".")[0] == "tinygrad_llm":
                    allowed = MAY_IMPORT[part_of(name)] | {part_of(name)}
                    if part_of(target) not in allowed:
                        violations.append(f"{where(path, node)} imports {target}")
    assert violations == []


def test_imports_inside_the_package_are_relative():
    violations = [
        where(path, node)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and not getattr(node, "level", 0)
        and any(target.split(".")[0] == "tinygrad_llm" for target in imported_modules(path, node))
    ]
    assert violations == []


def test_no_modules_import_each_other():
    graph = {
        name: {
            target
            for node in ast.walk(tree_of(path))
            for target in imported_modules(path, node)
            if target in MODULES and target != name
        }
        for name, path in MODULES.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_files_are_short():
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for folder in (PACKAGE, ROOT / "tests", ROOT / "lessons", ROOT / "benchmarks")
        for path in folder.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_every_module_says_what_it_is():
    assert [str(path) for path in FILES if not ast.get_docstring(tree_of(path))] == []


def test_every_function_has_an_op_case():
    for name in MODULES:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    functions, stack = set(), [Function]
    while stack:
        subclasses = stack.pop().__subclasses__()
        functions |= {each for each in subclasses if each.__module__.startswith("tinygrad_llm.")}
        stack += subclasses
    tested = {case.function for cases in cases_by_family().values() for case in cases}
    assert sorted(each.__name__ for each in functions - tested) == []
    assert len(functions) >= 2


def test_heavy_packages_are_imported_where_they_are_used():
    violations = [
        f"{where(path, node)} imports {target}"
        for path in FILES
        for node in statements_at_import(tree_of(path))
        for target in imported_modules(path, node)
        if target.split(".")[0] in IMPORTED_WHERE_USED - HEAVY_BUT_NEEDED.get(part_of(module_name(path)), set())
    ]
    assert violations == []


def test_nothing_loads_code_from_data_or_reaches_for_the_network():
    violations = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            for target in imported_modules(path, node):
                if target.split(".")[0] in NEVER_IMPORTED:
                    violations.append(f"{where(path, node)} imports {target}")
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                builtin = isinstance(node.func, ast.Name) or called in ("vectorize", "guvectorize")
                if builtin and called in NEVER_CALLED:
                    violations.append(f"{where(path, node)} calls {called}")
                if any(keyword.arg == "allow_pickle" and keyword.value.value for keyword in node.keywords):
                    violations.append(f"{where(path, node)} allows pickle")
    assert violations == []


def kernels_of(path: Path) -> list[ast.FunctionDef]:
    def is_kernel(decorator: ast.expr) -> bool:
        name = decorator.func if isinstance(decorator, ast.Call) else decorator
        return isinstance(name, ast.Name) and name.id in ("kernel", "vectorize", "guvectorize", "njit", "jit")

    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
    return [node for node in functions if any(is_kernel(decorator) for decorator in node.decorator_list)]


WITH_KERNELS = [path for path in FILES if kernels_of(path)]


def test_kernels_are_made_by_our_decorator_at_module_level():
    """Nested ones would be compiled again at each call; Numba's own decorators ignore the switches of kernel.py."""
    assert len(WITH_KERNELS) >= 2
    for path in WITH_KERNELS:
        for function in kernels_of(path):
            assert function in tree_of(path).body, where(path, function)
            source = ast.unparse(function.decorator_list[0])
            assert source in ("kernel", "kernel(parallel=True)", "kernel(inline=True)"), where(path, function)


def test_kernels_use_other_files_only_where_the_cache_on_disk_looks():
    """It notices edits in files that kernels are imported from, and would keep a constant of another one for good."""
    violations = []
    kernels = {f"{module_name(path)}.{function.name}" for path in WITH_KERNELS for function in kernels_of(path)}
    for path in WITH_KERNELS:
        imported = {
            alias.asname or alias.name: (module, f"{module}.{alias.name}")
            for node in statements_at_import(tree_of(path))
            if isinstance(node, ast.ImportFrom) and node.level
            for alias, module in zip(node.names, imported_modules(path, node), strict=True)
        }
        watched = {module for module, full_name in imported.values() if full_name in kernels} | {"tinygrad_llm.kernel"}
        for node in (node for function in kernels_of(path) for node in ast.walk(function)):
            module, full_name = imported.get(getattr(node, "id", None), ("tinygrad_llm.kernel", ""))
            if module not in watched:
                violations.append(f"{where(path, node)}: {full_name}")
    assert violations == []


def test_every_file_with_kernels_has_a_plain_reference():
    """`softmax_ref` beside the kernels; attention_ref of attention.py for attention_kernels.py and the like."""
    violations = []
    for path in WITH_KERNELS:
        beside = path.with_name(re.sub("_(kernels|tiles|layout)$", "", path.stem) + ".py")
        names = [getattr(node, "name", "") for file in {path, beside} if file.exists() for node in tree_of(file).body]
        if path.name != "fast_math.py" and not any(name.endswith("_ref") for name in names):
            violations.append(path.relative_to(ROOT).as_posix())
    assert violations == []


def test_import_is_light():
    heavy = sorted(IMPORTED_WHERE_USED)
    code = f"import sys, tinygrad_llm; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
