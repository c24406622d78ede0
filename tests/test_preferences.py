"""Preferences: those made of docstrings, what they give away, the split, and tables of the user's own."""

import json
from collections import Counter

import numpy as np
import pytest

from tinygrad_llm.data import module_of
from tinygrad_llm.data.preferences import (
    KINDS,
    OPPOSITES,
    Preference,
    docstring_preferences,
    read_preferences,
    split_docstring_preferences,
    split_preferences,
)
from tinygrad_llm.text import TEMPLATES, BPETokenizer
from tinygrad_llm.train.chat import PLAIN
from tinygrad_llm.train.preference_baselines import length_baseline, ngram_baseline
from tinygrad_llm.train.preference_rows import AnswerFrame, encode_preferences


@pytest.fixture(scope="module")
def preferences():
    return docstring_preferences()


def of_kind(preferences, kind):
    return [each for each in preferences if each.kind == kind]


def words(text):
    return sorted(text.lower().removesuffix(".").split())


def test_there_are_thousands_of_each_some(preferences):
    counts = Counter(each.kind for each in preferences)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) > 100
    assert len(preferences) > 2000
    assert all(each.chosen != each.rejected and each.chosen and each.rejected for each in preferences)
    assert len({(each.prompt, each.chosen) for each in preferences}) == len(preferences)


def test_they_are_the_same_each_time(preferences):
    again = docstring_preferences()
    assert again == preferences
    assert docstring_preferences(seed=1) != preferences


def test_of_fewer_kinds_there_are_more(preferences):
    broken = docstring_preferences(kinds=("truncated", "run on", "shuffled"))
    counts = Counter(each.kind for each in broken)
    assert set(counts) == {"truncated", "run on", "shuffled"}
    assert min(counts.values()) > 1.8 * len(of_kind(preferences, "shuffled"))
    assert {each.kind for each in docstring_preferences(kinds=["other"])} == {"other"}
    for wrong in (["truncate"], []):
        with pytest.raises(ValueError, match="kinds must be some of other, opposite"):
            docstring_preferences(kinds=wrong)


@pytest.mark.parametrize("kind", ["other", "default"])
def test_borrowed_answers_are_chosen_as_often_as_rejected(preferences, kind):
    pairs = of_kind(preferences, kind)
    assert Counter(each.chosen for each in pairs) == Counter(each.rejected for each in pairs)
    right = {each.chosen: module_of(each) for each in pairs} if kind == "other" else {}
    assert all(right.get(each.rejected, module_of(each)) == module_of(each) for each in pairs)


def test_words_become_their_opposites_as_often_as_the_other_way_round(preferences):
    changes = Counter()
    for each in of_kind(preferences, "opposite"):
        old, new = Counter(words(each.chosen)), Counter(words(each.rejected))
        gone, come = (
            [word.strip("\"'`()[],.:;*<>") for word in (a - b).elements()] for a, b in ((old, new), (new, old))
        )
        assert len(gone) == len(come) == 1
        for pair in OPPOSITES:
            for a, b in (pair, pair[::-1]):
                if gone == [a] and come == [b]:
                    changes[a, b] += 1
    assert sum(changes.values()) > 0.8 * len(of_kind(preferences, "opposite"))  # the rest: words in quotes and such
    for a, b in OPPOSITES:
        assert abs(changes[a, b] - changes[b, a]) <= 6, (a, b)


def test_broken_answers(preferences):
    for each in of_kind(preferences, "shuffled"):
        assert words(each.chosen) == words(each.rejected)
    for each in of_kind(preferences, "truncated"):
        assert each.chosen.startswith(each.rejected.removesuffix("."))
    for each in of_kind(preferences, "run on"):
        assert each.rejected.startswith(each.chosen.removesuffix("."))
    assert len(of_kind(preferences, "truncated")) == len(of_kind(preferences, "run on"))
    lost, added = (
        sum((Counter(words(max(pair, key=len))) - Counter(words(min(pair, key=len))) for pair in pairs), Counter())
        for pairs in (
            [(each.chosen, each.rejected) for each in of_kind(preferences, kind)] for kind in ("truncated", "run on")
        )
    )
    assert sum((lost - added).values()) < 0.05 * sum(lost.values())


