"""Generation: the cached way against the naive one, windows, stops, batches with padding, log-probabilities, errors."""

import numpy as np
import pytest

from tinygrad_llm.autograd import is_grad_enabled
from tinygrad_llm.generate import generate, generate_naive, generate_tokens, generate_with_log_probs, left_pad
from tinygrad_llm.generate.context import window_start
from tinygrad_llm.models import GPT, GPTConfig, Llama, LlamaConfig


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
    "min_p": {"min_p": 0.2},
    "repetition_penalty": {"temperature": 0, "repetition_penalty": 1.5},
    "all": {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.1},
    "stop": {"stop_tokens": (2, 5, 7)},
    "stop_sequences": {"stop_sequences": [(2, 5), (7, 7), (11,)], "pad_token_id": 6},
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
    if not settings.startswith("stop"):
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
        ([[1, 2], [3]], {}, ValueError, "same number of tokens; left_pad"),
        ([[[1]]], {}, ValueError, r"shape \(T,\) or \(B, T\), got \(1, 1, 1\)"),
        ([1], {"temperature": -0.1}, ValueError, r"temperature must be 0 \(greedy\) or more, not -0.1"),
        ([1], {"temperature": float("nan")}, ValueError, "temperature must be"),
        ([1], {"top_p": 0.0}, ValueError, "top_p must be above 0 and at most 1, not 0.0"),
        ([1], {"top_p": 1.5}, ValueError, "top_p must be above 0 and at most 1, not 1.5"),
        ([1], {"top_k": 0}, ValueError, "top_k must be at least 1, not 0"),
        ([1], {"min_p": 1.1}, ValueError, "min_p must be from 0 to 1, not 1.1"),
        ([1], {"repetition_penalty": 0.0}, ValueError, "repetition_penalty must be above 0"),
        ([1], {"stop_tokens": 5}, TypeError, "stop_tokens must be a list of ids"),
        ([1], {"stop_sequences": [3, 4]}, TypeError, "stop_sequences a list of lists of ids"),
        ([1], {"stop_sequences": [[]]}, ValueError, "a stop sequence is empty"),
        ([1], {"pad_token_id": 17}, IndexError, "pad_token_id 17 is outside the model's vocabulary of 17"),
        ([1, 2], {"attention_mask": [1]}, ValueError, r"shape of ids, \(2,\), got \(1,\)"),
        ([1, 2], {"attention_mask": [0, 2]}, ValueError, "1 for a token and 0 for padding"),
        ([[1, 2], [3, 4]], {"attention_mask": [[1, 1], [1, 0]]}, ValueError, "of prompt 1 must be zeros, then ones"),
        ([1, 2], {"attention_mask": [0, 0]}, ValueError, "of prompt 0 must be zeros, then ones"),
        ([1], {"topk": 3}, TypeError, "topk"),
        ([1], {"rng": 0}, TypeError, "rng must be a np.random.Generator such as .* got 0"),
        ([[1], [2]], {"rng": [rng()]}, ValueError, "one for each of 2 prompts, got 1"),
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


RAGGED = [[3, 1, 4, 1, 5], [9], [2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2], [3, 8]]


def together(function, model, n_tokens, **settings):
    ids, attention_mask = left_pad(RAGGED, pad_token_id=16)
    return function(model, ids, n_tokens, attention_mask=attention_mask, **settings)


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.5}, {"stop_tokens": (2, 5, 7)}])
def test_prompts_of_different_lengths_go_on_as_each_would_alone(model, settings):
    """Through several moves of the window, which come at another time for each, and one prompt longer than it."""
    texts = together(generate, model, 30, temperature=0, **settings)
    longest = max(map(len, RAGGED))
    for prompt, text in zip(RAGGED, texts.tolist(), strict=True):
        alone = generate(model, prompt, 30, temperature=0, **settings).tolist()
        padding = longest - len(prompt)
        assert text[:padding] == [16] * padding
        assert text[padding : padding + len(alone)] == alone
        assert set(text[padding + len(alone) :]) <= {alone[-1]}


