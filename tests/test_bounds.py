"""Bounds checks: NUMBA_BOUNDSCHECK=1 must find an index out of range in any kernel, whatever was compiled before.

All kernels under bounds checks, compiled anew, five minutes on one core; this file comes last, for it says which
kernels none of the others called:

    NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(mktemp -d) NUMBA_NUM_THREADS=1 pytest tests/test_ops.py tests/test_odd_*.py \
        tests/test_matmul.py tests/test_attention*.py tests/test_int8.py tests/test_optim.py tests/test_muon.py \
        tests/test_text_*.py tests/test_data_*.py tests/test_bounds.py

What they cannot see: an index from −n to −1, which means the end of the array as in Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_llm
from tinygrad_llm import kernel

PLANTED = """
from tinygrad_llm.kernel import kernel, prange

@kernel(inline=True)
def pick(row, i):
    return row[i]

@kernel
def of_a_helper(x, i):
    return pick(x, i)

@kernel
def serial(x, i):
    x[i] = 1

@kernel(parallel=True)
def parallel(x, i):
    for n in prange(4):
        x[n + i] = 1
"""

CALL_EACH = """
import numpy as np
import planted

for name in ("of_a_helper", "serial", "parallel"):
    memory = np.zeros(8, np.float32)  # `x` is half of it, so that what is out of range belongs to us all the same
    getattr(planted, name)(memory[:4], 0)
    try:
        getattr(planted, name)(memory[:4], 6 if name != "parallel" else 3)
        print(name, "unnoticed")
    except IndexError:
        print(name, "IndexError")
"""


def call_each(folder: Path, **environment: str) -> dict[str, str]:
    """What became of an index out of range in each of the planted kernels, in a new process."""
    environment = {"PYTHONPATH": str(Path(tinygrad_llm.__file__).parents[1]), "NUMBA_NUM_THREADS": "2"} | environment
    result = subprocess.run(
        [sys.executable, "-c", CALL_EACH],
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "NUMBA_DISABLE_JIT": "0"} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return dict(line.split() for line in result.stdout.splitlines())


@pytest.mark.stress
def test_bounds_checks_find_planted_faults_though_unchecked_code_is_kept_on_disk(tmp_path):
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    kernels = ("of_a_helper", "serial", "parallel")
    for checks, expected in (("0", "unnoticed"), ("1", "IndexError"), ("0", "unnoticed"), ("1", "IndexError")):
        assert call_each(tmp_path, NUMBA_BOUNDSCHECK=checks) == dict.fromkeys(kernels, expected), checks


@pytest.mark.skipif(not kernel.bounds_checked(), reason="the last step of the command above")
def test_all_kernels_were_run_with_bounds_checks():
    """Those that are inlined are compiled into their callers, and have no compiled code of their own."""
    own = [each for each in kernel._kernels if each.__module__.startswith("tinygrad_llm.") and not each.inline]
    assert len(own) > 100
    assert [each.__name__ for each in own if each.dispatcher is None or not each.dispatcher.signatures] == []
