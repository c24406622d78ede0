"""Options of `tinygrad-llm look`."""

from __future__ import annotations

import argparse


def look_options(parser: argparse.ArgumentParser, integer) -> None:
    help = "the folder of a run, of a fine-tuned model, or of one in Hugging Face's layout, or a GGUF file"
    parser.add_argument("--from", dest="source", required=True, metavar="PATH", help=help)
    help = "the text to go on with; for a BERT, the text to read, [MASK] for blanks (default: nothing)"
    parser.add_argument("--prompt", default="", metavar="TEXT", help=help)
    parser.add_argument("--chat", action="store_true", help="the prompt is a question, in the model's chat template")
    help = "how far the model writes, always the likeliest token (default: 20, of a BERT 0)"
    parser.add_argument("--max-new-tokens", type=integer, metavar="N", help=help)
    help = "whose attention look.png shows, and look.html first, from 0 (default: the one in the middle)"
    parser.add_argument("--layer", type=integer, metavar="L", help=help)
    parser.add_argument("--head", type=integer, metavar="H", help="only this one, from 0 (default: all of the layer)")
    parser.add_argument("--top-k", type=integer, default=8, metavar="N", help="guesses for each place (default: 8)")
    help = "where look.png and look.html go (default: runs/look-NUMBER)"
    parser.add_argument("--out", metavar="FOLDER", help=help)
