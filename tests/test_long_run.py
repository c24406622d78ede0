"""Memory is flat: the short form of `long_run.py`, by exact counts rather than by the resident memory."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("reads /proc", allow_module_level=True)

from long_run import Notes, watched_run

STEPS, N_ROWS = 300, 15


@pytest.mark.stress
def test_nothing_piles_up_over_many_steps(tmp_path):
    """Steps, evaluations, samples, checkpoints and log lines leave nothing behind, nor need more memory each time."""
    tracemalloc.start()
    try:
        notes = watched_run(tmp_path, STEPS, N_ROWS)
    finally:
        tracemalloc.stop()
    assert len(notes.steps) == N_ROWS
    for name in ("tensors", "nodes", "files", "threads"):
        assert np.ptp(notes.of(name)) == 0, (name, notes.of(name))
    assert notes.of("tensors").min() > 0
    assert np.ptp(notes.of("tracked")) <= 5, notes.of("tracked")
    # bytes per step: the smallest array is 112 and its numbers; NumPy's store of freed small ones fills at 50
    assert notes.growth("traced") < 100, notes.of("traced")
    assert notes.of("peak").max() < 1.02 * notes.of("peak").min(), notes.of("peak")


@pytest.mark.parametrize("growth", [0, 3])
def test_growth_is_the_slope_after_the_first_fifth(growth):
    notes = Notes(100, 10)
    notes.rows[:, 1] = 50 + growth * notes.steps
    notes.rows[:2, 1] = 0
    assert notes.growth("blocks") == pytest.approx(growth)
