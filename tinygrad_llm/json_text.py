r"""JSON from files that may come from anywhere: read within limits, and made short where a message quotes it.

Python's own reader takes brackets nested nearly as deep as its stack, which then breaks whatever walks through the
value, and a gigabyte of memory for 30 MB of "[],[],[],…". A text may be a megabyte long, or hold "\ud800", half of a
character, which no terminal can show.
"""

from __future__ import annotations

import json
import re
from typing import Any

# Far above what any file of this field needs. A value may take three characters of a file, but 90 bytes of memory.
MOST_VALUES = 1_500_000
MOST_DEPTH = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def parse_json(text: str) -> Any:
    """The value in a JSON text. Raises ValueError for what is none, and for one of more than MOST_VALUES values or
    nested more than MOST_DEPTH deep."""
    if _most_values(text) > MOST_VALUES and _most_values(_STRING.sub("", text)) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"its brackets are nested more than {MOST_DEPTH} deep") from None
    if text.count("[") + text.count("{") > MOST_DEPTH:
        _require_shallow(value)
    return value


def _most_values(text: str) -> int:
    """No fewer than there are; more where strings hold these signs, too."""
    return text.count(",") + text.count("[") + text.count("{")


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
        if not level:
            return
    raise ValueError(f"its brackets are nested more than {MOST_DEPTH} deep")


def shortened(text: object, most: int = 300) -> str:
    """Of a text for a message the beginning, as it can be printed.

    >>> shortened("abcdef", most=4), shortened("\\ud800")
    ('abc…', '\\\\ud800')
    """
    text = str(text)
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    return text.encode("utf-8", "backslashreplace").decode()