def test_with_a_generator_each_texts_are_drawn_as_each_would_alone(model):
    n = len(RAGGED)
    texts = together(generate, model, 20, rng=[rng(i) for i in range(n)])[:, max(map(len, RAGGED)) :]
    alone = [generate(model, prompt, 20, rng=rng(i))[len(prompt) :] for i, prompt in enumerate(RAGGED)]
    np.testing.assert_array_equal(texts, np.stack(alone))
    np.testing.assert_array_equal(together(generate_naive, model, 20, rng=[rng(i) for i in range(n)])[:, -20:], texts)


@pytest.mark.parametrize("settings", SETTINGS)
def test_padded_is_naive(model, settings):
    fast, naive = (together(f, model, 25, rng=rng(1), **SETTINGS[settings]) for f in (generate, generate_naive))
    np.testing.assert_array_equal(fast, naive)


def test_padded_is_naive_for_a_model_that_turns_its_queries_and_keys():
    config = LlamaConfig(vocab_size=17, max_seq_len=8, n_layers=2, n_heads=4, n_kv_heads=2, d_model=16, d_ff=24)
    model = Llama(config, rng())
    for parameter in model.parameters():
        parameter.data *= 12 if parameter.ndim == 2 else 1
    fast, naive = (together(f, model, 25, rng=rng(1)) for f in (generate, generate_naive))
    np.testing.assert_array_equal(fast, naive)


def test_what_stands_in_the_padding_does_not_matter(model):
    ids, attention_mask = left_pad(RAGGED)
    expected = generate(model, ids, 12, rng=rng(), attention_mask=attention_mask)[:, ids.shape[1] :]
    ids[attention_mask == 0] = -100
    found = generate(model, ids, 12, rng=rng(), attention_mask=attention_mask.astype(bool))
    np.testing.assert_array_equal(found, np.concatenate([ids, expected], axis=1))


def test_left_pad():
    ids, attention_mask = left_pad([[5, 6, 7], [8]], pad_token_id=2)
    assert ids.tolist() == [[5, 6, 7], [2, 2, 8]]
    assert attention_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        left_pad([[1], []])


def test_log_probabilities_are_the_models_own(model):
    """Those of the whole text at once, whatever was done to the scores before the draw."""
    model.eval()
    settings = {"temperature": 0.5, "top_k": 5, "repetition_penalty": 1.3}
    found = generate_with_log_probs(model, [3, 1], 6, rng=rng(), **settings)
    np.testing.assert_array_equal(found.sequences, generate(model, [3, 1], 6, rng=rng(), **settings))
    of_all = model(found.sequences[None, :-1]).log_softmax(dim=-1).data[0, 1:]
    expected = of_all[np.arange(6), found.sequences[2:]]
    np.testing.assert_allclose(found.log_probs, expected, atol=1e-5)
    assert found.sequence_log_probs == pytest.approx(expected.sum(), abs=1e-4)
    assert generate_with_log_probs(model, [[3, 1]], 0).log_probs.shape == (1, 0)


def test_a_stop_sequence_ends_a_text_where_its_last_token_comes(model):
    free = generate(model, [3, 1], 30, rng=rng(4)).tolist()
    stop = free[9:12]
    end = next(i for i in range(5, 33) if free[i - 3 : i] == stop)
    assert generate(model, [3, 1], 30, rng=rng(4), stop_sequences=[stop]).tolist() == free[:end]
    prompt = free[:12]  # what ends a text is not looked for in the prompt, nor across its end
    again = generate(model, prompt, 1, rng=rng(4), stop_sequences=[[prompt[-1], int(free[12])]])
    assert len(again) == 13


def test_a_broken_model_is_told(model):
    broken = GPT(model.config, np.random.default_rng(0))
    broken.norm.weight.data[:] = np.nan
    for settings in ({}, {"temperature": 0}, {"top_k": 3}):
        with pytest.raises(ValueError, match="its weights are broken"):
            generate(broken, [1, 2], 3, **settings)
