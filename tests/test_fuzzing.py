"""Hostile input in short: all readers on spoiled files, what the fuzzing itself would catch, and what it once found.

The long form: python tests/fuzzing/run.py --executions 1000000
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fuzzing import harness as fuzzing_harness
from fuzzing import run
from fuzzing.harness import Harness
from fuzzing.mutate import RAW, large_inputs, spoiled_bytes, spoiled_json
from fuzzing.registry import SHARES, fuzz, opened
from fuzzing.target import Target, as_json
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.json_text import MOST_DEPTH, MOST_VALUES, parse_json
from tinygrad_llm.text import TEMPLATES, template_for, to_jinja

SCRIPT = Path(run.__file__)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Spoiled seeds, mostly, and bytes of all kinds."""
    spoiled = st.builds(lambda seed: target.spoil(target.seeds, Random(seed)), st.integers(0, 2**32 - 1))
    return st.one_of(spoiled, spoiled, spoiled, st.binary(max_size=100))


@pytest.mark.parametrize("name", SHARES)
def test_only_documented_errors(name):
    with opened(name) as (target, harness):
        for seed in target.seeds:
            assert harness.run(seed) == "accepted"  # else the rest would prove nothing

        @settings(max_examples=80 if SHARES[name] >= 1 else 40 if SHARES[name] > 0.1 else 10)
        @given(inputs(target))
        def every_input(raw):
            harness.run(raw)

        every_input()
        assert harness.tally.escapes == {}
        assert harness.tally.refused.total() > 0 or name == "run-log"  # which leaves bad lines out


# What the harness catches


def harness_of(read, folder: Path, names_the_file=False) -> Harness:
    return Harness(Target("planted", (b"",), read, names_the_file=names_the_file), folder)


def hang(raw):
    while raw:
        pass


def fill_memory(raw):
    np.ones((16 << 20) if raw else 1, np.int64)  # 128 MB


def recurse(raw):
    return recurse(raw) if raw else None


