"""Options of `tinygrad-llm audit`, `filter` and `filter train`, and the option --filter of those that write text."""

from __future__ import annotations

import argparse

FILTER_HELP = "check what is written by this filter: a folder that filter train made, or default"


def audit_options(parser: argparse.ArgumentParser, integer) -> None:
    help = "a run's folder, a fine-tuned model's, or one in Hugging Face's layout"
    parser.add_argument("--from", dest="source", metavar="FOLDER", help=help)
    help = "the folder for audit.json and audit.png (default: that of the model)"
    parser.add_argument("--out", metavar="FOLDER", help=help)
    parser.add_argument("--canaries", metavar="FILE", help="the record that --plant wrote: measure their exposure")
    help = "of a run: best (lowest validation loss, the default) or last"
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help=help)
    help = "the filter that samples are checked by (default: the built-in one)"
    parser.add_argument("--filter", default="default", metavar="FOLDER", help=help)
    help = "so many texts are written without a prompt, and checked (default: 64)"
    parser.add_argument("--samples", type=integer, default=64, metavar="N", help=help)
    help = "so many places of the text are asked for (default: 200)"
    parser.add_argument("--prompts", type=integer, default=200, metavar="N", help=help)
    parser.add_argument("--seed", type=integer, default=0, metavar="N", help="of all that is drawn (default: 0)")
    planting = parser.add_argument_group("before training: put canaries into a text")
    help = "write the record of new canaries here; --corpus with them goes to --out, a file"
    planting.add_argument("--plant", metavar="FILE", help=help)
    planting.add_argument("--corpus", metavar="FILE", help="the text, in UTF-8")
    help = "how often they are inserted (default: 0 1 4 16 64)"
    planting.add_argument("--insertions", type=integer, nargs="+", default=[0, 1, 4, 16, 64], metavar="N", help=help)
    planting.add_argument("--each", type=integer, default=4, metavar="N", help="canaries of each kind (default: 4)")


def filter_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts to check (default: lines of standard input)")
    help = "the folder that filter train made (default: the built-in filter)"
    parser.add_argument("--filter", default="default", metavar="FOLDER", help=help)
    help = 'settings other than the filter\'s own, as JSON: {"insult": {"threshold": 0.8}, "email": {"on": false}}'
    parser.add_argument("--config", metavar="FILE", help=help)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON, a line for each text")


def filter_train_options(parser: argparse.ArgumentParser, integer, number) -> None:
    help = "labelled texts, .csv, .tsv or .jsonl (default: the built-in examples)"
    parser.add_argument("--data", nargs="+", metavar="FILE", help=help)
    parser.add_argument("--text-column", default="text", metavar="NAME", help="of the text (default: text)")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="of the category (default: label)")
    help = "the label of what is to pass (default: none)"
    parser.add_argument("--clean-label", default="none", metavar="NAME", help=help)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the filter and its report go")
    help = "the least probability that counts, of all categories (default: 0.5)"
    parser.add_argument("--threshold", type=number, default=0.5, metavar="X", help=help)
    parser.add_argument("--seed", type=integer, default=0, metavar="N", help="of what is drawn for the report")


def use_filter_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--filter", metavar="FOLDER", help=FILTER_HELP)
