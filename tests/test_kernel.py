"""The switches of kernel.py: compiled or plain, in which names, from which cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tinygrad_llm
from tinygrad_llm import kernel
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops import softmax as softmax_module

PACKAGE = Path(tinygrad_llm.__file__).parent


@kernel.kernel
def add_one(out, x):
    for i in range(x.shape[0]):
        out[i] = x[i] + x.dtype.type(1.0)


def run_python(code: str, folder: Path | None = None, **environment: str) -> str:
    """What a new Python process prints for `code`; `folder` holds the package if not this one."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(folder or PACKAGE.parent)} | environment,
        cwd=folder or PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def is_plain(function) -> bool:
    return type(function) is type(is_plain)


def softmax_of_ones() -> np.ndarray:
    return softmax_module.softmax(Tensor(np.ones((2, 4), np.float32))).data


def test_no_jit_puts_the_plain_functions_in_place_and_back():
    softmax_of_ones()
    compiled = softmax_module.softmax_forward
    assert hasattr(compiled, "py_func")
    with kernel.no_jit():
        assert not kernel.jit_enabled()
        assert softmax_module.softmax_forward is compiled.py_func
        assert is_plain(softmax_module.fast_exp)
        assert softmax_module.prange is range
        np.testing.assert_allclose(softmax_of_ones(), 0.25)
    assert kernel.jit_enabled()
    assert softmax_module.softmax_forward is compiled


def test_no_jit_can_be_nested_and_survives_errors():
    with kernel.no_jit():
        with pytest.raises(ZeroDivisionError), kernel.no_jit():
            1 / 0  # noqa: B018
        assert not kernel.jit_enabled()
        with kernel.no_jit():
            pass
        assert not kernel.jit_enabled()
    assert kernel.jit_enabled()


def test_set_jit():
    kernel.set_jit(False)
    try:
        assert is_plain(softmax_module.softmax_forward)
    finally:
        kernel.set_jit(True)
    assert not is_plain(softmax_module.softmax_forward)


def test_dtypes_compiled_after_no_jit_still_run_in_parallel():
    """Numba looks prange up at each compilation: if it found range, the kernel would be serial for good."""
    softmax_of_ones()
    with kernel.no_jit():
        softmax_of_ones()
    import numba

    assert softmax_module.prange is numba.prange


def test_plain_gives_the_function_behind_any_name():
    softmax_of_ones()
    function = kernel.plain(softmax_module.softmax_forward)
    assert is_plain(function)
    with kernel.no_jit():
        assert kernel.plain(softmax_module.softmax_forward) is function


def test_a_kernel_outside_the_package_works_and_keeps_its_name_and_docstring():
    assert add_one.__name__ == "add_one"
    for x in (np.zeros(3, np.float32), np.zeros(3, np.float64)):
        out = np.empty_like(x)
        add_one(out, x)
        np.testing.assert_array_equal(out, 1)
        with kernel.no_jit():
            add_one(out, x + 1)
        np.testing.assert_array_equal(out, 2)


KERNELS_OF_A_NOTEBOOK = """
import numpy as np
from tinygrad_llm.kernel import kernel, set_jit

@kernel
def double(x):
    return x + x

@kernel
def quadruple(out, x):
    for i in range(x.shape[0]):
        out[i] = double(double(x[i]))

out = np.empty(2)
quadruple(out, np.ones(2))
print(out, hasattr(quadruple, "py_func"), hasattr(double, "py_func"))
set_jit(False)
quadruple(out, out)
print(out, type(quadruple).__name__, type(double).__name__)
"""


def test_kernels_outside_the_package_call_each_other_also_where_there_is_no_file_to_keep_their_code_for():
    printed = run_python(KERNELS_OF_A_NOTEBOOK).splitlines()
    assert printed == ["[4. 4.] True True", "[16. 16.] function function"]


