"""Tables of examples to fine-tune on: your own .jsonl, .csv and .tsv files, and SQuAD's .json.

    table = read_table("reviews.csv", TextColumns(text="review", label="stars"))
    print(table)       # 4,998 examples; 2 bad rows left out: 'reviews.csv', line 17: 'review' is empty; …

A bad row does not stop the reading, and never goes in silence: it becomes a `Problem` with its file and line.
"""

import csv
import difflib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..json_text import parse_json, shortened
from .columns import Pair, PairColumns, SpanColumns, TextColumns
from .examples import Example, counted
from .files import lines_of, require_encoding

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jsonl", ".json", *DELIMITERS)
MAX_ROW_CHARACTERS = 16 << 20  # a longer row is no example, but the rest of a file after a quote that nothing closes
TOO_LONG = f"the row is longer than {MAX_ROW_CHARACTERS:,} characters: shorten it, or close a quote that stays open"
SHOWN_PROBLEMS, SHOWN_COLUMNS = 5, 50
MOST_PROBLEMS = 100_000  # of one file, which is then no table

Columns = TextColumns | SpanColumns | PairColumns
Rows = Iterator[tuple[int, dict[str, Any] | ValueError]]  # each row's number, and its columns or why it is broken


@dataclass(frozen=True)
class Problem:
    """A row that is no example. `line` is where the row begins, from 1; in a .json file the number of the question."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        kind = "question" if self.path.lower().endswith(".json") else "line"
        return f"{self.path!r}, {kind} {self.line}: {self.message}"


@dataclass(frozen=True)
class Table:
    """The examples in the order of the rows, and what was wrong with the others."""

    examples: list[Example | Pair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        text = counted(len(self.examples), "example")
        if self.problems:
            text += f"; {counted(len(self.problems), 'bad row')} left out: {_in_short(self.problems)}"
        return text


def read_table(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    columns: Columns,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quoting: bool = True,
    strict: bool = False,
    header: Sequence[str] | None = None,
) -> Table:
    """The examples of all files, in the order given.

    - .jsonl: on each line an object, whose keys are the columns.
    - .csv, .tsv: the first row names the columns. A field in double quotes may hold the delimiter, line ends and
      doubled quotes; `quoting=False` takes quotes for plain characters. The delimiter is a comma or a tab by the
      file's name. `header` names the columns where the first row does not, as it is an example already.
    - .json: SQuAD's nested form, as rows with the columns question, context and answer.

    As everywhere in `tinygrad_llm.data`, a line end of any kind is read as "\\n", and a byte order mark is no text.

    Raises FileNotFoundError for a missing file; ValueError for a column that a file does not have, a file without a
    usable row, one of another kind or encoding, and with `strict` for the first bad row.
    """
    require_encoding(encoding)
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(f"delimiter must be one character such as ';', got {delimiter!r}")
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not paths:
        raise ValueError("no table to read: name at least one file")
    for path in paths:
        _require_table(path)
    table = Table()
    for path in paths:
        if path.suffix.lower() == ".jsonl":
            rows = _jsonl_rows(path, encoding)
        elif path.suffix.lower() == ".json":
            rows = _squad_rows(path, encoding)
        else:
            separator = delimiter or DELIMITERS[path.suffix.lower()]
            rows = _delimited_rows(path, encoding, separator, quoting, columns.names, header)
        _read_rows(table, path, rows, columns, strict)
    return table


def _require_table(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}: check the spelling of the path")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder: name the files in it, they may differ in their columns")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{str(path)!r} is no table: expected a file that ends in {', '.join(SUFFIXES)}")


def _read_rows(table: Table, path: Path, rows: Rows, columns: Columns, strict: bool) -> None:
    seen: dict[str, None] = {}  # the columns of the file, in their order
    n_examples, problems = 0, []
    for number, row in rows:
        try:
            if isinstance(row, ValueError):
                raise row
            seen.update(dict.fromkeys(row))
            _require_columns("the row", columns.names, list(row))
            table.examples.append(columns.example(row, f"{path}:{number}"))
            n_examples += 1
        except ValueError as error:
            problems.append(Problem(str(path), number, str(error)))
            if strict:
                raise ValueError(str(problems[0])) from None
            if len(problems) > MOST_PROBLEMS:
                raise ValueError(f"more than {MOST_PROBLEMS:,} rows of {str(path)!r} are bad: {problems[0]}") from None
    if seen:
        _require_columns(repr(str(path)), columns.names, list(seen))
    if not problems and not n_examples:
        raise ValueError(f"{str(path)!r} holds no rows: a table needs at least one example")
    if not n_examples:
        raise ValueError(f"not one row of {str(path)!r} is usable: {_in_short(problems)}")
    table.problems.extend(problems)


def _require_columns(whose: str, names: Sequence[str], present: Sequence[str]) -> None:
    for name in names:
        if name not in present:
            near = difflib.get_close_matches(name, present[:SHOWN_COLUMNS], n=1, cutoff=0.4)
            hint = f"; did you mean {shortened(repr(near[0]), 80)}?" if near else ""
            only = shortened(", ".join(repr(each) for each in present[:SHOWN_COLUMNS]) or "none", 600)
            raise ValueError(f"{whose} has no column {name!r}, only {only}{hint}")


def _in_short(problems: list[Problem]) -> str:
    shown = "; ".join(map(str, problems[:SHOWN_PROBLEMS]))
    return shown if len(problems) <= SHOWN_PROBLEMS else f"{shown}; and {len(problems) - SHOWN_PROBLEMS:,} more"


def _jsonl_rows(path: Path, encoding: str) -> Rows:
    for number, line in enumerate(lines_of(path, encoding), start=1):
        if line.strip():
            yield number, _json_object(line)


def _json_object(line: str) -> dict[str, Any] | ValueError:
    if len(line) > MAX_ROW_CHARACTERS:
        return ValueError(TOO_LONG)
    try:
        row = parse_json(line)
    except json.JSONDecodeError as error:
        return ValueError(
            f"not valid JSON ({error.msg}, column {error.colno}); a .jsonl file holds one object per line"
        )
    except ValueError as error:  # a number of thousands of digits, brackets nested as deep
        return ValueError(f"not valid JSON ({error}); a .jsonl file holds one object per line")
    if not isinstance(row, dict):
        return ValueError(f"expected an object with the columns as keys, found a {type(row).__name__}")
    return row


def _squad_rows(path: Path, encoding: str) -> Rows:
    """{"data": [{"paragraphs": [{"context": …, "qas": [{"question": …, "answers": [{"text", "answer_start"}]}]}]}]}"""
    try:
        articles = parse_json("".join(lines_of(path, encoding)))["data"]
        rows = [
            {
                "question": question["question"],
                "context": paragraph["context"],
                "answer": {name: [answer[name] for answer in question["answers"]] for name in ("text", "answer_start")},
            }
            for article in articles
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not valid JSON ({error})") from None
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} is not in SQuAD's form ({type(error).__name__}: {error}): expected data, paragraphs, qas "
            "and answers; rows of another form belong into a .jsonl file, one object per line"
        ) from None
    yield from enumerate(rows, start=1)


def _delimited_rows(
    path: Path, encoding: str, delimiter: str, quoting: bool, wanted: Sequence[str], header: Sequence[str] | None
) -> Rows:
    csv.field_size_limit(2**31 - 1)  # Python's own limit, 128 KiB, is shorter than many texts; see MAX_ROW_CHARACTERS
    lines = _RowLines(lines_of(path, encoding))
    quotes = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quotes, strict=True)
    default = None if header is None else _header(path, list(header), wanted)
    header = None
    while True:
        first_line = lines.begin_row()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            header = header or default
            if header is None:
                raise ValueError(f"{str(path)!r}, line {first_line}: the header is not valid ({error})") from None
            yield first_line, _broken_row(error, lines.n_read - first_line + 1)
            continue
        if fields is None:
            return
        if not fields:  # a blank line
            continue
        if header is None and (default is None or {name.strip() for name in fields} >= set(wanted)):
            header = _header(path, fields, wanted)
            continue
        header = header or default
        if len(fields) == len(header):
            yield first_line, dict(zip(header, fields, strict=True))
        else:
            yield (
                first_line,
                ValueError(
                    f"the row has {counted(len(fields), 'field')}, the header {counted(len(header), 'column')}: "
                    f"a field that holds {delimiter!r} needs double quotes around it"
                ),
            )


class _RowLines:
    """The lines of a file for `csv.reader`: counted, and cut off where a row does not end."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._room = MAX_ROW_CHARACTERS
        self.n_read = 0

    def begin_row(self) -> int:
        """The number of the line that comes next."""
        self._room = MAX_ROW_CHARACTERS
        return self.n_read + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.n_read += 1
        self._room -= len(line)
        if self._room < 0:
            raise csv.Error(TOO_LONG)
        return line


def _header(path: Path, fields: list[str], wanted: Sequence[str]) -> list[str]:
    header = [name.strip() for name in fields]
    _require_columns(repr(str(path)), wanted, header)
    for name in wanted:
        if header.count(name) > 1:
            raise ValueError(f"{str(path)!r} has {header.count(name)} columns {name!r}: rename all but one of them")
    return header


def _broken_row(error: csv.Error, n_lines: int) -> ValueError:
    if "unexpected end of data" in str(error):
        return ValueError(
            f"a double quote opens here and is never closed, so the last {counted(n_lines, 'line')} of the file cannot "
            "be read: close it, or read with quoting=False if quotes are plain characters in this file"
        )
    return ValueError(f"the row is not valid ({error}); inside a quoted field a double quote is written twice")
