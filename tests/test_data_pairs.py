"""Pairs from tables, from the running Python, and their split."""

import ast
import json
import re
import sysconfig
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import (
    Pair,
    PairColumns,
    Problem,
    docstring_names,
    module_of_pair,
    read_pairs,
    read_table,
    source_summaries,
    split_pairs,
)
from tinygrad_llm.data.tasks import MIN_WORDS

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(
    lambda text: text.strip() and '"' not in text
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6).filter(lambda rows: rows[0] != ("source", "target"))


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


@given(ROWS, st.booleans())
def test_two_columns_with_and_without_a_header(folder, rows, has_header):
    lines = [f"{source}\t{target}\n" for source, target in rows]
    header = "source\ttarget\n" if has_header else ""
    path = write(folder, "rows.tsv", header + "".join(lines))
    expected = [Pair(*row, f"{path}:{line}") for line, row in enumerate(rows, start=1 + has_header)]
    table = read_pairs(path)
    assert (table.examples, table.problems) == (expected, [])


def test_all_kinds_of_files(tmp_path):
    bare = write(tmp_path, "bare.csv", 'one,一\n"two, or 2",二\n')
    named = write(tmp_path, "named.tsv", "target\tnote\tsource\n三\t-\tthree\n")
    rows = write(tmp_path, "rows.jsonl", json.dumps({"source": "four", "target": "四"}))
    table = read_pairs([bare, str(named), rows])
    assert [(pair.source, pair.target) for pair in table.examples] == [
        ("one", "一"),
        ("two, or 2", "二"),
        ("three", "三"),
        ("four", "四"),
    ]
    assert table.examples[2].origin == f"{named}:2"
    path = write(tmp_path, "own.csv", "english;chinese\none;一\n")
    assert read_pairs(path, "english", "chinese", delimiter=";").examples == [Pair("one", "一", f"{path}:2")]
    assert read_pairs(path, "chinese", "english", delimiter=";").examples == [Pair("一", "one", f"{path}:2")]
    path = write(tmp_path, "broken.csv", '"one" 1,一\ntwo,二\n')
    assert [problem.line for problem in read_pairs(path).problems] == [1]
    assert read_pairs(path, quoting=False).examples[0] == Pair('"one" 1', "一", f"{path}:1")
    path = write(tmp_path, "three.tsv", '"one" is\t一\tCC-BY\n')
    columns, header = PairColumns("en", "zh"), ["en", "zh", "licence"]
    assert read_table(path, columns, quoting=False, header=header).examples == [Pair('"one" is', "一", f"{path}:1")]


def test_bad_rows_are_reported_with_their_line(tmp_path):
    path = write(tmp_path, "rows.tsv", "one\t一\ntwo\n\t三\nfour\t \n\nfive\t五\tcinq\nsix\t六\n")
    table = read_pairs(path)
    assert [(pair.source, pair.origin) for pair in table.examples] == [("one", f"{path}:1"), ("six", f"{path}:7")]
    hint = "the header 2 columns: a field that holds '\\t' needs double quotes around it"
    assert table.problems == [
        Problem(str(path), 2, f"the row has 1 field, {hint}"),
        Problem(str(path), 3, "'source' is empty"),
        Problem(str(path), 4, "'target' is empty"),
        Problem(str(path), 6, f"the row has 3 fields, {hint}"),
    ]
    with pytest.raises(ValueError, match=r"rows\.tsv', line 2: the row has 1 field"):
        read_pairs(path, strict=True)
    rows = [{"source": "a", "target": "b"}, {"source": "a", "target": 3}, {"source": "a"}]
    path = write(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, rows)))
    assert [str(problem).partition("line ")[2] for problem in read_pairs(path).problems] == [
        "2: 'target' should be a text, found 3",
        "3: the row has no column 'target', only 'source'",
    ]
    table = read_pairs([write(tmp_path, "a.tsv", "a\tb\n\tb\n"), write(tmp_path, "b.tsv", "a\tb\na\t\n")])
    assert [problem.message for problem in table.problems] == ["'source' is empty", "'target' is empty"]


def test_files_that_hold_no_pairs(tmp_path):
    path = write(tmp_path, "a.tsv", "english\tchinese\none\t一\n")
    with pytest.raises(ValueError, match="has no column 'englisch', only 'english', 'chinese'; did you mean 'english'"):
        read_pairs(path, "englisch", "chinese")
    with pytest.raises(ValueError, match="give both source_column and target_column, or neither"):
        read_pairs(path, "english")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.tsv"):
        read_pairs(tmp_path / "gone.tsv")
    with pytest.raises(ValueError, match=r"a\.txt' is no table"):
        read_pairs(write(tmp_path, "a.txt", "one\t一\n"))
    with pytest.raises(ValueError, match="is a folder"):
        read_pairs(tmp_path)
    with pytest.raises(ValueError, match="no table to read: name at least one file"):
        read_pairs([])
    with pytest.raises(ValueError, match="unknown text encoding 'latin-99'"):
        read_pairs(path, encoding="latin-99")
    with pytest.raises(ValueError, match="holds no rows"):
        read_pairs(write(tmp_path, "empty.tsv", ""))
    with pytest.raises(ValueError, match=r"has no column 'zh', only 'en'"):
        read_table(path, PairColumns("en", "zh"), header=["en"])


