"""Options of `tinygrad-llm finetune`, and of the commands that use what it made."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Iterable

from ..train.finetune import FineTuneConfig

KINDS = ("classify", "grade", "answer")
PREDICTING = ("classify", "grade", "answer", "translate", "embed", "search")
OF_TEXT = ("classify", "grade")
COLUMNS = {  # for which tasks, by default, and what is in it
    "text": (OF_TEXT, "text", "of the text"),
    "pair": (OF_TEXT, None, "of a second text, where examples are pairs"),
    "label": (OF_TEXT, "label", "of the class, or of the number for grade"),
    "question": (("answer",), "question", "of the question, for answer"),
    "context": (("answer",), "context", "of the text that holds the answer"),
    "answer": (("answer",), "answer", "of the answer"),
    "start": (("answer",), None, "of where in the context the answer begins, in characters from 0"),
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
    "muon_factor": "the blocks' matrices learn by Muon, at so many times the learning rate; 0: by AdamW",
    "core_watts": "of a busy core, for the energy where the processor does not count it",
    "co2_per_kwh": "grams in your electricity",
}


def finetune_options(parser: argparse.ArgumentParser, integer, number) -> None:
    parser.add_argument("task", nargs="?", metavar="TASK", choices=KINDS, help="classify, grade or answer")
    help = "instead of TASK, repeatable: several tasks on one base. NAME=packages, or NAME=classify:FILE,text=review"
    parser.add_argument("--task", dest="tasks", action="append", default=[], metavar="NAME=…", help=help)
    help = "several tasks: 1 in proportion to their examples, larger: more evenly (default: 2)"
    parser.add_argument("--temperature", type=number, default=2.0, metavar="X", help=help)
    help = "several tasks: train each alone too, for as many steps as it had, and show both scores"
    parser.add_argument("--compare-alone", action="store_true", help=help)
    help = "what to begin with: a run's folder, a model's in Hugging Face's layout, or scratch: a new, small BERT"
    parser.add_argument("--from", dest="base", required=True, metavar="FOLDER", help=help)
    parser.add_argument("--data", nargs="+", metavar="FILE", help="the examples: .csv, .tsv, .jsonl, SQuAD's .json")
    help = "Python's own: packages, pairs (classify), grades (grade), questions (answer)"
    parser.add_argument("--embedded", metavar="NAME", help=help)
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    column_options(parser, COLUMNS)
    parser.add_argument("--max-examples", type=integer, metavar="N", help="use only so many, drawn by the seed")
    parser.add_argument("--max-seq-len", type=integer, metavar="N", help="longer texts are cut (default: the model's)")
    parser.add_argument("--balanced", action="store_true", help="classify: rare classes count as much as common ones")
    help = "answer, about signatures: other names each time an example is read"
    parser.add_argument("--rename", action="store_true", help=help)
    help = "answer, with --from scratch: answers are whole words, and those of the question are marked in the context"
    parser.add_argument("--by-words", action="store_true", help=help)
    parser.add_argument("--dropout", type=number, metavar="X", help="before the head (default: 0.1; 0 from scratch)")
    parser.add_argument("--out", metavar="FOLDER", help="where the model and its report go (default: runs/TASK)")
    lora_options(parser, integer, number)
    training_options(parser, integer, number, FineTuneConfig())


def lora_options(parser: argparse.ArgumentParser, integer, number) -> None:
    help = "train adapters of rank N beside the frozen layers (default: 0, the layers themselves)"
    parser.add_argument("--lora-rank", type=integer, default=0, metavar="N", help=help)
    parser.add_argument("--lora-alpha", type=number, metavar="X", help="their factor, times 1/N (default: 2 N)")


def training_options(
    parser: argparse.ArgumentParser, integer, number, defaults: FineTuneConfig, help: dict[str, str] | None = None
) -> None:
    """The fields of a FineTuneConfig. `help` where a field means something else than in `HELP`."""
    license_help = "of your own examples, for the model card, such as cc-by-4.0"
    parser.add_argument("--license", default="", metavar="NAME", help=license_help)
    group, types = parser.add_argument_group("training"), typing.get_type_hints(FineTuneConfig)
    for field in dataclasses.fields(FineTuneConfig):
        kind = integer if types[field.name] is int else number
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=f"field_{field.name}",
            type=kind,
            default=argparse.SUPPRESS,
            metavar="N" if kind is integer else "X",
            help=f"{(HELP | (help or {}))[field.name]} ({getattr(defaults, field.name):g})",
        )


def column_options(parser: argparse.ArgumentParser, roles: Iterable[str]) -> None:
    for role in roles:
        _, default, what = COLUMNS[role]
        shown = f" (default: {default})" if default else ""
        parser.add_argument(f"--{role}-column", default=default, metavar="NAME", help=f"column {what}{shown}")


def predict_options(parser: argparse.ArgumentParser, command: str, integer, number) -> None:
    texts = {"answer": "QUESTION", "search": "QUERY"}.get(command, "TEXT")
    parser.add_argument("texts", nargs="*", metavar=texts, help="one or more (default: a line of standard input each)")
    help = "the folder that finetune made" if command in KINDS else "a BERT's folder"
    help = "the run of an encoder-decoder" if command == "translate" else help
    parser.add_argument("--from", dest="source", required=True, metavar="FOLDER", help=help)
    if command == "translate":
        help = "search the likeliest text with N beams; 1: always the likeliest token (default: 1)"
        parser.add_argument("--beams", type=integer, default=1, metavar="N", help=help)
        help = "with --beams: above 1 favours long texts, below 1 short ones (default: 1)"
        parser.add_argument("--length-penalty", type=number, metavar="X", help=help)
        help = "end a text after N tokens (default: as many as the model can write)"
        parser.add_argument("--max-new-tokens", type=integer, metavar="N", help=help)
    if command == "search":
        help = "a text on each line, to search in (default: the docstrings of Python's standard library)"
        parser.add_argument("--in", dest="corpus", metavar="FILE", help=help)
        parser.add_argument("-k", type=integer, default=5, metavar="N", help="how many to show (default: 5)")
    if command in OF_TEXT:
        parser.add_argument("--pair", metavar="TEXT", help="the second text, where examples are pairs")
    if command == "answer":
        parser.add_argument("--context", metavar="FILE", help="the text that holds the answers")
    help = "many texts: .csv, .tsv or .jsonl with their columns, or .txt with a text on each line"
    parser.add_argument("--file", metavar="FILE", help=help)
    roles = {"answer": ("question", "context"), "classify": ("text", "pair"), "grade": ("text", "pair")}
    column_options(parser, roles.get(command, ("text",)))
    if command != "search":
        parser.add_argument("--out", metavar="FILE", help="write a line of JSON for each text there")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each text")
