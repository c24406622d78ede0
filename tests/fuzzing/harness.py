"""What a reader may do with a hostile input, and what it may not.

It may accept it, or refuse it by a ValueError or an OSError that the package raised on purpose: one short sentence that
names the file. Anything else is an escape: another error, or one that arose in NumPy or in json and went through; a
hang; memory beyond twice the input and 256 MB; a file opened outside the target's folder; code compiled or run.

Python tells of opened files and of code through its audit events. What safetensors opens, in Rust, it does not tell:
so `safe_open` is put behind a function that does.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import sysconfig
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import tinygrad_llm
from tinygrad_llm.cli.errors import explain

from .target import Target

SECONDS = 5  # of the processor, for one input
SPARE_BYTES = 256 << 20
LONGEST_MESSAGE = 6000  # characters: a list of 20 names, each cut short, in three kinds
PACKAGE = str(Path(tinygrad_llm.__file__).parent)
OF_PYTHON = tuple({*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, PACKAGE})
CODE = {"compile", "exec", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"}
CODE |= {"pickle.find_class", "marshal.loads", "ctypes.dlopen", "socket.getaddrinfo", "builtins.input", "code.__new__"}


class Escape(Exception):
    """What should not have happened."""


class Hang(BaseException):
    """Not an Exception: a reader that catches those must not hide it."""


@dataclass
class Tally:
    """What became of a target's inputs."""

    executions: int = 0
    seconds: float = 0.0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by the error's type
    slowest: float = 0.0
    slowest_input: bytes = b""
    bytes_beyond: int = 0  # how far memory grew since the start, less twice the largest input
    escapes: dict[str, bytes] = field(default_factory=dict)  # in words → the shortest input


class Watch:
    """Counts what the reader opens and runs. There is one in a process, as audit hooks cannot be taken away."""

    def __init__(self) -> None:
        self.folder: str | None = None  # None: nobody is being watched
        self.thread = 0
        self.found: list[str] = []
        sys.addaudithook(self._hook)
        self._tell_of_safe_open()

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.folder is None or threading.get_ident() != self.thread:
            return
        if event in CODE and not _is_own_work():
            self.found.append(f"code was run: {event} {str(arguments[:1])[:80]}")
        elif event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not path.startswith(self.folder) and not path.startswith(OF_PYTHON):
                self.found.append(f"a file outside was opened: {path[:80]}")

    def _tell_of_safe_open(self) -> None:
        import safetensors
        import safetensors.numpy

        original = safetensors.safe_open

        def safe_open(filename, *arguments, **options):
            sys.audit("open", os.fspath(filename), "r", 0)
            return original(filename, *arguments, **options)

        safetensors.safe_open = safetensors.numpy.safe_open = safe_open


def _is_own_work() -> bool:
    """Whether code is run by an import statement of a module, or by typing for the annotations of a class."""
    frame = sys._getframe(2)
    while frame:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "get_type_hints":
            return True
        frame = frame.f_back
    return False


_watch: Watch | None = None


def watch() -> Watch:
    global _watch
    _watch = _watch or Watch()
    return _watch


def on_alarm(signum: int, frame: object) -> None:
    raise Hang(f"it took more than {SECONDS} seconds")


class Harness:
    """Gives inputs to a target, whose files are in `folder`, one after another, and keeps the tally."""

    def __init__(self, target: Target, folder: Path, with_alarm: bool = True) -> None:
        self.target, self.folder, self.tally = target, str(folder), Tally()
        self._on_purpose: dict[tuple[str, int], bool] = {}
        self._with_alarm = with_alarm
        for seed in target.seeds:  # imports and kernels come now, unwatched
            target.read(seed)
        self._resident = forget_peak()
        if with_alarm:
            signal.signal(signal.SIGPROF, on_alarm)

    def run(self, raw: bytes) -> str:
        """ "accepted", the type of the refusal, or what escaped, in words."""
        tally, began = self.tally, time.perf_counter()
        outcome = self._outcome(raw)
        seconds = time.perf_counter() - began
        tally.executions += 1
        tally.seconds += seconds
        if seconds > tally.slowest:
            tally.slowest, tally.slowest_input = seconds, raw
        if tally.executions % 64 == 0 or seconds > 0.05:
            tally.bytes_beyond = max(tally.bytes_beyond, peak_bytes() - self._resident - 2 * len(raw))
            if tally.bytes_beyond > SPARE_BYTES:
                outcome = f"it took {tally.bytes_beyond >> 20} MB beyond twice its size"
                self._resident = forget_peak()
                tally.bytes_beyond = 0
        if outcome == "accepted":
            tally.accepted += 1
        elif outcome in ("ValueError", "FileNotFoundError", "OSError"):
            tally.refused[outcome] += 1
        elif len(raw) <= len(tally.escapes.get(outcome, raw)):
            tally.escapes[outcome] = raw
        return outcome

    def _outcome(self, raw: bytes) -> str:
        eye = watch()
        eye.found, eye.thread = [], threading.get_ident()
        eye.folder = self.folder
        if self._with_alarm:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            self.target.read(raw)
            outcome = "accepted"
        except Hang as error:
            outcome = str(error)
        except Exception as error:
            eye.folder = None
            outcome = self._judged(error)
        finally:
            eye.folder = None
            if self._with_alarm:
                signal.setitimer(signal.ITIMER_PROF, 0)
        return eye.found[0] if eye.found else outcome

    def _judged(self, error: Exception) -> str:
        """The type of a refusal as it should be; else what is wrong with it."""
        kind = type(error).__name__
        if not isinstance(error, OSError) and type(error) is not ValueError:
            return f"{kind} at {place_of(error.__traceback__)}"
        if not self._is_on_purpose(error):
            return f"{kind} at {place_of(error.__traceback__)}: not raised on purpose"
        try:
            message = str(error).encode("utf-8").decode().replace(self.folder, "")
        except UnicodeEncodeError:
            return f"{kind} at {place_of(error.__traceback__)}: its message cannot be printed"
        if not message or len(message) > LONGEST_MESSAGE:
            return f"{kind} at {place_of(error.__traceback__)}: its message has {len(message)} characters"
        if self.target.names_the_file and self.folder not in str(error):
            return f"{kind} at {place_of(error.__traceback__)}: its message does not name the file"
        return kind if kind in ("ValueError", "FileNotFoundError") else "OSError"

    def _is_on_purpose(self, error: Exception) -> bool:
        """As the command line has it, which shows a traceback for the rest; asked once for each place."""
        last = last_of(error.__traceback__)
        key = (last.tb_frame.f_code.co_filename, last.tb_lineno)
        if key not in self._on_purpose:
            self._on_purpose[key] = explain(error) is not None
        return self._on_purpose[key]


def last_of(traceback: TracebackType) -> TracebackType:
    while traceback.tb_next:
        traceback = traceback.tb_next
    return traceback


def place_of(traceback: TracebackType) -> str:
    """The last line of the package in it."""
    place = "outside the package"
    while traceback:
        code = traceback.tb_frame.f_code
        if code.co_filename.startswith(PACKAGE):
            place = f"{code.co_filename[len(PACKAGE) + 1 :]}:{traceback.tb_lineno} {code.co_name}"
        traceback = traceback.tb_next
    return place


def forget_peak() -> int:
    """Let the peak be what is in use now, where the system can; returns it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has had."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def name_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:12]
