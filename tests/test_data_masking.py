"""The blanks of a masked language model: how many, where, and what is seen there."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data.masking import IGNORED, MaskedBatches, Masking, mask_tokens, masked_windows

V, MASK = 50, 4
SPECIAL = frozenset(range(5))
MASKING = Masking(MASK, V, SPECIAL, continues_word=frozenset(range(40, 50)))
TOKENS = np.random.default_rng(0).integers(5, V, 5000).astype(np.uint16)


def some_ids(B=64, T=100, seed=1):
    ids = np.random.default_rng(seed).integers(5, V, (B, T))
    ids[:, 0], ids[:, -1] = 2, 3
    return ids


def test_fifteen_percent_are_chosen_and_three_things_happen_to_them():
    ids = some_ids(B=400)
    seen, targets = mask_tokens(ids, MASKING, np.random.default_rng(0))
    chosen = targets != IGNORED
    assert (chosen.sum(axis=1) == round(0.15 * 98)).all()
    np.testing.assert_array_equal(targets[chosen], ids[chosen])
    np.testing.assert_array_equal(seen[~chosen], ids[~chosen])
    assert not chosen[:, [0, -1]].any()
    masked, kept = (seen == MASK)[chosen].mean(), (seen == ids)[chosen].mean()
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / 45, abs=0.02)
    others = seen[chosen & (seen != MASK)]
    assert set(others) == set(range(5, V))


def test_each_token_is_chosen_as_often_as_any_other():
    ids = np.tile(np.arange(5, V), (3000, 1))
    share = (mask_tokens(ids, MASKING, np.random.default_rng(0))[1] != IGNORED).mean(axis=0)
    assert np.abs(share - 7 / 45).max() < 0.03


@given(st.integers(1, 30), st.integers(0, 2**32), st.booleans())
def test_whole_words_are_chosen_whole(T, seed, ends_with_special):
    masking = replace(MASKING, whole_words=True)
    ids = np.random.default_rng(seed).choice([2, 10, 11, 41, 42, 43], (3, T))
    ids[:, 0] = 10
    if ends_with_special:
        ids = np.concatenate([ids, [[3]] * 3], axis=1)
    _, targets = mask_tokens(ids, masking, np.random.default_rng(seed))
    for row, chosen in zip(ids, targets != IGNORED, strict=True):
        assert not chosen[np.isin(row, list(SPECIAL))].any()
        for t in range(1, len(row)):
            if row[t] >= 40 and row[t - 1] not in SPECIAL:  # the word goes on
                assert chosen[t] == chosen[t - 1]
        assert chosen.any()


def test_whole_words_come_to_about_the_same_share():
    masking = replace(MASKING, whole_words=True)
    _, targets = mask_tokens(some_ids(B=200), masking, np.random.default_rng(0))
    assert (targets != IGNORED).mean() == pytest.approx(0.15, abs=0.02)
    assert ((targets != IGNORED).sum(axis=1) <= 15).all()


def test_a_short_row_has_one_blank():
    seen, targets = mask_tokens(np.array([[2, 9, 3]]), MASKING, np.random.default_rng(0))
    assert targets.tolist() == [[IGNORED, 9, IGNORED]]
    assert seen.shape == (1, 3)
    seen, targets = mask_tokens(np.array([[2, 1, 3]]), MASKING, np.random.default_rng(0))
    assert targets.tolist() == [[IGNORED] * 3]
    assert seen.tolist() == [[2, 1, 3]]


def test_batches_differ_each_time_and_go_on_where_they_were():
    batches = MaskedBatches(TOKENS, 4, 20, MASKING, seed=3)
    first = [next(batches) for _ in range(3)]
    assert not np.array_equal(first[0][1], first[1][1])
    state = batches.state_dict()
    expected = [next(batches) for _ in range(3)]
    again = MaskedBatches(TOKENS, 4, 20, MASKING, seed=99)
    again.load_state_dict(state)
    for (seen, targets), (seen_again, targets_again) in zip(expected, itertools.islice(again, 3), strict=True):
        np.testing.assert_array_equal(seen, seen_again)
        np.testing.assert_array_equal(targets, targets_again)
    with pytest.raises(ValueError, match="damaged"):
        again.load_state_dict({name: state[name] for name in state if name != "masking_rng"})
    with pytest.raises(ValueError, match="batch_size"):
        MaskedBatches(TOKENS, 5, 20, MASKING).load_state_dict(state)


def test_evaluation_has_the_same_blanks_each_time():
    first, second = (list(masked_windows(TOKENS, 8, 30, MASKING)) for _ in range(2))
    assert sum(len(seen) for seen, _ in first) == 4999 // 30
    for (seen, targets), (seen_again, targets_again) in zip(first, second, strict=True):
        np.testing.assert_array_equal(seen, seen_again)
        np.testing.assert_array_equal(targets, targets_again)
    whole = np.concatenate([np.where(targets == IGNORED, seen, targets) for seen, targets in first]).reshape(-1)
    np.testing.assert_array_equal(whole, TOKENS[: len(whole)])
    with pytest.raises(ValueError, match="give more text or a shorter context"):
        next(masked_windows(TOKENS[:30], 8, 30, MASKING))


def test_windows_in_a_frame():
    framed = replace(MASKING, frame=(2, 3))
    for seen, targets in [next(MaskedBatches(TOKENS, 4, 20, framed)), *masked_windows(TOKENS, 8, 30, framed)]:
        assert (seen[:, 0] == 2).all()
        assert (seen[:, -1] == 3).all()
        assert (targets[:, [0, -1]] == IGNORED).all()


@pytest.mark.parametrize("changes", [{"share": 0.0}, {"share": 1.5}, {"masked": 0.95}, {"random": -0.1}])
def test_impossible_shares(changes):
    with pytest.raises(ValueError, match="Masking: "):
        replace(MASKING, **changes)
    with pytest.raises(ValueError, match="all tokens are special"):
        Masking(0, 5, frozenset(range(5)))
