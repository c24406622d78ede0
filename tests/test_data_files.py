"""Reading the user's own files: what is read, and every sentence for what cannot be."""

import codecs
import json

import pytest

from tinygrad_llm.data import Document, files, read_files


def texts(*args, **kwargs):
    return [document.text for document in read_files(*args, **kwargs)]


def test_plain_file_is_one_document(tmp_path):
    path = tmp_path / "poem.xyz"  # a file that is named may have any suffix
    path.write_bytes("\ufeffRôses\r\nare\rred".encode())
    assert list(read_files(path)) == [Document("Rôses\nare\nred", str(path))]
    assert list(read_files(str(path))) == list(read_files([path]))


def test_jsonl_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "one", "body": "1"}, {"text": "two\nlines", "body": "2"}, {"text": "", "body": "3"}]
    path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert list(read_files(path)) == [
        Document("one", f"{path}:1"), Document("two\nlines", f"{path}:3"), Document("", f"{path}:5"),
    ]  # fmt: skip
    assert texts(path, text_field="body") == ["1", "2", "3"]


def test_csv_rows(tmp_path):
    path = tmp_path / "rows.csv"
    long = "x" * 200_000  # longer than the csv module's own limit
    path.write_text(f'id,text\n1,"a, ""b""\nc"\n2,{long}\n', encoding="utf-8")
    assert texts(path) == ['a, "b"\nc', long]
    assert texts(path, text_field="id") == ["1", "2"]


def test_folder_is_read_in_sorted_order(tmp_path):
    for name in (
        "b.txt",
        "a/z.md",
        "a/b/c.PY",
        "a-b.txt",
        ".git/no.txt",
        ".no.txt",
        "no.png",
        "__pycache__/no.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty.txt").touch()
    assert texts(tmp_path) == ["a/b/c.PY", "a/z.md", "a-b.txt", "b.txt"]
    assert texts([tmp_path / "b.txt", tmp_path / "a"]) == ["b.txt", "a/b/c.PY", "a/z.md"]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "latin-1", "utf-16", "utf-32", "big5"])
def test_encodings_in_pieces(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(files, "READ_BYTES", 7)  # cuts characters and line ends in two
    text = "naïve ÿ\r\ncafé\r\rfin" if encoding == "latin-1" else "你好，世界。\r\n三國\r\rabc"
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode(encoding))
    assert texts(path, encoding=encoding) == [text.replace("\r\n", "\n").replace("\r", "\n")]


def test_a_long_file_becomes_parts_without_losing_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "READ_BYTES", 64)
    monkeypatch.setattr(files, "PART_CHARACTERS", 100)
    text = "\n\n".join(f"paragraph {i}: " + "word " * (i % 9) for i in range(60)) + "x" * 333
    path = tmp_path / "long.txt"
    path.write_text(text)
    documents = list(read_files(path))
    assert "".join(document.text for document in documents) == text
    assert max(len(document.text) for document in documents) <= 100
    assert [document.source for document in documents][:2] == [f"{path}:part 1", f"{path}:part 2"]
    assert documents[0].text.endswith("\n\n")


def test_files_are_read_only_when_their_turn_comes(tmp_path):
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "late.txt").write_bytes(b"\xff")
    documents = read_files([tmp_path / "good.txt", tmp_path / "late.txt"])
    assert next(documents).text == "good"
    with pytest.raises(ValueError, match="not utf-8"):
        next(documents)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"", "'.*a.txt' is empty"),
        ("a.txt", b" \n\t\n", "is empty"),
        ("a.jsonl", b"\n\n", "is empty"),
        ("a.jsonl", b'{"text": " "}\n', "is empty"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"id,text\n", "is empty"),
        ("a.txt", b"abc\0def", "is a binary file, not text"),
        ("a.txt", bytes(range(1, 9)) * 9 + b"abc", "is a binary file"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file"),
        ("a.txt", codecs.BOM_UTF16_LE + b"h\0i\0", "UTF-16 text, not utf-8: give --encoding utf-16"),
        ("a.txt", b"n\xe9", "not utf-8 text: the byte at offset 1 does not fit; give its encoding "),
        ("a.txt", b"n\xe9", "with --encoding, for example latin-1 or gb18030"),
        ("a.txt", b"ok" * 600_000 + b"\xff", "the byte at offset 1200000 "),
        ("a.txt", b"x" * (files.READ_BYTES - 1) + b"\xe4" + b"y", f"byte at offset {files.READ_BYTES - 1} "),
        ("a.txt", b"ends within \xe4\xbd", "the byte at offset 12 "),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"text": "a"}\n\n["b"]\n', "line 3: expected .* with the field 'text', found a list"),
        ("a.jsonl", b'{"body": "a"}\n', r"line 1: .* found only the fields \['body'\]; name the field"),
        ("a.jsonl", b'{"text": 3}\n', "line 1: the field 'text' must be a string, found int"),
        ("a.jsonl", b"[" * 100_000, "line 1: not valid JSON"),
        ("a.csv", b"id,body\n1,a\n", r"has no column 'text', only \['id', 'body'\]; name the column"),
        ("a.csv", b"id,text\n1,a\n2\n", "line 3: the row has no column 'text'"),
        ("a.csv", b'id,text\n1,"a"b\n', "line 2: not valid CSV"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        list(read_files(tmp_path / name))


def test_missing_paths_empty_folders_and_unknown_encodings_are_refused_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder '.*nothing.txt'"):
        read_files(tmp_path / "nothing.txt")
    (tmp_path / "picture.png").write_bytes(b"1")
    with pytest.raises(ValueError, match=r"the folder '.*' holds no text"):
        read_files(tmp_path)
    for encoding in ("klingon", "base64"):
        with pytest.raises(ValueError, match=f"unknown text encoding '{encoding}'"):
            read_files(tmp_path, encoding=encoding)
