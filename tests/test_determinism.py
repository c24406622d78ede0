"""The same seed gives the same run, bit for bit: in another process and folder, with any number of threads, resumed.

All this with kernels from the disk. A process that compiles a kernel itself may round sums in another order than those
that load it later: Numba optimises a parallel loop alone first, and once more within what it keeps. So a run lets other
processes compile what is missing, and then loads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.train import load_checkpoint

SCRIPT = Path(__file__).with_name("determinism_runs.py")
POOLS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
N_RUNS = 10  # five pretrained, five fine-tuned


def runs(folder: Path, n_threads: int, *arguments: str, **environment: str) -> dict[str, dict]:
    """Losses and a hash of the weights of each run of the script, in a process with so many threads."""
    folder.mkdir()
    environment |= dict.fromkeys(POOLS, str(n_threads))
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """All runs by one thread, after others that compiled the kernels."""
    folder = tmp_path_factory.mktemp("determinism")
    runs(folder / "compiling", 1)
    return runs(folder / "alone", 1, PYTHONHASHSEED="0")


def assert_same(got: dict[str, dict], expected: dict[str, dict]) -> None:
    assert len(got) == len(expected) == N_RUNS
    for name, run in expected.items():
        assert len(run["losses"]) >= 2, name
        assert got[name]["losses"] == run["losses"], name
        assert got[name]["weights"] == run["weights"], name


@pytest.mark.stress
def test_each_run_is_another(alone):
    """What is compared depends on the run: no two hashes are equal."""
    assert len({run["weights"] for run in alone.values()}) == N_RUNS


@pytest.mark.stress
def test_two_threads_another_folder_and_another_order_of_sets_change_no_bit(alone, tmp_path):
    assert_same(runs(tmp_path / "elsewhere", 2, PYTHONHASHSEED="1"), alone)


@pytest.mark.stress
def test_an_interrupt_a_resume_another_thread_pool_and_more_threads_than_cores_change_no_bit(alone, tmp_path):
    """The others use "workqueue" (conftest.py), as where Numba finds no better pool."""
    environment = {"NUMBA_THREADING_LAYER": "default", "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "2"}
    assert_same(runs(tmp_path / "resumed", 5, "4", **environment), alone)


@pytest.mark.stress
def test_the_run_that_finds_no_compiled_kernels_is_like_the_next(tmp_path):
    """Other processes compile them for it (warm_up.py)."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tinygrad_llm.cli", "pretrain", "--embedded-corpus", "topics", "--steps", "3"]
    command += ["--max-characters", "60000", "--vocab-size", "1000", "--sample-tokens", "1", "--log-every", "1"]
    for name in ("first", "second"):
        done = subprocess.run(
            [*command, "--out", str(tmp_path / name)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert ("compiling kernels" in done.stdout) == (name == "first")
    first, second = (load_checkpoint(tmp_path / name / "last.safetensors") for name in ("first", "second"))
    for name, weight in first.weights.items():
        np.testing.assert_array_equal(weight, second.weights[name], err_msg=name)
