"""Tables of examples: what is read, and each sentence for a row or a file that cannot be."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import (
    Problem,
    SpanColumns,
    SpanExample,
    TextColumns,
    TextExample,
    read_table,
    tables,
)

PAIRS = TextColumns(pair="other")
CHARACTERS = st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\n\t",;\\ ')
TEXTS = st.text(CHARACTERS, min_size=1, max_size=12).filter(str.strip)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=8)


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def write_csv(path, rows, line_end, delimiter=","):
    """Writes the file; returns the line on which each row begins."""
    out, lines = io.StringIO(newline=""), []
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end)
    for row in rows:
        lines.append(out.getvalue().count("\n") + 1)
        writer.writerow(row)
    path.write_bytes(out.getvalue().encode())
    return lines


def as_examples(path, rows, lines):
    return [TextExample(a, b, c.strip(), f"{path}:{n}") for (a, b, c), n in zip(rows, lines, strict=True)]


@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from([",", "\t", ";"]))
def test_csv_gives_back_what_was_written(folder, rows, line_end, delimiter):
    path = folder / ("rows.tsv" if delimiter == "\t" else "rows.csv")
    lines = write_csv(path, [("text", "other", "label"), *rows], line_end, delimiter)
    table = read_table(path, PAIRS, delimiter=None if delimiter != ";" else ";")
    assert table.examples == as_examples(path, rows, lines[1:])
    assert table.problems == []


@given(ROWS, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]))
def test_jsonl_gives_back_what_was_written(folder, rows, ascii_only, encoding):
    lines = [json.dumps({"other": b, "label": c, "text": a}, ensure_ascii=ascii_only) for a, b, c in rows]
    path = write(folder, "rows.jsonl", "\n\n".join(lines), encoding)
    expected = as_examples(path, rows, range(1, 2 * len(rows), 2))
    assert read_table(path, PAIRS, encoding.removesuffix("-sig")).examples == expected


BAD_CSV = {
    "a,b,c,d\n": "the row has 4 fields, the header 3 columns",
    "alone\n": "the row has 1 field, the header 3 columns",
    ",b,c\n": "'text' is empty",
    '"\n\n",b,c\n': "'text' is empty",
    "a, ,c\n": "'other' is empty",
    "a,b,\n": "'label' is empty",
    '"a" a,b,c\n': "inside a quoted field a double quote is written twice",
}
BAD_JSONL = {
    "{\n": "not valid JSON (Expecting property name",
    "[1]\n": "expected an object with the columns as keys, found a list",
    '{"text": "a", "other": "b"}\n': "the row has no column 'label', only 'text', 'other'",
    '{"text": 3, "other": "b", "label": "c"}\n': "'text' should be a text, found 3",
    '{"text": "a", "other": null, "label": "c"}\n': "'other' should be a text, found None",
    '{"text": "\\ud83d", "other": "b", "label": "c"}\n': "'text' has half of a surrogate pair",
    '{"text": "a", "other": "b", "label": 1.5}\n': "'label' is the number 1.5, and a class needs a name",
    '{"text": "a", "other": "b", "label": ["c"]}\n': "'label' should be a text, found ['c']",
    "9" * 5000 + "\n": "not valid JSON",
    "[" * 100_000 + "\n": "not valid JSON",
}


@pytest.mark.parametrize(
    ("name", "header", "good", "bad"),
    [
        ("rows.csv", "text,other,label\n", ["a,b,c\n", '"a\n\nb",b,c\n', "\n"], BAD_CSV),
        ("rows.jsonl", "", ['{"text": "a", "other": "b", "label": "c"}\n', "\n"], BAD_JSONL),
    ],
)
@given(st.data())
def test_bad_rows_are_reported_with_their_line(folder, name, header, good, bad, data):
    rows = [*data.draw(st.lists(st.sampled_from([*good, *bad]), max_size=10)), good[0]]
    path = write(folder, name, header + "".join(rows))
    expected, n_good, line = [], 0, 1 + header.count("\n")
    for row in rows:
        if row in bad:
            expected.append((line, bad[row]))
        n_good += row in good and row != "\n"
        line += row.count("\n")
    table = read_table(path, PAIRS)
    assert len(table.examples) == n_good
    assert [problem.line for problem in table.problems] == [line for line, _ in expected]
    for problem, (_, message) in zip(table.problems, expected, strict=True):
        assert message in problem.message
        assert problem.path == str(path)
    if expected:
        with pytest.raises(ValueError, match=f"rows.*, line {expected[0][0]}: "):
            read_table(path, PAIRS, strict=True)


def test_the_table_in_words(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\n" + "a,b\n" * 3)
    assert str(read_table(path, TextColumns())) == "3 examples"
    path = write(tmp_path, "b.csv", "text,label\na,b\n" + ",b\n" * 7)
    shown = "".join(f"'{path}', line {line}: 'text' is empty; " for line in range(3, 8))
    assert str(read_table(path, TextColumns())) == f"1 example; 7 bad rows left out: {shown}and 2 more"


def test_a_quote_that_nothing_closes(tmp_path):
    path = write(tmp_path, "a.csv", 'text,label\na,b\n"open,b\na,b\na,b\n')
    (problem,) = read_table(path, TextColumns()).problems
    assert problem.line == 3
    assert "never closed, so the last 3 lines of the file cannot be read" in problem.message
    table = read_table(path, TextColumns(), quoting=False)
    assert [example.text for example in table.examples] == ["a", '"open', "a", "a"]


def test_a_row_that_does_not_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_ROW_CHARACTERS", 1000)
    path = write(tmp_path, "a.csv", 'text,label\na,b\n"' + "long line\n" * 150 + 'x",b\n"fine",b\n')
    table = read_table(path, TextColumns())
    assert [problem.line for problem in table.problems][:2] == [3, 103]
    assert "the row is longer than" in table.problems[0].message
    assert table.examples[-1] == TextExample("fine", None, "b", f"{path}:154")
    path = write(tmp_path, "a.jsonl", '{"text": "a", "label": "b"}\n{"text": "' + "a" * 1000 + '", "label": "b"}\n')
    (problem,) = read_table(path, TextColumns()).problems
    assert (problem.line, "longer than" in problem.message) == (2, True)


def test_a_long_field_is_no_problem(tmp_path):
    path = write(tmp_path, "a.csv", f"text,label\n{'x' * 300_000},b\n")
    assert len(read_table(path, TextColumns()).examples[0].text) == 300_000


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_column_that_is_not_there(tmp_path, name):
    row = {"review": "a", "stars": "5"}
    text = "review,stars\na,5\n" if name == "a.csv" else json.dumps(row)
    path = write(tmp_path, name, text)
    with pytest.raises(
        ValueError, match=r"a\..* has no column 'reviews', only 'review', 'stars'; did you mean 'review'"
    ):
        read_table(path, TextColumns("reviews", label="stars"))
    with pytest.raises(ValueError, match=r"has no column 'xyz', only 'review', 'stars'$"):
        read_table(path, TextColumns("review", label="xyz"))
    with pytest.raises(ValueError, match=r"has no column 'star', .* did you mean 'stars'"):
        read_table(path, TextColumns("review", label="star"), strict=True)
    assert read_table(path, TextColumns("review", label=None)).examples[0].label is None


def test_two_columns_of_one_name(tmp_path):
    path = write(tmp_path, "a.csv", "text,label,text,more,more\na,b,c,d,e\n")
    with pytest.raises(ValueError, match="has 2 columns 'text': rename all but one"):
        read_table(path, TextColumns())
    assert read_table(path, TextColumns("label", label=None)).examples[0].text == "b"


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.csv"):
        read_table(tmp_path / "gone.csv", TextColumns())
    with pytest.raises(ValueError, match="no table to read: name at least one file"):
        read_table([], TextColumns())
    with pytest.raises(ValueError, match="delimiter must be one character such as ';', got ''"):
        read_table("a.csv", TextColumns(), delimiter="")
    with pytest.raises(ValueError, match="is a folder: name the files in it"):
        read_table(tmp_path, TextColumns())
    with pytest.raises(ValueError, match=r"a\.txt' is no table: expected a file that ends in \.jsonl, \.json"):
        read_table(write(tmp_path, "a.txt", "text,label"), TextColumns())
    for name, text in (("a.csv", ""), ("a.csv", "text,label\n"), ("a.jsonl", "\n\n"), ("a.json", '{"data": []}')):
        with pytest.raises(ValueError, match="holds no rows"):
            read_table(write(tmp_path, name, text), SpanColumns() if name == "a.json" else TextColumns())
    with pytest.raises(ValueError, match=r"not one row of .*a\.csv' is usable: .*, line 2: 'text' is empty; .*line 3"):
        read_table(write(tmp_path, "a.csv", "text,label\n,b\n,b\n"), TextColumns())
    with pytest.raises(ValueError, match=r"line 1: the header is not valid"):
        read_table(write(tmp_path, "a.csv", '"text"x,label\na,b\n'), TextColumns())
    with pytest.raises(ValueError, match="is not utf-8 text"):
        read_table(write(tmp_path, "a.csv", "text,label\na,b\n吃,b\n", "gb18030"), TextColumns())


def test_several_files_are_one_table(tmp_path):
    one = write(tmp_path, "one.csv", "\ufefftext , label\na,x\n,x\n")
    two = write(tmp_path, "two.JSONL", '{"text": "b", "label": "y"}\n')
    table = read_table([one, str(two)], TextColumns())
    assert table.examples == [TextExample("a", None, "x", f"{one}:2"), TextExample("b", None, "y", f"{two}:1")]
    assert table.problems == [Problem(str(one), 3, "'text' is empty")]


def test_squad_files(tmp_path):
    answers = [{"text": "Ada", "answer_start": 8}, {"text": "and Ada", "answer_start": 4}]
    questions = [
        {"id": "1", "question": "Who?", "answers": answers},
        {"id": "2", "question": "When?", "answers": [{"text": "1843", "answer_start": 0}]},
        {"id": "3", "question": "Where?", "answers": [], "is_impossible": True},
    ]
    data = {"version": "2", "data": [{"title": "t", "paragraphs": [{"context": "Ada and Ada", "qas": questions}]}]}
    path = write(tmp_path, "dev.json", json.dumps(data))
    table = read_table(path, SpanColumns())
    assert table.examples == [
        SpanExample("Who?", "Ada and Ada", ("Ada", "and Ada"), 8, f"{path}:1"),
        SpanExample("Where?", "Ada and Ada", (), None, f"{path}:3"),
    ]
    assert table.examples[1].end is None
    assert str(table.problems[0]).startswith(f"'{path}', question 2: the answer '1843' does not stand in the context")
    for text, message in (
        ("{", "is not valid JSON"),
        ("[]", "is not in SQuAD's form"),
        ('{"data": [1]}', "SQuAD's form"),
    ):
        with pytest.raises(ValueError, match=message):
            read_table(write(tmp_path, "bad.json", text), SpanColumns())
