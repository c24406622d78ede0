"""`@kernel`: a plain Python function on arrays that Numba compiles at its first call.

Until then Numba is not even imported. After it the compiled function takes the kernel's name in every module
that uses it, so nothing stands between an op and its loops, neither in time nor in a debugger:

    with no_jit():            # or set_jit(False), or NUMBA_DISABLE_JIT=1 in the environment
        F.softmax(x)          # the names are the plain functions again: breakpoints in kernels are hit

Compiled code is kept on disk in a folder named after a hash of the sources it was made from (its own file and
those of the helpers that get compiled into it), so that an edit recompiles and stale code never runs.

A process that compiles a parallel kernel itself may round sums in another order than those that load it later: Numba
optimises the loop alone first, and once more within what it keeps. `python -m tinygrad_llm.warm_up` compiles ahead.

Compiled loops do not check their indices: one that is out of range reads or overwrites other memory. With
NUMBA_BOUNDSCHECK=1 in the environment it is an IndexError. Such code is kept apart from the other, and its loops are
serial: what is raised in one of Numba's threads goes nowhere.

Several Python threads may call kernels at once. Where Numba has no thread pool but its simplest, "workqueue", which
ends the process when two threads enter it together, they take turns at the parallel ones.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What LLVM may assume so that it can vectorise sums. NaN and Inf may occur: masks are made of -inf.
FAST_MATH = {"reassoc", "contract", "nsz", "arcp", "afn"}
_lock = threading.RLock()
_workqueue_lock = threading.RLock()
_kernels: list[Kernel] = []
_jit_enabled = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")

prange = range  # kernels import this name; in compiled code it is numba.prange


class Kernel:
    """Stands for a kernel until its first call; knows both the plain and the compiled function."""

    def __init__(self, function: Callable, parallel: bool, inline: bool = False):
        functools.update_wrapper(self, function)
        self.function = function
        self.parallel = parallel
        self.inline = inline
        self.dispatcher = None
        self._compiling = False
        _kernels.append(self)

    def __call__(self, *arguments):
        return (self.compiled() if _jit_enabled else self.function)(*arguments)

    def compiled(self) -> Callable:
        """Numba's dispatcher for this kernel, put in place of it wherever the package uses its name."""
        with _lock:
            if self.dispatcher is None:
                self._compiling = True
                self.dispatcher = self._compile()
                _rebind({id(self): self.dispatcher, id(self.function): self.dispatcher})
                _bind_prange()
            return self.dispatcher

    def _compile(self) -> Callable:
        import numba

        names = self.function.__globals__
        for name in self.function.__code__.co_names:
            helper = names.get(name)
            if isinstance(helper, Kernel) and not helper._compiling:
                helper.compiled()
        folder, checked = _cache_folder(self.function), bounds_checked()
        previous = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder or previous)
        try:
            dispatcher = numba.njit(
                self.function,
                parallel=self.parallel and not checked,
                boundscheck=checked,
                inline="always" if self.inline else "never",
                cache=folder is not None,
                fastmath=FAST_MATH,
                error_model="numpy",
            )
        finally:
            numba.config.CACHE_DIR = previous
        return TakesTurns(dispatcher) if self.parallel and not checked and _is_workqueue() else dispatcher


class TakesTurns:
    """A compiled parallel kernel that one Python thread calls at a time; all else is the dispatcher's."""

    def __init__(self, dispatcher: Callable):
        self.dispatcher = dispatcher

    def __call__(self, *arguments):
        with _workqueue_lock:
            return self.dispatcher(*arguments)

    def __getattr__(self, name: str):
        return getattr(self.dispatcher, name)


def _is_workqueue() -> bool:
    """Whether this is the thread pool that Numba chose, or chooses now: NUMBA_THREADING_LAYER, or what it can load."""
    import numba

    numba.get_num_threads()  # starts the pool
    return numba.threading_layer() == "workqueue"