def test_the_first_call_from_many_threads_compiles_once():
    fresh = kernel.Kernel(kernel.plain(add_one), parallel=False)
    n_threads = 8
    barrier = threading.Barrier(n_threads)
    dispatchers, outputs = [None] * n_threads, [np.zeros(5) for _ in range(n_threads)]

    def first_call(number):
        barrier.wait()
        fresh(outputs[number], np.full(5, float(number)))
        dispatchers[number] = fresh.dispatcher

    try:
        threads = [threading.Thread(target=first_call, args=(number,)) for number in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        kernel._kernels.remove(fresh)
    assert dispatchers == [fresh.dispatcher] * n_threads
    assert fresh.dispatcher is not None
    for number, out in enumerate(outputs):
        np.testing.assert_array_equal(out, number + 1)


SOFTMAX_TO_STDOUT = """
import numpy as np
from tinygrad_llm import kernel
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops.softmax import softmax
print(kernel.cache_is_cold(), softmax(Tensor(np.zeros((1, 2)))).data.sum(), kernel.cache_is_cold())
"""


def test_compiled_code_is_kept_and_an_edit_recompiles(tmp_path):
    """An edit of a kernel's file or of fast_math.py gives a new folder; a second run uses what is there."""
    shutil.copytree(PACKAGE, tmp_path / "tinygrad_llm", ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    environment = {"NUMBA_CACHE_DIR": str(cache), "NUMBA_DISABLE_JIT": "0"}

    def compiled_files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb*")}

    assert run_python(SOFTMAX_TO_STDOUT, tmp_path, **environment) == "True 1.0 False"
    first = compiled_files()
    assert {name.split("-")[0] for name in os.listdir(cache)} >= {
        "tinygrad_llm.ops.softmax",
        "tinygrad_llm.ops.fast_math",
    }
    assert run_python(SOFTMAX_TO_STDOUT, tmp_path, **environment) == "False 1.0 False"
    assert compiled_files() == first

    source = tmp_path / "tinygrad_llm" / "ops" / "softmax.py"
    text = source.read_text(encoding="utf-8")
    assert "scale = x.dtype.type(1.0) / total" in text
    source.write_text(text.replace("x.dtype.type(1.0) / total", "x.dtype.type(0.5) / total"), encoding="utf-8")
    assert run_python(SOFTMAX_TO_STDOUT, tmp_path, **environment).split()[1] == "0.5"

    helper = tmp_path / "tinygrad_llm" / "ops" / "fast_math.py"
    text = helper.read_text(encoding="utf-8")
    assert "return math.exp(x) if" in text
    helper.write_text(text.replace("return math.exp(x) if", "return math.exp(x) + 1.0 if"), encoding="utf-8")
    source.write_text(
        source.read_text(encoding="utf-8").replace("x.dtype.type(0.5) / total", "x.dtype.type(1.0)"),
        encoding="utf-8",
    )
    assert run_python(SOFTMAX_TO_STDOUT, tmp_path, **environment).split()[1] == "4.0"


LOADED_UNDER_ANOTHER_NAME = """
import importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("NAME", "doubling.py")
sys.modules["NAME"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
x = np.ones(2)
module.double(x)
print(x.sum())
"""


def test_a_file_that_is_loaded_under_another_name_has_compiled_code_of_its_own(tmp_path):
    """What Numba keeps refers to the module by name: a lesson is a script, a played lesson, and a notebook's source."""
    source = (
        "from tinygrad_llm.kernel import kernel\n@kernel\ndef double(x):\n    for i in range(2):\n        x[i] *= 2\n"
    )
    (tmp_path / "doubling.py").write_text(source, encoding="utf-8")
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(PACKAGE.parent)}
    for name in ("lesson_doubling", "doubling"):
        code = LOADED_UNDER_ANOTHER_NAME.replace("NAME", name)
        assert run_python(code, tmp_path, **environment) == "4.0"
        assert any((tmp_path / "cache").glob(f"{name}-*"))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder can be made in here", encoding="utf-8")
    environment = {"NUMBA_CACHE_DIR": str(in_the_way / "cache"), "NUMBA_DISABLE_JIT": "0"}
    assert run_python(SOFTMAX_TO_STDOUT, **environment) == "True 1.0 True"


def test_numba_disable_jit_means_plain_functions_from_the_start():
    code = """
import numpy as np
from tinygrad_llm import kernel
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.ops import softmax
softmax.softmax(Tensor(np.zeros((1, 2))))
import sys
print(kernel.jit_enabled(), type(softmax.softmax_forward).__name__, "numba" in sys.modules)
"""
    assert run_python(code, NUMBA_DISABLE_JIT="1") == "False function False"
