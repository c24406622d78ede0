"""How the exercises of lesson 17 are graded."""

from __future__ import annotations

import copy
import json
import re
import struct
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_llm.school import WrongAnswer, demand, exercise, expect, search
from tinygrad_llm.school.checks import call_answer, call_text, compare, show
from tinygrad_llm.testing import float_arrays


def refused(answer, *inputs, why: str, call: str | None = None) -> str:
    """The message of the ValueError that the answer has to raise."""
    call = call or call_text(answer, inputs)
    try:
        got = call_answer(answer, inputs, call)
    except WrongAnswer as wrong:
        if isinstance(wrong.__cause__, ValueError):
            return str(wrong.__cause__)
        raise WrongAnswer(f"{why}: a ValueError was expected; {wrong.what}", call) from wrong
    raise WrongAnswer(f"{why}: a ValueError was expected", call, got=show(got))


def mean_pool_ref(hidden, mask):
    out = np.zeros((hidden.shape[0], hidden.shape[2]))
    for vectors, tokens, mean in zip(hidden, mask, out, strict=True):
        if tokens.any():
            mean[...] = vectors[tokens].mean(axis=0)
    return out


@st.composite
def texts(draw):
    """hidden (B, T, C) and mask (B, T), with tokens anywhere."""
    B, T, C = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    mask = draw(st.lists(st.booleans(), min_size=B * T, max_size=B * T))
    return draw(float_arrays((B, T, C))), np.array(mask).reshape(B, T)


@exercise(
    "How many vectors may be in the sum of a text, and by what is it divided?",
    "0 · NaN is NaN: np.where(condition, hidden, 0) chooses, and does not multiply. mask[..., None] is (B, T, 1). And "
    "a text without tokens must not be divided by 0.",
)
def mean_pool(answer):
    with np.errstate(all="ignore"):
        paper = np.array([[[2.0, 0.0], [0.0, 4.0], [9.0, 9.0]]])
        expect(answer, paper, np.array([[True, True, False]]), equals=np.array([[1.0, 2.0]]), why="the example")
        two = np.array([[[1.0], [2.0], [3.0], [6.0]], [[8.0], [9.0], [9.0], [9.0]]])
        ragged = np.array([[True] * 4, [True, False, False, False]])
        expect(answer, two, ragged, equals=np.array([[3.0], [8.0]]), why="each text is divided by its own tokens")
        expect(answer, two, ~ragged, equals=np.array([[0.0], [9.0]]), why="padding may come first; no token makes 0")
        for odd in (np.nan, np.inf):
            spoilt = np.array([[[5.0, 1.0], [odd, odd]]])
            expect(answer, spoilt, np.array([[True, False]]), equals=np.array([[5.0, 1.0]]), why=f"{odd} is padding")
        search(lambda drawn: expect(answer, *drawn, equals=mean_pool_ref(*drawn)), texts())


TABLE = {
    "token_embedding": "wte",
    "norm": "ln_f",
    "blocks.*.norm1": "h.*.ln_1",
    "blocks.*.qkv": "h.*.attn.c_attn",
    "blocks.*.out": "h.*.attn.c_proj",
    "blocks.*.up": "h.*.mlp.c_fc",
}
TRANSPOSED = {"h.*.attn.c_attn", "h.*.attn.c_proj", "h.*.mlp.c_fc"}
SHAPES = dict(zip(TABLE, ((4, 2), (2,), (2,), (6, 2), (2, 2), (3, 2)), strict=True))


