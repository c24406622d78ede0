"""How long a learner waits for `import tinygrad_llm`, and for the first training step, which compiles or loads kernels.

python benchmarks/bench_start.py [--quick]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from report import Row, command_line

# Run in a fresh interpreter, which prints a JSON list.
IMPORT = """
import json, sys, time
start = time.perf_counter()
import tinygrad_llm
print(json.dumps([time.perf_counter() - start, "numba" in sys.modules]))
"""
FIRST_STEP = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from bench_step import MODELS, our_model, our_step
from tinygrad_llm import warm_up
import numpy as np
sizes = MODELS["nano"]
step = our_step(our_model(sizes))
x, y = np.random.default_rng(1).integers(0, sizes[-1], (2, *sizes[:2]))
start = time.perf_counter()
if warm_up.is_needed():  # as the command line does
    warm_up.compile_kernels()
step(x, y)
print(json.dumps([time.perf_counter() - start]))
"""


def rows(quick: bool = False) -> list[Row]:
    """About 1.5 minutes: an empty cache three times, each some 20 seconds or less."""
    imports = [fresh_process(IMPORT) for _ in range(2 if quick else 9)]
    if any(numba_loaded for _, numba_loaded in imports):
        raise AssertionError("import tinygrad_llm loaded Numba, which should wait for the first kernel")
    cold, warm = [], []
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as cache:
            cold += fresh_process(FIRST_STEP, cache)
            warm += [fresh_process(FIRST_STEP, cache)[0] for _ in range(1 if quick else 3)]
    step = "first training step of nano"
    return [
        Row("start", "import tinygrad_llm", "", middle(seconds for seconds, _ in imports), None, "s", "lower", 0.3),
        Row("start", f"{step}, empty kernel cache", "", middle(cold), None, "s", "lower", 20),
        Row("start", f"{step}, warm kernel cache", "", middle(warm), None, "s", "lower", 2),
    ]


def fresh_process(code: str, cache: str | None = None) -> list:
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[-1])
    return json.loads(result.stdout.splitlines()[-1])


def middle(seconds) -> float:
    return float(np.median(list(seconds)))


if __name__ == "__main__":
    command_line(__doc__, rows)
