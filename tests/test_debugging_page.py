"""lessons/debugging.md shows real sessions: each is typed again, and what comes back must be what the page shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from pdb_session import ROOT, Debugger

PAGE = (ROOT / "lessons" / "debugging.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```console\n\$ ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)
PROGRAM_OF = {"python": [], "tinygrad-llm": ["-m", "tinygrad_llm.cli"]}


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_session_is_what_one_sees(command, shown, tmp_path):
    for name, source in PROGRAMS:
        (tmp_path / name).write_text(f"# {name}\n{source}", encoding="utf-8")
    words = shlex.split(command)
    environment = dict(word.split("=") for word in words if re.match(r"[A-Z_]+=", word))
    program, *arguments = words[len(environment) :]
    first, *exchanges = shown.split("(Pdb) ")
    environment |= {"TINYGRAD_LLM_FIGURES": str(tmp_path)}
    with Debugger([*PROGRAM_OF[program], *arguments], tmp_path, **environment) as pdb:
        got = pdb.greeting
        assert_shown(first, got, tmp_path)
        for exchange in exchanges:
            typed, _, answer = exchange.partition("\n")
            got = pdb.command(with_todays_line(typed, answer, got))
            assert_shown(answer, got, tmp_path)


def with_todays_line(typed: str, answer: str, before: str) -> str:
    """`until 58` on the page means the line that is shown next; in today's file it may have another number."""
    if not typed.startswith("until "):
        return typed
    path, here = re.findall(r"> (\S+?)\((\d+)\)", before)[-1]
    wanted = answer.split("-> ")[1].strip()
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return f"until {next(n for n, line in enumerate(lines, 1) if n > int(here) and line.strip() == wanted)}"


def assert_shown(shown: str, got: str, folder: Path) -> None:
    """Each line of the page comes, in this order; folders are `...` there, as are the ends of long numbers."""
    got = got.replace(str(folder), "...").replace(str(ROOT), "...")
    lines = iter([without_numbers_of_lines(line) for line in got.splitlines()])
    for line in filter(lambda line: line not in ("", "..."), shown.splitlines()):
        parts = [re.escape(part) for part in without_numbers_of_lines(line).split("...")]
        assert any(re.fullmatch(".*".join(parts), each) for each in lines), f"{line!r} is not what came:\n{got}"


def without_numbers_of_lines(text: str) -> str:
    return re.sub(r"\.py(\(\d+\)|:\d+)", ".py(N)", text).rstrip()


def test_the_page_has_a_session_for_each_of_its_programs():
    commands = " ".join(command for command, _ in SESSIONS)
    assert len(SESSIONS) == len(PROGRAMS) + 1
    assert [name for name, _ in PROGRAMS if name not in commands] == []


def test_entries_of_vs_code_are_those_that_the_page_describes():
    launch = json.loads((ROOT / ".vscode" / "launch.json").read_text(encoding="utf-8"))
    words = " ".join(PAGE.split())
    for entry in launch["configurations"]:
        assert f"**{entry['name']}**" in words
        assert (entry["type"], entry["request"], entry["justMyCode"]) == ("debugpy", "launch", False)
        plain = entry.get("env", {}).get("NUMBA_DISABLE_JIT") == "1"
        assert plain == entry["name"].endswith("plain Python")
        assert ("program" in entry) != ("module" in entry)
