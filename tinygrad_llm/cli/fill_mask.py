"""`tinygrad-llm fill-mask`: what a BERT reads into the blanks of a text."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..applications.fill_mask import Guess
from ..applications.fill_mask import fill_mask as guesses_for
from ..models import BERT
from ..train.fine_tuned import open_model


def fill_mask(arguments: argparse.Namespace) -> int:
    model, tokenizer = open_model(arguments.source)
    if not isinstance(model, BERT):
        raise ValueError(
            f"{arguments.source!r} holds a {type(model).__name__}, which sees only what stands before a blank: give "
            "the folder of a BERT, which `tinygrad-llm pretrain --model bert` makes"
        )
    blanks = guesses_for(model, tokenizer, arguments.text, arguments.top_k)
    if arguments.json:
        print(json.dumps([[guess._asdict() for guess in guesses] for guesses in blanks], ensure_ascii=False, indent=2))
    else:
        console = Console(highlight=False)
        for number, guesses in enumerate(blanks, 1):
            console.print(_table(f"blank {number} of {len(blanks)}", guesses))
    return 0


def _table(title: str, guesses: list[Guess]) -> Table:
    table = Table("probability", "token", "text", title=title)
    table.columns[0].justify = "right"
    for guess in guesses:
        table.add_row(f"{guess.probability:.1%}", Text(guess.token), Text(guess.text))
    return table
