"""`tinygrad-llm chat`: a conversation in the terminal, or line by line through a pipe."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..applications.content_filter import ContentFilter, FilteredText
from ..data.examples import counted
from ..generate import GenerationConfig
from ..hub import chat_template_of
from ..models import GPT, Llama
from ..nn import weight_bytes
from ..train.fine_tuned import open_model
from ..train.memory import format_bytes
from .conversation import Conversation
from .filter import open_filter, withheld_notice
from .finetune_chat import named_template

PROMPT = "> "
HELP = """\
/system TEXT   tell the model something before the conversation; without TEXT: nothing
/reset         forget the conversation
/save FILE     add the conversation to FILE, as a line that finetune chat --data reads
/help          this list
/quit          or Ctrl-D: end; Ctrl-C stops an answer"""


def chat(arguments: argparse.Namespace) -> int:
    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {arguments.seed}")
    folder = Path(arguments.source)
    model, tokenizer = open_model(folder, keep_quantized=not arguments.expand)
    if not isinstance(model, (GPT, Llama)):
        raise ValueError(f"{arguments.source!r} holds a {type(model).__name__}, which does not write, so cannot chat")
    template = named_template(arguments.template) if arguments.template else chat_template_of(folder)
    config = GenerationConfig(
        arguments.temperature, top_p=arguments.top_p, repetition_penalty=arguments.repetition_penalty
    )
    rng = np.random.default_rng(arguments.seed)
    conversation = Conversation(model, tokenizer, template, arguments.system, arguments.max_new_tokens, config, rng)
    content_filter = open_filter(arguments.filter) if arguments.filter else None
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        weights = f"{format_bytes(weight_bytes(model))} of weights"
        print(f"{type(model).__name__} with {weights}; /help shows what you can do")
    for line in lines(is_terminal):
        if line.startswith("/"):
            if line.split()[0] == "/quit":
                break
            print(command(conversation, line))
        elif line:
            answer(conversation, line, content_filter)
    return 0


def lines(is_terminal: bool) -> Iterator[str]:
    """What the user says, line by line, to the end of the input."""
    if not is_terminal:
        yield from (line.strip() for line in sys.stdin)
        return
    _edit_lines()
    while True:
        try:
            yield input(PROMPT).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\n(/quit or Ctrl-D ends)")


def _edit_lines() -> None:
    """The arrow keys, where Python has readline: importing it changes what `input` does."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401


def answer(conversation: Conversation, question: str, content_filter: ContentFilter | None = None) -> None:
    """Write the answer as it comes. Ctrl-C ends it; what there is stays in the conversation.

    With a filter it is written sentence by sentence, and what that withholds is neither shown nor remembered.
    """
    try:
        pieces = conversation.ask(question)
    except ValueError as error:
        print(f"({error})")
        return
    if conversation.n_forgotten:
        print(f"(the context is full: forgot the first {counted(conversation.n_forgotten, 'turn')})")
    shown = None if content_filter is None else FilteredText(pieces, content_filter)
    try:
        for piece in pieces if shown is None else shown:
            sys.stdout.write(piece)
            sys.stdout.flush()
        if shown is not None and shown.withheld:
            print(f"{withheld_notice(shown.withheld)} (this question and its answer are forgotten)")
        else:
            print(" … (cut: no room for more)" if conversation.is_cut else "")
    except KeyboardInterrupt:
        print(" … (stopped)")
    pieces.close()
    if content_filter is not None and conversation.turns and content_filter.withholds(conversation.turns[-1].answer):
        conversation.take_back()  # after Ctrl-C the last sentence may not have been checked
    sys.stdout.flush()


def command(conversation: Conversation, line: str) -> str:
    """Do what a line that begins with a slash says; returns what to show."""
    name, _, rest = line.partition(" ")
    known: dict[str, Callable[[Conversation, str], str]] = {
        "/help": lambda conversation, rest: HELP,
        "/reset": _reset,
        "/save": _save,
        "/system": _system,
    }
    if name not in known:
        return f"(there is no {name}; /help lists what there is)"
    return known[name](conversation, rest.strip())


def _reset(conversation: Conversation, rest: str) -> str:
    conversation.reset()
    return "(forgot the conversation)"


def _system(conversation: Conversation, text: str) -> str:
    try:
        conversation.set_system(text or None)
    except ValueError as error:
        return f"({error})"
    return "(the model is told this before the conversation)" if text else "(the model is told nothing)"


def _save(conversation: Conversation, name: str) -> str:
    if not name:
        return "(name a file: /save conversations.jsonl)"
    if not conversation.turns:
        return "(nothing was said yet)"
    messages = [message._asdict() for message in conversation.messages()]
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    except OSError as error:
        return f"(cannot write {name!r}: {error.strerror})"
    return f"(added to {name}: {counted(len(conversation.turns), 'turn')})"
