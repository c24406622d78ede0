"""Tasks to fine-tune on without a download: the running Python labels its own texts.

| task                  | an example → its label                                              | on 3.11 |
| --------------------- | ------------------------------------------------------------------- | ------- |
| `docstring_packages`  | "Return a message for this exception." → xml                        | 1,925   |
| `signature_pairs`     | "Turn turtle left by angle units.", "def get_shapepoly(self)" → different | 7,258   |
| `parameter_grades`    | "def heappush(heap, item)", "heap, reverse" → 0.5                   | 1,535   |
| `signature_questions` | "Which parameter of `json.dumps` comes after `obj`?" → skipkeys     | 7,728   |

The labels are facts about the sources, so a model can be right or wrong. The same Python gives the same examples in
the same order; another version has other docstrings, so compare scores on one version only.
"""

import random
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from .clean import normalize, text_digest
from .corpora import embedded_corpus
from .documents import Document, cut_before
from .examples import TextExample
from .signatures import Signature, library_signatures

MAX_CHARACTERS = 1000  # of a docstring; what follows seldom changes the answer
MIN_WORDS = 5  # "Return the value." could come from anywhere
SAME, DIFFERENT = "same", "different"


def docstring_packages(n_classes: int = 10, max_per_class: int = 200, seed: int = 0) -> list[TextExample]:
    """From which package is the docstring? The packages with the most docstrings, at most `max_per_class` of each.

    The package's own name is cut out of its texts, wherever it stands: it would give the label away. A text that two
    packages share has no true label and is left out; a copy inside a package is kept once.

    Raises ValueError where there are fewer packages than `n_classes`; FileNotFoundError where Python came without its
    sources.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    examples: dict[str, TextExample] = {}
    for document in library_docstrings(sysconfig.get_path("stdlib")):
        package = document.source.partition(":")[2].partition(".")[0]
        text = _without_name(document.text, package)
        if package.startswith("_") or len(text.split()) < MIN_WORDS:
            continue
        same = " ".join(text.lower().split())
        labels[same].add(package)
        examples.setdefault(same, TextExample(text, label=package, source=document.source))
    clear = [example for same, example in examples.items() if len(labels[same]) == 1]
    counts = Counter(example.label for example in clear)
    if not 2 <= n_classes <= len(counts):
        raise ValueError(f"n_classes must lie between 2 and {len(counts)}, the number of packages; got {n_classes}")
    largest = sorted(counts, key=lambda package: (-counts[package], package))[:n_classes]
    chosen = [example for example in clear if example.label in largest]
    return at_most(max_per_class, chosen, [example.label for example in chosen], seed)


@cache
def library_docstrings(library: str) -> list[Document]:
    """Of the running Python, whose library this is; read once, since it takes seconds."""
    return embedded_corpus("docstrings")


def _without_name(text: str, package: str) -> str:
    text = normalize(re.sub(re.escape(package), "", text, flags=re.IGNORECASE))
    return text if len(text) <= MAX_CHARACTERS else text[: cut_before(text, MAX_CHARACTERS)].rstrip()


def at_most(limit: int, examples: list, keys: list, seed: int) -> list:
    """No more than `limit` examples of each key, drawn by a seeded hash of their source; they keep their order."""
    order = sorted(range(len(examples)), key=lambda index: text_digest(examples[index].source, seed))
    taken: Counter = Counter()
    chosen = set()
    for index in order:
        taken[keys[index]] += 1
        if taken[keys[index]] <= limit:
            chosen.add(index)
    return [example for index, example in enumerate(examples) if index in chosen]


def signature_pairs(seed: int = 0) -> list[TextExample]:
    """Does the sentence describe this function? The first sentence of a docstring and a signature: same or different.

    Each sentence and each signature stands in one pair of either kind, the different one from the same top-level
    module. So neither text alone tells anything, nor does the field they speak of: half right is what a guess gets.
    """
    modules: dict[str, list[Signature]] = defaultdict(list)
    for signature in documented_signatures():
        modules[signature.module].append(signature)
    examples = []
    for functions in modules.values():
        functions = _distinct(functions)
        order = sorted(functions, key=lambda function: text_digest(function.name, seed))
        following = dict(zip((each.name for each in order), order[1:] + order[:1], strict=True))
        for function in functions if len(functions) > 1 else ():
            for other, label in ((function, SAME), (following[function.name], DIFFERENT)):
                source = f"docstring:{function.name}"
                examples.append(TextExample(first_sentence(function.docstring), other.text, label, source))
    return examples


def _distinct(functions: Iterable[Signature]) -> list[Signature]:
    """Without those whose sentence or signature came before: a pair of two functions would be right for both."""
    sentences, texts, kept = set(), set(), []
    for function in functions:
        sentence = first_sentence(function.docstring).lower()
        if sentence not in sentences and function.text not in texts and len(sentence.split()) >= MIN_WORDS:
            kept.append(function)
        sentences.add(sentence)
        texts.add(function.text)
    return kept


def parameter_grades(seed: int = 0) -> list[TextExample]:
    """Grade an answer to "name the parameters": a signature, an answer, and the share of its names that are right.

    An answer has as many names as the signature has parameters, in any order; the wrong ones are parameters of other
    functions in the same top-level module. How many are right is drawn evenly from none to all, so the length of the
    answer tells nothing. The marking scheme is exact, unlike a teacher's: who compares the lists is right each time.
    """
    functions = [function for function in documented_signatures() if len(function.parameters) >= 2]
    names: dict[str, dict[str, None]] = defaultdict(dict)  # in order, each once
    for function in functions:
        names[function.module].update(dict.fromkeys(function.parameter_names))
    examples, seen = [], set()
    for function in functions:
        right = function.parameter_names
        words = set(re.findall(r"\w+", function.text))
        wrong = [name for name in names[function.module] if name not in words]
        if len(wrong) < len(right) or function.text in seen:
            continue
        seen.add(function.text)
        rng = random.Random(f"{seed} {function.name}")
        n_right = rng.randint(0, len(right))
        answer = rng.sample(right, n_right) + rng.sample(wrong, len(right) - n_right)
        rng.shuffle(answer)
        grade = n_right / len(right)
        examples.append(TextExample(function.text, ", ".join(answer), grade, f"docstring:{function.name}"))
    return examples


def documented_signatures() -> list[Signature]:
    """The standard library's functions with a docstring. Raises FileNotFoundError where there are none."""
    library = Path(sysconfig.get_path("stdlib"))
    found = [signature for signature in library_signatures(library) if signature.docstring.strip()]
    if not found:
        raise FileNotFoundError(
            f"this Python came without the sources of its standard library (looked in {library}): "
            "read a table of your own with read_table"
        )
    return found


def first_sentence(docstring: str) -> str:
    """In one line: to the first full stop before a space, or to the first blank line."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    end = re.search(r"(?<!e\.g)(?<!i\.e)(?<!etc)\.(?=\s)", paragraph)
    return paragraph[: end.end()] if end else paragraph
