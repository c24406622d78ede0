"""Generation by an encoder-decoder: caches against none, beams against all texts, batches against one by one."""

import itertools

import numpy as np
import pytest
from test_seq2seq import MASK, SOURCE, seq2seq

from tinygrad_llm.applications import Translation, translate
from tinygrad_llm.autograd import is_grad_enabled
from tinygrad_llm.generate import (
    Given,
    beam_search,
    generate,
    generate_naive,
    generate_tokens,
    generate_with_log_probs,
    left_pad,
)
from tinygrad_llm.text import CharTokenizer

V = 5
SMALL_SOURCE = np.array([[1, 4, 2]])
START = [[3]]


@pytest.fixture(scope="module")
def model():
    return seq2seq()


@pytest.fixture(scope="module")
def tiny():
    """Of so few tokens that all its texts can be counted."""
    return seq2seq(vocab_size=V)


SETTINGS = {
    "greedy": {"temperature": 0},
    "plain": {},
    "filters": {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.1},
    "stop": {"stop_tokens": (2, 5), "pad_token_id": 6},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("prompt", [[3], [3, 1, 4]])
def test_cached_is_naive(model, settings, prompt):
    """20 tokens through 8 places, so that the window over the target moves: the source stays."""
    for source in (SOURCE[:1], SOURCE[2:, :5]):
        given = Given(model, source)
        fast = generate(given, prompt, 20, rng=np.random.default_rng(1), **SETTINGS[settings])
        naive = generate_naive(given, prompt, 20, rng=np.random.default_rng(1), **SETTINGS[settings])
        np.testing.assert_array_equal(fast, naive)


def test_greedy_takes_the_likeliest_of_the_whole_model(model):
    text = generate(Given(model, SOURCE, MASK), [[3]] * 3, 6, temperature=0)
    for n in range(1, 7):
        np.testing.assert_array_equal(text[:, n], model(SOURCE, text[:, :n], MASK).data[:, -1].argmax(axis=-1))
    assert len({tuple(row) for row in text.tolist()}) > 1  # it does depend on the source


def test_a_batch_of_padded_sources_is_one_by_one(model):
    prompts, attention_mask = left_pad([[3], [3, 1, 4], [3, 7]])
    settings = {"attention_mask": attention_mask, "stop_tokens": [2]}
    together = Given(model, SOURCE, MASK)
    drawn = generate(together, prompts, 12, rng=[np.random.default_rng(i) for i in range(3)], **settings)
    found = beam_search(together, prompts, 12, 3, **settings)
    for i, prompt in enumerate([[3], [3, 1, 4], [3, 7]]):
        given = Given(model, SOURCE[i : i + 1, : MASK[i].sum()])
        alone = generate(given, prompt, 12, rng=np.random.default_rng(i), stop_tokens=[2])
        np.testing.assert_array_equal(drawn[i, 3:][: len(alone) - len(prompt)], alone[len(prompt) :])
        alone = beam_search(given, prompt, 12, 3, stop_tokens=[2])
        new = alone.sequences[len(prompt) :]
        np.testing.assert_array_equal(found.sequences[i, 3:][: len(new)], new)
        assert found.sequences_scores[i] == pytest.approx(alone.sequences_scores, abs=1e-8)


@pytest.mark.parametrize("stop", [None, 0])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -0.5])
def test_a_beam_for_every_text_finds_the_best_of_all(tiny, stop, length_penalty):
    """With as many beams as tokens, two new tokens leave nothing out."""
    texts = {}
    for new in itertools.product(range(V), repeat=2):
        new = new[:1] if new[0] == stop else new
        log_probs = tiny(SMALL_SOURCE, np.array([[3, *new[:-1]]])).log_softmax(dim=-1).data[0]
        texts[new] = float(log_probs[np.arange(len(new)), list(new)].sum())
    ranked = sorted(texts, key=lambda text: -texts[text] / len(text) ** length_penalty)
    settings = {"early_stopping": "never", "num_return_sequences": 3, "stop_tokens": [] if stop is None else [stop]}
    found = beam_search(Given(tiny, SMALL_SOURCE), START[0], 2, V, length_penalty, **settings)
    for i, text in enumerate(ranked[:3]):
        assert tuple(found.sequences[i, 1 : 1 + len(text)].tolist()) == text
        assert found.sequences_scores[i] == pytest.approx(texts[text] / len(text) ** length_penalty, abs=1e-9)


