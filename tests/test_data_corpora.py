"""The embedded corpus, its cleaning, its split, and what compressors make of it."""

import ast
import itertools
import json
import lzma
import random
import sys
import zlib

import pytest

from tinygrad_llm.data import (
    Document,
    clean,
    compression_bits_per_byte,
    corpora,
    embedded_corpus,
    join_documents,
    split_documents,
)


@pytest.fixture(scope="module")
def prose():
    return embedded_corpus("prose")


@pytest.fixture(scope="module")
def cleaned(prose):
    return clean(prose)


@pytest.fixture(scope="module")
def split(cleaned):
    return split_documents(cleaned[0], fraction=0.1, seed=0)


@pytest.fixture
def small_library(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "config-3.x").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text('"""The pack."""\n')
    (tmp_path / "pack" / "late.py").write_text("# coding: latin-1\n'''Caf\xe9.'''\n", encoding="latin-1")
    (tmp_path / "test" / "hidden.py").write_text('"""Not this."""\n')
    (tmp_path / "config-3.x" / "settings.py").write_text('"""Nor this."""\n')
    (tmp_path / "_sysconfigdata_here.py").write_text('"""Nor that."""\n')
    (tmp_path / "broken.py").write_text('"""Broken."""\ndef (:\n')
    (tmp_path / "alpha.py").write_text(
        'raise SystemExit("imported!")\n'
        "class C:\n"
        '    """A class.\n\n    Text.\n\n        Indented.\n    """\n'
        '    async def run(self):\n        """Runs."""\n        def inner():\n            """Private."""\n'
        "def silent(): pass\n"
    )
    return tmp_path


def test_docstrings_are_parsed_in_order_and_never_imported(small_library):
    assert corpora.python_docstrings(small_library) == [
        Document("A class.\n\nText.\n\n    Indented.", "docstring:alpha.C"),
        Document("Runs.", "docstring:alpha.C.run"),
        Document("The pack.", "docstring:pack"),
        Document("Caf\xe9.", "docstring:pack.late"),
    ]


def test_sources_leave_out_tests_and_build_settings(small_library):
    names = [document.source for document in corpora.python_sources(small_library)]
    assert names == ["source:alpha.py", "source:broken.py", "source:pack/__init__.py", "source:pack/late.py"]


def test_prose_is_topics_then_docstrings(prose):
    kinds = [document.source.partition(":")[0] for document in prose]
    assert [kind for kind, _ in itertools.groupby(kinds)] == ["topic", "docstring"]
    assert 1_500_000 < len(join_documents(prose)) < 5_000_000
    by_source = {document.source: document.text for document in prose}
    assert by_source["docstring:json.loads"] == ast_docstring(json, "loads")
    assert by_source["docstring:math.sqrt"] == "Return the square root of x."
    assert "docstring:itertools.chain" in by_source
    assert "docstring:builtins.str.split" in by_source


def ast_docstring(module, name):
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return next(ast.get_docstring(node) for node in tree.body if getattr(node, "name", None) == name)


def test_embedded_corpus_is_deterministic(prose):
    assert embedded_corpus("prose") == prose


def test_sources_hold_whole_files():
    documents = {document.source: document.text for document in embedded_corpus("sources")}
    with open(json.decoder.__file__, encoding="utf-8") as file:
        assert documents["source:json/decoder.py"] == file.read()


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown embedded corpus 'verse': choose one of prose, topics"):
        embedded_corpus("verse")


def test_python_without_sources_points_to_corpus_option(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora.sysconfig, "get_path", lambda name: str(tmp_path))
    for kind in ("docstrings", "sources"):
        with pytest.raises(FileNotFoundError, match=r"came without the files .* use --corpus FILE"):
            embedded_corpus(kind)


def test_missing_topics_leave_the_docstrings(small_library, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setattr(corpora.sysconfig, "get_path", lambda name: str(small_library))
    assert embedded_corpus("prose")[0].source == "docstring:alpha.C"
    with pytest.raises(FileNotFoundError, match="'topics'"):
        embedded_corpus("topics")


def test_cleaning_the_prose_removes_every_repetition(prose, cleaned):
    documents, report = cleaned
    assert report.documents_in == len(prose)
    assert report.documents_out == len(documents) < len(prose)
    assert report.characters_out == sum(len(document.text) for document in documents)
    assert len({document.text for document in documents}) == len(documents)
    assert report.repeated_paragraphs > 100  # the manual's long pages quote the short ones
    assert report.characters_out > 0.8 * report.characters_in


def test_split_of_the_prose_does_not_leak(cleaned, split):
    train, validation = split.train, split.validation
    assert {document.text for document in train}.isdisjoint(document.text for document in validation)
    place = {document: index for index, document in enumerate(cleaned[0])}
    assert sorted(train + validation, key=place.get) == cleaned[0]
    for part in (train, validation):
        assert sorted(part, key=place.get) == part
    share = sum(len(document.text) for document in validation) / cleaned[1].characters_out
    assert 0.09 <= share <= 0.11
    assert long_paragraphs(train).isdisjoint(long_paragraphs(validation))


def long_paragraphs(documents):
    paragraphs = (" ".join(part.split()) for document in documents for part in document.text.split("\n\n"))
    return {paragraph for paragraph in paragraphs if len(paragraph) >= 100}


def test_compression_baselines_on_a_sample(split):
    train, validation = join_documents(split.train)[-200_000:], join_documents(split.validation)[:50_000]
    baseline = compression_bits_per_byte(train, validation)
    size = len(validation.encode())
    assert baseline.zlib_bits_per_byte == pytest.approx(8 * len(zlib.compress(validation.encode(), 9)) / size)
    assert zlib.decompress(zlib.compress(validation.encode(), 9)) == validation.encode()
    assert 1.0 < baseline.lzma_primed_bits_per_byte < baseline.lzma_bits_per_byte < 4.0
    extreme = 9 | lzma.PRESET_EXTREME
    both = len(lzma.compress((train + validation).encode(), preset=extreme))
    alone = len(lzma.compress(train.encode(), preset=extreme))
    assert baseline.lzma_primed_bits_per_byte == pytest.approx(8 * (both - alone) / size)


def test_priming_finds_repeated_text_and_needs_some():
    text = "".join(random.Random(0).choices("abcdefghijklmnop", k=5_000))
    baseline = compression_bits_per_byte(text, text)
    assert baseline.lzma_primed_bits_per_byte < 0.1 * baseline.lzma_bits_per_byte
    unprimed = compression_bits_per_byte("", text)
    assert unprimed.lzma_primed_bits_per_byte == unprimed.lzma_bits_per_byte
    with pytest.raises(ValueError, match="validation text is empty"):
        compression_bits_per_byte("abc", "")
