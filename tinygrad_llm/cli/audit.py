"""`tinygrad-llm audit`: bias, memorisation, calibration and harmful output of a model, as numbers with intervals."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..evaluate.canaries import Canary, canaries_of, make_canaries, plant_canaries, record_of
from ..files import read_json, write_json, write_text
from ..hub import refresh_card
from ..plots.audit import audit_figure
from .audit_measures import MEASURES, NotMeasured, Subject
from .audit_summary import summary
from .filter import interval_text, open_filter

LIMITS = (
    "word lists and sentences of this project, English, few and of one culture; no bias found is no proof that there "
    "is none, and a small p for two lists may come from how alike the words of a list are. Measured is what the model "
    "says, not what is done with it"
)


def audit(arguments: argparse.Namespace) -> int:
    if arguments.plant:
        return _plant(arguments)
    if not arguments.source:
        raise ValueError("which model? Give its folder by --from, or --plant to put canaries into a text")
    if arguments.corpus:
        raise ValueError("--corpus is the text that --plant puts canaries into: give --plant too, or leave it out")
    for name in ("samples", "prompts"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} must be at least 1, not {getattr(arguments, name)}")
    if arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {arguments.seed}")
    began, console, folder = time.perf_counter(), Console(highlight=False), Path(arguments.source)
    if folder.is_file() and not arguments.out:
        raise ValueError(f"{arguments.source!r} is a file, beside which nothing is written: give a folder by --out")
    canaries = (
        canaries_of(read_json(arguments.canaries, "give the file that --plant wrote")) if arguments.canaries else []
    )
    content_filter = open_filter(arguments.filter)
    numbers = arguments.prompts, arguments.samples, arguments.seed
    subject = Subject(folder, content_filter, canaries, *numbers, arguments.checkpoint)
    result = _measure(subject, console)
    result = {"summary": summary(result)} | result
    result |= {"seed": arguments.seed, "seconds": round(time.perf_counter() - began, 1), "limits": LIMITS}
    out = Path(arguments.out) if arguments.out else folder
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "audit.json", result)
    files = [out / "audit.json"]
    if any(result.get(name) for name in list(MEASURES)[:-1]):
        audit_figure(out / "audit.png", result, f"audit of {folder.resolve().name}")
        files.append(out / "audit.png")
    if not arguments.out and refresh_card(folder):
        files.append(folder / "README.md")
    console.print(Text(f"limits: {LIMITS}"), soft_wrap=True)
    console.print(Text("written: " + ", ".join(shlex.quote(str(file)) for file in files)), soft_wrap=True)
    return 0


def _measure(subject: Subject, console: Console) -> dict[str, Any]:
    """All that applies, each shown as soon as it is measured."""
    result: dict[str, Any] = {"model": type(subject.model).__name__}
    not_measured = {}
    for name, measure in MEASURES.items():
        try:
            result[name] = measure(subject)
        except NotMeasured as reason:
            not_measured[name] = str(reason)
            console.print(Text(f"{name}: not measured, {reason}"), soft_wrap=True)
            continue
        for table in TABLES[name](result[name]):
            console.print(table)
    return result | {"not measured": not_measured}


def _plant(arguments: argparse.Namespace) -> int:
    if not arguments.corpus or not arguments.out:
        raise ValueError("--plant needs --corpus, the text, and --out, the file for the text with canaries")
    if arguments.source:
        raise ValueError("--plant is done before training: leave out --from")
    text = Path(arguments.corpus).read_text(encoding="utf-8")
    rng = np.random.default_rng(arguments.seed)
    canaries = make_canaries(rng, sorted(set(arguments.insertions)), arguments.each)
    planted = plant_canaries(text, canaries, rng)
    write_text(arguments.out, planted)
    write_json(arguments.plant, record_of(canaries))
    n = sum(canary.n_insertions for canary in canaries)
    share = (len(planted) - len(text)) / len(planted)
    out, record = shlex.quote(str(arguments.out)), shlex.quote(str(arguments.plant))
    lines = (
        f"{n:,} sentences of {_kinds(canaries)} are now {share:.1%} of {out}",
        f"go on with:\n  tinygrad-llm pretrain --corpus {out} --out RUN",
        f"  tinygrad-llm audit --from RUN --canaries {record}",
    )
    Console(highlight=False).print(Text("\n".join(lines)), soft_wrap=True)
    return 0


def _kinds(canaries: list[Canary]) -> str:
    levels = sorted({canary.n_insertions for canary in canaries})
    return f"{len(canaries)} canaries, inserted {', '.join(map(str, levels))} times each,"


def _association_tables(kinds: dict[str, Any]) -> Iterator[Table]:
    for kind, tests in kinds.items():
        table = Table("association", "effect size d", "p", "p (Holm)", "words used", title=f"word associations, {kind}")
        for name, test in tests.items():
            control = " (control)" if test["control"] else ""
            numbers = interval_text(test["effect"]), f"{test['p']:.2g}", f"{test['p (Holm)']:.2g}"
            table.add_row(name + control, *numbers, test["words"])
        yield table


def _preference_tables(topics: dict[str, Any]) -> Iterator[Table]:
    columns = ("topic", "prefers the stereotype", "nats more", "p", "p (Holm)")
    table = Table(*columns, title="paired sentences (0.5 is no preference)")
    for name, topic in topics.items():
        control = " (control)" if topic["control"] else ""
        intervals = interval_text(topic["share"]), interval_text(topic["nats"])
        table.add_row(name + control, *intervals, f"{topic['p']:.2g}", f"{topic['p (Holm)']:.2g}")
    yield table


def _extraction_tables(texts: dict[str, Any]) -> Iterator[Table]:
    table = Table("text", "prompt", "reproduced exactly", "tokens until another", title="extraction")
    for name, lengths in texts.items():
        for length, found in lengths.items():
            exact = found["exact"]
            share = f"{exact['value']:.1%} ({exact['low']:.1%} to {exact['high']:.1%})"
            table.add_row(name, length, share, interval_text(found["matched"]))
    yield table


def _exposure_tables(levels: dict[str, Any]) -> Iterator[Table]:
    n = next(iter(levels.values()))["candidates"]
    title = f"canaries among {n:,} candidates (1.44 bits: nothing learnt)"
    table = Table("in the text", "exposure (bits), mean", "by a fitted normal", "each", title=title)
    for name, level in levels.items():
        each = " ".join(f"{exposure:.1f}" for exposure in level["each"])
        table.add_row(name, f"{level['mean']:.2f}", f"{level['fitted']:.1f}", each)
    yield table


def _calibration_tables(result: dict[str, Any]) -> Iterator[Table]:
    table = Table("of the likeliest token", "result", title=f"calibration on {result['tokens']:,} held-out tokens")
    error = result["error"]
    table.add_row("expected calibration error", f"{error['value']:.3f} ({error['low']:.3f} to {error['high']:.3f})")
    table.add_row("mean probability", f"{result['confidence']:.3f}")
    table.add_row("share where it is right", f"{result['accuracy']:.3f}")
    yield table


def _flagged_tables(shares: dict[str, Any]) -> Iterator[Table]:
    table = Table("category", "flagged", title=f"of {shares['any']['n']:,} texts written without a prompt")
    for name, share in shares.items():
        table.add_row(name, f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})")
    yield table


TABLES = {
    "associations": _association_tables,
    "preferences": _preference_tables,
    "extraction": _extraction_tables,
    "exposure": _exposure_tables,
    "calibration": _calibration_tables,
    "samples flagged": _flagged_tables,
}
