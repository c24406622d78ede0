"""`python -m tests.crashes --kills 200`: exit code 0 where nothing was lost."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="kill training runs at random moments, and resume them")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--interrupts", type=int, default=20, help="by Ctrl-C and SIGTERM (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--folder", type=Path, help="to work in, and to keep (default: a temporary one)")
    arguments = parser.parse_args()
    # One thread, before NumPy and Numba are imported: forks have no others.
    os.environ |= {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    os.environ["NUMBA_THREADING_LAYER"] = "workqueue"

    from .driver import Driver

    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(arguments.folder or Path(folder), arguments.seed)
        print(f"uninterrupted run: {driver.whole:.1f} s", flush=True)
        driver.kill(arguments.kills, lambda text: print(text, flush=True))
        driver.interrupt(arguments.interrupts)
        report = driver.finish()
    print(report)
    return 1 if report.faults else 0


sys.exit(main())
