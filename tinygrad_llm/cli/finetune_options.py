"""Options of `tinygrad-llm finetune`, and of the commands that use what it made."""

from __future__ import annotations

import argparse
import dataclasses
import typing

from ..train.finetune import FineTuneConfig

PREDICTING = ("classify", "grade", "answer", "embed", "search")
COLUMNS = {
    "text": ("text", "of the text"),
    "pair": (None, "of a second text, where examples are pairs"),
    "label": ("label", "of the class, or of the number for grade"),
    "question": ("question", "of the question, for answer"),
    "context": ("context", "of the text that holds the answer"),
    "answer": ("answer", "of the answer"),
}
HELP = {
    "epochs": "passes over the training examples",
    "batch_size": "examples in a batch",
    "learning_rate": "of the head, at its highest",
    "layer_decay": "factor on the learning rate from each block to the one below",
    "frozen_blocks": "so many blocks, and the embeddings, stay as they are; -1: all but the head",
    "warmup_ratio": "part of the steps in which the learning rate rises",
    "weight_decay": "pull towards 0, on matrices only",
    "clip": "limit of the gradient's norm",
    "evaluations_per_epoch": "on the validation part",
    "patience": "evaluations without a better score until training ends",
    "seed": "of the head, the order of examples and dropout",
}


def finetune_options(parser: argparse.ArgumentParser, integer, number) -> None:
    parser.add_argument(
        "task", metavar="TASK", choices=("classify", "grade", "answer"), help="classify, grade or answer"
    )
    help = "what to begin with: a run's folder, or a model's in Hugging Face's layout"
    parser.add_argument("--from", dest="base", required=True, metavar="FOLDER", help=help)
    parser.add_argument("--data", nargs="+", metavar="FILE", help="the examples: .csv, .tsv, .jsonl, SQuAD's .json")
    help = "Python's own: packages, pairs (classify), grades (grade), questions (answer)"
    parser.add_argument("--embedded", metavar="NAME", help=help)
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    for name, (default, what) in COLUMNS.items():
        shown = f" (default: {default})" if default else ""
        parser.add_argument(f"--{name}-column", default=default, metavar="NAME", help=f"column {what}{shown}")
    parser.add_argument("--max-examples", type=integer, metavar="N", help="use only so many, drawn by the seed")
    parser.add_argument("--max-seq-len", type=integer, metavar="N", help="longer texts are cut (default: the model's)")
    parser.add_argument("--balanced", action="store_true", help="classify: rare classes count as much as common ones")
    parser.add_argument("--dropout", type=number, metavar="X", help="before the head (default: 0.1)")
    parser.add_argument("--out", metavar="FOLDER", help="where the model and its report go (default: runs/TASK)")
    group, types = parser.add_argument_group("training"), typing.get_type_hints(FineTuneConfig)
    for field in dataclasses.fields(FineTuneConfig):
        kind = integer if types[field.name] is int else number
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=f"field_{field.name}",
            type=kind,
            default=argparse.SUPPRESS,
            metavar="N" if kind is integer else "X",
            help=f"{HELP[field.name]} ({field.default:g})",
        )


def predict_options(parser: argparse.ArgumentParser, command: str) -> None:
    texts = {"answer": "QUESTION", "search": "QUERY"}.get(command, "TEXT")
    parser.add_argument("texts", nargs="*", metavar=texts, help="one or more (default: a line of standard input each)")
    help = "the folder that finetune made" if command in ("classify", "grade", "answer") else "a BERT's folder"
    parser.add_argument("--from", dest="source", required=True, metavar="FOLDER", help=help)
    if command == "answer":
        parser.add_argument("--context", required=True, metavar="FILE", help="the text that holds the answer")
    if command in ("classify", "grade"):
        parser.add_argument("--pair", metavar="TEXT", help="the second text, where examples are pairs")
    if command == "search":
        help = "a text on each line, to search in (default: the docstrings of Python's standard library)"
        parser.add_argument("--in", dest="corpus", metavar="FILE", help=help)
        parser.add_argument("-k", type=int, default=5, metavar="N", help="how many to show (default: 5)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each text")