def test_whole_modules_are_held_out_and_answers_alone_tell_little(preferences):
    split = split_docstring_preferences(preferences)
    modules = [{module_of(each) for each in part} for part in (split.train, split.validation, split.test)]
    assert not modules[0] & modules[1]
    assert not modules[0] & modules[2]
    assert not modules[1] & modules[2]
    assert len(split.train) + len(split.validation) + len(split.test) == len(preferences)
    assert len(split.test) > 200
    everywhere = split.train + split.validation
    assert length_baseline(everywhere, everywhere).mean() == pytest.approx(0.5, abs=0.03)
    assert length_baseline(split.train, split.test).mean() == pytest.approx(0.5, abs=0.06)
    right = ngram_baseline(split.train, split.test)
    assert set(np.unique(right)) <= {0, 0.5, 1}
    assert 0.45 < right.mean() < 0.62


def test_baselines_find_what_is_there():
    longer = [Preference("?", "a good answer of many words", f"bad {i}") for i in range(20)]
    assert length_baseline(longer, longer).mean() == 1
    shorter = [Preference("?", each.rejected, each.chosen) for each in longer]
    assert length_baseline(shorter, shorter).mean() == 1
    assert length_baseline(shorter, longer).mean() == 0
    assert ngram_baseline(longer, longer).mean() == 1
    assert ngram_baseline(shorter, longer).mean() == 0


def write(path, rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_bad_rows_are_told_by_their_line(tmp_path):
    good = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
    rows = [
        good,
        "{",
        good | {"chosen": ""},
        good | {"rejected": "Because. "},
        {"prompt": "Why?"},
        good | {"prompt": 3},
    ]
    table = read_preferences(write(tmp_path / "pairs.jsonl", rows))
    assert table.examples == [Preference("Why?", "Because.", "No.", f"{tmp_path / 'pairs.jsonl'}:1")]
    messages = [str(problem) for problem in table.problems]
    assert [problem.line for problem in table.problems] == [2, 3, 4, 5, 6]
    assert "not valid JSON" in messages[0]
    assert "'chosen' is empty" in messages[1]
    assert "'chosen' and 'rejected' are the same" in messages[2]
    assert "no column 'chosen'" in messages[3]
    assert "'prompt' should be a text, found 3" in messages[4]
    with pytest.raises(ValueError, match="line 2"):
        read_preferences(tmp_path / "pairs.jsonl", strict=True)


def test_pairs_of_one_prompt_stay_together():
    rng = np.random.default_rng(0)
    topics = [" ".join(map(str, rng.integers(1000, size=6))) for _ in range(40)]
    pairs = [Preference(f"What of {topics[i // 3]}?", f"good {i}", f"bad {i}") for i in range(120)]
    split = split_preferences(pairs, (0.6, 0.2, 0.2))
    prompts = [{each.prompt for each in part} for part in (split.train, split.validation, split.test)]
    assert not prompts[0] & prompts[1]
    assert not prompts[0] & prompts[2]
    assert not prompts[1] & prompts[2]
    assert sum(map(len, (split.train, split.validation, split.test))) == 120


CHATML = TEMPLATES["chatml"]
TEXT = "What does it do? It sorts the list. Why? Because it can. " * 20


@pytest.fixture(scope="module")
def tokenizer():
    return BPETokenizer.train(TEXT, 300, special_tokens=["<|endoftext|>", *CHATML.special_tokens])


@pytest.mark.parametrize("template", [PLAIN, CHATML])
def test_only_the_answer_and_its_end_are_learned(tokenizer, template):
    frame = AnswerFrame(tokenizer, template)
    chat = frame.encode("Why?", "Because it can.")
    learned = [i for i, is_answer in zip(chat.ids, chat.loss_mask, strict=True) if is_answer]
    assert learned == [*tokenizer.encode("Because it can."), *frame.end]
    n = len(frame.prompt_ids("Why?"))
    assert chat.ids[:n] == frame.prompt_ids("Why?")
    assert not any(chat.loss_mask[:n])
    assert frame.end == (tokenizer.encode("\n") if template is PLAIN else [tokenizer.special_tokens["<|im_end|>"]])


def test_pairs_that_are_too_long_are_left_out_whole(tokenizer):
    frame = AnswerFrame(tokenizer)
    pairs = [Preference("Why?", "Because.", "No."), Preference("Why?", "Because.", "No, " * 40)]
    kept, encoded = encode_preferences(pairs, frame, 32)
    assert kept == pairs[:1]
    assert len(encoded) == 1
    assert encoded[0].rejected == frame.encode("Why?", "No.")
