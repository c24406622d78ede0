"""Questions about the standard library with their answers, to learn to answer from: thousands, and all are right.

| kind            | asked                                                        | answered                        |
| --------------- | ------------------------------------------------------------ | ------------------------------- |
| what            | What does `itertools.chain` do?                              | Return a chain object …         |
| parameters      | Which parameters does `shutil.move` take?                    | `src`, `dst` and `copy_…`       |
| default         | What is the default of `timeout` in `subprocess.run`?        | `None`                          |
| read what       | `def move(…)`: Recursively move a file … ⏎ What does it do?  | its first sentence              |
| read parameters | Given `def move(src, dst, …)`, which parameters has it?      | `src`, `dst` and `copy_…`       |
| read default    | … what is the default of `copy_function`?                    | `copy2`                         |
| read first      | … which parameter comes first?                               | `src`                           |
| read next       | … which parameter comes after `src`?                         | `dst`                           |

Of a function that it has never seen, a model cannot know what it does; it can only guess from the name. What is to be
read stands in the question, and can be answered without having seen the function. How a question is put is drawn by
the seed. Some conversations go on: about one signature several questions are asked.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass

from .conversations import Conversation, chance, first_question, split_conversations
from .examples import module_of
from .signatures import Signature
from .stratify import ExampleSplit
from .tasks import documented_signatures, first_sentence, library_docstrings

MAX_SENTENCE, MAX_SIGNATURE, MAX_DESCRIPTION = 200, 200, 400  # characters
MIN_WORDS = 3
CALL = re.compile(r"[\w.\[\]]+\([^\n]*\)( *(->|-->|=) *[^\n]*)?(\n|$)")  # with which docstrings of C functions begin
ASKED = {
    "what": (
        "What does `{name}` do?", "What is `{name}` for?", "Explain `{name}` in one sentence.",
        "Describe `{name}`.", "Tell me what `{name}` does.",
    ),
    "parameters": (
        "Which parameters does `{name}` take?", "What are the parameters of `{name}`?",
        "List the parameters of `{name}`.",
    ),
    "default": (
        "What is the default of `{of}` in `{name}`?", "Which default does `{of}` have in `{name}`?",
        "If I leave out `{of}` in `{name}`, what is it?",
    ),
    "read what": ("What does it do?", "What is it for?", "Explain it in one sentence.", "Sum that up."),
    "read parameters": (
        "which parameters does it take?", "what are its parameters?", "list its parameters.",
    ),
    "read default": (
        "what is the default of `{of}`?", "which default does `{of}` have?", "if I leave out `{of}`, what is it?",
    ),
    "read first": ("which parameter comes first?", "what is its first parameter?"),
    "read next": ("which parameter comes after `{of}`?", "what follows `{of}`?"),
}  # fmt: skip
SIGNATURE = re.compile("`((?:async )?def [^`]*)`")
GIVEN = ("Given `{text}`, {question}", "`{text}`: {question}", "Look at `{text}`. {Question}")


@dataclass(frozen=True)
class _Function:
    """Anything with a name and a docstring; `signature` is None where there is none to read."""

    name: str
    sentence: str
    docstring: str
    signature: Signature | None


def docstring_conversations(seed: int = 0) -> list[Conversation]:
    """All conversations, file by file. Raises FileNotFoundError where Python came without its sources."""
    return [conversation for function in _functions() for conversation in _conversations(function, seed)]


def instruction_split(seed: int = 0, fraction: float = 0.05, module_fraction: float = 0.05) -> ExampleSplit:
    """To train on, to stop by and to test on, by function: none is asked about in two parts, in whatever way.

    `fraction` of the functions go to the validation and to the test part each. To the test part go besides all
    functions of `module_fraction` of the top-level modules. Functions of one docstring's first sentence stay together,
    and where it stands in such a module too, the others are left out: the answer would be known. A signature to read in
    the later parts, such as `def close(self)`, is none that was there to train on.
    """
    sentence_of = {function.name: function.sentence or function.name for function in _functions()}
    seen, new = [], []
    for conversation in docstring_conversations(seed):
        is_new = chance(module_of(conversation), seed) < module_fraction
        (new if is_new else seen).append(conversation)

    def key(conversation: Conversation) -> str:
        return sentence_of[conversation.source.partition(":")[2]]

    known = {key(conversation) for conversation in new}
    seen = [conversation for conversation in seen if key(conversation) not in known]
    split = split_conversations(seen, (1 - 2 * fraction, fraction, fraction), seed, key)
    read = set(map(_given, split.train)) - {""}
    kept = ([each for each in part if _given(each) not in read] for part in (split.validation, split.test + new))
    return ExampleSplit(split.train, *kept)


def _given(conversation: Conversation) -> str:
    """The signature to read, if there is one."""
    found = SIGNATURE.search(first_question(conversation))
    return found[1] if found else ""


def _functions() -> Iterator[_Function]:
    signatures = {signature.name: signature for signature in documented_signatures()}
    for document in library_docstrings(sysconfig.get_path("stdlib")):
        name = document.source.partition(":")[2]
        last = name.rpartition(".")[2]
        if name in signatures or not (last.startswith("_") or name.startswith("_")):
            yield _Function(name, summary(document.text), document.text, signatures.get(name))


def summary(docstring: str) -> str:
    """Its first sentence, after a line that only shows the call; empty where that is no good answer.

    >>> summary("chain(*iterables) --> chain object\\n\\nReturn a chain object.  It is lazy.")
    'Return a chain object.'
    """
    call = CALL.match(docstring.strip())
    sentence = first_sentence(docstring.strip()[call.end() :] if call else docstring)
    is_good = MIN_WORDS <= len(sentence.split()) and len(sentence) <= MAX_SENTENCE and sentence[:1].isalpha()
    if not is_good or ">>>" in sentence:
        return ""
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence[-1] in ".!?" else f"{sentence.rstrip(':;,')}."


def _conversations(function: _Function, seed: int) -> Iterator[Conversation]:
    rng = random.Random(f"{seed} {function.name}")

    def conversation(kind: str, *turns: tuple[str, str]) -> Conversation:
        messages = tuple(message for turn in turns for message in zip(("user", "assistant"), turn, strict=True))
        return Conversation(messages, f"{kind}:{function.name}", kind)

    def ask(kind: str, of: str = "") -> str:
        return rng.choice(ASKED[kind]).format(name=function.name, of=of)

    if function.sentence:
        yield conversation("what", (ask("what"), function.sentence))
    signature = function.signature
    if signature is None or len(signature.text) > MAX_SIGNATURE:
        return
    named = _listed(signature)
    default = rng.choice([each for each in signature.parameters if each.default] or [None])
    turns = [(ask("what"), function.sentence)] if function.sentence and rng.random() < 0.5 else []
    if default is None or rng.random() < 0.5:
        yield conversation("parameters", *turns, (ask("parameters"), named))
    else:
        yield conversation("default", *turns, (ask("default", default.name.text), f"`{default.default.text}`"))
    description = function.docstring
    if function.sentence and len(signature.text) + len(description) <= MAX_DESCRIPTION:
        question = f"`{signature.text}`: {description}\n\n{ask('read what')}"
        yield conversation("read what", (question, function.sentence))
    about = list(_about(signature, named, rng, ask))
    rng.shuffle(about)
    for number in (1, rng.randint(2, 3)):  # one question, and a conversation of several
        asked = about[:number]
        if len(asked) == number:
            first = rng.choice(GIVEN).format(text=signature.text, question=asked[0][1], Question=_capital(asked[0][1]))
            turns = [(first, asked[0][2]), *((_capital(question), answer) for _, question, answer in asked[1:])]
            yield conversation(asked[-1][0], *turns)
            rng.shuffle(about)


def _about(signature: Signature, named: str, rng: random.Random, ask) -> Iterator[tuple[str, str, str]]:
    """A kind, a question and its answer, for whom the signature is there to read."""
    parameters = signature.parameters
    yield "read parameters", ask("read parameters"), named
    with_default = [each for each in parameters if each.default]
    if with_default:
        one = rng.choice(with_default)
        yield "read default", ask("read default", one.name.text), f"`{one.default.text}`"
    if len(parameters) >= 2:
        yield "read first", ask("read first"), f"`{parameters[0].name.text}`"
        before = rng.randrange(len(parameters) - 1)
        answer = f"`{parameters[before + 1].name.text}`"
        yield "read next", ask("read next", parameters[before].name.text), answer


def _listed(signature: Signature) -> str:
    names = [f"`{name}`" for name in signature.parameter_names]
    if not names:
        return "It takes no parameters."
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
