"""The table: per file, how many mutants there are and what killed them."""

from __future__ import annotations

from collections import Counter

# By the test of the op cases (tests/test_ops.py) that failed.
COLUMNS = {
    "test_golden_values_of_pytorch": "golden",
    "test_forward_equals_reference": "reference",
    "test_gradients_equal_central_differences": "gradcheck",
}
NOT_RUN = "not yet run"
OTHER_CASES, OWN_TESTS = "other op cases", "own tests"
ORDER = ("golden", "reference", "gradcheck", OTHER_CASES, OWN_TESTS, "time-out", "crash", "equivalent", "survived")


def column(end: str, test: str) -> str:
    """The column that a mutant is counted in which ended so, in this test."""
    if end != "failed":
        return end
    file, name = test.split("::")[:2]
    return COLUMNS.get(name.partition("[")[0], OTHER_CASES) if file == "test_ops.py" else OWN_TESTS


def table(rows: dict[str, Counter]) -> str:
    """Markdown: a line for each file, then one for all, and the score."""
    total = sum(rows.values(), Counter())
    lines = [f"| file | mutants | {' | '.join(ORDER)} |", "|" + " --- |" * (2 + len(ORDER))]
    for file, counts in [*sorted(rows.items()), ("all", total)]:
        numbers = [counts.total() or NOT_RUN, *(counts[name] for name in ORDER)]
        lines.append(f"| {file} | {' | '.join(map(str, numbers))} |")
    changing = total.total() - total["equivalent"]
    score = (changing - total["survived"]) / max(changing, 1)
    return "\n".join([*lines, "", f"{changing} mutants that may change results, {score:.2%} of them killed."])


def read_table(text: str) -> dict[str, Counter]:
    """The rows that `table` wrote."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "py |" in line]
    return {file: Counter(dict(zip(ORDER, map(int, numbers), strict=True))) for file, _, *numbers in cells}