def small_gpt2(block: int, seed: int = 0, modules=tuple(TABLE)) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Weights of one block, by their names and by ours."""
    rng, theirs, ours = np.random.default_rng(seed), {}, {}
    for module in modules:
        their_module, our_module = (each.replace("*", str(block)) for each in (TABLE[module], module))
        for kind in ("weight",) if module == "token_embedding" else ("weight", "bias"):
            shape = SHAPES[module] if kind == "weight" else SHAPES[module][:1]
            array = rng.integers(-9, 10, shape).astype(np.float64)
            ours[f"{our_module}.{kind}"] = array
            theirs[f"{their_module}.{kind}"] = array.T.copy() if TABLE[module] in TRANSPOSED else array
    return theirs, ours


def calls(theirs: dict[str, np.ndarray], ours: dict[str, np.ndarray]) -> tuple[tuple, str]:
    shapes = {name: array.shape for name, array in ours.items()}
    shown = ", ".join(f"{name} {array.shape}" for name, array in theirs.items())
    return (theirs, TABLE, TRANSPOSED, shapes), f"to_ours(arrays, …) for arrays {shown}"


@exercise(
    "For one of our names: which module, which kind, and which number of a block? And then which name of theirs?",
    "Go through `shapes`: rpartition('.') splits off the kind, re finds the number, and with * in its place the module "
    "is in the table. Collect problems in a list and raise at the end: what was not asked for is known only then.",
)
def to_ours(answer):
    for module, why in (
        ("blocks.*.up", "their matrix is (in, out)"),
        ("blocks.*.out", "a square matrix is (in, out), too"),
        ("token_embedding", "not every matrix is transposed, and not every module is in a block"),
    ):
        check_weights(answer, *small_gpt2(7, modules=(module,)), why=why)
    for block in (0, 12):
        check_weights(answer, *small_gpt2(block), why="the number of the block is kept" if block else "")
    first, second = small_gpt2(1), small_gpt2(11, seed=1)
    check_weights(answer, first[0] | second[0], first[1] | second[1], why="blocks 1 and 11 are two")
    check_problems(answer, lack=["h.1.ln_1.weight"])
    check_problems(answer, lack=["h.1.ln_1.bias", "h.11.mlp.c_fc.weight", "wte.weight"])
    check_problems(answer, extra={"h.1.ln_9.weight": (2,)})
    check_problems(answer, extra={"h.2.ln_1.weight": (2,), "score.weight": (2, 2)})
    check_problems(answer, extra={"h.1.mlp.c_fc.weight": (3, 2)})
    check_problems(answer, extra={"ln_f.bias": (3,), "wte.weight": (2, 4), "h.11.attn.c_attn.bias": (2, 3)})
    wrong = {"h.1.attn.c_attn.weight": (6, 2), "h.4.ln_1.bias": (2,)}
    check_problems(answer, lack=["ln_f.weight", "h.11.attn.c_proj.bias"], extra=wrong)


def check_weights(answer, theirs, ours, why=""):
    inputs, call = calls(theirs, ours)
    before = copy.deepcopy(inputs)
    got = call_untouched(answer, inputs, before, call)
    demand(isinstance(got, dict), "a dict was expected", call, got=got)
    demand(
        set(got) == set(ours), f"the names are other ones{f' ({why})' if why else ''}", call, sorted(ours), sorted(got)
    )
    for name, array in ours.items():
        compare(got[name], array, f"{call}\nits {name}", why=why)


def call_untouched(answer, inputs, before, call):
    """The answer's result for these very inputs, which it must leave as they are."""

    def run():
        return answer(*inputs)

    run.__module__ = answer.__module__
    try:
        return call_answer(run, (), call)
    finally:
        same = set(inputs[0]) == set(before[0]) and all(
            np.array_equal(inputs[0][name], before[0][name]) for name in before[0]
        )
        demand(same and inputs[1:] == before[1:], "your answer changes the dicts that it is given", call)


def check_problems(answer, lack=(), extra=None):
    """A file of two blocks without some weights, and with others, or with ones of other shapes."""
    first, second = small_gpt2(1), small_gpt2(11, seed=1)
    theirs, ours = first[0] | second[0], first[1] | second[1]
    extra = {name: np.ones(shape) for name, shape in (extra or {}).items()}
    spoilt = {name: array for name, array in theirs.items() if name not in lack} | extra
    inputs, call = calls(spoilt, ours)
    lists = {
        "missing": sorted(lack),
        "not asked for": sorted(set(extra) - set(theirs)),
        "of another shape": sorted(set(extra) & set(theirs)),
    }
    why = "; ".join(f"{what}: {', '.join(names)}" for what, names in lists.items() if names)
    message = refused(answer, *inputs, why=why, call=call)
    named = set(re.findall(r"[\w.]+\w", message)) & (set(theirs) | set(extra))
    problems = set(lack) | set(extra)
    demand(problems <= named, f"the error does not name {', '.join(sorted(problems - named))}", call, why, message)
    demand(named <= problems, f"the error names {', '.join(sorted(named - problems))}, which fits", call, why, message)


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def about(dtype: Any = "F32", shape: Any = (1,), data_offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}


