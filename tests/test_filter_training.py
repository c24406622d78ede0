"""How a content filter is trained and measured: held-out templates, a word list beside it, misspellings, clean text."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.applications.content_filter import sentences
from tinygrad_llm.data.corpora import manual_topics
from tinygrad_llm.data.harm_examples import HARMFUL, NONE, LabelledSentence, harm_examples
from tinygrad_llm.data.harm_test_sentences import harm_test_sentences
from tinygrad_llm.evaluate.filter_report import (
    category_scores,
    false_positives,
    filter_report,
    misspelt,
    scores_on,
    word_list_filter,
)
from tinygrad_llm.evaluate.filter_training import (
    default_filter,
    fit_classifier,
    fold_of_groups,
    held_out_probabilities,
    make_filter,
)


def test_examples_are_what_they_say():
    examples = harm_examples()
    assert len({each.text for each in examples}) == len(examples) >= 700
    assert {each.label for each in examples} == {*HARMFUL, NONE}
    assert all("{" not in each.text and "|" not in each.text for each in examples)
    assert {each.text for each in harm_test_sentences()}.isdisjoint(each.text for each in examples)


def test_no_template_is_torn_apart():
    examples = harm_examples()
    folds = fold_of_groups(examples, 5, 0)
    assert set(folds) == {each.group for each in examples}
    for label in (*HARMFUL, NONE):
        sizes = np.bincount([folds[group] for group in {each.group for each in examples if each.label == label}])
        assert sizes.max() - sizes.min() <= 1


def test_scores_by_hand_and_their_intervals_draw_templates():
    examples = [LabelledSentence(f"{g} {i}", "bad" if g < 6 else NONE, str(g)) for g in range(12) for i in range(10)]
    flagged = np.array([[each.group in "01236"] for each in examples])
    scores = category_scores(examples, ["bad"], flagged, np.random.default_rng(0), 300)["bad"]
    assert scores.recall.value == 4 / 6
    assert scores.precision.value == 4 / 5
    assert scores.f1.value == pytest.approx(2 * 40 / (50 + 60))
    assert scores.n_examples == 60
    assert scores.recall.high - scores.recall.low > 0.5  # six templates, not sixty sentences


@pytest.mark.stress
def test_the_classifier_beats_a_word_list_on_templates_it_never_saw():
    report = filter_report(harm_examples(), np.random.default_rng(0), n_resamples=50)
    held_out, words = report["held out"], report["word list"]
    for category in HARMFUL:
        assert held_out[category]["f1"]["value"] > words[category]["f1"]["value"] + 0.1, category
    assert held_out["any"]["f1"]["value"] > 0.7
    recalls = [report["recall of misspelt texts"][n]["any"] for n in ("1", "3", "5")]
    assert held_out["any"]["recall"]["value"] > recalls[0] > recalls[1] > recalls[2]  # it can be evaded


@pytest.mark.stress
def test_the_built_in_filter_on_sentences_written_afterwards():
    rng, examples = np.random.default_rng(0), harm_test_sentences()
    ours, words = (scores_on(f, examples, rng, n_resamples=2)["any"] for f in (default_filter(), word_list_filter()))
    assert ours["precision"]["value"] > 0.8
    assert ours["recall"]["value"] > 0.35
    assert ours["f1"]["value"] > words["f1"]["value"] + 0.1


def test_little_of_pythons_manual_is_flagged():
    texts = [each for page in manual_topics() for each in sentences(page.text) if len(each) > 20][::5]
    shares = false_positives(default_filter(), texts)
    assert shares["any"].n == len(texts) > 500
    assert shares["any"].value < 0.02
    programming = ["Kill the child process.", "Abort execution.", "The child died.", "This code is stupid."]
    assert [default_filter().check(text) for text in programming] == [[]] * 4


def test_own_labels():
    texts = [f"{word} {i}" for i in range(12) for word in ("spam offer", "meeting today")]
    labels = ["spam", "ok"] * 12
    content_filter = make_filter(fit_classifier(texts, labels, clean_label="ok"))
    assert [f.category for f in content_filter.check("An offer: spam 99")] == ["spam"]
    assert content_filter.check("The meeting 99") == []
    with pytest.raises(ValueError, match="some of them 'none'"):
        fit_classifier(texts, labels)
    with pytest.raises(ValueError, match="nothing can be learnt"):
        fit_classifier(["a", "b"], ["x", NONE])
    examples = [LabelledSentence(t, label, t) for t, label in zip(texts[:6], labels[:6], strict=True)]
    with pytest.raises(ValueError, match="3 different examples, and 5 are needed"):
        held_out_probabilities(examples, "ok")


def test_misspelling_changes_so_many_letters():
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert abs(len(misspelt("You are a fool.", 1, rng)) - 15) <= 1
    assert misspelt("123 !", 3, rng) == "123 !"
    assert misspelt("You are a fool.", 0, rng) == "You are a fool."
