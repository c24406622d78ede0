"""What a checkpoint tells beside its arrays, checked: the checksum says that it is as it was written, not by whom."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..json_text import parse_json, shortened

# A setting of an optimizer, and what comes with it for each parameter.
_STATES = {"betas": {"step", "exp_avg", "exp_avg_sq"}, "momentum": {"momentum_buffer"}}
_KINDS = {
    "step": (int,),
    "architecture": (str,),
    "model_config": (dict,),
    "optimizer": (dict, type(None)),
    "generators": (list,),
    "batches": (dict, type(None)),
    "progress": (dict,),
}


def read_facts(text: str) -> dict[str, Any]:
    """The facts by name. Raises ValueError, which says what is wrong, where one is missing or of another type."""
    facts = parse_json(text)
    if not isinstance(facts, dict) or "format_version" not in facts:
        raise ValueError("it has no format version")
    for name, kinds in _KINDS.items():
        if name not in facts or type(facts[name]) not in kinds:
            raise ValueError(f"its {name} must be {' or '.join(kind.__name__ for kind in kinds)}")
    if not 0 <= facts["step"] < 2**53:
        raise ValueError("its step must be a count")
    if not all(isinstance(state, dict) for state in facts["generators"]):
        raise ValueError("its generators must be objects")
    for name, value in facts["progress"].items():
        if not _is_numbers(value):
            raise ValueError(f"its progress has {shortened(name, 40)!r}, which is no number")
    return facts


def _is_numbers(value: Any) -> bool:
    """A number that a float can hold, none, or a list of such."""
    if isinstance(value, list):
        return all(_is_numbers(each) for each in value)
    return value is None or isinstance(value, bool) or (isinstance(value, (int, float)) and abs(value) < 1e300)


def require_optimizer(state: Mapping[str, dict]) -> None:
    """Raise ValueError unless `state` could be what an optimizer's `state_dict` gave, alone or combined."""
    parts = state["scalars"].get("optimizers")
    if parts is None:
        return _require_one(state["arrays"], state["scalars"])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError("its optimizers must be objects")
    for number, part in enumerate(parts):
        prefix = f"{number}."
        _require_one({n.removeprefix(prefix): a for n, a in state["arrays"].items() if n.startswith(prefix)}, part)


def _require_one(arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any]) -> None:
    groups = scalars.get("param_groups")
    if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
        raise ValueError("its optimizer has no groups of parameters")
    wanted: list[set[str]] = []
    for group in groups:
        if type(group.get("n")) is not int or not 0 <= group["n"] < 10**6:
            raise ValueError("its optimizer has a group without the number of its parameters")
        _require_settings(group)
        wanted += [set().union(*(names for setting, names in _STATES.items() if setting in group))] * group["n"]
    found: list[set[str]] = [set() for _ in wanted]
    for name, value in [*arrays.items(), *scalars.items()]:
        place = re.fullmatch(r"(\d{1,6})\.(\w+)", name)
        if place and int(place[1]) < len(found):
            found[int(place[1])].add(place[2])
            if isinstance(value, np.ndarray) or (type(value) is int and 0 <= value < 2**53 and place[2] == "step"):
                continue
        if name != "param_groups":
            raise ValueError(f"its optimizer has {shortened(name, 40)!r}, which belongs to no parameter")
    if any(names and names != own for names, own in zip(found, wanted, strict=True)):
        raise ValueError("its optimizer lacks a part of its state")


def _require_settings(group: Mapping[str, Any]) -> None:
    for name, value in group.items():
        ends = 1 if name in ("betas", "momentum") else math.inf
        numbers = value if isinstance(value, list) and name == "betas" else [value]
        if name == "betas" and (not isinstance(value, list) or len(value) != 2):
            raise ValueError("its optimizer has other betas than two")
        plain = name in ("lr", "eps", "weight_decay", "betas", "momentum")
        if plain and not all(type(each) in (int, float) and 0 <= each < ends for each in numbers):
            raise ValueError(f"its optimizer has a {name} that is out of range")
        if not _is_numbers(value):
            raise ValueError(f"its optimizer has {shortened(name, 40)!r}, which is no number")