@exercise(
    "First the honest file: where does the header end, and where do a tensor's bytes begin? Then: what else could each "
    "number be?",
    "A slice beyond the end is shorter and no error, and one from a negative number counts from the end. So compare "
    "each number with the length before you cut. type(n) is int is False for 1.0 and for True. json.loads raises "
    "ValueError for most of what is no JSON, but RecursionError where brackets are nested by the thousand.",
)
def read_tensor(answer):
    one, pi = np.array([1.0], "<f4").tobytes(), bytes.fromhex("803f 4940")
    check_honest(answer, one)
    raw = file_of({"w": about("BF16", [2])}, pi)
    expect(answer, raw, "w", equals=np.array([1.0, 3.140625], np.float32), why="the example")
    for size in (0, 5, 7, 8, 20, len(raw) - 1):
        refused(answer, raw[:size], "w", why=f"the file is cut off after {size} of {len(raw)} bytes")
    good = {"w": about()}
    refused(answer, file_of(good, one), "v", why="there is no v in the file")
    refused(
        answer, file_of(good | {"__metadata__": {"format": "pt"}}, one), "__metadata__", why="the notes are no tensor"
    )
    empty = json.dumps({"w": about(shape=[0], data_offsets=[0, 0])}).encode()
    for length in (len(empty) + 1, 2**62):
        refused(answer, file_of(empty, length=length), "w", why="the header is said to be longer than the file")
    for header in (b"{", b"[1]", b'"w"', b"7", b"null", b"\xff\xfe", b"[" * 100_000):
        refused(answer, file_of(header, one), "w", why="the header is no JSON object")
    for entry in (None, 7, "F32", [], {}, {"dtype": "F32", "shape": [1]}, {"shape": [1], "data_offsets": [0, 4]}):
        refused(answer, file_of({"w": entry}, one), "w", why="the entry is not as it should be")
    for dtype in ("I32", "f32", "F64", 32, None, ["F32"]):
        refused(answer, file_of({"w": about(dtype)}, one), "w", why="the type is none of the three")
    for shape in ([-1], [2], [0], 1, "1", None, [1.0], [True], ["1"], [[1]], [-1, -1], [2**70], {"1": 1}):
        refused(answer, file_of({"w": about(shape=shape)}, one), "w", why="the shape cannot be right")
    offsets_tried = "[0,8] [4,8] [-4,0] [0,0] [4,0] [0,3] [0.0,4.0] [0] [0,4,8] null 4 [null,4]"
    for offsets in ("04", *map(json.loads, offsets_tried.split())):
        refused(answer, file_of({"w": about(data_offsets=offsets)}, one), "w", why="the offsets cannot be right")


def check_honest(answer, one):
    numbers = np.array([[1.5, -2.0, 0.25], [3.0, np.inf, -0.0]], np.float32)
    data = numbers.tobytes() + numbers.astype("<f2").tobytes() + one
    header = {
        "__metadata__": {"format": "pt"},
        "a": about("F32", [2, 3], [0, 24]),
        "b": about("F16", [2, 3], [24, 36]),
        "c": about("F32", [], [36, 40]),
        "d": about("F32", [0, 5], [40, 40]),
        "e": about("BF16", [1, 2], [36, 40]),
    }
    for name, expected, why in (
        ("a", numbers, "six F32 numbers"),
        ("b", numbers, "offsets count from the end of the header; F16 becomes float32"),
        ("c", np.array(1.0, np.float32), "the shape [] is one number"),
        ("d", np.zeros((0, 5), np.float32), "a tensor without elements has no bytes"),
        ("e", np.array([[0.0, 1.0]], np.float32), "BF16 is the upper half of a float32"),
    ):
        got = expect(answer, file_of(header, data), name, equals=expected, why=why)
        demand(got.dtype == np.float32, f"float32 was expected, not {got.dtype}", f"read_tensor(raw, {name!r})")
    padded = json.dumps(header).encode() + b" " * 7  # safetensors fills headers up to a multiple of 8
    expect(answer, file_of(padded, data), "c", equals=np.array(1.0, np.float32), why="the header may end in spaces")


