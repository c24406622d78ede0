"""The distribution that a token is drawn from, and the draw."""

import numpy as np
import pytest

from tinygrad_llm.generate import GenerationConfig, next_token_probabilities, sample
from tinygrad_llm.generate.sampling import RepetitionPenalty, largest_places, next_tokens

SETTINGS = [
    {},
    {"temperature": 0},
    {"temperature": 0.3},
    {"top_k": 3},
    {"top_p": 0.6},
    {"min_p": 0.1},
    {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "min_p": 0.05},
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_probabilities():
    logits = np.log([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]])
    close = np.testing.assert_allclose
    close(next_token_probabilities(logits), np.exp(logits))
    close(next_token_probabilities(logits, temperature=0.5)[0], np.array([16, 4, 1, 1]) / 22)
    close(next_token_probabilities(logits, temperature=0), [[1, 0, 0, 0], [0, 0, 0, 1]])
    close(next_token_probabilities(logits, top_k=2), [[2 / 3, 1 / 3, 0, 0], [0, 0, 3 / 7, 4 / 7]])
    close(next_token_probabilities(logits, top_k=9, top_p=1.0), np.exp(logits))
    close(next_token_probabilities(logits, top_p=0.6), [[2 / 3, 1 / 3, 0, 0], [0, 0, 3 / 7, 4 / 7]])
    close(next_token_probabilities(logits, top_p=1e-9), [[1, 0, 0, 0], [0, 0, 0, 1]])
    close(next_token_probabilities(logits + 1e4, temperature=1e-3), [[1, 0, 0, 0], [0, 0, 0, 1]], atol=1e-30)
    close(next_token_probabilities([[0.0, -np.inf]]), [[1, 0]])


def test_samples_follow_the_probabilities():
    probabilities = np.tile([0.5, 0.0, 0.2, 0.3, 0.0], (20_000, 1))
    shares = np.bincount(sample(probabilities, rng()), minlength=5) / 20_000
    np.testing.assert_allclose(shares, probabilities[0], atol=0.02)
    assert shares[1] == shares[4] == 0


def test_top_p_among_many_tokens():
    """The kept ones are found without sorting all, unless they are many."""
    for spread in (0.1, 3.0):
        logits = spread * np.random.default_rng(0).standard_normal((1, 5000))
        probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()
        ranked = np.argsort(-probabilities)
        n_kept = int((np.cumsum(probabilities[ranked]) < 0.7).sum()) + 1
        assert (n_kept > 1024) == (spread == 0.1)
        found = next_token_probabilities(logits, top_p=0.7)[0]
        np.testing.assert_array_equal(np.flatnonzero(found), np.sort(ranked[:n_kept]))
        np.testing.assert_allclose(found.sum(), 1)


def test_equally_likely_tokens():
    """Top-k keeps all that are as likely as the k-th; top-p takes the first ones."""
    logits = np.log([[0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(next_token_probabilities(logits, top_k=2), [[0.25] * 4])
    np.testing.assert_allclose(next_token_probabilities(logits, top_p=0.5), [[0.5, 0.5, 0, 0]])


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings) or "plain")
def test_next_tokens_are_samples_of_the_probabilities(settings):
    logits = 3 * np.random.default_rng(3).standard_normal((50, 17)).astype(np.float32)
    expected = sample(next_token_probabilities(logits, **settings), rng(7))
    np.testing.assert_array_equal(next_tokens(logits, GenerationConfig(**settings), rng(7)), expected)


def test_min_p_keeps_what_is_likely_beside_the_likeliest():
    logits = np.log([[0.5, 0.25, 0.125, 0.125], [0.97, 0.01, 0.01, 0.01]])
    close = np.testing.assert_allclose
    close(next_token_probabilities(logits, min_p=0.3), [[2 / 3, 1 / 3, 0, 0], [1, 0, 0, 0]])
    close(next_token_probabilities(logits, min_p=0.0), np.exp(logits))
    close(next_token_probabilities(logits, min_p=1.0), [[1, 0, 0, 0], [1, 0, 0, 0]])
    close(
        next_token_probabilities(logits, temperature=2.0, min_p=0.6)[0], np.array([1, 0.5**0.5, 0, 0]) / (1 + 0.5**0.5)
    )


def test_repetition_penalty_lowers_scores_of_either_sign():
    """Of the tokens of each text; not of what stands in its padding."""
    penalty = RepetitionPenalty(2.0, np.array([[0, 1], [2, 3]]), np.array([1, 0]), vocab_size=4)
    scores = np.array([[4, 4, -4, -4], [4, 4, -4, 0]], np.float32)
    assert penalty(scores).tolist() == [[4, 2, -4, -4], [4, 4, -8, 0]]
    penalty.add(np.array([2, 2]))
    assert penalty(scores).tolist() == [[4, 2, -8, -4], [4, 4, -8, 0]]
    penalty.select(np.array([1, 1, 0]))
    assert penalty(scores[[0, 1, 1]]).tolist() == [[4, 4, -8, -8], [4, 4, -8, 0], [4, 2, -8, 0]]
    assert penalty(scores[[0, 1, 1]]).dtype == np.float32


@pytest.mark.parametrize("n", [1, 5, 16, 100, 1000])
def test_largest_places_are_those_of_sorting(n):
    """Few different numbers, so that many are equal; and -inf, as of tokens that are ruled out."""
    x = rng(n).integers(-8, 8, n).astype(np.float32)
    x[x == -8] = -np.inf
    for k in {1, min(2, n), min(7, n), max(n // 16, 1), min(n // 16 + 1, n), n}:
        np.testing.assert_array_equal(largest_places(x, k), np.flatnonzero(x >= np.sort(x)[-k]))
