"""The mutation score of the gradients: every mutant of every target against the tests that run through it.

    python -m tests.mutants                           all, with a table at the end; writes results.md and killers.json
    python -m tests.mutants --only softmax sgd.py     the mutants that have one of these in their id
    python -m tests.mutants --sample 40 --seed 7      some, against the tests in killers.json alone: quick

A mutant is killed when one of the tests that ship fails with it. A few cannot be, since they change no result: they
are in equivalents.json, each with the reason. All others that no test tells from the original are survivors, and the
exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from .report import column, read_table, table
from .session import SURVIVED, TIME_OUT, Reach, in_order, in_processes, is_slow, mark, reach_of, run_mutant, run_session
from .targets import Mutant, Target, all_targets, mutants_of

HERE = Path(__file__).parent
TESTS = HERE.parent
RESULTS, KILLERS, EQUIVALENTS = HERE / "results.md", HERE / "killers.json", HERE / "equivalents.json"
# All tests of one op case run through the same, so one of them is measured, and the others take so many times as long.
OP_CASES = "test_ops.py::"
MEASURED = OP_CASES + "test_gradients_keep_the_dtype"
LONGER = {
    "test_golden_values_of_pytorch": 1, "test_gradients_keep_the_dtype": 1,
    "test_forward_equals_reference": 5, "test_gradients_equal_central_differences": 20,
}  # fmt: skip
EQUIVALENT = "equivalent"
ALL = [""]
ABOUT_RESULTS = "Written by `python -m tests.mutants`, which runs every mutant: see run.py."
# The op cases, and the tests of larger shapes and of the optimizers, which some kernels are reached by alone.
TEST_FILES = (
    "test_ops.py", "test_activations.py", "test_attention.py", "test_attention_few_queries.py",
    "test_attention_layout.py", "test_attention_tiles.py", "test_block_linear.py",
    "test_grouped_query_attention.py", "test_cross_entropy.py", "test_elementwise.py", "test_embedding.py",
    "test_indexing.py", "test_int8.py", "test_losses.py", "test_matmul.py", "test_matmul_tiles.py", "test_muon.py",
    "test_norms.py", "test_operators.py", "test_optim.py", "test_optim_in_place.py", "test_reduce.py", "test_rope.py",
    "test_shape.py",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: how it ended (EQUIVALENT or a Verdict's end), in which test, after how many."""

    mutant: Mutant
    end: str
    test: str = ""
    n_tests: int = 0

    @property
    def column(self) -> str:
        return column(self.end, self.test)


def main(arguments: list[str]) -> int:
    """Run what the command line asks for. Returns 1 if a mutant survived, 2 if there is none, else 0."""
    options = parser().parse_args(arguments)
    start = time.perf_counter()
    targets = all_targets()
    everything = [mutant for target in targets for mutant in mutants_of(target)]
    mutants = [mutant for mutant in everything if any(text in mutant.id for text in options.only)]
    if not mutants:
        print(f"mutants: no mutant has {' or '.join(options.only)} in its id.", file=sys.stderr)
        return 2
    equivalents = read_equivalents(targets)
    skipped = {} if options.equivalents else equivalents
    outcomes = [Outcome(mutant, EQUIVALENT) for mutant in mutants if mutant.id in skipped]
    todo = [mutant for mutant in mutants if mutant.id not in skipped]
    if options.sample:
        files = {file for file, row in results().items() if row.total()}
        todo = [mutant for mutant in todo if mutant.target.file in files]
        todo = random.Random(options.seed).sample(todo, min(options.sample, len(todo)))
        outcomes = against_killers(todo)
    else:
        outcomes += against_all(todo, targets, options)
    rows = rows_of(outcomes)
    print(f"{table(rows)}\n\n{(time.perf_counter() - start) / 60:.0f} minutes.")
    survivors = [each for each in outcomes if each.end == SURVIVED and each.mutant.id not in equivalents]
    for each in survivors:
        print(f"survived {each.n_tests} tests: {each.mutant.id}")
    for each in (each for each in outcomes if each.mutant.id in equivalents and each.test and each.end != SURVIVED):
        print(f"no equivalent, {each.test} kills it: {each.mutant.id}")
    if options.json:
        found = {each.mutant.id: {"end": each.end, "test": each.test, "tests": each.n_tests} for each in outcomes}
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    if not options.sample and not options.equivalents:
        write_killers(outcomes, keep=options.only != ALL)
        left_out = {mutant.target.file for mutant in set(everything) - set(mutants)}
        write_results({file: row for file, row in rows.items() if file not in left_out}, {t.file for t in targets})
    return 1 if survivors else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=ALL, metavar="TEXT", help="mutants with one of these in their id")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="N mutants, against killers.json's tests")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--json", metavar="OUT", help="write what became of each mutant to this file")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="at once (default: 1)")
    parser.add_argument("--budget", type=float, default=20.0, metavar="SECONDS", help="of tests for one mutant")
    parser.add_argument("--equivalents", action="store_true", help="also run those said to be equivalent")
    parser.add_argument(
        "--reach",
        metavar="FILE",
        help="keep here what each test runs through, for the next time (remove it when that changes)",
    )
    return parser


def read_equivalents(targets: list[Target]) -> dict[str, str]:
    """The reasons by mutant. Raises ValueError for an entry that is no mutant (any more), or has no reason."""
    equivalents = json.loads(EQUIVALENTS.read_text(encoding="utf-8"))
    named = {"::".join(name.split("::")[:2]) for name in equivalents}
    known = {mutant.id for target in targets if target.id in named for mutant in mutants_of(target)}
    return check_equivalents(equivalents, known)


