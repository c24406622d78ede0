"""How inputs are spoiled: JSON by its structure, text and binary files by their bytes.

A random file is refused at its first byte, so nothing behind that is tried. Therefore each input is a valid one with a
few changes: a value of another type, a number too large, a key left out or there twice, brackets nested ten thousand
deep, half a surrogate pair; or bytes flipped, cut off, doubled, moved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

DEEP, LARGE = 10_000, 1 << 18
NUMBERS = (
    *(0, 1, 2, 3, 4, 7, 8, 16, 32, 64, 100, 255, 256, 1000, -1, -2, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32),
    *(2**53, 2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), 10**15, 10**400, 0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-300),
    *(5e-324, 1e15, 1e308, -1e308, float("inf"), float("-inf"), float("nan")),
)
TEXTS = (
    *("", " ", "a", "0", "1", "null", "\0", "\n", "\r\n", "\ud800", "a\udfff", "\ufeff", "é", "中", "🙂", "İ", "ß"),
    *("../../../etc/passwd", "/etc/passwd", "../outside.safetensors", "../outside", "..", ".", "~", "\\..\\x", "a/b"),
    *("[UNK]", "[CLS]", "##", "##a", "Ġ", "Ġa", "<|endoftext|>", "{content}", "__class__", "F32", "I8", "BF16", "U64"),
    *("{{ ''.__class__.__mro__[1].__subclasses__() }}", "{% include '/etc/passwd' %}", "utf-16", "idna", "rot13"),
    *("uint16", "uint32", "float64", "object", "gpt", "bert", "llama", "seq2seq", "gpt2", "char", "wordpiece", "bpe"),
)
LITERALS = (None, True, False, [], {}, [[]], [None], {"": None}, [{}], {"a": 1}, [1, "a"], [0, 0])


RAW = (
    *("[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * 300 + "]" * 300, "[" * 980 + "]" * 980),
    *("9" * 5000, "-" + "9" * 4000, "1e99999", "-0", "1E400", "NaN", "-Infinity", '"\\ud800"', '"\\udc00a"'),
    *('"' + "x" * 70_000 + '"', '{"a":1,"a":2}', "nul", "'a'", "01", "1.", '"\\x"', "[1,]", '"\t"', "/**/1"),
)


class Raw(str):
    """JSON text that stands in a value's place as it is: what no Python value would give."""


def json_value(random: Random) -> Any:
    kind = random.randrange(8)
    if kind < 3:
        return random.choice(NUMBERS)
    if kind < 5:
        return random.choice(TEXTS)
    return Raw(random.choice(RAW)) if kind == 7 else json.loads(json.dumps(random.choice(LITERALS)))


def places(value: Any, most: int = 400) -> Iterator[tuple[Any, Any]]:
    """Each container and key in it, from the outside in."""
    waiting = [value]
    for container in waiting:
        keys = range(len(container)) if isinstance(container, list) else list(container)
        for key in keys:
            yield container, key
            if isinstance(container[key], (dict, list)):
                waiting.append(container[key])
        if len(waiting) > most:
            return


def change_json(data: Any, random: Random) -> Any:
    """One change somewhere in `data`, which is changed in place and returned."""
    found = list(places(data)) if isinstance(data, (dict, list)) else []
    if not found or random.random() < 0.02:
        return json_value(random)
    container, key = random.choice(found)
    other_container, other_key = random.choice(found)
    change = random.randrange(10)
    if change < 5:
        container[key] = json_value(random)
    elif change == 5:
        del container[key]
    elif change == 6:
        container[key] = deepcopy(other_container[other_key])
    elif change == 7 and isinstance(container[key], (int, float)) and abs(container[key]) < 2**70:
        container[key] = container[key] * random.choice((-1, 2, 0.5)) + random.choice((-1, 0, 1))
    elif change == 8 and isinstance(container, dict):
        container[random.choice((*TEXTS, str(other_key)))] = container.pop(key)
    elif isinstance(container, dict):
        container[random.choice((*TEXTS, str(other_key)))] = json_value(random)
    else:
        container.insert(random.randrange(len(container) + 1), json_value(random))
    return data