def kernel(function: Callable | None = None, *, parallel: bool = False, inline: bool = False):
    """Mark a function as a kernel: `@kernel` for serial loops, `@kernel(parallel=True)` to use `prange`.

    `inline=True` is for a helper whose arguments include constants: its body is compiled anew for each of its callers.
    """
    if function is None:
        return functools.partial(kernel, parallel=parallel, inline=inline)
    each = Kernel(function, parallel, inline)
    return each if _jit_enabled else each.function


def jit_enabled() -> bool:
    """Whether kernels run compiled (True) or as plain Python."""
    return _jit_enabled


def bounds_checked() -> bool:
    """Whether kernels compiled from now on check each index: NUMBA_BOUNDSCHECK=1."""
    return os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")


def set_jit(enabled: bool) -> None:
    """Run kernels compiled (True) or as the plain Python they are written in (False), from now on."""
    global _jit_enabled
    with _lock:
        _jit_enabled = enabled
        replacements = {}
        for each in _kernels:
            stand_for_it = {id(each), id(each.function), id(each.dispatcher)} - {id(None)}
            replacements |= dict.fromkeys(stand_for_it, (each.dispatcher or each) if enabled else each.function)
        _rebind(replacements)
        _bind_prange()


@contextmanager
def no_jit() -> Iterator[None]:
    """Within this context every kernel is plain Python, to be stepped through."""
    previous = _jit_enabled
    set_jit(False)
    try:
        yield
    finally:
        set_jit(previous)


def plain(function: Callable) -> Callable:
    """The Python function behind a kernel, whatever its name stands for at the moment."""
    for each in _kernels:
        if function in (each, each.dispatcher):
            return each.function
    return function


def cache_is_cold() -> bool:
    """Whether the first kernels will have to be compiled: nothing was kept on disk for these sources."""
    return not any(is_kept(each) for each in _kernels)


def is_kept(function: Callable) -> bool:
    """Whether this kernel was compiled before, and the code of it is still on disk."""
    function = plain(function)
    folder = _cache_folder(function)
    return folder is not None and any(folder.rglob(f"*.{function.__name__}-*.nbi"))


def _rebind(replacements: dict[int, Callable]) -> None:
    """Let a module-level name that stands for a key (an object's id) stand for its value.

    In every module of the package, and where a lesson or a notebook defines kernels of its own.
    """
    package = __name__.partition(".")[0]
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == package and module]
    places = [vars(module) for module in modules] + [each.function.__globals__ for each in _kernels]
    for names in {id(names): names for names in places}.values():
        for name, value in list(names.items()):
            if id(value) in replacements:
                names[name] = replacements[id(value)]


def _bind_prange() -> None:
    """Numba looks the name up whenever it compiles for new dtypes; in plain Python prange is just range."""
    for each in _kernels:
        names = each.function.__globals__
        if each.dispatcher is not None and "prange" in names:
            names["prange"] = sys.modules["numba"].prange if _jit_enabled else range


def cache_root() -> Path:
    """The folder below which compiled kernels are kept on disk."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "tinygrad_llm" / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygrad_llm" / "kernels"


def _cache_folder(function: Callable) -> Path | None:
    """Where compiled code of this function's file is kept, or None where nothing can be written.

    A cell of a notebook is no file: its kernels are compiled in each session. Compiled code refers to its module by
    name, which is another one when the same file is run as a script.
    """
    files = _source_files(function)
    if not all(map(os.path.isfile, files)):
        return None
    suffix = "-bounds" if bounds_checked() else ""
    folder = cache_root() / f"{function.__module__}-{_source_hash(files)}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _source_files(function: Callable) -> tuple[str, ...]:
    """The file of a kernel, and the files of the kernels that this file imports, and of those that they import."""
    kernel_of = {id(name): each for each in _kernels for name in (each, each.function, each.dispatcher) if name}
    files, stack = set(), [function]
    while stack:
        function = stack.pop()
        file = inspect.getfile(function)
        if file not in files:
            files.add(file)
            stack += [kernel_of[id(x)].function for x in function.__globals__.values() if id(x) in kernel_of]
    return tuple(sorted(files))


@functools.cache
def _source_hash(files: tuple[str, ...]) -> str:
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:12]