def check_equivalents(equivalents: dict[str, str], known: set[str]) -> dict[str, str]:
    """Raises ValueError for an entry that is not `known`, or whose reason says nothing."""
    for name, reason in equivalents.items():
        if name not in known:
            raise ValueError(f"equivalents.json: {name!r} is no mutant of the source as it is now; remove the entry.")
        if len(reason.split()) < 4:
            raise ValueError(f"equivalents.json: {name!r} needs a reason why it cannot change results, not {reason!r}.")
    return equivalents


def against_all(todo: list[Mutant], targets: list[Target], options: argparse.Namespace) -> list[Outcome]:
    """Each mutant against the tests that run through its target, those first that killed others of it."""
    outcomes = []

    def work(items):
        reaches = known_reaches(items, targets, options)
        orders: dict[str, list[str]] = {}  # by target: its tests in order

        def run(number: int) -> tuple[str, str, int]:
            mutant = todo[number]
            order = orders.setdefault(mutant.target.id, list(in_order(reaches, mutant.target)))
            verdict = run_mutant(mutant, within_budget(order))
            while verdict.end == TIME_OUT and is_slow(items[verdict.test], reaches[verdict.test].seconds):
                del reaches[verdict.test]
                verdict = run_mutant(mutant, within_budget(order))
            if verdict.end != SURVIVED:
                order.remove(verdict.test)
                order.insert(0, verdict.test)
            if number % 100 == 0 or verdict.end in (SURVIVED, TIME_OUT):
                print(f"{number}/{len(todo)} {verdict.end} after {verdict.n_tests}: {mutant.id}", file=sys.stderr)
            return verdict.end, verdict.test, verdict.n_tests

        def within_budget(order: list[str]) -> list[tuple[pytest.Item, float]]:
            chosen, total = [], 0.0
            for name in (name for name in order if name in reaches):
                total += reaches[name].seconds
                if chosen and total > options.budget:
                    break
                chosen.append((items[name], reaches[name].seconds))
            return chosen

        results = in_processes(run, range(len(todo)), options.processes)
        outcomes.extend(Outcome(mutant, *result) for mutant, result in zip(todo, results, strict=True))

    run_session([f"tests/{name}" for name in TEST_FILES], work)
    return outcomes


def known_reaches(items: dict, targets: list[Target], options: argparse.Namespace) -> dict[str, Reach]:
    """What each test runs through: read from the file of `--reach`, and measured where that does not know."""
    path = Path(options.reach) if options.reach else None
    kept = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    names = [name for name in items if not name.startswith(OP_CASES) or name.startswith(MEASURED)]
    names = [name for name in names if name not in kept]
    undo = mark(targets)

    def measure(number: int):
        if number % 100 == 0:
            print(f"what tests run through: {number}/{len(names)} {names[number]}", file=sys.stderr)
        return reach_of(items[names[number]])

    kept |= zip(names, in_processes(measure, range(len(names)), options.processes), strict=True)
    undo()
    if path:
        path.write_text(json.dumps(kept), encoding="utf-8")
    reaches = {
        name: Reach(found[0], frozenset(found[1]))
        for name, found in kept.items()
        if found is not None and name in items
    }
    for name in (name for name in items if name.startswith(OP_CASES)):
        test, _, case = name.partition("[")
        measured = reaches.get(f"{MEASURED}[{case}")
        if measured is not None:
            factor = LONGER.get(test.removeprefix(OP_CASES), 3)
            reaches[name] = Reach(factor * measured.seconds, measured.targets)
    return reaches


def against_killers(todo: list[Mutant]) -> list[Outcome]:
    """Each mutant against the tests that killed its target's mutants in the last whole run."""
    killers = json.loads(KILLERS.read_text(encoding="utf-8"))
    files = sorted({name.split("::")[0] for mutant in todo for name in killers.get(mutant.target.id, ())})
    outcomes = []

    def work(items):
        for mutant in todo:
            names = [name for name in killers.get(mutant.target.id, ()) if name in items]  # one may be renamed
            verdict = run_mutant(mutant, [(items[name], 0.2) for name in names])
            outcomes.append(Outcome(mutant, verdict.end, verdict.test, verdict.n_tests))

    run_session([f"tests/{name}" for name in files], work)
    return outcomes


def rows_of(outcomes: list[Outcome]) -> dict[str, Counter]:
    """By file, how many mutants each column has."""
    rows: dict[str, Counter] = {}
    for each in outcomes:
        rows.setdefault(each.mutant.target.file, Counter())[each.column] += 1
    return rows


def results() -> dict[str, Counter]:
    """The rows of results.md: none where there is no such file yet."""
    return read_table(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def write_results(rows: dict[str, Counter], files: set[str]) -> None:
    """A row for each of `files`: these, those of an earlier run, or an empty one."""
    rows = {file: (results() | rows).get(file, Counter()) for file in files}
    RESULTS.write_text(f"{ABOUT_RESULTS}\n\n{table(rows)}\n", encoding="utf-8")


def write_killers(outcomes: list[Outcome], keep: bool) -> None:
    """For each target the tests that killed its mutants, those of many first; with `keep`, those known before stay."""
    counts: dict[str, Counter] = {each.mutant.target.id: Counter() for each in outcomes}
    for each in (each for each in outcomes if each.end not in (EQUIVALENT, SURVIVED)):
        counts[each.mutant.target.id][each.test] += 1
    killers: dict[str, list[str]] = json.loads(KILLERS.read_text(encoding="utf-8")) if keep else {}
    for target, tests in counts.items():
        names = [test for test, _ in tests.most_common()]
        if names:
            killers[target] = names + [test for test in killers.get(target, ()) if test not in names]
    KILLERS.write_text(json.dumps(dict(sorted(killers.items())), indent=0) + "\n", encoding="utf-8")
