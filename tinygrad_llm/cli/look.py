"""`tinygrad-llm look`: what a model sees while it writes, as a table, a picture and a page for the browser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..applications import Look
from ..applications import look as look_at
from ..applications.look_tokens import token_text, whole_text
from ..files import new_folder, require_free, write_text
from ..hub import chat_template_of
from ..models import BERT, GPT, Llama
from ..plots.look import Columns, look_picture
from ..text import Tokenizer, WordPieceTokenizer, encode_chat, end_ids
from ..train.fine_tuned import open_model
from .generate import prompt_ids, stop_ids
from .look_page import PageFacts, look_page

NEW_TOKENS = 20
MOST_COLUMNS = 24  # of the picture
MOST_MAPS = 16  # heads in it
ALTERNATIVES = 4  # in a line of the table
NEXT = "…"  # the place after the text
REMEDY = "choose another --out, or remove it first"


@dataclass(frozen=True)
class Request:
    """What the model is to go on with."""

    ids: list[int]
    n_new: int
    stop_sequences: list[list[int]]


def look(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.out) if arguments.out else _next_folder()
    require_free(folder, REMEDY)
    model, tokenizer = open_model(arguments.source, keep_quantized=True)
    if not isinstance(model, (GPT, Llama, BERT)):
        raise ValueError(f"{arguments.source!r} holds a {type(model).__name__}: give a GPT, a Llama or a BERT")
    layer = _checked_place("--layer", arguments.layer, model.config.n_layers, model.config.n_layers // 2)
    head = _checked_place("--head", arguments.head, model.config.n_heads, None)
    request = _request(arguments, model, tokenizer)
    mask_id = getattr(tokenizer, "mask_id", None)
    seen = look_at(model, request.ids, request.n_new, arguments.top_k, request.stop_sequences, mask_id)
    names = {token: token_text(tokenizer, token) for token in np.union1d(seen.ids, seen.lens.tokens).tolist()}
    Console(highlight=False).print(_table(seen, names))
    facts = PageFacts(
        title=f"What {Path(arguments.source).name or arguments.source} sees",
        model=f"{type(model).__name__}, {model.config.n_layers} blocks of {model.config.n_heads} heads",
        text=whole_text(tokenizer, seen.ids.tolist()),
        layer=layer,
        head=head,
    )
    page = look_page(seen, names, facts)
    with new_folder(folder, REMEDY) as building:
        _draw(building / "look.png", seen, names, layer, head, facts.title)
        write_text(building / "look.html", page)
    print(f"wrote {folder / 'look.png'}, and {folder / 'look.html'} to open in a browser ({len(page) / 1e3:,.0f} kB)")
    return 0


def _next_folder() -> Path:
    number = 1
    while Path("runs", f"look-{number}").exists():
        number += 1
    return Path("runs", f"look-{number}")


def _checked_place(option: str, place: int | None, n: int, default: int | None) -> int | None:
    if place is not None and not 0 <= place < n:
        raise ValueError(f"{option} must be from 0 to {n - 1} in this model, not {place}")
    return default if place is None else place


def _request(arguments: argparse.Namespace, model: GPT | Llama | BERT, tokenizer: Tokenizer) -> Request:
    if isinstance(model, BERT) != isinstance(tokenizer, WordPieceTokenizer):
        raise ValueError(f"{arguments.source!r} holds a {type(model).__name__} with the tokenizer of another model")
    if isinstance(model, BERT):
        if arguments.chat:
            raise ValueError(f"{arguments.source!r} holds a BERT, which does not write: leave --chat out")
        return Request(tokenizer.encode(arguments.prompt), arguments.max_new_tokens or 0, [])
    n_new = NEW_TOKENS if arguments.max_new_tokens is None else arguments.max_new_tokens
    if not arguments.chat:
        return Request(prompt_ids(tokenizer, arguments.prompt), n_new, [[token] for token in stop_ids(tokenizer)])
    template = chat_template_of(arguments.source)
    ids = encode_chat(tokenizer, template, [("user", arguments.prompt)], add_generation_prompt=True).ids
    return Request(ids, n_new, [end_ids(tokenizer, template)])


def _shown(seen: Look) -> range:
    """The places of the table: those that the model wrote, or of a text that it only read, all that it was asked."""
    first = seen.n_prompt if len(seen.ids) > seen.n_prompt else seen.shift
    return range(first, len(seen.ids))


def _table(seen: Look, names: dict[int, str]) -> Table:
    wrote = len(seen.ids) > seen.n_prompt
    title = "what the model wrote" if wrote else "what the model read"
    note = "from block: from there on the logit lens finds the likeliest token"
    table = Table("token", "probability", "rank", "from block", "the likeliest others", title=title, caption=note)
    for column in table.columns[1:4]:
        column.justify = "right"
    settled = seen.lens.settled()
    for t in _shown(seen):
        token = int(seen.ids[t])
        first = int(settled[t - seen.shift])
        others = [(names[other], p) for other, p in seen.candidates(t) if other != token][:ALTERNATIVES]
        table.add_row(
            Text(names[token]),
            f"{seen.probabilities[t]:.1%}" if seen.ranks[t] else "",
            f"{seen.ranks[t]:,}" if seen.ranks[t] else "",
            "input" if first == 0 else str(first - 1),
            Text("  ".join(f"{name} {p:.1%}" for name, p in others)),
        )
    if seen.shift:
        following = seen.candidates(len(seen.ids))[:ALTERNATIVES]
        table.add_section()
        table.add_row(NEXT, "", "", "", Text("  ".join(f"{names[token]} {p:.1%}" for token, p in following)))
    return table


def _draw(path: Path, seen: Look, names: dict[int, str], layer: int, head: int | None, title: str) -> None:
    places = list(_shown(seen))[: MOST_COLUMNS - seen.shift]
    came, probabilities = _names(seen.ids[places], names), seen.probabilities[places].tolist()
    if seen.shift:  # what would come next
        places, came, probabilities = [*places, len(seen.ids)], [*came, NEXT], [*probabilities, np.nan]
    rows, lens = [t - seen.shift for t in places], seen.lens
    columns = Columns(
        came=came,
        probabilities=probabilities,
        likeliest=[(names[int(lens.tokens[-1, row, 0])], float(lens.probabilities[-1, row, 0])) for row in rows],
        lens_tokens=[_names(each[rows, 0], names) for each in lens.tokens],
        lens_probabilities=lens.probabilities[:, rows, 0],
    )
    heads = list(range(seen.attention.shape[1]))[:MOST_MAPS] if head is None else [head]
    tokens = _names(seen.ids, names)
    look_picture(path, columns, seen.attention[layer][heads], tokens, heads, layer, title)


def _names(ids: Sequence[int] | np.ndarray, names: dict[int, str]) -> list[str]:
    return [names[int(token)] for token in ids]
