"""What one training step costs beside arithmetic: a guard against more passes, copies and calls, without a clock.

The step is that of a small GPT in the training loop (forward, backward, clip, AdamW). Counted in it are

    kernel calls     passes over memory: unfused ops show here first
    arrays, bytes    new arrays of at least 2 KB that NumPy allocates, also those that a line makes and forgets:
                     a copy, a temporary result, an activation that is saved
    Python calls     functions of this package, comprehensions and lambdas aside
    graph nodes      ops that the backward pass visits

Neither the machine nor its number of cores changes these numbers. Another version of NumPy may change a few arrays,
hence some slack.

A test failed? Then a step costs more now, or so much less that its number guards nothing any more. More should have
its reason: `python benchmarks/run_all.py --only step --compare OLD.json` says what it does to time and memory. Where
the new numbers are meant, put them into EXPECTED: `python tests/step_cost.py` prints them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPECTED = {"kernel calls": 78, "arrays": 63, "bytes": 456498, "Python calls": 1571, "graph nodes": 25}
SLACK = 0.02  # as a part of EXPECTED, upwards
STALE = 0.1  # and downwards


@pytest.fixture(scope="module")
def found() -> dict[str, int]:
    """From a process of its own, where kernels are compiled in a plain run too, and coverage does not trace."""
    root = Path(__file__).parent.parent
    result = subprocess.run(
        [sys.executable, str(root / "tests" / "step_cost.py")],
        env=os.environ | {"NUMBA_DISABLE_JIT": "0", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("what", EXPECTED)
def test_a_training_step_costs_what_it_did(found, what):
    count, expected = found[what], EXPECTED[what]
    assert count <= expected * (1 + SLACK), f"{what}: {count:,} in a training step instead of {expected:,}"
    assert count >= expected * (1 - STALE), f"{what}: only {count:,}; lower EXPECTED from {expected:,}"
