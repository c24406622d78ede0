"""The long form: all targets, each in a process of its own, and a table of what became of the inputs.

    python tests/fuzzing/run.py --executions 1000000
    python tests/fuzzing/run.py --target hub-index --target table-csv --executions 50000 --seed 7
    python tests/fuzzing/run.py --target hub-index --replay FILE         one input, with the traceback
    python tests/fuzzing/run.py --atheris --seconds 60                   guided by coverage; so many seconds for each

The exit code is 1 where something escaped. Each input that did is kept, and the command that repeats it is printed.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzzing.harness import Harness, Tally, name_of

FOUND = Path(tempfile.gettempdir()) / "tinygrad_llm_fuzzing"
STUCK_SECONDS = 300  # without a sign of life: a hang in compiled code, which no alarm interrupts
SPARE_ADDRESSES = 2 << 30  # an input that asks for more gets a MemoryError, and the machine stays usable


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=1_000_000, help="in all, shared out among the targets")
    parser.add_argument("--target", action="append", help="one of them; may be given several times")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOUND, help=f"where inputs that escaped are kept: {FOUND}")
    parser.add_argument("--replay", type=Path, help="give this input to the target, unwatched")
    parser.add_argument("--atheris", action="store_true", help="let the coverage guide: pip install atheris")
    parser.add_argument("--seconds", type=float, default=60, help="with --atheris: for each target")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.atheris:
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # instrumented code is no more what Numba can compile
        from fuzzing import coverage_guided

        if arguments.child:
            coverage_guided.instrument()
    from fuzzing.registry import SHARES, opened

    names = arguments.target or list(SHARES)
    unknown = [name for name in names if name not in SHARES]
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(SHARES)}")
    if arguments.replay:
        with opened(names[0]) as (target, _):
            target.read(arguments.replay.read_bytes())
        return 0
    if arguments.child:
        with opened(names[0]) as (target, harness):
            limit_addresses()
            if arguments.atheris:
                coverage_guided.fuzz(target, harness, arguments.seconds, arguments.seed, Path(arguments.child))
            else:
                fuzz(target, harness, arguments, Path(arguments.child))
        return 0
    return run_all({name: SHARES[name] for name in names}, arguments)


def fuzz(target, harness: Harness, arguments: argparse.Namespace, report: Path) -> None:
    """The inputs one after another; the present one stands in a file, should it take the interpreter along."""
    random = Random(f"{arguments.seed} {target.name}")
    with report.with_suffix(".input").open("wb", buffering=0) as current:
        for number in range(arguments.executions):
            raw = target.spoil(target.seeds, random)
            current.seek(0)
            current.write(number.to_bytes(8, "little") + len(raw).to_bytes(8, "little") + raw)
            harness.run(raw)
    write_report(harness.tally, report)


def write_report(tally: Tally, report: Path) -> None:
    escapes = {what: raw.hex() for what, raw in tally.escapes.items()}
    facts = vars(tally) | {"escapes": escapes, "slowest_input": tally.slowest_input.hex()}
    report.write_text(json.dumps(facts), encoding="utf-8")


def limit_addresses() -> None:
    """Of this process, above what it has now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        most = pages * os.sysconf("SC_PAGE_SIZE") + SPARE_ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run_all(shares: dict[str, float], arguments: argparse.Namespace) -> int:
    """The table, line by line as targets come to their end."""
    total, began = Tally(), time.perf_counter()
    print(f"{'target':21} {'inputs':>9} {'seconds':>8} {'accepted':>9} {'refused':>9} {'MB':>4} {'slowest':>8}")
    for name, share in shares.items():
        executions = round(arguments.executions * share / sum(shares.values()))
        with tempfile.TemporaryDirectory() as folder:
            tally = run_child(name, executions, arguments, Path(folder) / "report")
        print_line(name, tally)
        for what, raw in tally.escapes.items():
            total.escapes[f"{name}: {what}"] = raw
            print_escape(name, what, raw, arguments.out)
        total.executions += tally.executions
        total.seconds += tally.seconds
        total.accepted += tally.accepted
        total.refused += tally.refused
        total.bytes_beyond = max(total.bytes_beyond, tally.bytes_beyond)
        total.slowest = max(total.slowest, tally.slowest)
    print_line("all", total)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in total.refused.most_common())
    print(f"\nrefused by {kinds or 'none'}; {len(total.escapes)} escaped; {time.perf_counter() - began:.0f} s in all")
    return int(bool(total.escapes))


def run_child(name: str, executions: int, arguments: argparse.Namespace, report: Path) -> Tally:
    command = [sys.executable, __file__, "--child", str(report), "--target", name, "--seed", str(arguments.seed)]
    command += ["--executions", str(executions)]
    command += ["--atheris", "--seconds", str(arguments.seconds)] if arguments.atheris else []
    with report.with_suffix(".log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
        seen, since = b"", time.monotonic()
        while child.poll() is None:
            time.sleep(0.05)
            number = _current(report)[:8]
            if number != seen:
                seen, since = number, time.monotonic()
            if time.monotonic() - since > STUCK_SECONDS + arguments.seconds * arguments.atheris:
                child.kill()
    if report.exists():
        facts = json.loads(report.read_text(encoding="utf-8"))
        tally = Tally(**facts | {"escapes": {what: bytes.fromhex(raw) for what, raw in facts["escapes"].items()}})
        tally.refused = type(Tally().refused)(tally.refused)
        return tally
    current = _current(report)
    raw = current[16 : 16 + int.from_bytes(current[8:16], "little")]
    said = report.with_suffix(".log").read_text(errors="replace").strip().splitlines()
    what = f"the interpreter ended with {child.returncode}: {said[-1] if said else 'no word'}"
    return Tally(int.from_bytes(current[:8], "little"), escapes={what: raw})


def _current(report: Path) -> bytes:
    path = report.with_suffix(".input")
    return path.read_bytes() if path.exists() else b""


def print_line(name: str, tally: Tally) -> None:
    print(
        f"{name:21} {tally.executions:9,} {tally.seconds:8.1f} {tally.accepted:9,} {tally.refused.total():9,} "
        f"{max(tally.bytes_beyond, 0) >> 20:4} {1000 * tally.slowest:5.0f} ms",
        flush=True,
    )


def print_escape(name: str, what: str, raw: bytes, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{name_of(raw)}"
    path.write_bytes(raw)
    print(f"    {what}\n    python tests/fuzzing/run.py --target {name} --replay {path}", flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main())
