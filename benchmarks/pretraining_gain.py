"""Does masked pretraining on the embedded corpus help a BERT to classify, and does it then beat counting words?

python benchmarks/pretraining_gain.py                           # some 25 minutes of one core
python benchmarks/pretraining_gain.py --steps 500 2500 5000     # and a longer pretraining: 25 minutes more
python benchmarks/pretraining_gain.py --quick                   # a minute, with small models: a try, not a result

From which of ten packages is a docstring? A BERT is pretrained by `tinygrad-llm pretrain` on Python's documentation
without the validation and test texts of this task, and fine-tuned on 50, 200, 800 or all training examples. Beside it:
the same BERT from new weights, a linear head on its frozen vectors, and n-gram models, of the whole text.

Each seed has its own pretraining, draw of examples, head and order. Learning rates were chosen on the validation part.
± is the deviation between seeds, the intervals are a bootstrap over test texts and seeds, of the mean.

Runs are kept in runs/pretraining_gain and used again, or resumed, by the next call. The full form writes
results/pretraining_gain.json and figures/pretraining_gain.png, the other writes them beside its runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numba
import numpy as np
from machine import machine
from pretraining_gain_report import draw, summarize, tables
from rich.console import Console

from tinygrad_llm import functional as F
from tinygrad_llm import nn, optim, tensor
from tinygrad_llm.applications import SentenceEncoder
from tinygrad_llm.cli import main as tinygrad_llm
from tinygrad_llm.cli.log import read_log
from tinygrad_llm.data import (
    ExampleSplit,
    TextExample,
    docstring_packages,
    embedded_corpus,
    label_of,
    split_examples,
)
from tinygrad_llm.data.held_out import without_examples
from tinygrad_llm.evaluate import LogisticRegression, NaiveBayes, accuracy_score
from tinygrad_llm.files import read_json, write_json
from tinygrad_llm.models import BERT
from tinygrad_llm.train import open_run
from tinygrad_llm.train.fine_tuned import open_model
from tinygrad_llm.train.finetune import FineTuneConfig, fine_tune
from tinygrad_llm.train.tasks import Classify

HERE = Path(__file__).parent
RUNS = HERE.parent / "runs"  # not under version control
FRACTIONS = (0.6, 0.1, 0.3)  # a large test part, for narrow intervals
PRETRAIN = {  # options of `tinygrad-llm pretrain`
    "model": "bert", "vocab_size": 8000, "validation_fraction": 0.05, "n_layers": 3, "n_heads": 4, "d_model": 128,
    "max_seq_len": 64, "init_std": 0.05, "mask_share": 0.3, "batch_size": 16, "learning_rate": 4e-3,
    "min_learning_rate": 0.0, "schedule": "linear", "weight_decay": 0.01, "sample_every": 0,
}  # fmt: skip
BATCH, DROPOUT = 16, 0.2  # of fine-tuning


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    folder: Path
    steps: tuple[int, ...] = (500, 2500)  # of pretraining, least first
    per_class: tuple[int, ...] = (5, 20, 80, 120)  # training examples of each class, as far as there are
    tuning_steps: int = 500  # at most, of fine-tuning
    rate: float = 2e-3  # of fine-tuning the pretrained model
    scratch_rate: float = 1e-3
    model: tuple[tuple[str, int], ...] = ()  # changes to PRETRAIN


FULL = Plan(RUNS / "pretraining_gain")
SMALL = (("n_layers", 2), ("d_model", 64), ("max_seq_len", 32), ("vocab_size", 2000))
QUICK = Plan(RUNS / "pretraining_gain_quick", (50, 200), (5, 20), 60, 4e-3, 4e-3, SMALL)
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small models and few examples: a try, not a result")
    parser.add_argument("--processes", type=int, default=min(SEEDS, os.cpu_count() or 1), help="seeds at a time")
    parser.add_argument("--steps", type=int, nargs="+", help="of pretraining, for each amount to compare; least first")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    plan = replace(plan, steps=tuple(options.steps or plan.steps))
    console = Console(width=160, highlight=False)
    facts = prepare(plan)
    console.print(f"{facts['examples']}; text to pretrain on: {facts['corpus']}")
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        seeds = list(pool.map(one_seed, [plan] * SEEDS, range(SEEDS)))
    words = fewer_words(task_split(), open_model(pretrained(plan, plan.steps[-1], 0))[1])
    found = {"machine": machine(), **facts, **summarize(seeds), "n-grams of fewer words": words}
    results, figures = (plan.folder, plan.folder) if options.quick else (HERE / "results", HERE / "figures")
    for table in tables(found):
        console.print(table)
    write_json(results / "pretraining_gain.json", found)
    draw(found, figures / "pretraining_gain.png")
    console.print(f"wrote pretraining_gain.json to {results}, pretraining_gain.png to {figures}")


def task_split() -> ExampleSplit:
    return split_examples(docstring_packages(), FRACTIONS, seed=0, stratify=label_of)


def prepare(plan: Plan) -> dict[str, str]:
    """Write the text to pretrain on, unless it is there; what there is, in words."""
    split, path = task_split(), plan.folder / "corpus.jsonl"
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        documents = without_examples(embedded_corpus("prose"), split.validation + split.test)
        lines = [json.dumps({"text": each.text, "source": each.source}) + "\n" for each in documents]
        path.write_text("".join(lines), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    parts = ", ".join(f"{len(examples):,} for {name}" for name, examples in vars(split).items())
    return {"examples": parts, "corpus": f"{text.count(chr(10)):,} documents, {len(text) / 1e6:.2f} MB"}


def pretrained(plan: Plan, steps: int, seed: int) -> Path:
    """The folder of a finished run; what was done of it before is not done again.

    Raises ValueError where the folder holds a run of other settings, RuntimeError where the command fails.
    """
    folder = plan.folder / f"steps{steps}_seed{seed}"
    wanted = PRETRAIN | dict(plan.model) | {"steps": steps, "seed": seed, "evaluate_every": max(steps // 10, 1)}
    wanted["corpus"] = str(plan.folder / "corpus.jsonl")
    if not folder.exists():
        options = [text for name, value in wanted.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        options += ["--out", str(folder)]
    else:
        config = open_run(folder).config
        if changed := [name for name, value in wanted.items() if name != "corpus" and getattr(config, name) != value]:
            raise ValueError(f"the run in {folder} has another {changed[0]}: move the folder away to train anew")
        options = ["--resume", str(folder)]
    if (folder / "summary.json").exists():
        return folder
    log = folder.with_name(f"{folder.name}.log")
    print(f"seed {seed}: {steps:,} steps of pretraining, which tell of themselves in {log}", flush=True)
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file):
        code = tinygrad_llm(["pretrain", *options])
    if code:
        raise RuntimeError(f"tinygrad-llm pretrain ended with code {code}, see {log}; the next call goes on with it")
    return folder


def one_seed(plan: Plan, seed: int) -> dict:
    """All models of a seed: what each says of the test part, and the curves of the pretraining."""
    numba.set_num_threads(1)  # in models this small two threads would mostly wait for each other
    split, folders = task_split(), [pretrained(plan, steps, seed) for steps in plan.steps]
    task, predictions = Classify.of(split.train), []
    for per_class in plan.per_class:
        train = drawn(split.train, task.classes, per_class, seed)
        answers = ngram_answers(train, split.test)
        answers["BERT from scratch"] = tuned(plan, folders[-1], task, train, split, seed, from_scratch=True)
        for steps, folder in zip(plan.steps, folders, strict=True):
            answers[f"BERT after {steps:,} steps"] = tuned(plan, folder, task, train, split, seed)
        longest = answers[f"BERT after {plan.steps[-1]:,} steps"]
        answers["frozen BERT, linear head"] = linear_head(*open_model(folders[-1]), task, train, split.test)
        answers["BERT and logistic regression"] = (longest + answers["logistic regression"]) / 2
        for name, probabilities in answers.items():
            predictions.append({"model": name, "n_examples": len(train), "names": task.names(probabilities)})
        print(f"seed {seed}: {len(train)} examples done", flush=True)
    return {
        "true": [example.label for example in split.test],
        "predictions": predictions,
        "curves": {str(steps): pretraining_curve(each) for steps, each in zip(plan.steps, folders, strict=True)},
    }


def drawn(examples: list[TextExample], classes: list[str], per_class: int, seed: int) -> list[TextExample]:
    order = [examples[i] for i in np.random.default_rng(seed).permutation(len(examples))]
    return [each for name in classes for each in [each for each in order if each.label == name][:per_class]]


def columns(examples: list[TextExample]) -> tuple[list[str], list[str]]:
    return [example.text for example in examples], [example.label for example in examples]


def ngram_answers(train: list[TextExample], test: list[TextExample]) -> dict[str, np.ndarray]:
    models = {"naive Bayes": NaiveBayes(), "logistic regression": LogisticRegression()}
    return {name: model.fit(*columns(train)).predict_proba(columns(test)[0]) for name, model in models.items()}


def fewer_words(split: ExampleSplit, tokenizer) -> dict[str, float]:
    """Accuracy of logistic regression on all training examples, where it does not see all words of a text."""
    whole = {token for token in tokenizer.tokens if not token.startswith("##")}

    def without_rare(texts: list[str]) -> list[str]:
        return [" ".join(word for word in re.findall(r"\w+", text.lower()) if word in whole) for text in texts]

    (texts, labels), (new, true) = columns(split.train), columns(split.test)
    found = {"words that WordPiece keeps whole": (without_rare(texts), without_rare(new), 1)}
    found |= {f"n-grams of at least {k} training texts": (texts, new, k) for k in (1, 2, 5, 20)}
    return {
        name: accuracy_score(true, LogisticRegression(min_df=min_df).fit(seen, labels).predict(unseen))
        for name, (seen, unseen, min_df) in found.items()
    }


def tuned(plan, folder: Path, task, train, split: ExampleSplit, seed: int, from_scratch: bool = False) -> np.ndarray:
    """Probabilities (n, classes) of the test part; training ends where the validation part gets no better."""
    kept, tokenizer = open_model(folder)
    base, rng = BERT(replace(kept.config, dropout=DROPOUT), np.random.default_rng(seed)), np.random.default_rng(seed)
    if not from_scratch:
        base.load_state_dict(kept.state_dict())
    seq_len = base.config.max_seq_len
    model, epochs = task.new_model(base, train, DROPOUT, rng), plan.tuning_steps * BATCH / len(train)
    rate = plan.scratch_rate if from_scratch else plan.rate
    config = FineTuneConfig(epochs, BATCH, rate, layer_decay=1.0, evaluations_per_epoch=6 / epochs, patience=3)

    def score() -> float:
        return task.score(split.validation, task.predict(model, tokenizer, split.validation, seq_len))

    batches = task.batches(tokenizer, train, seq_len, BATCH, rng)
    for _ in fine_tune(model, batches, score, config, len(train)):
        pass
    return task.predict(model, tokenizer, split.test, seq_len)


def linear_head(base: BERT, tokenizer, task, train, test, steps: int = 200) -> np.ndarray:
    """Probabilities of the test part, by a layer on the mean of the frozen BERT's vectors, each number at scale 1."""
    encoder = SentenceEncoder(base, tokenizer)
    x, new = (encoder.encode(columns(part)[0]) for part in (train, test))  # (n, C)
    mean, std = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, new = tensor((x - mean) / std), tensor((new - mean) / std)
    head = nn.Linear(x.shape[1], len(task.classes), rng=np.random.default_rng(0))
    optimizer, labels = optim.AdamW(head.parameters(), lr=0.02, weight_decay=1.0), task.numbers(train)
    for step in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(head(x), labels).backward()
        optimizer.step(1 - step / steps)
    return F.softmax(head(new), dim=1).data


def pretraining_curve(folder: Path) -> dict:
    """Of the validation text: nats per blank at each evaluation, and at the end beside a guess by frequency."""
    lines = [line for line in read_log(folder / "log.jsonl") if "validation_loss" in line]
    summary = read_json(folder / "summary.json")
    names = ("validation_loss", "validation_accuracy", "unigram_loss", "unigram_accuracy")
    return {name: summary[name] for name in names} | {
        "steps": [line["step"] for line in lines],
        "losses": [line["validation_loss"] for line in lines],
    }


if __name__ == "__main__":
    main()
