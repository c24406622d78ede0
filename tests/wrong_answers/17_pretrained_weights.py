"""Plausible wrong answers to the exercises of lesson 17: each must fail its check."""

import json
import math
import re
import struct

import numpy as np


def mean_pool__counts_padding(hidden, mask):
    """The mask is not used."""
    return hidden.mean(axis=1)


def mean_pool__divides_by_all_positions(hidden, mask):
    """The sum is right, the number is not."""
    return np.where(mask[..., None], hidden, 0).sum(axis=1) / hidden.shape[1]


def mean_pool__multiplies_by_the_mask(hidden, mask):
    """0 · NaN is NaN."""
    return (hidden * mask[..., None]).sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1)


def mean_pool__divides_by_zero(hidden, mask):
    """A text without tokens becomes 0/0."""
    return np.where(mask[..., None], hidden, 0).sum(axis=1) / mask.sum(axis=1, keepdims=True)


def mean_pool__takes_the_first_n(hidden, mask):
    """As many vectors as there are tokens, but not the tokens."""
    n = mask.sum(axis=1)
    return np.stack([h[:k].mean(axis=0) if k else np.zeros(h.shape[1]) for h, k in zip(hidden, n, strict=True)])


def _names(table, shapes):
    """Our name → their pattern, their name and the kind."""
    found = {}
    for name in shapes:
        module, _, kind = name.rpartition(".")
        number = re.search(r"\.(\d+)\.", module)
        pattern = table[re.sub(r"\.\d+\.", ".*.", module)]
        found[name] = pattern, f"{pattern.replace('*', number[1] if number else '')}.{kind}", kind
    return found


def _fitted(arrays, table, transposed, shapes, transpose, problems_of):
    """The solution, with another rule for what is transposed, or for what is a problem."""
    names, ours, problems = _names(table, shapes), {}, []
    for name, (pattern, theirs, kind) in names.items():
        if theirs not in arrays:
            problems.append(("missing", theirs))
            continue
        array = arrays[theirs]
        ours[name] = array.T if transpose(array, shapes[name], pattern in transposed and kind == "weight") else array
        if ours[name].shape != shapes[name]:
            problems.append(("shape", theirs))
    asked = {theirs for _, theirs, _ in names.values()}
    problems += [("unexpected", name) for name in arrays if name not in asked]
    problems = problems_of(problems)
    if problems:
        raise ValueError(str(problems))
    return ours


def to_ours__transposes_what_does_not_fit(arrays, table, transposed, shapes):
    """A square matrix always fits."""
    return _fitted(arrays, table, transposed, shapes, lambda a, shape, _: a.shape != shape, list)


def to_ours__transposes_every_matrix(arrays, table, transposed, shapes):
    """Embeddings too."""
    return _fitted(arrays, table, transposed, shapes, lambda *_: True, list)


def to_ours__stops_at_the_first_problem(arrays, table, transposed, shapes):
    """One name at a time."""
    return _fitted(arrays, table, transposed, shapes, lambda a, _, wanted: wanted, lambda problems: problems[:1])


def to_ours__ignores_what_it_does_not_know(arrays, table, transposed, shapes):
    """As if a weight too many did no harm."""

    def kept(problems):
        return [each for each in problems if each[0] != "unexpected"]

    return _fitted(arrays, table, transposed, shapes, lambda a, _, wanted: wanted, kept)


def to_ours__does_not_look_at_shapes(arrays, table, transposed, shapes):
    """What has the right name is taken."""

    def kept(problems):
        return [each for each in problems if each[0] != "shape"]

    return _fitted(arrays, table, transposed, shapes, lambda a, _, wanted: wanted, kept)


def to_ours__reshapes(arrays, table, transposed, shapes):
    """The right shape, the wrong order of numbers."""
    return {name: arrays[theirs].reshape(shapes[name]) for name, (_, theirs, _) in _names(table, shapes).items()}


def to_ours__takes_one_digit(arrays, table, transposed, shapes):
    """Block 12 becomes block 1."""
    short = {re.sub(r"\.(\d)\d*\.", r".\1.", name): shape for name, shape in shapes.items()}
    return _fitted(arrays, table, transposed, short, lambda a, _, wanted: wanted, list)


def to_ours__takes_weights_out_of_the_file(arrays, table, transposed, shapes):
    """What is left over is unexpected; but the caller's dict is empty then."""
    ours = {}
    for name, (pattern, theirs, kind) in _names(table, shapes).items():
        array = arrays.pop(theirs)
        ours[name] = array.T if pattern in transposed and kind == "weight" else array
    if arrays:
        raise ValueError(f"unexpected: {', '.join(arrays)}")
    return ours


_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _array(raw, start, about):
    begin, end = about["data_offsets"]
    array = np.frombuffer(raw[start + begin : start + end], _TYPES[about["dtype"]])
    if about["dtype"] == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32).reshape(about["shape"])


