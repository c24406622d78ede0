"""Pairs of answers to one prompt, one of them to be preferred: your own, or Python's docstrings, right and spoiled.

| kind        | chosen                                    | rejected                                                   |
| ----------- | ----------------------------------------- | ---------------------------------------------------------- |
| `other`     | Pop the item from the heap.               | what another function of the module does                   |
| `opposite`  | Return True if the lock is held.          | Return False if the lock is held.                          |
| `truncated` | Return a list of all open files.          | Return a list.                                             |
| `run on`    | Return the size of the file.              | Return the size of the file of all open files.             |
| `shuffled`  | Return the size of the file.              | The of size Return file the.                               |
| `default`   | `None`                                    | `'utf-8'`, the default of another parameter                |

What is wrong should have to be understood: so the answers alone tell as little as can be. In `other` and `default` two
prompts lend each other their right answers, so each text is chosen as often as rejected; a word becomes its opposite as
often as the opposite becomes the word; the end that one answer lost another has too much; shuffling keeps the words.
A model of pairs of words still sees broken sentences; train/preference_baselines.py measures how much.
"""

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .clean import text_digest
from .columns import TextColumns
from .conversations import chance
from .examples import module_of
from .questions import signature_questions
from .signatures import Signature
from .stratify import ExampleSplit, split_examples
from .tables import Table, read_table
from .tasks import MIN_WORDS, documented_signatures, first_sentence

KINDS = ("other", "opposite", "truncated", "run on", "shuffled", "default")
BROKEN = {"truncated", "run on", "shuffled"}
MAX_PER_OPPOSITE = 25  # so that words like "parse" do not stand in every other pair
OPPOSITES = tuple(
    tuple(pair.split("/"))
    for line in (
        "true/false first/last before/after start/end read/write encode/decode left/right lower/upper open/close",
        "add/remove input/output get/set with/without all/no local/remote parent/child client/server send/receive",
        "from/to and/or above/below next/previous positive/negative start/stop insert/delete create/delete",
        "smaller/larger string/integer string/list string/bytes file/directory list/dictionary name/number",
        "width/height row/column bytes/characters parse/format message/header node/element thread/process",
        "module/function class/instance object/class method/function path/name current/default one/two",
        "line/character time/date year/month day/hour lock/unlock",
    )
    for pair in line.split()
)


@dataclass(frozen=True)
class Preference:
    """Two different answers to a prompt. `kind` says what is wrong with the rejected one, "" where nobody knows."""

    prompt: str
    chosen: str
    rejected: str
    source: str = ""  # "docstring:heapq.heappop", "pairs.jsonl:17"
    kind: str = ""

    # What split_examples goes by: texts that should not stand in two parts.

    @property
    def text(self) -> str:
        return self.prompt

    @property
    def pair(self) -> str:
        return self.chosen


@dataclass(frozen=True)
class PreferenceColumns:
    """The names of the columns that make a `Preference`, for `read_table`."""

    prompt: str = "prompt"
    chosen: str = "chosen"
    rejected: str = "rejected"

    @property
    def names(self) -> list[str]:
        return [self.prompt, self.chosen, self.rejected]

    def example(self, row: dict[str, Any], source: str = "") -> Preference:
        """Raises ValueError for an empty text, and for two answers that are the same."""
        prompt, chosen, rejected = (TextColumns(name, label=None).example(row).text for name in self.names)
        if chosen.strip() == rejected.strip():
            raise ValueError(f"{self.chosen!r} and {self.rejected!r} are the same, so neither can be preferred")
        return Preference(prompt, chosen, rejected, source)


def read_preferences(
    paths: str | os.PathLike | Iterable[str | os.PathLike], encoding: str = "utf-8", strict: bool = False
) -> Table:
    """The pairs of .jsonl files, {"prompt": …, "chosen": …, "rejected": …} on each line, or of .csv and .tsv files.

    `table.examples` are Preferences, `table.problems` what was wrong with other rows. Raises as `read_table`.
    """
    return read_table(paths, PreferenceColumns(), encoding, strict=strict)


