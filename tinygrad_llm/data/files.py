"""Your own text: .txt, .md, .py and other plain files, .jsonl and .csv rows, and whole folders of them.

Files are read piece by piece, so a corpus may be larger than memory as long as the caller does not put it
in a list.
"""

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..json_text import parse_json, shortened
from .documents import Document, cut_before

# What is read from inside a folder; a file that is named by itself may have any other suffix.
PLAIN_SUFFIXES = {
    ".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".html", ".htm", ".xml", ".srt",
    ".py", ".pyi", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go", ".java", ".js", ".ts", ".sh", ".sql",
    ".toml", ".yaml", ".yml", ".json",
}  # fmt: skip
ROW_SUFFIXES = {".jsonl", ".csv"}

READ_BYTES = 1 << 20
PART_CHARACTERS = 16 << 20  # a longer plain file becomes several documents, cut where a paragraph ends

_CONTROL_BYTES = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


def read_files(
    paths: str | os.PathLike | Iterable[str | os.PathLike], encoding: str = "utf-8", text_field: str = "text"
) -> Iterator[Document]:
    """Documents from files and folders, in the order given; inside a folder by path, subfolders included.

    A plain file is one document. In a .jsonl file each line is an object whose `text_field` is a document,
    in a .csv file each row, by column name.

    Raises FileNotFoundError for a missing path, ValueError for a file that is empty, binary or in another
    encoding, for a bad row, and for a folder that holds no text. Paths are checked at once, contents when
    their turn comes.
    """
    require_encoding(encoding)
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    files = [file for path in paths for file in _expand(Path(path))]
    return (document for file in files for document in _read_file(file, encoding, text_field))


def require_encoding(encoding: str) -> None:
    """Raise ValueError unless Python knows it."""
    try:
        "a".encode(encoding)
    except LookupError:
        raise ValueError(
            f"unknown text encoding {encoding!r}: use a name that Python knows, such as utf-8 or gb18030"
        ) from None


def _expand(path: Path) -> list[Path]:
    """The file itself, or a folder's text files in sorted order; hidden files and folders are left out."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}: check the spelling of the path")
    if not path.is_dir():
        return [path]
    found = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__pycache__"]
        for name in names:
            file = Path(folder, name)
            known = file.suffix.lower() in PLAIN_SUFFIXES | ROW_SUFFIXES
            if known and not name.startswith(".") and file.stat().st_size > 0:
                found.append(file)
    if not found:
        raise ValueError(
            f"the folder {str(path)!r} holds no text: expected non-empty .txt, .md, .py, .jsonl or .csv files"
        )
    return sorted(found, key=lambda file: file.relative_to(path).parts)


def _read_file(path: Path, encoding: str, text_field: str) -> Iterator[Document]:
    if path.suffix.lower() == ".jsonl":
        documents = _read_jsonl(path, encoding, text_field)
    elif path.suffix.lower() == ".csv":
        documents = _read_csv(path, encoding, text_field)
    else:
        documents = _read_plain(path, encoding)
    empty = True
    for document in documents:
        empty = empty and not document.text.strip()
        yield document
    if empty:
        raise ValueError(f"{str(path)!r} is empty: a corpus needs at least some text")


def _read_plain(path: Path, encoding: str) -> Iterator[Document]:
    text, part = "", 0
    for chunk in _decoded(path, encoding):
        text += chunk
        while len(text) > PART_CHARACTERS:
            cut = cut_before(text, PART_CHARACTERS, earliest=PART_CHARACTERS // 2)
            part += 1
            yield Document(text[:cut], f"{path}:part {part}")
            text = text[cut:]
    if text:
        yield Document(text, f"{path}:part {part + 1}" if part else str(path))


def _read_jsonl(path: Path, encoding: str, text_field: str) -> Iterator[Document]:
    for number, line in enumerate(lines_of(path, encoding), start=1):
        if not line.strip():
            continue
        where = f"{str(path)!r}, line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise ValueError(f"{where}: not valid JSON ({error}); a .jsonl file holds one object per line") from None
        if not isinstance(row, dict) or text_field not in row:
            has = f"only the fields {shortened(sorted(row))}" if isinstance(row, dict) else f"a {type(row).__name__}"
            raise ValueError(
                f"{where}: expected an object with the field {text_field!r}, found {has}; "
                "name the field that holds the text"
            )
        if not isinstance(row[text_field], str):
            raise ValueError(
                f"{where}: the field {text_field!r} must be a string, found {type(row[text_field]).__name__}"
            )
        yield Document(row[text_field], f"{path}:{number}")


def _read_csv(path: Path, encoding: str, text_field: str) -> Iterator[Document]:
    csv.field_size_limit(2**31 - 1)  # Python's own limit, 128 KiB, is shorter than many texts
    rows = csv.DictReader(lines_of(path, encoding), strict=True)
    try:
        if rows.fieldnames is None:
            return
        if text_field not in rows.fieldnames:
            raise ValueError(
                f"{str(path)!r} has no column {text_field!r}, only {shortened(rows.fieldnames)}; "
                "name the column that holds the text"
            )
        for row in rows:
            if row[text_field] is None:
                raise ValueError(f"{str(path)!r}, line {rows.line_num}: the row has no column {text_field!r}")
            yield Document(row[text_field], f"{path}:{rows.line_num}")
    except csv.Error as error:
        raise ValueError(f"{str(path)!r}, line {rows.reader.line_num}: not valid CSV ({error})") from None


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The file's lines, each with "\\n" at its end; raises ValueError for a binary file and another encoding."""
    rest = ""
    for chunk in _decoded(path, encoding):
        *whole, rest = (rest + chunk).split("\n")
        for line in whole:
            yield line + "\n"
    if rest:
        yield rest


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The file's text in pieces, without byte order mark and with "\\n" for every kind of line end."""
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    offset, first = 0, True
    with path.open("rb") as file:
        while True:
            raw = file.read(READ_BYTES)
            _refuse_binary(path, raw, encoding, offset)
            waiting = len(decoder.getstate()[0])  # bytes of a character that the last piece cut in two
            try:
                text = newlines.decode(raw, final=not raw)
            except UnicodeError as error:  # UTF-16 without a mark of the order of its bytes tells no place
                at = offset - waiting + getattr(error, "start", 0)
                raise ValueError(
                    f"{str(path)!r} is not {encoding} text: the byte at offset {at} does not fit; "
                    "give its encoding with --encoding, for example latin-1 or gb18030"
                ) from None
            yield text.removeprefix("\ufeff") if first else text
            if not raw:
                return
            offset, first = offset + len(raw), first and not text


def _refuse_binary(path: Path, raw: bytes, encoding: str, offset: int) -> None:
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):  # there every other byte may be zero
        return
    if offset == 0 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{str(path)!r} is UTF-16 text, not {encoding}: give --encoding utf-16")
    controls = len(raw) - len(raw.translate(None, _CONTROL_BYTES))
    if b"\0" in raw or controls > 0.3 * len(raw):
        raise ValueError(f"{str(path)!r} is a binary file, not text: a corpus is plain text, .jsonl or .csv")