def read_tensor__trusts_the_file(raw, name):
    """The reader of the lesson."""
    start = 8 + int.from_bytes(raw[:8], "little")
    return _array(raw, start, json.loads(raw[8:start])[name])


def read_tensor__hides_all_errors(raw, name):
    """Every error becomes a ValueError, but a negative offset or size is none."""
    try:
        return read_tensor__trusts_the_file(raw, name)
    except Exception as error:
        raise ValueError(str(error)) from error


def read_tensor__believes_the_length(raw, name):
    """Offsets and shape are checked, but not that the header ends within the file."""
    start = 8 + int.from_bytes(raw[:8], "little")
    try:
        about = json.loads(raw[8:start])[name]
        begin, end = about["data_offsets"]
        counts = [*about["shape"], begin, end]
        size = math.prod(about["shape"]) * np.dtype(_TYPES[about["dtype"]]).itemsize
        if any(type(n) is not int or n < 0 for n in counts) or end - begin != size or name == "__metadata__":
            raise ValueError("it does not fit")
        return _array(raw, start, about)
    except Exception as error:
        raise ValueError(str(error)) from error


def read_tensor__counts_offsets_from_the_start(raw, name):
    """They count from the end of the header."""
    start = 8 + int.from_bytes(raw[:8], "little")
    return _array(raw, 0, json.loads(raw[8:start])[name])


def read_tensor__puts_bfloat16_below(raw, name):
    """BF16 is the upper half, not the lower one; nor is it a float16."""
    start = 8 + int.from_bytes(raw[:8], "little")
    about = json.loads(raw[8:start])[name]
    begin, end = about["data_offsets"]
    kind = {"F32": "<f4", "F16": "<f2", "BF16": "<f2"}[about["dtype"]]
    return np.frombuffer(raw[start + begin : start + end], kind).astype(np.float32).reshape(about["shape"])


def _settings(raw, cut=lambda raw, place, n: raw[place : place + n], swapped=False, order="<", twice=False):
    """A reader that believes the file; what is different in it is given."""
    place, settings = 4, {}

    def number(code):
        nonlocal place
        size = struct.calcsize(f"<{code}")
        place += size
        return struct.unpack(f"{order}{code}", cut(raw, place - size, size))[0]

    def text():
        nonlocal place
        n = number("Q")
        place += n
        return cut(raw, place - n, n).decode()

    def value(kind):
        if kind == 9:
            kind, n = number("I"), number("Q")
            return [single[kind]() for _ in range(n)] if kind in single else single[kind]
        return single[kind]()

    single = {4: lambda: number("I"), 6: lambda: number("f"), 8: text}
    number("I")
    counts = number("Q"), number("Q")
    for _ in range(counts[0 if swapped else 1]):
        name = text()
        if name in settings and not twice:
            raise ValueError("a name comes twice")
        settings[name] = value(number("I"))
    return settings


def gguf_settings__trusts_the_file(raw):
    """Nothing is checked; a text beyond the end is shorter, and no error."""
    return _settings(raw)


def gguf_settings__hides_all_errors(raw):
    """Every error becomes a ValueError, but a short slice is none, nor another version."""
    try:
        return _settings(raw)
    except Exception as error:
        raise ValueError(str(error)) from error


def _exact(raw, place, n):
    if place + n > len(raw):
        raise ValueError("it is cut off")
    return raw[place : place + n]


def gguf_settings__does_not_look_at_the_beginning(raw):
    """All lengths are checked, but neither GGUF nor the version."""
    try:
        return _settings(raw, cut=_exact)
    except KeyError as error:
        raise ValueError("an unknown type") from error


def gguf_settings__takes_the_last_of_two(raw):
    """A name that comes twice has the second value, and nobody knows."""
    if raw[:8] != b"GGUF\3\0\0\0":
        raise ValueError("it is no GGUF file")
    try:
        return _settings(raw, cut=_exact, twice=True)
    except KeyError as error:
        raise ValueError("an unknown type") from error


def gguf_settings__counts_tensors(raw):
    """The first of the two numbers is that of the tensors."""
    return _settings(raw, cut=_exact, swapped=True)


def gguf_settings__reads_the_highest_byte_first(raw):
    """Big-endian."""
    return _settings(raw, cut=_exact, order=">")


def gguf_settings__reserves_what_is_promised(raw):
    """A buffer of the length that is told, before anything is looked at."""

    def cut(raw, place, n):
        buffer = bytearray(n)
        buffer[:] = _exact(raw, place, n)
        return bytes(buffer)

    if raw[:8] != b"GGUF\3\0\0\0":
        raise ValueError("it is no GGUF file")
    try:
        return _settings(raw, cut=cut)
    except (KeyError, struct.error) as error:
        raise ValueError(str(error)) from error