def as_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def as_value(value) -> bytes:  # with its type before it
    write = {int: (4, lambda n: struct.pack("<I", n)), float: (6, lambda x: struct.pack("<f", x)), str: (8, as_text)}
    if isinstance(value, list):
        kind, each = write[type(value[0])] if value else write[str]
        return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(map(each, value))
    kind, each = write[type(value)]
    return struct.pack("<I", kind) + each(value)


def gguf(*settings: tuple[str, Any], version: int = 3, n: int | None = None) -> bytes:
    """A file with these settings; it tells of a tensor too."""
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(settings) if n is None else n)
    return head + b"".join(as_text(name) + as_value(value) for name, value in settings)


words, floats = st.text("aé→", max_size=3), st.sampled_from([0.0, 0.5, -2.0, 10_000.0])
lists = st.lists(words, max_size=3) | st.lists(floats, max_size=3) | st.lists(st.integers(0, 2**32 - 1), max_size=3)
settings_drawn = st.dictionaries(words, words | floats | st.integers(0, 2**32 - 1) | lists, max_size=3)


@exercise(
    "Write a function take(n) that gives the next n bytes, and raises if there are fewer. Who else reads raw?",
    "A slice beyond the end is shorter and no error. struct.unpack('<Q', take(8))[0] is a length; text is "
    "take(length).decode(), whose error is a ValueError already. A list is read element by element, so that it ends "
    "where the file does; look at its type even if it is empty.",
)
def gguf_settings(answer):
    def check(settings, why=""):
        call, raw = f"gguf_settings({gguf(*settings.items())})", gguf(*settings.items()) + b"\x01 behind"
        got = call_answer(answer, (raw,), call)
        plain = isinstance(got, dict) and all(type(each) in (int, float, str, list) for each in got.values())
        demand(plain, "a dict of int, float, str and list was expected", call, settings, got)
        compare(got, settings, call, why=why)

    check({"n": 7, "t": "yes"}, "the example")
    check({"x": 0.5}, "a float32")
    check({"é→": "→é"}, "a length counts bytes, not characters")
    check({"n": 2**32 - 1, "a": ["b", "", "é"], "i": [1, 2**31], "f": [0.5, -2.0], "e": []}, "lists, and large numbers")
    raw = gguf(("n", 7), ("a", ["b", "cd"]), ("x", 0.5), ("l", [1, 2]), ("t", "yes"))
    for size in range(len(raw)):
        refused(answer, raw[:size], why=f"the file is cut off after {size} of {len(raw)} bytes")
    refused(answer, b"GGML" + raw[4:], why="it does not begin with GGUF")
    refused(answer, gguf(("n", 7), version=1), why="version 1")
    refused(answer, gguf(("n", 7), ("n", 7)), why="a name comes twice")
    one = gguf(n=1) + as_text("n")
    for kind in (0, 5, 7, 10, 99):
        refused(answer, one + struct.pack("<IQ", kind, 0), why=f"the type {kind} is none of the four")
    for kind in (0, 9, 99):
        refused(answer, one + struct.pack("<IIQ", 9, kind, 0), why=f"a list of the type {kind}")
    for bad in (b"\xff", b"\xc3"):
        refused(answer, gguf(n=1) + struct.pack("<Q1sII", 1, bad, 4, 7), why="a name is not UTF-8")
        refused(answer, one + struct.pack("<IQ1s", 8, 1, bad), why="a text is not UTF-8")
    for lie in (3, 2**31, 2**62, 2**63, 2**64 - 1):
        refused(answer, gguf(("n", 7), n=lie), why=f"it promises {lie:,} settings")
        refused(answer, gguf(n=1) + struct.pack("<Q1s", lie, b"n"), why=f"it promises a name of {lie:,} bytes")
        for kind in (4, 6, 8):
            refused(answer, one + struct.pack("<IIQ", 9, kind, lie), why=f"it promises a list of {lie:,}")
    search(check, settings_drawn)
