"""`ContentFilter`: which of some categories of unwanted content a text is of, and what is to be done about it.

    content_filter = load_filter("my_filter")
    for finding in content_filter.check("You are such a fool."):
        print(finding.category, finding.probability, finding.action)        # insult 0.98 withhold

A category has a detector: a pattern (content_patterns.py, or a regular expression of your own), or the trained
classifier (linear_text.py). filter.json says which categories are on, from which probability on, and whether such text
is marked or withheld. The classifier judges sentence by sentence, as a text is made of them and as they are shown.

It is a small filter that learnt from a few hundred sentences of English. It sees words and not what is meant, it can
be evaded, and it is wrong in both directions; how often, its report tells.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import new_folder, read_json, write_json
from .content_patterns import PATTERNS, Pattern
from .linear_text import LinearTextClassifier

FORMAT = "tinygrad_llm content filter"
CONFIG = "filter.json"
ACTIONS = ("mark", "withhold")
DETECTORS = ("classifier", "pattern")
MAX_SENTENCE = 500  # characters; longer ones are cut at a blank
_SENTENCE_END = re.compile(r"[.!?…][\"')\]”’]*\s+|\n\s*\n\s*")


@dataclass(frozen=True)
class Category:
    """What filter.json says of one. Raises ValueError for what makes no sense."""

    name: str
    detector: str = "classifier"
    on: bool = True
    threshold: float = 0.5  # the least probability that counts; a pattern is sure
    action: str = "withhold"
    pattern: str | None = None  # a regular expression; without one, a built-in pattern has the category's name

    def __post_init__(self):
        if self.detector not in DETECTORS:
            raise ValueError(
                f"category {self.name!r}: detector must be one of {', '.join(DETECTORS)}, not {self.detector!r}"
            )
        if self.action not in ACTIONS:
            raise ValueError(f"category {self.name!r}: action must be one of {', '.join(ACTIONS)}, not {self.action!r}")
        if not isinstance(self.on, bool):
            raise ValueError(f"category {self.name!r}: on must be true or false, not {self.on!r}")
        if (
            isinstance(self.threshold, bool)
            or not isinstance(self.threshold, (int, float))
            or not 0 <= self.threshold <= 1
        ):
            raise ValueError(f"category {self.name!r}: threshold must be from 0 to 1, not {self.threshold!r}")
        if self.detector == "pattern":
            self.compiled()

    def compiled(self) -> Pattern:
        """Of a pattern. Raises ValueError where it is no regular expression, or there is no built-in one."""
        if self.pattern is None:
            if self.name not in PATTERNS:
                raise ValueError(
                    f"category {self.name!r}: there is no built-in pattern of that name, only {', '.join(PATTERNS)}: "
                    "give one as pattern"
                )
            return PATTERNS[self.name]
        try:
            return Pattern(re.compile(self.pattern))
        except (re.error, TypeError) as error:
            raise ValueError(f"category {self.name!r}: its pattern is no regular expression ({error})") from None


@dataclass(frozen=True)
class Finding:
    category: str
    probability: float
    text: str  # the sentence, or what the pattern matched
    action: str

    def __str__(self) -> str:
        return f"{self.category} {self.probability:.2f}"


class ContentFilter:
    """Raises ValueError for categories that the classifier does not know, and names that repeat."""

    def __init__(self, categories: Iterable[Category], classifier: LinearTextClassifier | None = None):
        self.categories, self.classifier = tuple(categories), classifier
        names = [category.name for category in self.categories]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"a filter needs categories, and each once, not {names}")
        known = () if classifier is None else classifier.categories
        for category in self.categories:
            if category.detector == "classifier" and category.name not in known:
                raise ValueError(
                    f"category {category.name!r}: the classifier knows only {', '.join(known) or 'nothing'}: train it "
                    "on examples of that category"
                )

    def check(self, text: str) -> list[Finding]:
        """What was found in a text, the most probable of each category first; an empty list where nothing was."""
        found = [*self._matches(text), *self._classified(sentences(text))]
        best: dict[str, Finding] = {}
        for finding in found:
            if finding.category not in best or finding.probability > best[finding.category].probability:
                best[finding.category] = finding
        return sorted(best.values(), key=lambda finding: -finding.probability)

    def withholds(self, text: str) -> bool:
        """Whether something was found that is to be withheld."""
        return any(finding.action == "withhold" for finding in self.check(text))

    def _matches(self, text: str) -> Iterator[Finding]:
        for category in self.categories:
            if category.on and category.detector == "pattern":
                for match in category.compiled().find(text):
                    yield Finding(category.name, 1.0, match, category.action)

    def _classified(self, texts: Sequence[str]) -> Iterator[Finding]:
        used = [category for category in self.categories if category.on and category.detector == "classifier"]
        if not used or not texts:
            return
        columns = [self.classifier.categories.index(category.name) for category in used]
        for text, row in zip(texts, self.classifier.predict_proba(texts)[:, columns].tolist(), strict=True):
            for category, probability in zip(used, row, strict=True):
                if probability >= category.threshold:
                    yield Finding(category.name, probability, text, category.action)

    def configured(self, config: Mapping[str, Mapping[str, Any]]) -> ContentFilter:
        """The same filter with other settings: {"insult": {"threshold": 0.8}, "email": {"on": false}}; a new name is a
        new category.

        Raises ValueError for an unknown setting, and as `Category`.
        """
        categories = {category.name: category for category in self.categories}
        for name, settings in config.items():
            categories[name] = _changed(categories.get(name), name, settings)
        return ContentFilter(categories.values(), self.classifier)

    def as_dict(self) -> dict[str, Any]:
        """For filter.json."""
        settings = {category.name: dataclasses.asdict(category) for category in self.categories}
        for each in settings.values():
            each.pop("name")
        return {"format": FORMAT, "version": 1, "categories": settings}

    def write(self, folder: Path) -> None:
        """Into an existing folder."""
        write_json(folder / CONFIG, self.as_dict())
        if self.classifier is not None:
            self.classifier.save(folder)

    def save(self, folder: str | os.PathLike) -> None:
        """Into a new folder. Raises ValueError where that is not empty."""
        with new_folder(folder, "choose another folder for the filter") as building:
            self.write(building)


def load_filter(folder: str | os.PathLike) -> ContentFilter:
    """Raises FileNotFoundError where the folder holds no filter, ValueError where it is damaged."""
    path = Path(folder, CONFIG)
    data = read_json(path, "give the folder that `tinygrad-llm filter train` made")
    settings = data.get("categories")
    if data.get("format") != FORMAT or data.get("version") != 1 or not isinstance(settings, dict):
        raise ValueError(f"{str(path)!r} is no filter of this program: make one by `tinygrad-llm filter train`")
    try:
        categories = [_changed(None, name, each) for name, each in settings.items()]
        needed = any(category.detector == "classifier" for category in categories)
        return ContentFilter(categories, LinearTextClassifier.load(folder) if needed else None)
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from None


def _changed(category: Category | None, name: str, settings: Any) -> Category:
    known = [field.name for field in dataclasses.fields(Category) if field.name != "name"]
    if not isinstance(settings, Mapping):
        raise ValueError(f"category {name!r}: its settings must be an object with some of {', '.join(known)}")
    for setting in settings:
        if setting not in known:
            raise ValueError(f"category {name!r} has no setting {setting!r}, only {', '.join(known)}")
    return Category(name, **settings) if category is None else dataclasses.replace(category, **settings)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without blanks around them.

    >>> sentences("One. Two?  It is 3.14!")
    ['One.', 'Two?', 'It is 3.14!']
    """
    found, rest = [], text
    while rest:
        end = sentence_end(rest) or len(rest)
        found.append(rest[:end].strip())
        rest = rest[end:]
    return [sentence for sentence in found if sentence]


