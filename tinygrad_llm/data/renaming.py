"""Other names for the same function: `def f(x, y=3)` means what it meant when x is called `speed`.

    Which parameter of `json.dumps` comes after `obj`?      def dumps(obj, *, skipkeys=False)      → skipkeys
    Which parameter of `tabs.cellet` comes after `wide`?    def cellet(wide, *, keylist=False)     → keylist

Examples that are renamed each time they are read leave little to learn by heart but where an answer stands. Whoever
reads them has to go by the form of a name alone, so most of the new words are put together from the head of one and
the tail of another: words that are in no text, as those of other functions will be.
"""

import keyword
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .examples import SpanExample

NAME = re.compile(r"""(?<![\w\\])(?!__|[bfru]+['"])[A-Za-z_]\w*""", re.IGNORECASE)  # not __init__, \n, or b of b""
WORD = re.compile(r"[A-Za-z0-9]+")  # of which a name has one or more: is_open, maxsize
KEPT = {*keyword.kwlist, "self", "cls"}
MIXED = 0.7  # part of the new words that are put together from two


def name_words(examples: Iterable[SpanExample]) -> list[str]:
    """The words that the names in these examples consist of, each once.

    >>> name_words([SpanExample("What does `m.close` return?", "def close(self, is_open=None)", (), None)])
    ['close', 'is', 'open', 'm']
    """
    return list(dict.fromkeys(word for each in examples for name in _names(each) for word in WORD.findall(name)))


def renamed(example: SpanExample, words: list[str], rng: np.random.Generator) -> SpanExample:
    """The same question about the same function, with another name for each one that can be chosen freely.

    Those are the names in the signature, which is the context up to its first blank line, and in the question between
    backquotes; Python's own words stay. A name is the same wherever it stands, and no two become one. The new ones are
    made of `words`, drawn by `rng`. Raises ValueError where there are none.
    """
    if not words:
        raise ValueError("there are no words to make names of: `name_words` finds them in the examples")
    names = _names(example)
    used = {name.lower() for name in (*KEPT, *NAME.findall(f"{example.question} {example.context}"))}
    new: dict[str, str] = {}
    for name in names:
        new[name] = WORD.sub(lambda _: _new_word(words, rng), name)
        while new[name].lower() in used or not NAME.fullmatch(new[name]):
            new[name] = f"{_new_word(words, rng)}_{new[name].lstrip('_')}"
        used.add(new[name].lower())
    quoted = [_with(new, part) if number % 2 else part for number, part in enumerate(example.question.split("`"))]
    answers = tuple(_with(new, answer) for answer in example.answers)
    before = _with(new, example.context[: example.start])  # an answer does not begin or end inside a name
    context = _with(new, example.context)
    start = None if example.start is None else len(before)
    return replace(example, question="`".join(quoted), context=context, answers=answers, start=start)


def _names(example: SpanExample) -> list[str]:
    quoted = " ".join(example.question.split("`")[1::2])
    signature = example.context.partition("\n\n")[0]
    return [name for name in dict.fromkeys(NAME.findall(f"{signature} {quoted}")) if name not in KEPT]


def _new_word(words: list[str], rng: np.random.Generator) -> str:
    first, second = (words[number] for number in rng.integers(len(words), size=2))
    if rng.random() >= MIXED:
        return first
    head, tail = rng.integers(len(first)), rng.integers(len(second))
    return first[: head + 1] + second[tail:]


def _with(new: dict[str, str], text: str) -> str:
    return NAME.sub(lambda found: new.get(found[0], found[0]), text)
