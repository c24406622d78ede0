"""Options of `tinygrad-llm scale`."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Callable

from ..train.recipes import PretrainConfig
from ..train.scaling_plan import MAX_EPOCHS, SCALING

MINUTES, TARGET_MINUTES = 10.0, 30.0
FIELDS = (
    "corpus", "encoding", "embedded_corpus", "max_characters", "validation_fraction", "tokenizer", "vocab_size",
    "model", "max_seq_len", "batch_size", "learning_rate", "muon_learning_rate", "seed",
)  # fmt: skip
MODELS = ("gpt", "llama")


def scale_options(parser: argparse.ArgumentParser, number: Callable, field_option: Callable) -> None:
    help = f"about how long all may take (default: {MINUTES:g})"
    parser.add_argument("--minutes", type=number, metavar="X", help=help)
    help = f"how long you want to train; can change with --resume (default: {TARGET_MINUTES:g})"
    parser.add_argument("--target-minutes", type=number, default=TARGET_MINUTES, metavar="X", help=help)
    help = f"how often the text may be read at most (default: {MAX_EPOCHS:g})"
    parser.add_argument("--max-epochs", type=number, metavar="X", help=help)
    help = "minutes are those of the processor, all threads at work: for a machine that others use too"
    parser.add_argument("--processor-time", action="store_true", help=help)
    parser.add_argument("--no-check", action="store_true", help="do not check the law by a larger run")
    parser.add_argument("--out", metavar="FOLDER", help="where all is kept (default: runs/scale)")
    parser.add_argument("--resume", metavar="FOLDER", help="go on after the runs that are finished there")
    types = typing.get_type_hints(PretrainConfig)
    fields = {field.name: field for field in dataclasses.fields(PretrainConfig)}
    group = parser.add_argument_group("text, model and training: the same for all sizes")
    for name in FIELDS:
        field_option(group, fields[name], types[name], SCALING)