def sentence_end(text: str) -> int | None:
    """Where the first sentence ends, blanks after it included; None where it may go on. A very long one is cut."""
    found = _SENTENCE_END.search(text, 0, MAX_SENTENCE)
    if found:
        return found.end()
    if len(text) < MAX_SENTENCE:
        return None
    return text.rfind(" ", MAX_SENTENCE // 2, MAX_SENTENCE) + 1 or MAX_SENTENCE


class FilteredText:
    """Pieces of a text as they are written, shown sentence by sentence: each when it is complete and was checked.

        shown = FilteredText(pieces, content_filter, before=prompt)
        for sentence in shown:
            print(sentence, end="")
        print(shown.withheld)               # the findings for which the text ends here, or an empty list

    What is only marked gets its category after it. `before` is what the text goes on with: its last sentence is
    checked together with the first one, as half of it may stand there.
    """

    def __init__(self, pieces: Iterable[str], content_filter: ContentFilter, before: str = ""):
        self.pieces, self.filter = pieces, content_filter
        self.withheld: list[Finding] = []
        open_sentences = [before[m.end() :] for m in _SENTENCE_END.finditer(before)] or [before]
        self._before = open_sentences[-1][-MAX_SENTENCE:]

    def __iter__(self) -> Iterator[str]:
        held = ""
        for piece in self.pieces:
            held += piece
            while (end := sentence_end(held)) is not None and not self.withheld:
                yield from self._release(held[:end])
                held = held[end:]
            if self.withheld:
                return
        if held:
            yield from self._release(held)

    def _release(self, sentence: str) -> Iterator[str]:
        findings = self.filter.check(self._before + sentence)
        self._before = ""
        self.withheld = [finding for finding in findings if finding.action == "withhold"]
        if not self.withheld:
            body = sentence.rstrip()
            yield body + "".join(f" [{finding}]" for finding in findings) + sentence[len(body) :]
