"""Load a lesson, exercises or checks as a module: `import` takes no name that begins with a digit."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any


def load(path: Path, prefix: str, loader_class: type[SourceFileLoader] = SourceFileLoader, **names: Any) -> ModuleType:
    """The module in the file `path`, called PREFIX_STEM. `names` are there before its code runs."""
    name = f"{prefix}_{path.stem}"
    loader = loader_class(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path, loader=loader))
    vars(module).update(names)
    sys.modules[name] = module
    loader.exec_module(module)
    return module
