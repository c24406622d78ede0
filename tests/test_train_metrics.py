"""Evaluation: the mean loss over a text, and what it is in bits per byte."""

import math

import numpy as np
import pytest

import tinygrad_llm.functional as F
from tinygrad_llm import no_grad
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.train import Evaluation, evaluate
from tinygrad_llm.train.metrics import bits_per_byte


@pytest.fixture
def model():
    config = GPTConfig(vocab_size=7, max_seq_len=5, n_layers=1, n_heads=1, d_model=8, dropout=0.5)
    return GPT(config, np.random.default_rng(1))


def test_the_loss_is_the_mean_over_every_token_but_the_first(model):
    tokens = np.random.default_rng(2).integers(0, 7, 33)
    result = evaluate(model, tokens, text_bytes=60, batch_size=2, seq_len=5)
    total = 0.0
    model.eval()
    with no_grad():
        for start in range(0, 32, 5):  # windows of 5, the last of 2
            x, y = tokens[start : start + 5][: 32 - start], tokens[start + 1 : start + 6]
            log_probabilities = F.log_softmax(model(x[None]), dim=-1).numpy()[0]
            total -= log_probabilities[np.arange(len(y)), y].sum()
    assert result.n_targets == 32
    assert result.loss == pytest.approx(total / 32, rel=1e-5)
    assert result.bits_per_byte == pytest.approx(total / math.log(2) / 60, rel=1e-5)
    assert result.perplexity == pytest.approx(math.exp(total / 32), rel=1e-5)


def test_a_model_that_knows_nothing_costs_log2_of_the_vocabulary_per_token():
    assert Evaluation(math.log(256), 100, bytes_per_token=1).bits_per_byte == pytest.approx(8)
    assert bits_per_byte(math.log(256), bytes_per_token=4) == pytest.approx(2)
    assert Evaluation(math.log(50), 100, 1).perplexity == pytest.approx(50)
    assert Evaluation(1e6, 100, 1).perplexity == math.inf


def test_max_tokens_reads_the_beginning(model):
    tokens = np.random.default_rng(2).integers(0, 7, 400)
    part = evaluate(model, tokens, 800, batch_size=4, seq_len=5, max_tokens=41)
    alone = evaluate(model, tokens[:41], 82, batch_size=4, seq_len=5)
    assert (part.n_targets, part.loss) == (40, alone.loss)
    assert part.bytes_per_token == pytest.approx(800 / 399)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_is_put_back(model, training):
    model.train(training)
    tokens = np.arange(30) % 7
    state = model.rng.bit_generator.state
    first = evaluate(model, tokens, 30, batch_size=2, seq_len=5)
    assert first == evaluate(model, tokens, 30, batch_size=2, seq_len=5)
    assert model.training is training
    assert model.rng.bit_generator.state == state
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_text_without_a_target_is_refused(model):
    with pytest.raises(ValueError, match="at least 2 tokens"):
        evaluate(model, np.array([3]), 1, batch_size=2, seq_len=5)
