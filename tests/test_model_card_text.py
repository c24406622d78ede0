"""YAML and Markdown of model cards: what goes in comes out, and no text breaks out."""

import html
import re

import pytest
from card_yaml import parsed
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tinygrad_llm.hub.model_card_text import code, listed, one_line, plain, table, yaml

texts = st.text(st.characters(exclude_categories=["Cs"]))  # no halves of characters
scalars = texts | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
keys = st.text("abcXYZ_-", min_size=1)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(keys, inner, min_size=1, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(keys, trees, min_size=1, max_size=4)


@given(documents)
def test_yaml_gives_everything_back(document):
    assert parsed(yaml(document)) == document


@pytest.mark.compare
@given(documents)
def test_yaml_is_what_pyyaml_reads(document):
    import yaml as pyyaml

    assert pyyaml.safe_load(yaml(document)) == document


def test_yaml_refuses_what_it_cannot_write():
    with pytest.raises(ValueError, match="finite"):
        yaml({"a": float("nan")})
    with pytest.raises(ValueError, match="a key must be of letters"):
        yaml({"a: b": 1})
    with pytest.raises(TypeError, match="not None"):
        yaml({"a": [None]})
    assert yaml({"a": "\ud800"}) == 'a: "\\ufffd"'


@given(texts)
def test_text_in_markdown_stays_text(text):
    line = one_line(text)
    shown = MarkdownIt("commonmark").renderInline(f"x {plain(text)} x")
    assert "<" not in shown
    assert html.unescape(shown).split() == f"x {line} x".split()
    shown = MarkdownIt("commonmark").renderInline(code(text))
    assert re.fullmatch("<code>[^<]*</code>", shown)
    assert html.unescape(shown[6:-7]).strip() == line.strip()
    assert "\n" not in code(text) + plain(text)


def test_cells_and_lists():
    html_table = MarkdownIt("commonmark").enable("table").render(table(["a", "b"], [[plain("x|y"), "1"]]))
    assert "<td>x|y</td>" in html_table
    assert listed(["a"] * 14).endswith("`a` and 2 more")
