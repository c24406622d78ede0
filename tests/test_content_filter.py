"""The content filter: patterns, the classifier, settings, files and streaming; its training is in another file."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.applications.content_filter import (
    MAX_SENTENCE,
    Category,
    ContentFilter,
    FilteredText,
    load_filter,
    sentence_end,
    sentences,
)
from tinygrad_llm.applications.content_patterns import PATTERNS, luhn
from tinygrad_llm.applications.linear_text import LinearTextClassifier

FOUND = {
    "email": ["jane.doe+x@mail.example.org", "a@b.io"],
    "phone": ["+44 20 7946 0018", "(555) 013-9999", "555-013-9999", "+49 (30) 901820", "+1 415 555 0132"],
    "card": ["4111 1111 1111 1111", "5500-0055-5555-5559", "378282246310005", "3782 822463 10005"],
    "secret": [
        "-----BEGIN RSA PRIVATE KEY-----", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "password: hunter2x",
        "API_KEY = 'q8w7e6r5'", "the password is tr0ub4dor",
    ],
}  # fmt: skip
NOT_FOUND = {
    "email": ["@decorator", "a @ b", "x@y", "user@host:path", "C = A@B.T"],
    "phone": ["2024-01-31", "192.168.100.200", "3.14159265358979", "1,000,000,000", "+1", "111-111-1111"],
    "card": ["4111 1111 1111 1112", "0000 0000 0000 0000", "1234567890123", "4111 1111 1111", "0.4111111111111111"],
    "secret": ["password: str", "password = getpass()", "token is missing", "the password is wrong", "api_key=None"],
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name):
    pattern = PATTERNS[name]
    for text in FOUND[name]:
        assert list(pattern.find(f"It is {text} here.")), text
        assert len(list(pattern.find(f"{text}, {text}"))) == 2, text
    for text in NOT_FOUND[name]:
        assert not list(pattern.find(f"It is {text} here.")), text


@given(st.integers(0, 10**14), st.integers(0, 14), st.integers(1, 9))
def test_luhn_notices_one_wrong_digit(number, place, change):
    digits = f"{number:015}"
    valid = next(digits + last for last in "0123456789" if luhn(digits + last))
    assert sum(luhn(digits + last) for last in "0123456789") == 1
    wrong = valid[:place] + str((int(valid[place]) + change) % 10) + valid[place + 1 :]
    assert not luhn(wrong)


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "a@" * 20_000, "1 " * 20_000, "+1" * 20_000, "password=" * 5_000, "a." * 20_000]
)
def test_patterns_stay_fast_on_hostile_text(text):
    began = time.process_time()
    for pattern in PATTERNS.values():
        list(pattern.find(text))
    sentences(text)
    assert time.process_time() - began < 2


def test_sentences():
    assert sentences('He said "no!" Then 3.14 came.\n\nA new one') == ['He said "no!"', "Then 3.14 came.", "A new one"]
    assert sentences("") == []
    assert sentence_end("One. Two") == 5
    assert sentence_end("It goes on") is None
    assert sentence_end("It is 3.") is None  # 3.14, perhaps
    long = "word " * 300
    assert MAX_SENTENCE // 2 < sentence_end(long) <= MAX_SENTENCE
    assert all(len(each) <= MAX_SENTENCE for each in sentences(long))


@given(st.text("ab .!?\n", max_size=60))
def test_sentences_lose_no_letter(text):
    assert re.sub(r"\s", "", "".join(sentences(text))) == re.sub(r"\s", "", text)


def toy_filter() -> ContentFilter:
    """One word speaks for bad, one for worse."""
    weights = np.array([[9.0, 0, -1], [0, 9.0, -1]])
    classifier = LinearTextClassifier(
        ("bad", "worse"), ("rude", "cruel", "kind"), np.ones(3), weights, np.full(2, -4.0)
    )
    return ContentFilter([Category("bad"), Category("worse", action="mark"), Category("email", "pattern")], classifier)


def test_probabilities_by_hand():
    classifier = toy_filter().classifier
    sigmoid = [1 / (1 + np.exp(-z)) for z in (9 - 4, -4)]
    np.testing.assert_allclose(classifier.predict_proba(["How RUDE, how odd"]), [sigmoid])
    root = 2**-0.5  # two words share a length of 1
    expected = 1 / (1 + np.exp(-(9 * root - root - 4)))
    np.testing.assert_allclose(classifier.predict_proba(["rude kind"])[0, 0], expected)
    assert classifier.predict_proba([]).shape == (0, 2)
    np.testing.assert_allclose(classifier.predict_proba([""]), [[1 / (1 + np.exp(4))] * 2])
    assert classifier.strongest("worse", 1) == ["cruel"]
    with pytest.raises(ValueError, match="none of the categories"):
        classifier.strongest("good")


def test_findings_and_settings():
    content_filter = toy_filter()
    assert content_filter.check("All is kind.") == []
    found = content_filter.check("So rude. So cruel, x@y.org.")
    assert [(f.category, f.action, f.text) for f in found] == [
        ("email", "withhold", "x@y.org"), ("bad", "withhold", "So rude."), ("worse", "mark", "So cruel, x@y.org."),
    ]  # fmt: skip
    assert content_filter.withholds("rude")
    assert not content_filter.withholds("cruel")
    changed = content_filter.configured({
        "email": {"on": False}, "bad": {"threshold": 0.999}, "worse": {"action": "withhold"},
        "digits": {"detector": "pattern", "pattern": r"\d+", "action": "mark"},
    })  # fmt: skip
    assert [f.category for f in changed.check("So rude. So cruel, x@y.org 12")] == ["digits", "worse"]
    assert changed.withholds("cruel")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bad": {"treshold": 1}}, "has no setting 'treshold'"),
        ({"bad": {"threshold": 2}}, "from 0 to 1"),
        ({"bad": {"threshold": True}}, "from 0 to 1"),
        ({"bad": {"threshold": float("nan")}}, "from 0 to 1"),
        ({"bad": {"action": "shout"}}, "mark, withhold"),
        ({"bad": {"on": 1}}, "true or false"),
        ({"bad": {"detector": "oracle"}}, "classifier, pattern"),
        ({"new": {}}, "the classifier knows only bad, worse"),
        ({"new": {"detector": "pattern"}}, "no built-in pattern"),
        ({"new": {"detector": "pattern", "pattern": "("}}, "no regular expression"),
        ({"new": {"detector": "pattern", "pattern": 3}}, "no regular expression"),
        ({"bad": 0.5}, "must be an object"),
    ],
)
def test_bad_settings(config, message):
    with pytest.raises(ValueError, match=message):
        toy_filter().configured(config)


def test_a_filter_is_the_same_after_saving(tmp_path):
    content_filter = toy_filter().configured({"bad": {"threshold": 0.9}})
    content_filter.save(tmp_path / "f")
    loaded = load_filter(tmp_path / "f")
    assert loaded.as_dict() == content_filter.as_dict()
    texts = ["rude", "cruel kind", "x"]
    np.testing.assert_allclose(loaded.classifier.predict_proba(texts), content_filter.classifier.predict_proba(texts))
    with pytest.raises(ValueError, match="not empty"):
        content_filter.save(tmp_path / "f")
    patterns = ContentFilter([Category("email", "pattern")])
    patterns.save(tmp_path / "patterns")
    assert [f.category for f in load_filter(tmp_path / "patterns").check("a@b.org")] == ["email"]


def spoil(path, text):
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("filter.json", "{", "damaged"),
        ("filter.json", "{}", "no filter of this program"),
        ("ngrams.json", '{"categories": ["bad", "worse"], "ngrams": ["a"]}', "do not fit"),
        ("ngrams.json", '{"categories": ["bad", "worse"], "ngrams": [1, 2, 3]}', "must be strings"),
        ("ngrams.json", "{}", "damaged"),
        ("classifier.safetensors", "nothing", "damaged"),
    ],
)
def test_damaged_filters(tmp_path, file, content, message):
    toy_filter().save(tmp_path / "f")
    spoil(tmp_path / "f" / file, content)
    with pytest.raises(ValueError, match=message):
        load_filter(tmp_path / "f")
    (tmp_path / "f" / file).unlink()
    with pytest.raises(FileNotFoundError):
        load_filter(tmp_path / "f")


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="nan or infinity"):
        LinearTextClassifier(("a",), ("b",), np.ones(1), np.full((1, 1), np.nan), np.zeros(1))


def streamed(text, before="", n=3):
    asked = []

    def pieces():
        for i in range(0, len(text), n):
            asked.append(text[i : i + n])
            yield asked[-1]

    shown = FilteredText(pieces(), toy_filter(), before)
    return "".join(shown), shown.withheld, "".join(asked)


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_text_is_shown_up_to_the_sentence_that_is_withheld(n):
    text = "All is kind. It goes on! You are rude. And on it goes."
    shown, withheld, asked = streamed(text, n=n)
    assert shown == "All is kind. It goes on! "
    assert [f.category for f in withheld] == ["bad"]
    if n < 10:
        assert len(asked) < len(text)  # the model need not write the rest
    assert streamed("All is kind.\n\nIt ends", n=n) == ("All is kind.\n\nIt ends", [], "All is kind.\n\nIt ends")
    assert streamed("So cruel.  Yes.", n=n)[0] == "So cruel. [worse 0.99]  Yes."
    assert streamed("", n=n) == ("", [], "")


def test_a_sentence_that_begins_in_the_prompt_is_checked_whole():
    shown, withheld, _ = streamed("de. Then.", before="A first one. You are ru")
    assert (shown, [finding.text for finding in withheld]) == ("", ["You are rude."])
    assert streamed("kind.", before="You are rude. I am ")[1] == []  # what the prompt said is not the model's


def test_filter_json_is_readable(tmp_path):
    toy_filter().save(tmp_path / "f")
    data = json.loads((tmp_path / "f" / "filter.json").read_text())
    assert data["categories"]["bad"] == {
        "detector": "classifier", "on": True, "threshold": 0.5, "action": "withhold", "pattern": None,
    }  # fmt: skip
