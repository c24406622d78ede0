"""Options of `tinygrad-llm finetune prefer`."""

from __future__ import annotations

import argparse

from ..data.preferences import KINDS
from ..train.finetune import FineTuneConfig
from .finetune_options import lora_options, training_options

DEFAULTS = {"epochs": 3.0, "learning_rate": 1e-4, "layer_decay": 1.0, "weight_decay": 0.0, "warmup_ratio": 0.1}
WITH_LORA = {"learning_rate": 1e-3}  # adapters start at zero, and want larger steps
EXAMPLES = """\
examples:
  tinygrad-llm finetune prefer --from runs/chat --embedded preferences
  tinygrad-llm finetune prefer --from runs/chat --data pairs.jsonl --beta 0.2 --lora-rank 8

In pairs.jsonl, on each line: {"prompt": "…", "chosen": "…", "rejected": "…"}"""


def prefer_options(parser: argparse.ArgumentParser, integer, number) -> None:
    parser.description = "Teach a model which of two answers is preferred (DPO). Its reference is the model itself."
    parser.epilog = EXAMPLES
    help = "what to begin with: best a model that can answer already; a run's folder, or one in Hugging Face's layout"
    parser.add_argument("--from", dest="base", required=True, metavar="FOLDER", help=help)
    help = "pairs of answers: .jsonl, .csv or .tsv with the columns prompt, chosen and rejected"
    parser.add_argument("--data", nargs="+", metavar="FILE", help=help)
    help = "preferences: answers of Python's docstrings, right and spoiled"
    parser.add_argument("--embedded", choices=("preferences",), metavar="NAME", help=help)
    help = f"with --embedded: only pairs with these faults, of {', '.join(map(repr, KINDS))} (default: all)"
    parser.add_argument("--kinds", nargs="+", default=KINDS, metavar="KIND", help=help)
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    parser.add_argument("--max-examples", type=integer, metavar="N", help="use only so many pairs, drawn by the seed")
    parser.add_argument("--out", metavar="FOLDER", help="where model and report go (default: runs/prefer)")
    help = "how dear it is to move away from the reference (default: 0.1)"
    parser.add_argument("--beta", type=number, default=0.1, metavar="X", help=help)
    help = "how probable a wrong label is, at least 0 and below 0.5 (default: 0)"
    parser.add_argument("--label-smoothing", type=number, default=0.0, metavar="X", help=help)
    lora_options(parser, integer, number)
    parser.add_argument(
        "--n-samples", type=integer, default=64, metavar="N", help="answers to draw, for the KL (default: 64)"
    )
    rates = {"learning_rate": f"at its highest; with --lora-rank {WITH_LORA['learning_rate']:g}, else"}
    training_options(parser, integer, number, FineTuneConfig(**DEFAULTS), rates)
