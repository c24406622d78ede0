"""A strict reader of the YAML in model cards, for their tests."""

import json
import re


def parsed(text: str):
    """A strict reader of what `yaml` may write, by its rules alone: texts are JSON, nesting is by two blanks."""
    return whole(text.split("\n"))


def block(lines):
    is_list = lines[0].startswith("- ")
    found = [] if is_list else {}
    while lines and not lines[0].startswith(" "):
        first, lines = lines[0], lines[1:]
        n_nested = next((i for i, line in enumerate(lines) if not line.startswith("  ")), len(lines))
        nested, lines = [line.removeprefix("  ") for line in lines[:n_nested]], lines[n_nested:]
        if is_list:
            assert first.startswith("- ")
            inside = [first.removeprefix("- "), *nested]
            is_block = re.match(r"[A-Za-z_-]+:( |$)|- ", inside[0])
            found.append(whole(inside) if is_block else scalar(inside))
        else:
            key, colon, rest = first.partition(":")
            assert re.fullmatch("[A-Za-z_-]+", key), first
            assert colon, first
            assert key not in found, "a key twice"
            found[key] = whole(nested) if nested else scalar([rest.removeprefix(" ")])
    return found, lines


def whole(lines):
    value, rest = block(lines)
    assert rest == []
    return value


def scalar(lines):
    assert len(lines) == 1
    value = json.loads(lines[0])
    assert not isinstance(value, (dict, list))
    assert not isinstance(value, float) or "." in lines[0], "YAML 1.1 takes 1e-05 for a text"
    return value
