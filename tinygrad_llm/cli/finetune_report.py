"""What `tinygrad-llm finetune` says at the end: how good the model is on examples that it never saw, how sure that is,
what a simple baseline makes of the same examples, and where it is most wrong."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..data.examples import TextExample
from ..data.stratify import ExampleSplit
from ..evaluate import (
    Interval,
    LogisticRegression,
    RidgeRegression,
    accuracy_score,
    bootstrap_interval,
    confusion_matrix,
    expected_calibration_error,
    f1_score,
    mean_absolute_error,
    nearest_word,
    paired_bootstrap,
    pearson_correlation,
    reliability_bins,
    root_mean_squared_error,
    span_scores,
    spearman_correlation,
    wilson,
)
from ..files import write_json
from ..plots import heat_map, reliability_diagram
from ..train.fine_tuned import FineTuned
from ..train.joint import Job
from .cost import cost_rows
from .display import duration

N_MISTAKES = 5


def write_report(
    folder: Path,
    place: Path,
    fine_tuned: FineTuned,
    split: ExampleSplit,
    facts: dict[str, Any],
    seconds: float,
    console: Console,
) -> None:
    """Test the model, write report.json and pictures into `folder`, which will be called `place`; show the results."""
    predictions = fine_tuned.predict(split.test)
    rows, mistakes = {
        "classify": _classes, "grade": _grades, "answer": _answers
    }[fine_tuned.task.kind](fine_tuned, split, predictions, folder)  # fmt: skip
    write_json(
        folder / "report.json",
        facts
        | {
            "seconds": seconds,
            "test": {name: value.as_dict() if isinstance(value, Interval) else value for name, value in rows.items()},
            "worst_mistakes": mistakes,
        },
    )
    table = Table("on the test part", "result", title=f"{place.name}: {len(split.test):,} examples never seen")
    for name, value in rows.items():
        table.add_row(name, str(value) if isinstance(value, (str, Interval)) else f"{value:.3f}")
    table.add_row("wall time", duration(seconds))
    for name, value in cost_rows(facts).items():
        table.add_row(name, value)
    console.print(table)
    if mistakes:
        console.print(Text("worst mistakes:"))
        for mistake in mistakes:
            console.print(Text("  " + ", ".join(f"{name} {value!r}" for name, value in mistake.items())))
    command = fine_tuned.task.kind
    example = "'QUESTION' --context FILE" if command == "answer" else "'TEXT'"
    console.print(
        Text(f"go on with:\n  tinygrad-llm {command} {example} --from {shlex.quote(str(place))}"), soft_wrap=True
    )


def write_comparison(
    folder: Path, jobs: Sequence[Job], joint: dict[str, FineTuned], alone: dict[str, FineTuned], console: Console
) -> None:
    """Each task's score on its test part, trained with the others and alone, for the same number of its steps."""
    table, found = Table("task", "together", "alone", title="the score of each task on its test part"), {}
    for job in jobs:
        together, by_itself = (
            job.task.score(job.split.test, models[job.name].predict(job.split.test)) for models in (joint, alone)
        )
        found[job.name] = {"together": together, "alone": by_itself}
        table.add_row(job.name, f"{together:.3f}", f"{by_itself:.3f}")
    write_json(folder / "comparison.json", found)
    console.print(table)


def macro_f1(true: Sequence, predicted: Sequence) -> float:
    return float(f1_score(true, predicted, average="macro"))


