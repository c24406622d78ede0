"""Grading from outside: one process per exercise, with a time limit, and a result whatever it does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

TIME_LIMIT = 30  # seconds; the first run of a kernel includes its compilation
KEPT_OUTPUT = 2000  # characters of what the learner's code prints


@dataclass(frozen=True)
class Result:
    """What came of one exercise. `status` is passed, to do, wrong or broken."""

    name: str
    status: str
    what: str
    call: str | None = None
    expected: str | None = None
    got: str | None = None
    printed: str = ""


def grade_exercise(answer: Path, checks: Path, name: str, time_limit: float = TIME_LIMIT) -> Result:
    """Run the learner's file against one check. Raises FileNotFoundError if there is no such file."""
    for path in (answer, checks):
        if not path.exists():
            raise FileNotFoundError(f"there is no file {str(path)!r}: restore it with git checkout")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-m", "tinygrad_llm.school.grader", str(answer), str(checks), name, str(result)]
        code, printed = _run(command, time_limit)
        if code is None:
            what = f"it ran for more than {time_limit:g} seconds: does a loop in it ever end?"
            return Result(name, "wrong", what, printed=printed)
        if not result.exists():
            return Result(name, "wrong", _crash(code, printed), printed=printed)
        return Result(name, printed=printed, **json.loads(result.read_text(encoding="utf-8")))


def _run(command: list[str], time_limit: float) -> tuple[int | None, str]:
    """The exit code, None after the time limit, and the end of what was printed."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": import_path(), "PYTHONIOENCODING": "utf-8"},
        start_new_session=True,
    )
    kept = bytearray()
    reader = threading.Thread(target=_keep_the_end, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        code = process.wait(time_limit)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _stop(process)
    reader.join(timeout=5)
    return code, kept.decode("utf-8", "replace")[-KEPT_OUTPUT:].strip()


def import_path() -> str:
    """PYTHONPATH for a process that is to import the package from where this one did."""
    return os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])


def _keep_the_end(stream, kept: bytearray) -> None:
    """Read all there is, so that the process never waits, and keep the last part of it."""
    while chunk := stream.read1(1 << 16):
        kept += chunk
        del kept[: -4 * KEPT_OUTPUT]


def _stop(process: subprocess.Popen) -> None:
    """End it, and what it may have started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _crash(code: int, printed: str) -> str:
    if code == 0:
        return "it ended Python itself before the check was through: is there an exit in it?"
    if code < 0:
        return (
            f"Python itself crashed ({signal.Signals(-code).name}): an index outside of an array in a kernel does that"
        )
    last = printed.splitlines()[-1] if printed else "no message"
    return f"the process ended with exit code {code}: {last}"
