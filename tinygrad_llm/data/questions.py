"""Questions about functions of the standard library; each answer stands in the signature or in the docstring.

The context is the signature. Only for what a function returns the first paragraph of its docstring follows:

    def run(*popenargs, input=None, capture_output=False, timeout=None, check=False, **kwargs)

    Run command with arguments and return a CompletedProcess instance. …

| question                                                                  | answer                    |
| ------------------------------------------------------------------------- | ------------------------- |
| What is the default of `timeout` in `subprocess.run`?                     | None                      |
| Which parameter of `shutil.move` has the default `copy2`?                 | copy_function             |
| What is the first parameter of `subprocess.run`?                          | popenargs                 |
| Which parameter of `json.dumps` comes after `obj`?                        | skipkeys                  |
| Which parameter of `subprocess.run` takes all further keyword arguments?  | kwargs                    |
| What does `glob.glob` return?                                             | a list of paths matching… |
"""

import random
import re
from collections import Counter
from collections.abc import Iterator

from .examples import SpanExample
from .signatures import Part, Signature
from .tasks import at_most, documented_signatures

MAX_CONTEXT = 1200  # characters
MAX_ANSWER = 100
RETURNS = re.compile(r"Returns?\s+(.+?)(?=\.?(?:\n\n|$)|\.\s)", re.DOTALL)


def signature_questions(max_same_answer: int = 100, seed: int = 0) -> list[SpanExample]:
    """Questions about documented functions, file by file; a function that was copied is asked about once.

    Half of all defaults are None, so of each kind of question at most `max_same_answer` have the same answer. A split
    with `group=module_of` keeps whole modules for the test. Raises FileNotFoundError where Python came without its
    sources.
    """
    examples, keys, seen = [], [], set()
    for signature in documented_signatures():
        paragraph = signature.docstring.partition("\n\n")[0].rstrip()
        documented = f"{signature.text}\n\n{paragraph}"
        if documented in seen:
            continue
        seen.add(documented)
        for kind, question, answer in _questions(signature, seed):
            context = documented if kind == "return" else signature.text
            if len(answer.text) <= MAX_ANSWER and len(context) <= MAX_CONTEXT:
                source = f"{kind}:{signature.name}"
                examples.append(SpanExample(question, context, (answer.text,), answer.start, source))
                keys.append((kind, answer.text))
    return at_most(max_same_answer, examples, keys, seed)


def _questions(signature: Signature, seed: int) -> Iterator[tuple[str, str, Part]]:
    """The kind, the question, and the answer's place in the signature or, as a continuation of it, the docstring."""
    name, parameters = signature.name, signature.parameters
    defaults = Counter(parameter.default.text for parameter in parameters if parameter.default)
    for parameter in parameters:
        if parameter.default:
            yield "default", f"What is the default of `{parameter.name.text}` in `{name}`?", parameter.default
            if defaults[parameter.default.text] == 1:
                question = f"Which parameter of `{name}` has the default `{parameter.default.text}`?"
                yield "with default", question, parameter.name
        if parameter.stars:
            what = "keyword" if parameter.stars == "**" else "positional"
            yield "further", f"Which parameter of `{name}` takes all further {what} arguments?", parameter.name
    if len(parameters) >= 2:
        yield "first", f"What is the first parameter of `{name}`?", parameters[0].name
        before = random.Random(f"{seed} {name}").randrange(len(parameters) - 1)
        question = f"Which parameter of `{name}` comes after `{parameters[before].name.text}`?"
        yield "next", question, parameters[before + 1].name
    returned = RETURNS.match(signature.docstring)
    if returned and "e.g." not in returned[1] and "i.e." not in returned[1]:
        answer = Part(returned[1].rstrip(), len(signature.text) + 2 + returned.start(1))
        yield "return", f"What does `{name}` return?", answer