PLANTED = {
    "a key": (lambda raw: raw and {}["a"], "KeyError"),
    "an index": (lambda raw: raw and [][1], "IndexError"),
    "no UTF-8": (lambda raw: raw.decode(), "UnicodeDecodeError"),
    "from Python itself": (lambda raw: int(raw or b"0"), "not raised on purpose"),
    "recursion": (recurse, "RecursionError"),
    "a hang": (hang, "it took more than"),
    "memory": (fill_memory, "MB beyond twice its size"),
    "code": (lambda raw: raw and eval("1 + 1"), "code was run: compile"),
    "a process": (lambda raw: raw and os.system("true"), "code was run"),
    "another file": (lambda raw: raw and Path("/etc/hostname").is_file() and open("/etc/passwd").close(), "outside"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_bad_reader_is_caught(name, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzzing_harness, "SECONDS", 0.1)
    monkeypatch.setattr(fuzzing_harness, "SPARE_BYTES", 64 << 20)
    read, what = PLANTED[name]
    harness = harness_of(read, tmp_path)
    assert what in harness.run(b"\xff")
    assert list(harness.tally.escapes.values()) == [b"\xff"]


def test_a_long_message_and_one_without_the_file_are_caught(tmp_path):
    long = harness_of(lambda raw: raw and template_for_any(raw), tmp_path)
    assert long.run(b"x") == "ValueError"
    assert "does not name the file" in harness_of(lambda raw: raw and template_for_any(raw), tmp_path, True).run(b"x")


def template_for_any(raw: bytes):
    return template_for(raw.decode("latin-1"))


# What it found, each a case of its own


def changed(**changes):
    return lambda seed: as_json({**json.loads(seed), **changes})


def nested(name: str, depth: int = 980):
    def change(seed):
        raw = as_json({**json.loads(seed), name: "HERE"})
        return raw.replace(b'"HERE"', b"[" * depth + b"]" * depth)

    return change


FOUND = [
    ("hub-gpt2-config", changed(layer_norm_epsilon=10**400), "layer_norm_epsilon must be a number"),
    ("hub-gpt2-config", changed(n_layer=10**12), "layers, which is more than there are weights"),
    ("hub-gpt2-config", changed(n_embd=1 << 40, n_inner=None), "tells of a model of"),
    ("hub-gpt2-config", changed(activation_function="x" * 70_000), "activation_function must be"),
    ("hub-gpt2-config", nested("n_inner"), "nested more than 100 deep"),
    ("hub-llama-config", changed(hidden_size=10**400), "hidden_size must be at most"),
    (
        "hub-llama-config",
        changed(max_position_embeddings=1 << 24, num_attention_heads=1, head_dim=8),
        "whose angles take",
    ),
    ("hub-index", lambda seed: seed.replace(b"model-00001", b"../model-00001"), "no name of a safetensors file beside"),
    ("hub-modules", lambda seed: seed.replace(b"1_Pooling", b".."), "a folder beside it"),
    ("hub-modules", lambda seed: seed.replace(b"1_Pooling", b"/etc"), "a folder beside it"),
    ("hub-adapter-config", changed(lora_dropout=-1.0), "lora_dropout must be between 0 and 1"),
    ("hub-adapter-config", changed(lora_alpha=5e-324), "lora_alpha must be above 0"),
    ("tokenizer-wordpiece", lambda seed: seed.replace(b'"id": 0', b'"id": NaN'), "has the id nan, but 0"),
    ("hub-header", lambda seed: seed.replace(b"[12, 8]", b"[12000000000000, 8]"), "no complete safetensors file"),
    ("chat-config", changed(chat_template=[1, "a"]), "no chat template"),
    ("chat-config", changed(bos_token="{content}"), "called '{content}'"),
    ("chat-jinja-file", lambda seed: b"{\xc0", "not UTF-8"),
    ("chat-template", lambda seed: b"{%" * 16_000, "of no family known here"),
    ("chat-template", lambda seed: b"{{" * 500_000, "characters, and those read here"),
    ("corpus-text", lambda seed: b"\x02G\x00", "is not utf-16 text"),
    ("table-squad", lambda seed: seed.replace(b"0", b"9" * 5000), "is not valid JSON"),
    ("conversations", lambda seed: as_json({f"k{number}": 1 for number in range(60_000)}), "expected 'messages'"),
    ("table-csv", lambda seed: b",".join(b"c%d" % i for i in range(60_000)), "has no column 'text'"),
    ("token-header", changed(n_tokens=[]), "is damaged"),
    ("token-header", changed(n_tokens=-5), "is damaged"),
    ("token-header", changed(n_tokens=1 << 62), "where its header promises"),
    ("run-config", changed(preset=["debug"]), "preset must be a name"),
    ("run-config", lambda seed: seed.replace(b'"d_model": 4', b'"d_model": 400000'), "tells of a model of"),
    ("run-config", lambda seed: seed.replace(b'"dropout": 0.0', b'"dropout": 1' + b"0" * 400), "are damaged"),
    ("run-config", lambda seed: seed.replace(b'"char"', b'"\\ud800"'), "tokenizer must be one of"),
    ("run-corpus", changed(baselines={"zlib_bits_per_byte": "a"}), "is damaged"),
    ("checkpoint-facts", lambda seed: b"[]", "it has no format version"),
    ("checkpoint-facts", changed(step=[]), "its step must be int"),
    ("checkpoint-facts", changed(batches=[1]), "its batches must be dict or NoneType"),
    ("checkpoint-facts", changed(generators=[{"bit_generator": "PCG64"}]), "does not fit what should go on"),
    ("checkpoint-facts", changed(optimizer={"param_groups": [{"n": 1}]}), "which belongs to no parameter"),
    ("checkpoint-facts", changed(optimizer={"0.step": 1, "param_groups": []}), "has no groups of parameters"),
    ("checkpoint-facts", nested("progress"), "nested more than 100 deep"),
    ("task-classify", changed(max_seq_len=float("inf")), "max_seq_len must be an integer"),
    ("task-classify", changed(settings={"classes": ["a", "a"]}), "a list of different names"),
    ("task-grade", changed(settings={"mean": 10**400, "std": 1.0}), "mean must be a number"),
    ("school-progress", changed(exercises={"a": {"failures": []}}), "is damaged"),
    ("school-progress", changed(exercises={"\ud800": {}}), "is damaged"),
    ("school-progress", changed(exercises={"a": {"passed": ["\udc00"]}}), "is damaged"),
]


@pytest.mark.parametrize(("name", "change", "message"), FOUND)
def test_what_was_found(name, change, message):
    with opened(name) as (target, harness):
        raw = change(target.seeds[0])
        assert raw not in target.seeds
        with pytest.raises((ValueError, OSError), match=message):
            target.read(raw)
        assert harness.run(raw) in ("ValueError", "FileNotFoundError")


# JSON


@pytest.mark.parametrize("text", RAW)
def test_json_is_read_or_refused(text):
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert np.array_equal(value, json.loads(text), equal_nan=isinstance(value, float))


def test_the_limits_of_json():
    deepest = "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1)
    assert parse_json(deepest)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        parse_json(f"[{deepest}]")
    with pytest.raises(ValueError, match="holds more than 1,500,000 values"):
        parse_json("[" + "0," * MOST_VALUES + "0]")
    assert parse_json(json.dumps("a, " * MOST_VALUES)) == "a, " * MOST_VALUES  # they are in a string


# Chat templates are texts to recognise, not programs to run


@pytest.mark.parametrize(
    "program",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os.system('id') }}",
        "{% for i in range(10**9) %}{{ i }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% set x = 'a' * 10**10 %}{{ x }}",
    ],
)
def test_no_chat_template_is_run(program, tmp_path):
    harness = harness_of(lambda raw: raw and template_for_any(raw), tmp_path)
    assert harness.run(program.encode()) == "ValueError"  # and not: code was run, another file was opened, a hang
    chatml = to_jinja(TEMPLATES["chatml"])
    within = [chatml + program, program + chatml, chatml.replace("{% for", program + "{% for", 1)]
    for each in within:  # known texts around it: what is used, if anything, is the package's own template
        assert harness.run(each.encode()) in ("ValueError", "accepted")
        try:
            found = template_for(each)
        except ValueError:
            continue
        assert found.render([("user", "Hi")]) == TEMPLATES["chatml"].render([("user", "Hi")])


