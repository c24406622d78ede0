"""What a benchmark found, as rows: printed as a table, written as Markdown and JSON, compared with an earlier run.

A benchmark is a script `bench_NAME.py` with a function `rows(quick) -> list[Row]`, and at its end

    if __name__ == "__main__":
        command_line(__doc__, rows, make)

where `make(side, case)`, if it has sides in processes of their own (see interleave.py), gives the call to time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from interleave import serve
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure of ours, beside the peer's where there is one."""

    bench: str  # "step", "kernels" …
    case: str  # what was measured: "nano, B12 T64 L4 H4 C128 V65"
    against: str  # the peer and how it runs: "PyTorch eager"; "" for a figure that stands alone
    ours: float | None  # in `unit`; None where it could not be measured, and `note` says why
    peer: float | None  # in `unit`; None without a peer
    unit: str  # "ms", "s", "MB", "GFLOP/s", "tokens/s" …
    better: Literal["lower", "higher"]
    reach: float | None = None  # limit of `value`: at most that where lower is better, at least that where higher is
    note: str = ""
    x: float | None = None  # for a point of a plot: where it stands on the horizontal axis

    @property
    def value(self) -> float | None:
        """What `reach` limits: **ours / peer**, or ours where there is no peer."""
        return self.ours if self.peer is None or self.ours is None else self.ours / self.peer

    @property
    def times_better(self) -> float | None:
        """How many times as good as the peer, above 1 where ours is better: the ratio or its inverse."""
        if self.peer is None or self.ours is None:
            return None
        return self.value if self.better == "higher" else 1 / self.value

    @property
    def reached(self) -> bool | None:
        if self.reach is None:
            return None
        if self.value is None:
            return False
        return self.value <= self.reach if self.better == "lower" else self.value >= self.reach

    @property
    def key(self) -> tuple:
        return (self.bench, self.case, self.against, self.unit, self.x)


def failed(bench: str, reason: str) -> Row:
    """The row of a benchmark that ended early."""
    return Row(bench, f"{bench}, the whole benchmark", "", None, None, "", "lower", note=f"not measured: {reason}")


COLUMNS = ("what", "against", "ours", "peer", "ours / peer", "reach", "reached")


def cells(row: Row) -> list[str]:
    """One row of a table, as text."""
    unit = f" {row.unit}" if row.unit else ""
    ratio = number(row.value) if row.peer is not None else ""
    reach = "" if row.reach is None else f"{'≤' if row.better == 'lower' else '≥'} {row.reach:.3g}"
    if row.reach is not None and row.peer is None:
        reach += unit
    reached = {None: "", True: "yes", False: "**no**"}[row.reached]
    what = f"{row.case} ({row.note})" if row.note else row.case
    figures = ["–" if each is None else number(each) + unit for each in (row.ours, row.peer)]
    if row.peer is None and not row.against:
        figures[1] = ""
    return [what, row.against, *figures, ratio, reach, reached]


def number(value: float | None) -> str:
    """Three significant digits, whole numbers with separators: 0.284, 37.1, 1,024."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def rich_table(rows: Iterable[Row], title: str = "") -> Table:
    """The rows as a table for the terminal, with a line between benchmarks."""
    table = Table(title=title)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("what", "against") else "right")
    previous = None
    for row in rows:
        if previous not in (None, row.bench):
            table.add_section()
        previous = row.bench
        style = {None: "", True: "green", False: "yellow"}[row.reached]
        table.add_row(*(cell.replace("*", "") for cell in cells(row)), style=style)
    return table


def markdown_table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write_json(path: Path, rows: Iterable[Row], **facts) -> None:
    """Rows and facts (machine, dates) as JSON, a row per line so that a diff shows which of them changed."""
    head = "".join(f'"{name}": {json.dumps(fact, indent=1)},\n' for name, fact in facts.items())
    body = ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    path.write_text(f'{{\n{head}"rows": [\n{body}\n]\n}}\n', encoding="utf-8")


def read_json(path: Path) -> tuple[list[Row], dict]:
    """The rows, and the facts beside them. Raises FileNotFoundError, ValueError for a file that is none of ours."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or "rows" not in facts:
        raise ValueError(f"{path} holds no benchmark results: a JSON object with `rows` was expected.")
    return [Row(**row) for row in facts.pop("rows")], facts


def comparison(old: Iterable[Row], new: Iterable[Row], tolerance: float = 0.05) -> Table:
    """What changed by more than `tolerance`: of a ratio to a peer the ratio, since both ran on the same machine."""
    before = {row.key: row for row in old}
    table = Table(title=f"changes of more than {tolerance:.0%}, of ours / peer or of a figure without a peer")
    for column in ("bench", "what", "against", "before", "now", "change", ""):
        table.add_column(column, justify="right" if column in ("before", "now", "change") else "left")
    for row in new:
        was = before.get(row.key)
        if was is None or not was.value or row.value is None:
            continue
        change = row.value / was.value - 1
        if abs(change) > tolerance:
            worse = (change > 0) == (row.better == "lower")
            at = row.case if row.x is None else f"{row.case} at {number(row.x)}"
            verdict, style = ("worse", "yellow") if worse else ("better", "green")
            figures = (number(was.value), number(row.value), f"{change:+.0%}")
            table.add_row(row.bench, at, row.against, *figures, verdict, style=style)
    return table


def command_line(
    description: str, rows: Callable[[bool], list[Row]], make: Callable[[str, str], Callable] | None = None
) -> None:
    """The command line that all benchmarks share: prints the rows, or writes them where run_all.py asks for it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements: a try, not a result")
    parser.add_argument("--json", type=Path, help="write the rows to this file, also where the benchmark fails")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(lambda case: make(options.serve, case))
    if not options.json:
        return Console(width=150).print(rich_table(rows(options.quick)))
    try:
        found = rows(options.quick)
    except Exception as error:
        traceback.print_exc()
        found = [failed(Path(sys.argv[0]).stem.removeprefix("bench_"), f"{type(error).__name__}: {error}")]
    write_json(options.json, found)
