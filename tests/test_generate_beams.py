"""Beam search against all texts there are, and by its own laws; against transformers see test_generate_golden.py."""

import itertools

import numpy as np
import pytest

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.generate import beam_search, generate, generate_with_log_probs, left_pad
from tinygrad_llm.generate.beam_search import best_places
from tinygrad_llm.models import GPT, GPTConfig

V = 5


@pytest.fixture(scope="module")
def model() -> GPT:
    made = GPT(
        GPTConfig(vocab_size=V, max_seq_len=8, n_layers=2, n_heads=2, d_model=16, dropout=0.3), np.random.default_rng(5)
    )
    for parameter in made.parameters():
        parameter.data *= 12 if parameter.ndim == 2 else 1
    return made


def all_texts(model, prompt: list[int], n: int, stop: int | None) -> dict[tuple[int, ...], float]:
    """Every continuation of at most n tokens, and its log-probability, from whole texts without a cache."""
    model.eval()
    ends = {}
    for new in itertools.product(range(V), repeat=n):
        if stop in new:
            new = new[: new.index(stop) + 1]
        if new not in ends:
            log_probs = model(np.array([[*prompt, *new[:-1]]])).log_softmax(dim=-1).data[0, len(prompt) - 1 :]
            ends[new] = float(log_probs[np.arange(len(new)), list(new)].sum())
    return ends


@pytest.mark.parametrize("stop", [None, 0, 3])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -0.5])
def test_a_beam_for_every_text_finds_the_best_of_all(model, stop, length_penalty):
    """With as many beams as tokens, two new tokens leave nothing out."""
    texts = all_texts(model, [1, 4], 2, stop)
    ranked = sorted(texts, key=lambda text: -texts[text] / len(text) ** length_penalty)
    stops = [] if stop is None else [stop]
    found = beam_search(
        model, [1, 4], 2, V, length_penalty, early_stopping="never", num_return_sequences=3, stop_tokens=stops
    )
    for i, text in enumerate(ranked[:3]):
        assert tuple(found.sequences[i, 2 : 2 + len(text)].tolist()) == text
        assert found.sequences_scores[i] == pytest.approx(texts[text] / len(text) ** length_penalty, abs=1e-4)
        assert found.sequence_log_probs[i] == pytest.approx(texts[text], abs=1e-4)


def test_one_beam_is_greedy(model):
    np.testing.assert_array_equal(
        beam_search(model, [1, 4], 20, 1).sequences, generate(model, [1, 4], 20, temperature=0)
    )


def test_more_beams_find_likelier_texts_than_greedy_does(model):
    greedy = generate_with_log_probs(model, [[1, 4]], 6, temperature=0)
    found = beam_search(model, [1, 4], 6, V, length_penalty=0.0)
    assert found.sequence_log_probs > greedy.sequence_log_probs[0] + 0.1
    assert found.sequences.shape == (8,)


def test_each_prompt_of_a_batch_finds_what_it_would_alone(model):
    """Beyond the model's context of 8 too, where windows move at different times."""
    prompts = [[1, 4], [3], [2, 0, 1, 1, 2, 3, 4, 4, 1]]
    ids, attention_mask = left_pad(prompts)
    settings = {"num_beams": 3, "num_return_sequences": 2, "stop_sequences": [[0, 0]], "repetition_penalty": 1.2}
    together = beam_search(model, ids, 14, attention_mask=attention_mask, **settings)
    for i, prompt in enumerate(prompts):
        alone = beam_search(model, prompt, 14, **settings)
        n = alone.log_probs.shape[1]
        rows = slice(2 * i, 2 * i + 2)
        np.testing.assert_array_equal(
            together.sequences[rows, ids.shape[1] :][:, :n], alone.sequences[:, len(prompt) :]
        )
        np.testing.assert_allclose(together.sequences_scores[rows], alone.sequences_scores, atol=1e-5)
        np.testing.assert_allclose(together.log_probs[rows, :n], alone.log_probs, atol=1e-4)


def test_texts_are_filled_after_their_end(model):
    settings = {"num_beams": 4, "num_return_sequences": 4, "stop_tokens": [0], "early_stopping": True}
    found = beam_search(model, [1, 4], 9, **settings)
    filled = beam_search(model, [1, 4], 9, pad_token_id=2, **settings)
    lengths = set()
    for text, padded, log_probs in zip(found.sequences, filled.sequences, found.log_probs, strict=True):
        new = text[2:].tolist()
        n = new.index(0) + 1 if 0 in new else len(new)
        lengths.add(n)
        assert set(new[n:]) <= {0}
        assert padded[2:].tolist() == new[:n] + [2] * (len(new) - n)
        assert (log_probs[:n] < 0).all()
        assert (log_probs[n:] == 0).all()
    assert len(lengths) > 1
    assert (np.diff(found.sequences_scores) <= 0).all()


def test_the_callers_mode_stays(model):
    model.train()
    beam_search(model, [1], 3)
    assert model.training


def test_best_places():
    scores = np.array([[1.0, 3, 2, 3, -np.inf], [5, 4, 3, 2, 1]])
    assert best_places(scores, 3).tolist() == [[1, 3, 2], [0, 1, 2]]
    assert best_places(scores, 5).tolist() == [[1, 3, 2, 0, 4], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 0}, "num_beams must be from 1 to the vocabulary's 5, not 0"),
        ({"num_beams": 6}, "num_beams must be from 1 to the vocabulary's 5, not 6"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences must be from 1 to num_beams = 2, not 3"),
        ({"early_stopping": "always"}, "early_stopping must be True, False or \"never\", not 'always'"),
        ({"length_penalty": float("nan")}, "length_penalty must be a number, not nan"),
        ({"repetition_penalty": -1}, "repetition_penalty must be above 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, not 0"),
    ],
)
def test_impossible_requests(model, settings, message):
    with pytest.raises(ValueError, match=message):
        beam_search(model, [1], **{"max_new_tokens": 2, **settings})


def test_a_broken_model_is_told(model):
    broken = GPT(model.config, np.random.default_rng(0))
    broken.norm.weight = Tensor(np.full(16, np.nan, np.float32))
    with pytest.raises(ValueError, match="its weights are broken"):
        beam_search(broken, [1, 2], 3)
