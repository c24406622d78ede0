"""The mutation tool of tests/mutants, on a function of its own; and a sample of the real mutants (stress)."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import FunctionType

import pytest
from mutants import run as tool
from mutants import session
from mutants.operators import mutations
from mutants.report import column, read_table, table
from mutants.targets import PACKAGE, PARTS, Target, all_targets, install, is_kernel, mutants_of

from tinygrad_llm.autograd import Function

ROOT = Path(__file__).parents[1]


def backward(dout, saved):
    x, y = saved
    total = 0.0
    for i in range(len(x)):
        total += dout * x[i]
    return 2 * total, dout - y if total > 3 else dout


def toy_target() -> Target:
    """With a function of its own, whose code may be exchanged."""
    node = ast.parse(inspect.getsource(backward)).body[0]
    return Target("ops/toy.py", "Toy.backward", node, FunctionType(backward.__code__, globals()))


class Check:
    """Stands for a pytest item."""

    def __init__(self, name, passes):
        self.nodeid, self.passes = name, passes


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.setattr(session, "passes", lambda item: item.passes())


@pytest.fixture(scope="module")
def targets():
    return all_targets()


@pytest.mark.parametrize(
    "step",
    [
        "no accumulation: total += dout * x[i] -> total = dout * x[i]",
        "operator: total += dout * x[i] -> total -= dout * x[i]",
        "deleted: total += dout * x[i] -> pass",
        "drop factor: 2 * total -> total",
        "drop factor: dout * x[i] -> dout",
        "drop term: dout - y -> dout",
        "index: x[i] -> x[i + 1]",
        "range: range(len(x)) -> range(1, len(x))",
        "range: range(len(x)) -> range(len(x) - 1)",
        "comparison: total > 3 -> total >= 3",
        "constant: 2 -> 3",
        "condition: dout - y if total > 3 else dout -> dout - y if not total > 3 else dout",
        "zero gradient: return (2 * total, dout - y if total > 3 else dout) "
        "-> return (0 * (2 * total), dout - y if total > 3 else dout)",
        "gradients swapped: return (2 * total, dout - y if total > 3 else dout) "
        "-> return (dout - y if total > 3 else dout, 2 * total)",
    ],
)
def test_steps_of_a_toy_backward(step):
    found = {mutation.step: mutation for mutation in mutations(toy_target().node)}
    assert ast.unparse(found[step].function) != ast.unparse(toy_target().node)


def test_each_mutant_is_another_function_with_an_id_of_its_own():
    mutants = list(mutants_of(toy_target()))
    assert len(mutants) > 20
    assert len({mutant.id for mutant in mutants}) == len(mutants)
    sources = [ast.unparse(mutant.mutation.function) for mutant in mutants]
    assert len(set(sources)) == len(sources)
    assert ast.unparse(toy_target().node) not in sources


def test_axes_and_functions_and_messages():
    source = (
        "def f(x, dim):\n    'Doc 1.'\n    if x is None:\n        raise ValueError(1)\n    return x.sum(axis=dim)\n"
    )
    steps = {mutation.step for mutation in mutations(ast.parse(source).body[0])}
    assert steps == {
        "sign: return x.sum(axis=dim) -> return -x.sum(axis=dim)",
        "axis: x.sum(axis=dim) -> x.sum(axis=dim - 1)",
        "function: x.sum(axis=dim) -> x.mean(axis=dim)",
    }


def test_a_mutant_is_killed_by_a_test_that_it_fails_and_survives_others(checks):
    target = toy_target()
    (dropped,) = (each for each in mutants_of(target) if each.mutation.step == "drop factor: 2 * total -> total")
    blind = Check("tests/test_blind.py::test_blind", lambda: target.function(1.0, ([1.0], 1.0))[1] == 1.0)
    sharp = Check("tests/test_sharp.py::test_sharp", lambda: target.function(1.0, ([1.0], 1.0))[0] == 2.0)
    assert blind.passes()
    assert sharp.passes()
    verdict = session.run_mutant(dropped, [(blind, 0.0), (sharp, 0.0)])
    assert verdict == session.Verdict("failed", "test_sharp.py::test_sharp", 2)
    assert session.run_mutant(dropped, [(blind, 0.0)]).end == "survived"
    assert sharp.passes(), "the mutant is in the child alone"


def test_an_endless_loop_and_a_crash_count_as_killed(checks, monkeypatch):
    monkeypatch.setattr(session, "SECONDS_AT_LEAST", 0.2)
    (mutant, *_) = mutants_of(toy_target())

    def endless():
        while True:
            pass

    verdict = session.run_mutant(mutant, [(Check("tests/a.py::endless", endless), 0.0)])
    assert (verdict.end, verdict.test) == ("time-out", "a.py::endless")
    crash = Check("tests/a.py::crash", lambda: 1 / 0)
    assert session.run_mutant(mutant, [(crash, 0.0)]).end == "crash"


def test_a_test_that_is_slow_by_itself_says_nothing_by_a_time_out(checks, monkeypatch):
    monkeypatch.setattr(session, "SECONDS_AT_LEAST", 0.2)

    def busy(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    assert session.is_slow(Check("tests/a.py::slow", lambda: busy(0.15)), 0.0)
    assert not session.is_slow(Check("tests/a.py::quick", lambda: busy(0.01)), 0.0)
    assert not session.is_slow(Check("tests/a.py::measured", lambda: busy(0.15)), 0.1)


def test_results_of_processes_come_in_order():
    assert session.in_processes(lambda n: n * n, range(7), 3) == [n * n for n in range(7)]


def test_install_changes_what_every_name_of_the_function_does():
    target = toy_target()
    other_name = target.function
    (mutant,) = (each for each in mutants_of(target) if each.mutation.step == "drop factor: 2 * total -> total")
    install(target, mutant.mutation.function)
    assert other_name(1.0, ([1.0], 1.0))[0] == 1.0
    install(target, target.node)
    assert other_name(1.0, ([1.0], 1.0))[0] == 2.0


def test_every_backward_and_every_kernel_is_a_target(targets):
    """Found here in another way: all subclasses, and all decorated functions of the parts' files."""
    functions = {target.function for target in targets}
    stack, n_ops = [Function], 0
    while stack:
        stack += (subclasses := stack.pop().__subclasses__())
        for op in (each for each in subclasses if each.__module__.startswith("tinygrad_llm.ops")):
            assert {op.forward, op.backward} <= functions, op
            n_ops += 1
    assert n_ops > 60
    names = {target.id for target in targets}
    n_kernels = 0
    for path in (path for part in PARTS for path in (PACKAGE / part).glob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        for name in re.findall(r"^@kernel.*\ndef (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"{file}::{name}" in names
            n_kernels += 1
    assert n_kernels > 90
    assert sum(is_kernel(target.node) for target in targets) == n_kernels


def test_helpers_of_backwards_are_targets_and_checks_of_arguments_are_not(targets):
    names = {target.id for target in targets}
    assert {"ops/common.py::unbroadcast", "ops/softmax.py::from_rows", "ops/attention_layout.py::sum_parts"} <= names
    assert {"optim/sgd.py::SGD.update", "optim/muon.py::orthogonalise", "optim/clip.py::clip_grad_norm_"} <= names
    assert not names & {"ops/softmax.py::softmax", "ops/softmax.py::softmax_ref", "ops/attention.py::check_inputs"}


def test_every_file_has_mutants_and_a_row_of_results(targets):
    """All of which were run, and killed by tests, which killers.json names for the sample."""
    killers = json.loads(tool.KILLERS.read_text(encoding="utf-8"))
    rows = tool.results()
    assert rows.keys() == {target.file for target in targets}, "run python -m tests.mutants"
    assert sum(row.total() for row in rows.values()) > 7000
    for file, row in rows.items():
        own = [target for target in targets if target.file == file]
        n_mutants = sum(1 for target in own for _ in mutants_of(target))
        assert n_mutants > 0, file
        assert row.total() == n_mutants, f"{file} has changed: run python -m tests.mutants --only {file}"
        assert row["survived"] == 0, file
        assert any(killers.get(target.id) for target in own), file
    assert killers.keys() <= {target.id for target in targets}, "run python -m tests.mutants"


def test_equivalents_are_mutants_of_the_source_as_it_is(targets):
    assert tool.read_equivalents(targets)


def test_an_equivalent_that_is_no_mutant_any_more_is_refused():
    reason = "Takes the other path, with an equal result."
    assert tool.check_equivalents({"a": reason}, {"a", "b"})
    with pytest.raises(ValueError, match="'c' is no mutant"):
        tool.check_equivalents({"c": reason}, {"a", "b"})
    with pytest.raises(ValueError, match="'a' needs a reason"):
        tool.check_equivalents({"a": "equivalent"}, {"a", "b"})


def test_the_table_counts_by_file_and_by_killer():
    assert column("failed", "test_ops.py::test_golden_values_of_pytorch[relu]") == "golden"
    assert column("failed", "test_ops.py::test_any_memory_layout_gives_the_same[relu]") == "other op cases"
    assert column("failed", "test_matmul.py::test_sizes") == "own tests"
    assert column("time-out", "test_matmul.py::test_sizes") == "time-out"
    rows = {"a.py": Counter(golden=1, survived=1), "b.py": Counter(golden=1, equivalent=1)}
    lines = table(rows).splitlines()
    assert lines[2] == "| a.py | 2 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 |"
    assert lines[4] == "| all | 4 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 1 |"
    assert lines[-1] == "3 mutants that may change results, 66.67% of them killed."
    assert read_table(table(rows)) == rows


@pytest.mark.stress
def test_no_mutant_of_a_sample_survives(tmp_path):
    n = 60
    command = [sys.executable, "-m", "tests.mutants", "--sample", str(n), "--seed", "8", "--json", "out.json"]
    command[-1] = str(tmp_path / "out.json")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert len(outcomes) == n
    assert all(each["test"] for each in outcomes.values())