def split_preferences(
    preferences: Sequence[Preference], fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> ExampleSplit:
    """Train, validation and test; pairs that share their prompt, or nearly their texts, stay together.

    Raises as `split_examples`.
    """
    return split_examples(preferences, fractions, seed, group=lambda each: each.prompt)


def split_docstring_preferences(
    preferences: Sequence[Preference], module_fraction: float = 0.1, seed: int = 0
) -> ExampleSplit:
    """By whole modules, `module_fraction` of them for validation and as many for the test.

    So no function of the held-out parts, nor one that lent it an answer, is in training. With the same seed and
    fraction the modules of the test are those that `instruction_split` keeps for its own: a model that was taught to
    answer by it has not seen them either.
    """
    parts: tuple[list[Preference], ...] = ([], [], [])
    for each in preferences:
        place = chance(module_of(each), seed)
        parts[0 if place >= 2 * module_fraction else 1 if place >= module_fraction else 2].append(each)
    return ExampleSplit(*parts)


def docstring_preferences(seed: int = 0, kinds: Sequence[str] = KINDS) -> list[Preference]:
    """Of the running Python's standard library: each function's first sentence, spoiled in one way; and defaults.

    Of fewer `kinds` there are more pairs each. `truncated` and `run on` belong together: each alone is told by length.
    The same Python and seed give the same pairs. Raises ValueError for a kind that there is not, FileNotFoundError
    where Python came without its sources.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"kinds must be some of {', '.join(KINDS)}, not {unknown or list(kinds)}")
    functions = _described(documented_signatures())
    found = list(_opposites(functions, seed)) if "opposite" in kinds else []
    taken = {preference.source for preference in found}
    modules: dict[str, list[Signature]] = defaultdict(list)
    for function in sorted(functions, key=lambda function: text_digest(function.name, seed)):
        if _source(function) not in taken:
            modules[function.module].append(function)
    share = ("other" in kinds) / (("other" in kinds) + (not BROKEN.isdisjoint(kinds)) or 1)  # 0, ½ or 1
    for rest in modules.values():
        n = int(share * len(rest)) // 2 * 2
        found += _others(rest[:n])
        found += _broken(rest[n:], seed)
    found += _defaults(seed)
    return sorted((each for each in found if each.kind in kinds), key=lambda preference: preference.source)


def _described(functions: Iterable[Signature]) -> list[Signature]:
    """Those whose sentence is of some length, and no other's: else both answers would be right."""
    counts = Counter(first_sentence(function.docstring).lower() for function in functions)
    sentences = ((function, first_sentence(function.docstring)) for function in functions)
    return [function for function, text in sentences if counts[text.lower()] == 1 and len(text.split()) >= MIN_WORDS]


def _source(function: Signature) -> str:
    return f"docstring:{function.name}"


def _preference(function: Signature, rejected: str, kind: str) -> Preference:
    prompt = f"What does `{function.name}` do?"
    return Preference(prompt, first_sentence(function.docstring), rejected, _source(function), kind)


def _others(functions: Sequence[Signature]) -> Iterator[Preference]:
    """Two by two they lend each other their answers."""
    for one, other in zip(functions[::2], functions[1::2], strict=False):
        yield _preference(one, first_sentence(other.docstring), "other")
        yield _preference(other, first_sentence(one.docstring), "other")


def _broken(functions: Sequence[Signature], seed: int) -> Iterator[Preference]:
    """Of three functions the first loses its end, which the second gets on top; the third is shuffled."""
    for i in range(0, len(functions) - 2, 3):
        one, other, third = functions[i : i + 3]
        rng = random.Random(f"{seed} {one.name}")
        words, stop = _words(first_sentence(one.docstring))
        cut = rng.randint(2, len(words) - 2)
        longer, their_stop = _words(first_sentence(other.docstring))
        yield _preference(one, " ".join(words[:cut]) + stop, "truncated")
        yield _preference(other, " ".join(longer + words[cut:]) + their_stop, "run on")
        yield _preference(third, _shuffled(first_sentence(third.docstring), rng), "shuffled")


def _words(sentence: str) -> tuple[list[str], str]:
    """Its words, and the full stop or nothing."""
    stop = "." if sentence.endswith(".") else ""
    return sentence.removesuffix(".").split(), stop


def _shuffled(sentence: str, rng: random.Random) -> str:
    words, stop = _words(sentence)
    shuffled = list(words)
    while shuffled == words:  # there are at least MIN_WORDS, and not all the same
        rng.shuffle(shuffled)
    return " ".join(shuffled) + stop


def _opposites(functions: Sequence[Signature], seed: int) -> Iterator[Preference]:
    """One word of each, the rarest that has an opposite; each direction as often as the other."""
    sentences = [re.findall(r"\w+", first_sentence(function.docstring).lower()) for function in functions]
    counts = Counter(word for sentence in sentences for word in sentence)
    directions = [each for pair in OPPOSITES for each in (pair, pair[::-1])]
    chosen: dict[tuple[str, str], list[Signature]] = defaultdict(list)
    for function, words in zip(functions, sentences, strict=True):
        possible = [(a, b) for a, b in directions if words.count(a) == 1 and b not in words]
        if possible:
            chosen[min(possible, key=lambda each: (counts[each[0]], each))].append(function)
    for a, b in OPPOSITES:
        n = min(len(chosen[a, b]), len(chosen[b, a]), MAX_PER_OPPOSITE)
        for old, new in ((a, b), (b, a)):
            for function in sorted(chosen[old, new], key=lambda function: text_digest(function.name, seed))[:n]:
                yield _preference(function, _replaced(first_sentence(function.docstring), old, new), "opposite")


def _replaced(sentence: str, old: str, new: str) -> str:
    """The word `old` as `new`, with a capital where it had one.

    >>> _replaced("Open the file.", "open", "close")
    'Close the file.'
    """

    def in_its_case(match: re.Match) -> str:
        return new.capitalize() if match[0][0].isupper() else new

    return re.sub(rf"\b{old}\b", in_its_case, sentence, flags=re.IGNORECASE)


def _defaults(seed: int) -> Iterator[Preference]:
    """Two by two parameters of a module lend each other their defaults, which differ."""
    modules: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))  # module → default → questions
    for question in signature_questions(seed=seed):
        if question.source.startswith("default:"):
            modules[module_of(question)][question.answers[0]].append(question)
    for by_default in modules.values():
        while len(by_default) > 1:
            commonest = sorted(by_default, key=lambda default: (-len(by_default[default]), default))[:2]
            pair = [by_default[default].pop() for default in commonest]
            for one, other in (pair, pair[::-1]):
                answers = [f"`{question.answers[0]}`" for question in (one, other)]
                name = one.source.partition(":")[2]
                yield Preference(one.question, *answers, f"docstring:{name}", "default")
            for default in commonest:
                if not by_default[default]:
                    del by_default[default]
