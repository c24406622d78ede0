"""Generation: the distribution that is sampled, the cached way against the naive one, windows, stops, errors."""

import numpy as np
import pytest

from tinygrad_llm.autograd import is_grad_enabled
from tinygrad_llm.generate import (
    _next_tokens,
    generate,
    generate_naive,
    generate_tokens,
    next_token_probabilities,
    sample,
    window_start,
)
from tinygrad_llm.models import GPT, GPTConfig


@pytest.fixture(scope="module")
def model() -> GPT:
    """Small, with weights large enough that its predictions are far from uniform."""
    config = GPTConfig(vocab_size=17, max_seq_len=8, n_layers=2, n_heads=2, d_model=16, dropout=0.3)
    made = GPT(config, np.random.default_rng(0))
    for parameter in made.parameters():
        parameter.data *= 12 if parameter.ndim == 2 else 1
    return made


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


PROMPTS = {"one": np.array([3, 1, 4]), "batch": np.array([[3, 1, 4], [1, 5, 9]]), "long": np.arange(11) % 7}
SETTINGS = {
    "plain": {},
    "greedy": {"temperature": 0},
    "cold": {"temperature": 0.3},
    "hot": {"temperature": 2.0},
    "top_k": {"top_k": 3},
    "top_p": {"top_p": 0.6},
    "all": {"temperature": 0.8, "top_k": 5, "top_p": 0.9},
    "stop": {"stop_tokens": (2, 5, 7)},
}


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_cached_is_naive(model, prompt, settings):
    """20 tokens through a context of 8, so that the window moves several times."""
    fast = generate(model, PROMPTS[prompt], 20, rng=rng(1), **SETTINGS[settings])
    naive = generate_naive(model, PROMPTS[prompt], 20, rng=rng(1), **SETTINGS[settings])
    np.testing.assert_array_equal(fast, naive)
    n = PROMPTS[prompt].shape[-1]
    np.testing.assert_array_equal(fast[..., :n], PROMPTS[prompt])
    if settings != "stop":
        assert fast.shape[-1] == n + 20
        assert len(set(fast[..., n:].ravel().tolist())) > 1


def test_greedy_takes_the_likeliest(model):
    text = generate(model, [3, 1], 5, temperature=0)
    model.eval()
    for n in range(2, 7):
        assert text[n] == model(text[None, :n]).data[0, -1].argmax()


def test_same_seed_same_text_other_seed_other_text(model):
    first = generate(model, [3], 20, rng=rng(1))
    np.testing.assert_array_equal(first, generate(model, [3], 20, rng=rng(1)))
    assert not np.array_equal(first, generate(model, [3], 20, rng=rng(2)))
    assert not np.array_equal(generate(model, [3], 40), generate(model, [3], 40))


def test_tokens_come_one_by_one(model):
    text = generate(model, [3, 1], 6, rng=rng())
    tokens = generate_tokens(model, [3, 1], 6, rng=rng())
    first = next(tokens)
    assert type(first) is int
    assert [first, *tokens] == text[2:].tolist()
    batch = list(generate_tokens(model, PROMPTS["batch"], 4, rng=rng()))
    assert [tokens.shape for tokens in batch] == [(2,)] * 4
    assert list(generate_tokens(model, [3], 0)) == []
    np.testing.assert_array_equal(generate(model, [3, 1], 0), [3, 1])


def test_generating_leaves_the_callers_modes_alone(model):
    model.train()
    model.blocks[1].eval()
    tokens = generate_tokens(model, [3, 1], 6, rng=rng())
    next(tokens)
    assert model.training
    assert model.blocks[0].dropout.training
    assert not model.blocks[1].dropout.training
    assert is_grad_enabled()
    model.eval()
    generate(model, [3], 2)
    assert not model.training


def test_stop_tokens_end_a_text(model):
    free = generate(model, [3, 1], 30, rng=rng(4)).tolist()
    stop = free[10]
    first = free.index(stop, 2)
    assert generate(model, [3, 1], 30, rng=rng(4), stop_tokens=[stop]).tolist() == free[: first + 1]
    assert stop not in free[:2] or first > 1


def test_a_batch_goes_on_until_all_have_stopped(model):
    free = generate(model, PROMPTS["batch"], 30, rng=rng(4))
    stops = {int(free[0, 8])}
    text = generate(model, PROMPTS["batch"], 30, rng=rng(4), stop_tokens=stops)
    ends = []
    for row in text[:, 3:].tolist():
        found = [i for i, token in enumerate(row) if token in stops]
        ends.append(found[0] if found else len(row))
        assert all(token == row[ends[-1]] for token in row[ends[-1] :])
    assert ends[0] != ends[1]
    assert text.shape[1] - 3 == min(max(ends) + 1, 30)


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


@pytest.mark.parametrize("settings", SETTINGS)
def test_next_tokens_are_samples_of_the_probabilities(settings):
    kept = {"temperature": 1.0, "top_k": None, "top_p": None} | SETTINGS[settings]
    kept.pop("stop_tokens", None)
    logits = 3 * np.random.default_rng(3).standard_normal((50, 17)).astype(np.float32)
    expected = sample(next_token_probabilities(logits, **kept), rng(7))
    np.testing.assert_array_equal(_next_tokens(logits, tuple(kept.values()), rng(7)), expected)


def test_window_keeps_at_least_half_the_context_and_moves_rarely():
    starts = [window_start(length, 8) for length in range(1, 40)]
    for length, start in enumerate(starts, start=1):
        assert (start == 0) if length <= 8 else (5 <= length - start <= 8)
    assert len(set(starts)) <= 1 + 32 / 4
    assert [window_start(length, 1) for length in (1, 2, 3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("ids", "settings", "error", "message"),
    [
        ([], {}, ValueError, "prompt is empty"),
        (np.zeros((2, 0), np.int64), {}, ValueError, "prompt is empty"),
        ([3, 17], {}, IndexError, "id 17 is outside the model's vocabulary of 17"),
        ([-1], {}, IndexError, "id -1 is outside"),
        ([1.5], {}, TypeError, "ids must be integers, got float64"),
        ([[1, 2], [3]], {}, ValueError, "same number of tokens"),
        ([[[1]]], {}, ValueError, r"shape \(T,\) or \(B, T\), got \(1, 1, 1\)"),
        ([1], {"temperature": -0.1}, ValueError, r"temperature must be 0 \(greedy\) or more, not -0.1"),
        ([1], {"temperature": float("nan")}, ValueError, "temperature must be"),
        ([1], {"top_p": 0.0}, ValueError, "top_p must be above 0 and at most 1, not 0.0"),
        ([1], {"top_p": 1.5}, ValueError, "top_p must be above 0 and at most 1, not 1.5"),
        ([1], {"top_k": 0}, ValueError, "top_k must be at least 1, not 0"),
        ([1], {"max_new_tokens": -1}, ValueError, "max_new_tokens must be at least 0, not -1"),
    ],
)
def test_impossible_requests(model, ids, settings, error, message):
    settings = {"max_new_tokens": 2, **settings}
    for function in (generate, generate_naive, generate_tokens):
        with pytest.raises(error, match=message):
            function(model, ids, **settings)


def test_dropout_is_off_while_generating(model):
    model.train()
    in_training = generate(model, [3, 1], 10, temperature=0)
    np.testing.assert_array_equal(in_training, generate(model.eval(), [3, 1], 10, temperature=0))
