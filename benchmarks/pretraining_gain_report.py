"""What pretraining_gain.py found: means and intervals over its seeds, as tables and as a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
from plots import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, new_figure
from rich.table import Table

from tinygrad_llm.evaluate import accuracy_score, bootstrap_interval, f1_score

METRICS = {"accuracy": accuracy_score, "macro_f1": partial(f1_score, average="macro")}
# Of the models in their order; the pretrained ones begin at the fourth, in both pictures.
STYLES = (
    (ORANGE, "s--"), (PURPLE, "P-."), (SKY, "^:"), (GREEN, "v-"), (BLUE, "o-"), (GREY, "X--"), (VERMILLION, "D-"),
    (BLACK, "*-."),
)  # fmt: skip


def summarize(seeds: list[dict]) -> dict:
    """From what `one_seed` gives for each seed."""
    true = seeds[0]["true"]
    answers: dict[tuple, list[np.ndarray]] = defaultdict(list)  # (model, examples) → the seeds' predicted names
    for seed in seeds:
        for each in seed["predictions"]:
            answers[each["model"], each["n_examples"]].append(np.array(each["names"]))
    rows = [
        {"model": model, "n_examples": n}
        | {name: measured(metric, true, predicted) for name, metric in METRICS.items()}
        for (model, n), predicted in answers.items()
    ]
    return {
        "n_seeds": len(seeds),
        "pretraining": [curve(steps, [seed["curves"][steps] for seed in seeds]) for steps in seeds[0]["curves"]],
        "scores": rows,
        "differences": differences(true, answers),
        "errors": errors(true, answers),
    }


def measured(metric, true: list[str], predicted: list[np.ndarray]) -> dict:
    """The mean over the seeds, their deviation, and an interval of the mean."""
    values = [float(metric(true, each)) for each in predicted]
    low, high = interval(lambda each, true: metric(true, each), predicted, np.array(true))
    return {"mean": float(np.mean(values)), "deviation": deviation(values), "low": low, "high": high, "all": values}


def interval(metric, seeds: list[np.ndarray], *columns: np.ndarray) -> tuple[float, float]:
    """95 % of the means of metric(a seed's column, *columns), over resampled texts and as many resampled seeds."""
    rng = np.random.default_rng(1)

    def of_drawn_seeds(*resampled) -> float:
        each, rest = resampled[: len(seeds)], resampled[len(seeds) :]
        return float(np.mean([metric(each[number], *rest) for number in rng.integers(len(each), size=len(each))]))

    found = bootstrap_interval(of_drawn_seeds, *seeds, *columns, rng=np.random.default_rng(0), n_resamples=500)
    return found.low, found.high


def deviation(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


def pretrained_name(answers: dict) -> str:
    """Of the longest pretraining."""
    return [model for model, _ in answers if model.startswith("BERT after")][-1]


def differences(true: list[str], answers: dict) -> list[dict]:
    """How much more often the pretrained model is right than each other, on the same resampled texts and seeds."""
    ours, found = pretrained_name(answers), []
    for (model, n), predicted in answers.items():
        if model != ours:
            gains = [(a == true).astype(float) - (b == true) for a, b in zip(answers[ours, n], predicted, strict=True)]
            low, high = interval(np.mean, gains)
            found.append({"over": model, "n_examples": n, "value": float(np.mean(gains)), "low": low, "high": high})
    return found


def errors(true: list[str], answers: dict) -> list[dict]:
    """Who is right where: shares of the test texts, the mean of the seeds, for all training examples."""
    ours, n = pretrained_name(answers), max(n for _, n in answers)
    found = []
    for other in ("naive Bayes", "logistic regression"):
        pairs = [(a == true, b == true) for a, b in zip(answers[ours, n], answers[other, n], strict=True)]
        shares = {
            "both": np.mean([(a & b).mean() for a, b in pairs]),
            "only BERT": np.mean([(a & ~b).mean() for a, b in pairs]),
            "only n-grams": np.mean([(~a & b).mean() for a, b in pairs]),
        }
        found.append({"n-grams": other} | {name: float(share) for name, share in shares.items()})
    return found


def curve(steps: str, seeds: list[dict]) -> dict:
    ends = {name: [seed[name] for seed in seeds] for name in seeds[0] if name not in ("steps", "losses")}
    means = {name: {"mean": float(np.mean(v)), "deviation": deviation(v)} for name, v in ends.items()}
    losses = np.array([seed["losses"] for seed in seeds])  # (seeds, evaluations)
    shown = {"at": seeds[0]["steps"], "losses": losses.mean(axis=0).tolist()}
    return {"steps": int(steps)} | means | shown | {"deviations": losses.std(axis=0, ddof=1).tolist()}


def tables(found: dict) -> Iterator[Table]:
    yield table(
        f"Blanks of the validation text, ± over {found['n_seeds']} seeds",
        ("steps", "nats per blank", "by frequency", "guessed", "always the most frequent"),
        [
            (f"{each['steps']:,}", *(plus_minus(each[name]) for name in names))
            for names in [("validation_loss", "unigram_loss", "validation_accuracy", "unigram_accuracy")]
            for each in found["pretraining"]
        ],
    )
    for metric in METRICS:
        sizes = sorted({row["n_examples"] for row in found["scores"]})
        cells = defaultdict(dict)
        for row in found["scores"]:
            score = row[metric]
            cells[row["model"]][row["n_examples"]] = f"{plus_minus(score)} [{score['low']:.3f}, {score['high']:.3f}]"
        columns = ("", *(f"{n:,} examples" for n in sizes))
        rows = [(model, *(of[n] for n in sizes)) for model, of in cells.items()]
        yield table(f"{metric} on the test part: mean ± over seeds [95 % interval]", columns, rows)
    yield table(
        "accuracy of the pretrained BERT minus that of others, paired",
        ("over", "examples", "difference"),
        [
            (each["over"], f"{each['n_examples']:,}", f"{each['value']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}]")
            for each in found["differences"]
        ],
    )
    yield table(
        "all examples: who is right",
        tuple(found["errors"][0]),
        [(each["n-grams"], *(f"{share:.1%}" for share in list(each.values())[1:])) for each in found["errors"]],
    )
    words = found["n-grams of fewer words"]
    yield table("logistic regression, all examples", ("sees", "accuracy"), [(k, f"{v:.3f}") for k, v in words.items()])


def table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    return made


def plus_minus(score: dict) -> str:
    return f"{score['mean']:.3f} ± {score['deviation']:.3f}"


def draw(found: dict, path: Path) -> None:
    """Left the pretraining beside the guess by frequency, right the accuracy over the number of examples."""
    figure = new_figure(12, 5)
    left, right = figure.subplots(1, 2)
    for each, (colour, line) in zip(found["pretraining"], STYLES[3:], strict=False):
        label = f"{each['steps']:,} steps"
        left.errorbar(each["at"], each["losses"], each["deviations"], fmt=line, color=colour, label=label, capsize=3)
    left.axhline(found["pretraining"][-1]["unigram_loss"]["mean"], color=BLACK, linestyle=":", label="by frequency")
    left.set(xlabel="steps of masked pretraining", ylabel="nats per blank, validation text", title="Filling blanks")
    models = list(dict.fromkeys(row["model"] for row in found["scores"]))
    for number, (model, (colour, line)) in enumerate(zip(models, cycle(STYLES), strict=False)):
        rows = [(row["n_examples"], row["accuracy"]) for row in found["scores"] if row["model"] == model]
        x = np.array([n for n, _ in rows]) * 1.02 ** (number - len(models) / 2)  # beside each other, not on top
        mean, low, high = (np.array([score[name] for _, score in rows]) for name in ("mean", "low", "high"))
        bars = np.stack([mean - low, high - mean])
        right.errorbar(x, mean, bars, fmt=line, color=colour, label=model, capsize=3, markersize=5)
    sizes = sorted({row["n_examples"] for row in found["scores"]})
    right.set_xscale("log")
    right.set_xticks(sizes, [f"{n:,}" for n in sizes])
    right.minorticks_off()
    right.set(xlabel="labelled examples", ylabel="accuracy, test part", title="Ten packages, 95 % intervals")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120)