# The long form, shorter


@pytest.mark.stress
def test_twenty_thousand_inputs():
    total = sum(SHARES.values())
    executions = 0
    for name, share in SHARES.items():
        _, harness = fuzz(name, round(20_100 * share / total), seed=12)
        assert harness.tally.escapes == {}
        executions += harness.tally.executions
    assert executions >= 20_000


@pytest.mark.stress
@pytest.mark.parametrize("name", ["table-csv", "chat-config"])
def test_large_inputs(name):
    with opened(name) as (target, harness):
        for raw in large_inputs(target.seeds[0]):
            harness.run(raw)
        assert harness.tally.escapes == {}


@pytest.mark.stress
def test_the_command(tmp_path):
    command = [sys.executable, str(SCRIPT), "--target", "token-header", "--executions", "300", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "token-header" in done.stdout
    assert "0 escaped" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.stress
def test_a_crash_of_the_interpreter_is_told_and_its_input_kept(tmp_path, monkeypatch):
    script = tmp_path / "child.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "report = pathlib.Path(sys.argv[sys.argv.index('--child') + 1])\n"
        "number, raw = 7, b'bad'\n"
        "head = number.to_bytes(8, 'little') + len(raw).to_bytes(8, 'little')\n"
        "report.with_suffix('.input').write_bytes(head + raw + b'rest of a longer one')\n"
        "os.abort()\n"
    )
    monkeypatch.setattr(run, "__file__", str(script))
    options = run.argparse.Namespace(seed=0, atheris=False, seconds=0)
    tally = run.run_child("token-header", 10, options, tmp_path / "report")
    assert tally.executions == 7
    assert [*tally.escapes.values()] == [b"bad"]
    assert "the interpreter ended with -6" in next(iter(tally.escapes))


def test_the_same_seed_spoils_alike():
    for spoil, seeds in ((spoiled_json, [b'{"a": [1, 2]}']), (spoiled_bytes, [b"some text"])):
        one, other = ([spoil(seeds, Random(number)) for number in range(50)] for _ in range(2))
        assert one == other
        assert len(set(one)) > 30