def _classes(fine_tuned: FineTuned, split: ExampleSplit, probabilities: np.ndarray, folder: Path):
    task, rng = fine_tuned.task, np.random.default_rng(0)
    true, predicted = [example.label for example in split.test], task.names(probabilities)
    baseline = LogisticRegression().fit(*_texts_and_labels(split.train))
    theirs = baseline.predict(_texts_and_labels(split.test)[0])
    matrix, names = confusion_matrix(true, predicted, labels=task.classes), task.classes
    titles = {"row_title": "true", "column_title": "predicted", "unit": "examples", "numbers": ".0f"}
    heat_map(folder / "confusion.png", matrix, names, names, "what was taken for what", **titles)
    bins = reliability_bins(true, probabilities, labels=task.classes)
    shares = [wilson(round(a * n), n) if n else (a, a, a) for a, n in zip(bins.accuracy, bins.n_examples, strict=True)]
    intervals = np.array([share[1:3] for share in shares]).T
    reliability_diagram(folder / "calibration.png", bins.confidence, bins.accuracy, intervals, bins.n_examples)
    rows = {
        "accuracy": bootstrap_interval(accuracy_score, true, predicted, rng=rng),
        "macro-F1": bootstrap_interval(macro_f1, true, predicted, rng=rng),
        "accuracy of logistic regression on n-grams": bootstrap_interval(accuracy_score, true, theirs, rng=rng),
        "macro-F1 of logistic regression on n-grams": bootstrap_interval(macro_f1, true, theirs, rng=rng),
        "macro-F1, ours less the baseline's": str(paired_bootstrap(macro_f1, true, predicted, theirs, rng=rng)),
        "accuracy of always the commonest class": _commonest(split, true),
        "expected calibration error": expected_calibration_error(true, probabilities, labels=task.classes),
    }
    sure = probabilities.max(axis=1)
    wrong = [i for i in np.argsort(-sure) if true[i] != predicted[i]][:N_MISTAKES]
    mistakes = [
        {
            "text": _short(split.test[i]),
            "label": true[i],
            "predicted": predicted[i],
            "probability": round(float(sure[i]), 3),
        }
        for i in wrong
    ]
    return rows, mistakes


def _commonest(split: ExampleSplit, true: Sequence[str]) -> float:
    labels = [example.label for example in split.train]
    commonest = max(sorted(set(labels)), key=labels.count)
    return true.count(commonest) / len(true)


def _texts_and_labels(examples: Sequence[TextExample]) -> tuple[list[str], list]:
    """Of a pair, both texts in one."""
    texts = [example.text if example.pair is None else f"{example.text}\n{example.pair}" for example in examples]
    return texts, [example.label for example in examples]


def _grades(fine_tuned: FineTuned, split: ExampleSplit, numbers: np.ndarray, folder: Path):
    rng, true = np.random.default_rng(0), np.array([example.label for example in split.test], float)
    mean = np.full(len(true), fine_tuned.task.mean)
    theirs = RidgeRegression().fit(*_texts_and_labels(split.train)).predict(_texts_and_labels(split.test)[0])
    rows = {
        "mean absolute error": bootstrap_interval(mean_absolute_error, true, numbers, rng=rng),
        "root mean squared error": bootstrap_interval(root_mean_squared_error, true, numbers, rng=rng),
        "Pearson's correlation": pearson_correlation(true, numbers),
        "Spearman's correlation": spearman_correlation(true, numbers),
        "mean absolute error of ridge regression on n-grams": bootstrap_interval(
            mean_absolute_error, true, theirs, rng=rng
        ),
        "root mean squared error of ridge regression on n-grams": bootstrap_interval(
            root_mean_squared_error, true, theirs, rng=rng
        ),
        "root mean squared error, ours less the baseline's": str(
            paired_bootstrap(root_mean_squared_error, true, numbers, theirs, rng=rng)
        ),
        "mean absolute error of always the mean": mean_absolute_error(true, mean),
        "root mean squared error of always the mean": root_mean_squared_error(true, mean),
    }
    worst = np.argsort(-np.abs(numbers - true))[:N_MISTAKES]
    mistakes = [
        {"text": _short(split.test[i]), "label": float(true[i]), "predicted": round(float(numbers[i]), 3)}
        for i in worst
    ]
    return rows, mistakes


def _answers(fine_tuned: FineTuned, split: ExampleSplit, answers, folder: Path):
    rng, gold = np.random.default_rng(0), [example.answers for example in split.test]
    scores = span_scores([answer.text for answer in answers], gold)
    nearest = span_scores([nearest_word(example.question, example.context) for example in split.test], gold)
    rows = {
        "exact match": bootstrap_interval(np.mean, scores.exact_matches, rng=rng),
        "F1 of the words": bootstrap_interval(np.mean, scores.f1s, rng=rng),
        "exact match of the word nearest to the question's words": bootstrap_interval(
            np.mean, nearest.exact_matches, rng=rng
        ),
    }
    wrong = [i for i in np.argsort([-a.probability for a in answers]) if not scores.exact_matches[i]][:N_MISTAKES]
    mistakes = [
        {"question": split.test[i].question, "answer": list(gold[i]), "predicted": answers[i].text} for i in wrong
    ]
    return rows, mistakes


def _short(example: TextExample, most: int = 120) -> str:
    text = example.text if example.pair is None else f"{example.text} | {example.pair}"
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
