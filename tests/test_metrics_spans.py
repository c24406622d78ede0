"""SQuAD's exact match and F1, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.evaluate import exact_match, normalize_answer, span_scores, token_f1

ANSWERS = st.text("ab the,.", max_size=12)


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The Quick  Brown\tFox.", "quick brown fox"),
        ("an apple a day", "apple day"),
        ("Theatre and a-nother", "theatre and another"),  # whole words only, after punctuation is gone
        ("U.S.", "us"),
        ("it's 1,000 $", "its 1000"),
        ("“Zürich”", "“zürich”"),  # other punctuation than ASCII's stays
        ("The", ""),
        ("", ""),
    ],
)
def test_normal_form(answer, normal):
    assert normalize_answer(answer) == normal


def test_f1_counts_words_in_common():
    assert token_f1("cat sat", ["cat sat down"]) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert token_f1("down sat cat", ["cat sat down"]) == 1  # their order does not count
    assert token_f1("dog", ["cat"]) == 0
    assert token_f1("no no no", ["no no yes"]) == pytest.approx(2 / 3)  # "no" is in both twice


def test_the_best_gold_answer_counts():
    gold = ["Denver Broncos", "The Denver Broncos defeated Carolina", "Broncos"]
    assert exact_match("broncos!", gold) == 1
    assert exact_match("Denver", gold) == 0
    assert token_f1("Denver", gold) == pytest.approx(2 / 3)


def test_where_there_is_no_answer_only_the_empty_one_is_right():
    for gold in ([], [""], ["..."]):
        assert exact_match("", gold) == token_f1("", gold) == 1
        assert exact_match("Paris", gold) == token_f1("Paris", gold) == 0
    assert exact_match("", ["Paris"]) == token_f1("", ["Paris"]) == 0
    assert exact_match("", ["", "Paris"]) == 0  # an empty gold answer beside another does not count, as in version 2


@given(ANSWERS, st.lists(ANSWERS, max_size=3))
def test_scores_agree_with_each_other(prediction, gold):
    assert 0 <= exact_match(prediction, gold) <= token_f1(prediction, gold) <= 1
    assert token_f1(prediction, [prediction]) == exact_match(prediction, [prediction]) == 1
    assert token_f1(prediction, gold) == token_f1(prediction, gold[::-1])
    for answer in gold[:1]:
        assert token_f1(prediction, [answer]) == token_f1(answer, [prediction])


def test_scores_of_a_data_set():
    scores = span_scores(["Paris", "in 1889", "", "Eiffel"], [["Paris"], ["1889"], [], [""]])
    assert scores.exact_matches.tolist() == [1, 0, 1, 0]
    assert scores.f1s.tolist() == [1, pytest.approx(2 / 3), 1, 0]
    assert scores.has_answer.tolist() == [True, True, False, False]
    assert scores.exact_match == 0.5
    assert scores.f1 == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert scores.answerable_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert scores.unanswerable_accuracy == 0.5


def test_a_mean_of_nothing_is_nan():
    assert math.isnan(span_scores(["x"], [["x"]]).unanswerable_accuracy)


def test_errors():
    with pytest.raises(TypeError, match="put it in a list"):
        exact_match("Paris", "Paris")
    with pytest.raises(TypeError, match="an answer must be a str, got NoneType"):
        token_f1(None, ["Paris"])
    with pytest.raises(TypeError, match="an answer must be a str, got int"):
        token_f1("1889", [1889])
    with pytest.raises(ValueError, match="2 of predictions and 1 of gold_answers"):
        span_scores(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="no examples"):
        span_scores([], [])
    with pytest.raises(TypeError, match="got one str"):
        span_scores("a", [["a"]])
