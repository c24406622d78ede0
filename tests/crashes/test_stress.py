"""The driver in short: real kills, Ctrl-C and SIGTERM at random moments, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.stress
def test_kills_and_signals_at_random_moments_change_nothing():
    command = [sys.executable, "-m", "tests.crashes", "--kills", "12", "--interrupts", "6", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unreadable checkpoints     0" in done.stdout
    assert "identical bit for bit      yes" in done.stdout
    assert "kills by SIGKILL           12 " in done.stdout
