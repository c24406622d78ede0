"""`tinygrad-llm filter`: which texts hold unwanted content.
`filter train`: a filter of your own, and how good it is."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..applications.content_filter import ContentFilter, FilteredText, Finding, load_filter
from ..data import TextColumns, read_table
from ..data.harm_examples import LabelledSentence, harm_examples
from ..data.harm_test_sentences import harm_test_sentences
from ..data.held_out import plain
from ..evaluate.filter_report import clean_sentences, false_positives, filter_report, scores_on, word_list_filter
from ..evaluate.filter_training import default_filter, fit_classifier, make_filter
from ..files import new_folder, read_json, write_json

LIMITS = (
    "English only, learnt from few and short sentences: it sees words, not what is meant, and a changed spelling "
    "evades it"
)
BUILT_IN_LIMITS = (
    "examples, classes of words and the texts they are tested on come from one hand: other texts are harder"
)


def open_filter(name: str) -> ContentFilter:
    """The built-in one by the name "default", else that of a folder."""
    return default_filter() if name == "default" else load_filter(name)


def filter_texts(arguments: argparse.Namespace) -> int:
    content_filter = open_filter(arguments.filter)
    if arguments.config:
        content_filter = content_filter.configured(read_json(arguments.config, "write the settings as JSON"))
    for text in arguments.texts or (line.rstrip("\n") for line in sys.stdin):
        findings = content_filter.check(text)
        if arguments.json:
            facts = [
                {"category": f.category, "probability": round(f.probability, 4), "action": f.action} for f in findings
            ]
            print(json.dumps({"findings": facts, "text": text}, ensure_ascii=False))
        else:
            found = ", ".join(f"{finding} ({finding.action})" for finding in findings)
            print(f"{found or 'nothing found'}: {text}")
    return 0


def filtered(pieces: Iterable[str], content_filter: ContentFilter | None, before: str = "") -> Iterator[str]:
    """The pieces as they are, or what a filter lets through, and then the reason why no more comes."""
    if content_filter is None:
        yield from pieces
        return
    shown = FilteredText(pieces, content_filter, before)
    yield from shown
    if shown.withheld:
        yield withheld_notice(shown.withheld)


def withheld_notice(findings: Iterable[Finding]) -> str:
    return f"[withheld by the filter: {', '.join(map(str, findings))}]"


def filter_train(arguments: argparse.Namespace) -> int:
    console = Console(highlight=False)
    if not 0 <= arguments.threshold <= 1:
        raise ValueError(f"--threshold must be from 0 to 1, not {arguments.threshold}")
    own = bool(arguments.data)
    examples = _read(arguments) if own else harm_examples()
    rng, clean = np.random.default_rng(arguments.seed), arguments.clean_label
    report = filter_report(examples, rng, clean, arguments.threshold)
    trained = make_filter(fit_classifier([e.text for e in examples], [e.label for e in examples], clean))
    names = trained.classifier.categories
    content_filter = trained.configured({name: {"threshold": arguments.threshold} for name in names})
    if not own:
        tests = harm_test_sentences()
        report["test sentences"] = scores_on(content_filter, tests, rng)
        report["test sentences, word list"] = scores_on(word_list_filter(), tests, rng)
    flagged = false_positives(content_filter, clean_sentences())
    report["flagged of clean docstrings"] = {name: share._asdict() for name, share in flagged.items()}
    report["limits"] = LIMITS if own else f"{LIMITS}; {BUILT_IN_LIMITS}"
    with new_folder(arguments.out, "choose another folder with --out") as building:
        content_filter.write(building)
        write_json(building / "report.json", report)
    for table in _tables(report):
        console.print(table)
    out = shlex.quote(str(arguments.out))
    console.print(Text(f"limits: {report['limits']}\nsettings: {Path(arguments.out, 'filter.json')}"), soft_wrap=True)
    console.print(Text(f"go on with:\n  tinygrad-llm filter 'TEXT' --filter {out}"), soft_wrap=True)
    return 0


def _read(arguments: argparse.Namespace) -> list[LabelledSentence]:
    """Texts that are equal but for case and spacing are one group: they must not stand on both sides of a test."""
    table = read_table(arguments.data, TextColumns(arguments.text_column, label=arguments.label_column))
    print(table, file=sys.stderr)
    return [LabelledSentence(each.text, each.label, plain(each.text)) for each in table.examples]


SCORES = {
    "held out": "examples held out, by groups",
    "word list": "the same, by a plain list of words",
    "test sentences": "sentences written afterwards",
    "test sentences, word list": "the same, by a plain list of words",
}


def _tables(report: dict[str, Any]) -> Iterator[Table]:
    for key, title in SCORES.items():
        if key in report:
            table = Table("category", "precision", "recall", "F1", "examples", title=title)
            for name, scores in report[key].items():
                parts = [interval_text(scores[part]) for part in ("precision", "recall", "f1")]
                table.add_row(name, *parts, f"{scores['examples']:,}")
            yield table
    recalls = report["recall of misspelt texts"]
    table = Table("letters changed", *next(iter(recalls.values())), title="recall where texts are misspelt")
    for n_edits, of_categories in recalls.items():
        table.add_row(n_edits, *(f"{recall:.2f}" for recall in of_categories.values()))
    yield table
    flagged = report["flagged of clean docstrings"]
    table = Table("category", "flagged", title=f"of {flagged['any']['n']:,} clean docstrings")
    for name, share in flagged.items():
        table.add_row(name, f"{share['value']:.2%} ({share['low']:.2%} to {share['high']:.2%})")
    yield table


def interval_text(interval: dict[str, float]) -> str:
    return f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"