def test_a_split_keeps_copies_and_groups_together():
    pairs = [Pair(f"text {i // 2}", f"answer {i}", f"docstring:module{i % 7}.f{i}") for i in range(200)]
    split = split_pairs(pairs, near_duplicate_threshold=None)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [160, 20, 20]
    assert sorted(split.train + split.validation + split.test, key=pairs.index) == pairs
    assert split.train == sorted(split.train, key=pairs.index)
    texts = [{pair.source for pair in part} for part in (split.train, split.validation, split.test)]
    assert sum(map(len, texts)) == len(set().union(*texts)) == 100
    assert split_pairs(pairs, seed=1, near_duplicate_threshold=None) != split
    pairs = [Pair(f"{i} {i * i}", "", f"docstring:m{i % 10}.f") for i in range(100)]
    split = split_pairs(pairs, group=module_of_pair, near_duplicate_threshold=None)
    modules = [{module_of_pair(pair) for pair in part} for part in (split.train, split.validation, split.test)]
    assert [len(each) for each in modules] == [8, 1, 1]
    assert len(set().union(*modules)) == 10
    words = [" ".join(f"word{i * n % 97}" for n in range(1, 40)) for i in range(1, 40)]
    pairs = [Pair(f"{text} {end}", "") for text in words for end in ("so", "thus")]
    parts_of = [
        Counter((pair.source[:100], number) for number, part in enumerate(parts) for pair in part).values()
        for split in (split_pairs(pairs), split_pairs(pairs, near_duplicate_threshold=None))
        for parts in [(split.train, split.validation, split.test)]
    ]
    assert set(parts_of[0]) == {2}
    assert set(parts_of[1]) == {1, 2}
    with pytest.raises(ValueError, match="there are no examples to split"):
        split_pairs([])


@pytest.fixture
def small_library(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(
        "class Till:\n"
        "    def count(self, coins):\n"
        "        '''Count all coins: count(coins) gives their sum, Count or discount.\n\n        Raises OSError.'''\n"
        "        # counts\n"
        "        return sum(coins) + self.base\n"
        "    def _refill(self):\n        '''Put new coins into the till. Then close it.'''\n        self.base += 1\n"
        "    def __init__(self):\n        '''Open a till for its owner now.'''\n        self.base = 0\n"
        "    def count_all(self):\n        '''Return what is in here altogether.'''\n"
        "    def copied(self, a):\n        'Return [a, a, a, a]'\n        return 'Return [a, a, a, a]'\n"
        "    def sums(self):\n        '''Return what is in here altogether.'''\n"
        "    def terse(self):\n        '''Do it now.'''\n        return 1\n"
        "async def give(n):\n    '''Give change, and in small coins\n    if that can be done.'''\n    return [1] * n\n"
        "def give_again(n):\n    'What is longer than the limit of characters'\n    return " + "1 + " * 300 + "n\n"
        "def outer(x):\n    def inner():\n        'This is what nobody sees of it.'\n    return inner\n"
    )
    monkeypatch.setattr(sysconfig, "get_path", {"stdlib": str(tmp_path)}.get)


def test_names_of_a_small_library(small_library):
    assert docstring_names() == [
        Pair("all coins: gives their sum, or discount.\n\nRaises OSError.", "count", "docstring:shop.Till.count"),
        Pair("Return [a, a, a, a]", "copied", "docstring:shop.Till.copied"),
        Pair("change, and in small coins\nif that can be done.", "give", "docstring:shop.give"),
        Pair("What is longer than the limit of characters", "give_again", "docstring:shop.give_again"),
    ]
    assert docstring_names(max_characters=50)[0].source == "all coins: gives their sum, or discount."
    assert docstring_names(max_same_name=0) == []


def test_summaries_of_a_small_library(small_library):
    assert source_summaries() == [
        Pair(
            "def count(self, coins):\n    return sum(coins) + self.base",
            "Count all coins: count(coins) gives their sum, Count or discount.",
            "source:shop.Till.count",
        ),
        Pair("def _refill(self):\n    self.base += 1", "Put new coins into the till.", "source:shop.Till._refill"),
        Pair("def __init__(self):\n    self.base = 0", "Open a till for its owner now.", "source:shop.Till.__init__"),
        Pair(
            "async def give(n):\n    return [1] * n",
            "Give change, and in small coins if that can be done.",
            "source:shop.give",
        ),
    ]
    assert len(source_summaries(max_characters=9_999)) == 5


def test_a_python_without_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", {"stdlib": str(tmp_path / "nothing")}.get)
    for task in (docstring_names, source_summaries):
        with pytest.raises(FileNotFoundError, match="came without the sources of its standard library"):
            task()


@pytest.fixture(params=["asyncio", "email"])
def part_of_the_library(request, monkeypatch):
    """The whole library takes seconds."""
    folder = Path(sysconfig.get_path("stdlib"), request.param)
    monkeypatch.setattr(sysconfig, "get_path", {"stdlib": str(folder)}.get)


def test_names_do_not_stand_in_their_docstrings(part_of_the_library):
    pairs = docstring_names(max_same_name=2)
    assert len(pairs) > 80
    assert max(Counter(pair.target for pair in pairs).values()) == 2
    assert len({" ".join(pair.source.lower().split()) for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert not re.search(rf"(?<!\w){re.escape(pair.target)}(?!\w)", pair.source, re.IGNORECASE)
        assert len(pair.source) <= 300
        assert pair.target.isidentifier()
        assert not pair.target.startswith("_")
        assert len(pair.source.split()) >= MIN_WORDS


def test_summaries_do_not_stand_in_their_sources(part_of_the_library):
    pairs = source_summaries()
    assert len(pairs) > 80
    assert len({pair.source for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert "\n" not in pair.target
        assert len(pair.target) <= 200
        assert pair.target not in " ".join(pair.source.split())
        assert pair.origin.endswith(f".{ast.parse(pair.source).body[0].name}")
    split = split_pairs(pairs, group=module_of_pair)
    modules = [{module_of_pair(pair) for pair in part} for part in (split.train, split.validation, split.test)]
    assert sum(map(len, modules)) == len(set().union(*modules))
