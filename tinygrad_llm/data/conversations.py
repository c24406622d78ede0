"""Conversations to learn from: your own .jsonl files in the two common forms, and their split.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    {"instruction": "Say it in French.", "input": "Hello!", "output": "Bonjour !"}        Alpaca's; "input" may be empty

A row that is none becomes a `Problem` with its line, as in every table.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..json_text import shortened
from .columns import required_text
from .stratify import ExampleSplit
from .tables import Table, read_table

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Conversation:
    """Pairs of a role and what it says: perhaps "system" first, then "user" and "assistant" in turn.

    `kind` says what is asked for at the end, `source` where it comes from, as in `TextExample`.
    """

    messages: tuple[tuple[str, str], ...]
    source: str = ""
    kind: str = ""

    @property
    def prompt(self) -> tuple[tuple[str, str], ...]:
        """All but the last answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last one."""
        return self.messages[-1][1]

    def __str__(self) -> str:
        return "\n".join(f"{role}: {content}" for role, content in self.messages)


@dataclass(frozen=True)
class ConversationColumns:
    """How `read_table` makes a `Conversation` of a row: by its "messages", or else as Alpaca has it."""

    names: tuple[str, ...] = ()  # each row says by itself which form it has

    def example(self, row: dict[str, Any], source: str = "") -> Conversation:
        """Raises ValueError for a row of neither form, an unknown role, and turns that do not alternate."""
        if "messages" in row:
            return Conversation(_turns(row["messages"]), source)
        if "instruction" in row and "output" in row:
            question, more = required_text(row["instruction"], "instruction"), row.get("input") or ""
            if more:
                question += f"\n\n{required_text(more, 'input')}"
            system = (("system", required_text(row["system"], "system")),) if row.get("system") else ()
            return Conversation(
                (*system, ("user", question), ("assistant", required_text(row["output"], "output"))), source
            )
        raise ValueError(
            "expected 'messages', or 'instruction' and 'output', "
            f"found only {shortened(', '.join(map(repr, row)) or 'an empty object')}"
        )


def _turns(messages: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"'messages' should be a list of messages, found {messages!r:.60}")
    turns = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or not message.keys() >= {"role", "content"}:
            raise ValueError(f"message {number} should be an object with 'role' and 'content', found {message!r:.60}")
        role = message["role"]
        if role not in ROLES:
            shown = shortened(repr(role), 60)
            raise ValueError(f"message {number} has the role {shown}; the roles are {', '.join(ROLES)}")
        if role == "system" and number > 1:
            raise ValueError(f"message {number} is the system's, which can only be the first")
        turns.append((role, required_text(message["content"], f"content of message {number}")))
    roles = [role for role, _ in turns if role != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2) or not roles:
        raise ValueError(
            "user and assistant should take turns, from a user's message to an answer, "
            f"found {shortened(', '.join(role for role, _ in turns))}"
        )
    return tuple(turns)


def read_conversations(
    paths: str | os.PathLike | Iterable[str | os.PathLike], encoding: str = "utf-8", strict: bool = False
) -> Table:
    """The conversations of .jsonl files, in the order given; bad rows are the table's `problems`.

    Raises FileNotFoundError for a missing file; ValueError for a file of another kind or encoding, for one without a
    usable row, and with `strict` for the first bad row.
    """
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    for path in paths:
        if path.suffix.lower() != ".jsonl":
            raise ValueError(
                f"{str(path)!r} should be a .jsonl file, with a conversation on each line: "
                '{"messages": [{"role": …, "content": …}, …]}, or Alpaca\'s {"instruction": …, "output": …}'
            )
    return read_table(paths, ConversationColumns(), encoding, strict=strict)


def chance(name: str, seed: int) -> float:
    """A number between 0 and 1 that a name always gets, but another one with each seed."""
    return random.Random(f"{seed} {name}").random()


def first_question(conversation: Conversation) -> str:
    """What a conversation begins with; the system message does not count."""
    return next(content for role, content in conversation.messages if role == "user")


def split_conversations(
    conversations: Sequence[Conversation],
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05),
    seed: int = 0,
    key: Callable[[Conversation], str] = first_question,
) -> ExampleSplit:
    """To train on, to stop by and to test on; conversations of the same `key`, up to case and blanks, stay together.

    Each is dealt out by a seeded hash of its key, so that others do not matter. Raises ValueError where a part remains
    empty, for then there are too few conversations.
    """
    bounds = (fractions[0], fractions[0] + fractions[1])
    parts: tuple[list, list, list] = ([], [], [])
    for conversation in conversations:
        place = chance(" ".join(key(conversation).lower().split()), seed)
        parts[sum(place >= bound for bound in bounds)].append(conversation)
    if not all(parts):
        raise ValueError(
            f"{len(conversations)} conversations are too few for three parts, to train, to stop and to test by: "
            "give some hundreds"
        )
    return ExampleSplit(*parts)
