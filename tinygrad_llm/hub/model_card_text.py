"""The two languages of a model card, YAML and Markdown, written so that no text that is put into them can break out.

A corpus file may be called `a": b` and hold a line break. In the YAML every text is a JSON string, which YAML reads as
it stands; in the Markdown it is a code span, or has a backslash before each character that means something.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def yaml(data: Mapping[str, Any]) -> str:
    """Texts, numbers, and lists and mappings of them, as YAML. Keys are our own.

    >>> print(yaml({"tags": ["a", "b: c"], "model-index": [{"name": "x", "value": 1e-05}]}))
    tags:
      - "a"
      - "b: c"
    model-index:
      - name: "x"
        value: 1.0e-05

    Raises ValueError for a key with other characters than letters, - and _, and for a number that is not finite;
    TypeError for what is none of these.
    """
    return "\n".join(_lines(data))


def _lines(value: Mapping | Sequence) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not re.fullmatch("[A-Za-z_-]+", key):
                raise ValueError(f"yaml: a key must be of letters, - and _, not {key!r}")
            nested = isinstance(item, (Mapping, list, tuple))
            yield f"{key}:" if nested else f"{key}: {_scalar(item)}"
            yield from (f"  {line}" for line in _lines(item)) if nested else ()
        return
    for item in value:
        first, *others = _lines(item) if isinstance(item, (Mapping, list, tuple)) else [_scalar(item)]
        yield f"- {first}"
        yield from (f"  {line}" for line in others)


def _scalar(value: str | bool | int | float) -> str:
    if isinstance(value, str):
        return "".join(map(_escaped, json.dumps(value, ensure_ascii=False)))
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is not float:
        raise TypeError(f"yaml: writes texts, numbers, lists and mappings, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"yaml: a number must be finite, not {value!r}")
    mantissa, e, exponent = repr(value).partition("e")  # 1e-05 has no point, and would be read as a text
    return mantissa + ("" if "." in mantissa else ".0") + e + exponent


def _escaped(character: str) -> str:
    """As it is, or by its number: what YAML takes for the end of a line or for no text at all."""
    code = ord(character)
    if 0xD800 <= code < 0xE000:  # half a character: no file in UTF-8 can hold it
        return "\\ufffd"
    odd = 0x7F <= code < 0xA0 or code in (0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
    return f"\\u{code:04x}" if odd else character


def one_line(text: Any) -> str:
    """Without line breaks and without characters that do not print or turn the direction of writing."""
    return " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())


def plain(text: Any) -> str:
    r"""
    >>> plain("<b>a_b</b>\n| c")
    '\\<b\\>a\\_b\\</b\\> \\| c'
    """
    return re.sub(r"([\\`*_\[\]<>#|~&!$])", r"\\\1", one_line(text))


def code(text: Any) -> str:
    """
    >>> code("a.txt"), code("a`b")
    ('`a.txt`', '`` a`b ``')
    """
    line = one_line(text) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence}{line}{fence}" if len(fence) == 1 else f"{fence} {line} {fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown; all columns but the first are numbers, to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def listed(names: Sequence[str], most: int = 12) -> str:
    """As code, in one line; of many the first ones."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(code, names[:most])) + more
