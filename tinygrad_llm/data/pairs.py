"""Pairs to learn sequence to sequence from: your own tables, and two tasks that the running Python brings with it.

    table = read_pairs("phrases.tsv")                    # or read_pairs("rows.jsonl", "english", "chinese")
    parts = split_pairs(table.examples)
    parts = split_pairs(source_summaries(), group=module_of_pair)

| task               | source → target                                                                  | on 3.11 |
| ------------------ | -------------------------------------------------------------------------------- | ------- |
| `docstring_names`  | "Push item onto heap, maintaining the heap invariant." → heappush                | 4,008   |
| `source_summaries` | "def is_nan(self): return self._exp in ('n', 'N')" → "Return True if self is …"  | 4,473   |

Both are summarisation: much text in, the few words that its author chose out. The answer is not exact, as it is in
`tinygrad_llm.data.translation`: another name might be as good. The same Python gives the same pairs in the same order.
"""

import ast
import os
import re
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from .columns import Pair, PairColumns
from .corpora import parsed_sources
from .documents import cut_before
from .examples import TextExample, module_of
from .signatures import Function
from .stratify import ExampleSplit, split_examples
from .tables import Table, read_table
from .tasks import MIN_WORDS, at_most, documented_signatures, first_sentence

MAX_SUMMARY = 200  # characters; a longer first sentence is no summary


def read_pairs(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    source_column: str | None = None,
    target_column: str | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quoting: bool = True,
    strict: bool = False,
) -> Table:
    """The pairs of .tsv, .csv and .jsonl files, as `read_table` reads them: bad rows become `Problem`s.

    Named columns are looked up in the first row, and in .jsonl as keys. Without names they are called "source" and
    "target", and a .tsv or .csv file whose first row does not say so has no header: its rows are the two texts. For
    more columns without a header, `read_table(path, PairColumns("en", "zh"), header=["en", "zh", "licence"])`.

    Raises ValueError for one name without the other, and as `read_table`.
    """
    if (source_column is None) != (target_column is None):
        raise ValueError("give both source_column and target_column, or neither for a file of two columns")
    columns = PairColumns() if source_column is None else PairColumns(source_column, target_column)
    header = columns.names if source_column is None else None
    return read_table(paths, columns, encoding, delimiter, quoting, strict, header)


def split_pairs(
    pairs: Sequence[Pair],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    group: Callable[[Pair], Hashable] | None = None,
    near_duplicate_threshold: float | None = 0.8,
) -> ExampleSplit:
    """Split as `split_examples` does: equal and nearly equal sources stay in one part, and so does each group.

    Raises as `split_examples`.
    """
    return split_examples(pairs, fractions, seed, group=group, near_duplicate_threshold=near_duplicate_threshold)


def module_of_pair(pair: Pair) -> str:
    """The top-level module that an embedded pair comes from: "json" for `docstring:json.decoder.JSONDecoder.decode`."""
    return module_of(TextExample(pair.source, source=pair.origin))


def docstring_names(max_same_name: int = 20, max_characters: int = 300, seed: int = 0) -> list[Pair]:
    """A docstring's beginning -> the name of its function.

    Where the name stands in the text as a word of its own, in upper or lower case, it is cut out, parentheses after it
    too: "copy(x) -> a copy of x" becomes "-> a of x". Within a longer word it stays: "copies". Special methods and
    what has fewer than `MIN_WORDS` words left are left out, and so is a text that two names share, as neither is the
    true one. Of each name at most `max_same_name`, drawn by a seeded hash: a hundred classes have a `close`.

    Raises FileNotFoundError where Python came without its sources.
    """
    names: dict[str, set[str]] = defaultdict(set)
    pairs: dict[str, Pair] = {}
    for signature in documented_signatures():
        name = signature.name.rpartition(".")[2]
        text = _without_word(signature.docstring, name)
        if len(text) > max_characters:
            text = text[: cut_before(text, max_characters)].rstrip()
        if name.startswith("_") or len(text.split()) < MIN_WORDS:
            continue
        same = " ".join(text.lower().split())
        names[same].add(name)
        pairs.setdefault(same, Pair(text, name, f"docstring:{signature.name}"))
    clear = [pair for same, pair in pairs.items() if len(names[same]) == 1]
    return at_most(max_same_name, clear, [pair.target for pair in clear], seed)


def _without_word(text: str, word: str) -> str:
    without = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)(\([^()\n]*\))?", "", text, flags=re.IGNORECASE)
    lines = (re.sub(" +", " ", line).rstrip() for line in without.splitlines())
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip()


def source_summaries(max_characters: int = 1000) -> list[Pair]:
    """A function's source, without its docstring and comments -> the first sentence of the docstring, in one line.

    The source is written anew from the syntax tree (`ast.unparse`); a function longer than `max_characters` is left
    out, as is one whose body is the docstring alone. Private functions are in. A source that came before is left out,
    and so is a sentence that stands in its source word for word, of fewer than `MIN_WORDS` words, or of more than
    `MAX_SUMMARY` characters.

    Raises FileNotFoundError where Python came without its sources.
    """
    pairs: dict[str, Pair] = {}
    library = Path(sysconfig.get_path("stdlib"))
    for pair in _summaries(library):
        if len(pair.source) <= max_characters:
            pairs.setdefault(pair.source, pair)
    if not pairs:
        raise FileNotFoundError(
            f"this Python came without the sources of its standard library (looked in {library}): "
            "read a table of your own with read_pairs"
        )
    return list(pairs.values())


@cache
def _summaries(library: Path) -> tuple[Pair, ...]:
    """Of all lengths; read once, since it takes seconds."""
    return tuple(pair for module, tree in parsed_sources(library) for pair in _summaries_of(tree, module))


def _summaries_of(node: ast.Module | ast.ClassDef, name: str) -> Iterator[Pair]:
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _summaries_of(child, f"{name}.{child.name}")
        elif isinstance(child, Function) and ast.get_docstring(child) and len(child.body) > 1:
            summary = first_sentence(ast.get_docstring(child))
            if len(summary.split()) >= MIN_WORDS and len(summary) <= MAX_SUMMARY:
                child.body = child.body[1:]  # the first statement is the docstring
                source = ast.unparse(child)
                if summary not in " ".join(source.split()):
                    yield Pair(source, summary, f"source:{name}.{child.name}")