def dumps(data: Any, random: Random) -> str:
    """JSON with the raw pieces in their places, and now and then a key twice."""
    raw: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, Raw):
            raw.append(value)
            return f"<raw {len(raw) - 1}>"
        if isinstance(value, dict):
            return {key: marked(each) for key, each in value.items()}
        return [marked(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(marked(data), ensure_ascii=random.random() < 0.5)
    for number, piece in enumerate(raw):
        text = text.replace(f'"<raw {number}>"', piece, 1)
    if isinstance(data, dict) and data and random.random() < 0.03:
        key = random.choice(list(data))
        text = text[:-1] + f", {json.dumps(key)}: {json.dumps(random.choice(NUMBERS))}}}"
    return text


def spoiled_json(seeds: Sequence[bytes], random: Random) -> bytes:
    """One to three changes in the structure; of ten inputs one gets its bytes changed as well."""
    data = json.loads(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = change_json(data, random) if not isinstance(data, Raw) else data
    raw = dumps(data, random).encode("utf-8", "surrogatepass")
    return raw if random.random() < 0.9 else spoiled_bytes([raw], random)


def spoiled_lines(seeds: Sequence[bytes], random: Random) -> bytes:
    """JSON Lines: changes in one or two of the lines."""
    lines = random.choice(seeds).splitlines()
    for _ in range(random.choice((1, 2))):
        number = random.randrange(len(lines))
        try:
            lines[number] = spoiled_json([lines[number]], random)
        except (ValueError, RecursionError):  # spoiled already
            lines[number] = spoiled_bytes([lines[number]], random)
    raw = b"\n".join(lines)
    return raw if random.random() < 0.8 else spoiled_bytes([raw], random)


def spoiled_bytes(seeds: Sequence[bytes], random: Random) -> bytes:
    """Flips, cuts, insertions, copies; a row of 8 bytes becomes a huge number; two seeds are joined."""
    raw = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        change = random.randrange(8)
        place = random.randrange(len(raw) + 1)
        stop = min(len(raw), place + random.choice((1, 2, 4, 8, 64)))
        if change == 0 and place < len(raw):
            raw[place] ^= 1 << random.randrange(8)
        elif change == 1 and place < len(raw):
            raw[place] = random.choice((0, 9, 10, 13, 32, 34, 39, 44, 0x5C, 0x7F, 0x80, 0xC0, 0xFE, 0xFF))
        elif change == 2:
            del raw[place:stop]
        elif change == 3:
            raw[place:place] = raw[place:stop] * random.choice((1, 2, 50))
        elif change == 4:
            raw[place:place] = random.choice(TEXTS).encode("utf-8", "surrogatepass")
        elif change == 5:
            raw[place : place + 8] = random.choice((0, 2**63, 2**64 - 1, 10**15, 2**31, 2**40)).to_bytes(8, "little")
        elif change == 6:
            del raw[place:]
        else:
            other = random.choice(seeds)
            start = random.randrange(len(other) + 1)
            raw[place:stop] = other[start : start + 64]
    return bytes(raw[: 1 << 20])


def large_inputs(seed: bytes) -> Iterator[bytes]:
    """A quarter of a megabyte each, of what takes a careless reader the square of its length."""
    yield seed * (1 + LARGE // max(len(seed), 1))
    for piece in (*(bytes([byte]) for byte in b",\n\"[{'\t\\ a\0\xff"), b"[],", b'"",', b"{%", b"{{", b"\n,"):
        yield piece * (LARGE // len(piece))
    keys = {f"k{number}": number for number in range(20_000)}
    for value in (keys, [0] * 80_000, [[]] * 60_000, {"a": "x" * LARGE}, {"a": ["b c"] * 30_000}, [keys]):
        yield json.dumps(value).encode()
    try:
        data = json.loads(seed)
    except ValueError:
        return
    for container, key in places(data):
        if type(container) is dict:
            for value in (keys, [0] * 60_000, ["a"] * 50_000, [{}] * 50_000, "x" * LARGE):
                yield json.dumps(_replaced(data, container, key, value)).encode()


def _replaced(data: Any, container: dict, key: Any, value: Any) -> Any:
    before, container[key] = container[key], value
    changed = deepcopy(data)
    container[key] = before
    return changed


Mutator = Callable[[Sequence[bytes], Random], bytes]
