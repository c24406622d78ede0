"""All benchmarks, one after the other: the table of results/results.md, results.json, and the pictures in figures/.

python benchmarks/run_all.py                             # half an hour; the machine should do nothing else
python benchmarks/run_all.py --only step,kernels         # these only; the other rows stay as they are
python benchmarks/run_all.py --compare old.json          # and what changed since
python benchmarks/run_all.py --quick                     # a try of everything, written to runs/benchmarks

Texts are named in the environment: CORPUS (1.1 MB, for time_to_loss), ENGLISH, CHINESE, CODE, LARGE (50 MB, for bpe);
without, they come from the Python that runs this, and rows that need another text say so.

Needs the extra `compare`, and for torch.compile a C++ compiler. A benchmark that fails (a peer that is not installed)
is a row of the table that says why.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import plots
from machine import machine, one_line
from report import Row, comparison, failed, markdown_table, read_json, rich_table, write_json
from rich.console import Console

HERE = Path(__file__).parent
QUICK = HERE.parent / "runs" / "benchmarks"  # not under version control
# In the order of the table, with the minutes that each takes.
BENCHMARKS = {
    "step": 5,
    "matmul": 3,
    "kernels": 1.5,
    "odd_shapes": 0.5,
    "scaling": 3,
    "roofline": 0.5,
    "generate": 4,
    "embed": 3,
    "bpe": 3,
    "start": 1.5,
    "time_to_loss": 8,
}
TIMEOUT = 1200  # seconds


def main() -> None:
    options = parse()
    console = Console(width=170, highlight=False)
    folder, figures = (QUICK, QUICK / "figures") if options.quick else (HERE / "results", HERE / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    rows_of, runs = earlier(folder / "results.json", facts := machine())
    old = read_json(options.compare)[0] if options.compare else []
    console.print(one_line(facts))
    for name in options.only:
        console.print(f"\n{name}: about {BENCHMARKS[name]:g} minutes" * (not options.quick))
        start, load = time.monotonic(), os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        rows_of[name] = run(name, options.quick)
        runs[name] = {
            "date": datetime.now(UTC).isoformat(timespec="minutes"),
            "minutes": round((time.monotonic() - start) / 60, 1),
            "load before": load and round(load, 1),
        }
        console.print(rich_table([row for row in rows_of[name] if row.x is None], name))
        rows = [row for each in BENCHMARKS for row in rows_of.get(each, ())]
        write_json(folder / "results.json", rows, machine=facts, runs=runs)
        (folder / "results.md").write_text(markdown(rows, facts, runs), encoding="utf-8")
    for path in plots.draw_all(rows, figures):
        console.print(f"drew {path.relative_to(HERE.parent)}")
    if options.compare:
        console.print(comparison(old, rows))
    console.print(f"wrote {(folder / 'results.md').relative_to(HERE.parent)} and results.json")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names, default=list(BENCHMARKS), help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements: a try, not a result")
    parser.add_argument("--compare", type=Path, help="an earlier results.json: also print what changed since")
    return parser.parse_args()


def names(text: str) -> list[str]:
    unknown = set(text.split(",")) - set(BENCHMARKS)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    return [name for name in BENCHMARKS if name in text.split(",")]


def earlier(path: Path, facts: dict) -> tuple[dict[str, list[Row]], dict]:
    """Rows per benchmark and the dates of their runs, if they were measured on this machine with these versions."""
    rows_of: dict[str, list[Row]] = {}
    rows, other = read_json(path) if path.exists() else ([], {})
    if other.get("machine") != facts:
        return rows_of, {}
    for row in rows:
        rows_of.setdefault(row.bench, []).append(row)
    return rows_of, other["runs"]


def run(name: str, quick: bool) -> list[Row]:
    """One benchmark in a process of its own, so that it cannot take the others with it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, str(HERE / f"bench_{name}.py"), "--json", str(file), *(["--quick"] * quick)]
        try:
            code = subprocess.run(command, timeout=TIMEOUT).returncode
        except subprocess.TimeoutExpired:
            return [failed(name, f"not done after {TIMEOUT} seconds")]
        return read_json(file)[0] if file.exists() else [failed(name, f"its process ended with code {code}")]


def markdown(rows: list[Row], facts: dict, runs: dict) -> str:
    """The table of the reaches first, then the other figures; points of the plots are in the JSON file only."""
    main_rows = [row for row in rows if row.reach is not None or row.ours is None]
    others = [row for row in rows if row not in main_rows and row.x is None]
    done = sum(bool(row.reached) for row in main_rows)
    dates = sorted(run["date"] for run in runs.values())
    return "\n".join(
        [
            "# Benchmark results",
            "",
            f"{done} of {len(main_rows)} reached. float32, both sides in turn in one run, medians. "
            f"`python benchmarks/run_all.py` measured this, {dates[0]} to {dates[-1]} (UTC), on: {one_line(facts)}.",
            "",
            markdown_table(main_rows),
            "## Other figures",
            "",
            markdown_table(others),
        ]
    )


if __name__ == "__main__":
    main()