def test_one_beam_is_greedy_and_more_find_likelier_texts(model):
    given, start = Given(model, SOURCE, MASK), [[3]] * 3
    greedy = generate_with_log_probs(given, start, 7, temperature=0)
    np.testing.assert_array_equal(beam_search(given, start, 7, 1).sequences, greedy.sequences)
    found = beam_search(given, start, 7, 8, length_penalty=0.0).sequence_log_probs
    assert (found >= greedy.sequence_log_probs - 1e-9).all()
    assert (found > greedy.sequence_log_probs + 0.01).any()


def test_the_callers_mode_stays_and_dropout_is_off():
    model = seq2seq(dropout=0.5).train()
    texts = [generate(Given(model, SOURCE, MASK), [[3]] * 3, 6, temperature=0) for _ in range(2)]
    np.testing.assert_array_equal(*texts)
    np.testing.assert_array_equal(texts[0], generate(Given(model.eval(), SOURCE, MASK), [[3]] * 3, 6, temperature=0))
    model.train()
    tokens = generate_tokens(Given(model, SOURCE, MASK), [[3]] * 3, 6)
    next(tokens)
    assert all(module.training for module in model.modules())
    assert is_grad_enabled()


def test_as_many_prompts_as_sources(model):
    with pytest.raises(ValueError, match="2 prompts for 3 sources: give one prompt for each source"):
        generate(Given(model, SOURCE), [[3], [3]], 4)


TOKENIZER = CharTokenizer("\nabcdefghij")  # 11 of them, as the model has


def test_translations_are_in_the_order_of_the_texts_and_do_not_depend_on_each_other(model):
    texts = ["abcdefg", "a", "jihg", "", "bb", "a b".replace(" ", "c"), "jihg"]
    for settings in ({}, {"num_beams": 3}, {"num_beams": 3, "length_penalty": 2.0}, {"max_new_tokens": 3}):
        together = translate(model, TOKENIZER, texts, **settings)
        assert together[2] == together[6]
        for text, found in zip(texts, together, strict=True):
            (alone,) = translate(model, TOKENIZER, [text], **settings)
            assert found.text == alone.text
            assert found.log_prob == pytest.approx(alone.log_prob, abs=1e-8)
            assert "\n" not in found.text
            assert len(found.text) <= settings.get("max_new_tokens", 8)
    assert translate(model, TOKENIZER, []) == []


def test_a_translation_ends_where_the_model_ends_it(model):
    """The log-probability is that of the whole text, its end included, from the model without a cache."""
    texts = ["abcdefg"[i:] + "jhg"[:i] for i in range(4)] + ["dad", "fee", "idea", "jade", "hi", "beef", "cab"]
    ended = 0
    for text, found in zip(texts, translate(model, TOKENIZER, texts), strict=True):
        assert isinstance(found, Translation)
        written = [*TOKENIZER.encode(found.text), 0][:8]  # the frame, if there was room for it
        ended += len(found.text) < 8
        source, target_in = np.array([[*TOKENIZER.encode(text), 0]]), np.array([[0, *written[:-1]]])
        log_probs = model(source, target_in).log_softmax(dim=-1).data[0]
        assert (log_probs.argmax(axis=-1) == written).all()
        assert found.log_prob == pytest.approx(log_probs[np.arange(len(written)), written].sum(), abs=1e-8)
    assert 0 < ended


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        (["abcdefghi"], {}, "'abcdefghi' has 10 tokens, the end included, but the model reads at most 9"),
        (["k"], {}, "the character tokenizer lacks 'k'"),
        (["a"], {"num_beams": 0}, "num_beams must be at least 1, not 0"),
        (["a"], {"num_beams": 12}, "num_beams must be from 1 to the vocabulary's 11, not 12"),
        (["a"], {"max_new_tokens": 9}, "max_new_tokens must be from 1 to the model's max_target_len 8, not 9"),
    ],
)
def test_what_cannot_be_translated(model, texts, settings, message):
    with pytest.raises(ValueError, match=message):
        translate(model, TOKENIZER, texts, **settings)
