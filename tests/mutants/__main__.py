"""`python -m tests.mutants`: see run.py."""

import os
import sys
from pathlib import Path

# Before NumPy and Numba are loaded: kernels as plain Python, whose code can be exchanged, and one thread.
os.environ["NUMBA_DISABLE_JIT"] = "1"
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.chdir(Path(__file__).parents[2])

from .run import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
