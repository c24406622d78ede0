"""The README's Python examples run, and its gradient test fails where the gradient is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def run(source: str) -> dict:
    names = {"__name__": "readme"}
    exec(compile(source, "<README>", "exec"), names)
    return names


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_example_runs(number, monkeypatch):
    monkeypatch.chdir(README.parent)
    names = run(BLOCKS[number])
    for name, value in names.items():
        if name.startswith("test_"):
            value()


def test_a_wrong_gradient_is_caught():
    (example,) = (block for block in BLOCKS if "class Cube" in block)
    names = run(example.replace("3 * x**2 * dout", "2 * x**2 * dout"))
    with pytest.raises(AssertionError, match="gradcheck"):
        names["test_cube"]()


def test_ci_finds_the_two_commands():
    text = README.read_text(encoding="utf-8")
    for marker in ("run", "test"):
        (command,) = re.findall(rf"<!-- ci: {marker} -->\n```bash\n(.*)\n```", text)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_the_breakpoint_is_where_softmax_is_computed():
    ((file, line),) = re.findall(r"`break (\S+\.py):(\d+)`", README.read_text(encoding="utf-8"))
    assert "fast_exp(" in (README.parent / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
