"""Heads on every base: padding changes nothing, the loss is the one it should be, and examples can be learned."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.models.heads import SpanExtractor, TextClassifier, TextRegressor, best_spans, text_vector
from tinygrad_llm.optim import AdamW

BASES = {
    "bert": lambda rng: BERT(BERTConfig(30, 12, 2, 2, 2, 16, 24, 0.0, pooler=True), rng),
    "bert without pooler": lambda rng: BERT(BERTConfig(30, 12, 2, 2, 2, 16, 24, 0.0), rng),
    "gpt": lambda rng: GPT(GPTConfig(30, 12, 2, 2, 16, dropout=0.0), rng),
    "llama": lambda rng: Llama(LlamaConfig(30, 12, 2, 4, 2, 16, 24), rng),
}
BY_BASE = pytest.mark.parametrize("base", BASES)
IDS = np.random.default_rng(3).integers(30, size=(4, 8))
MASK = np.arange(8) < np.array([[8], [5], [1], [7]])
SEGMENTS = np.zeros((4, 8), int)


def make(base):
    return BASES[base](np.random.default_rng(0))


@BY_BASE
def test_padding_changes_no_text(base):
    model = make(base).to("float64").eval()
    together = text_vector(model, IDS, MASK).data
    changed = np.where(MASK, IDS, 7)
    np.testing.assert_allclose(text_vector(model, changed, MASK).data, together, rtol=0, atol=1e-12)
    for i, length in enumerate(MASK.sum(axis=1)):
        alone = text_vector(model, IDS[i : i + 1, :length], MASK[i : i + 1, :length]).data[0]
        np.testing.assert_allclose(alone, together[i], rtol=0, atol=1e-12)
    assert together.shape == (4, 16)


@BY_BASE
def test_the_vector_depends_on_every_token(base):
    model = make(base).to("float64").eval()
    before = text_vector(model, IDS[:1], MASK[:1]).data
    for t in range(8):
        changed = IDS[:1].copy()
        changed[0, t] = (changed[0, t] + 1) % 30
        assert np.abs(text_vector(model, changed, MASK[:1]).data - before).max() > 1e-9


def learn(model, steps=60, *batch):
    optimizer = AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.loss(*batch)
        loss.backward()
        optimizer.step()
    return loss.item()


@BY_BASE
def test_labels_can_be_learned_by_heart(base):
    model = TextClassifier(make(base), 3, dropout=0.0, rng=np.random.default_rng(1))
    labels = np.array([0, 1, 2, 1])
    first = model.loss(IDS, MASK, SEGMENTS, labels).item()
    assert first == pytest.approx(np.log(3), abs=0.15)
    assert learn(model, 60, IDS, MASK, SEGMENTS, labels) < 0.05
    assert model.eval()(IDS, MASK).argmax(1).tolist() == labels.tolist()
    assert all(p.grad is not None for name, p in model.named_parameters() if "masked_lm_head" not in name)


def test_class_weights_weigh():
    base = make("bert")
    plain, weighted = (
        TextClassifier(base, 2, 0.0, weights, np.random.default_rng(1)) for weights in (None, np.array([1.0, 3.0]))
    )
    labels = np.array([0, 0, 0, 1])
    each = [plain.loss(IDS[i : i + 1], MASK[i : i + 1], None, labels[i : i + 1]).item() for i in range(4)]
    expected = (each[0] + each[1] + each[2] + 3 * each[3]) / 6
    assert weighted.loss(IDS, MASK, None, labels).item() == pytest.approx(expected, rel=1e-5)


@BY_BASE
def test_numbers_can_be_learned_by_heart(base):
    model = TextRegressor(make(base), mean=50.0, std=20.0, dropout=0.0, rng=np.random.default_rng(1))
    targets = np.array([20.0, 80.0, 55.0, 45.0])
    found = model(IDS, MASK).data
    assert model.loss(IDS, MASK, None, targets).item() == pytest.approx(((found - targets) ** 2).mean() / 400, rel=1e-5)
    assert learn(model, 80, IDS, MASK, None, targets) < 0.01
    np.testing.assert_allclose(model.eval()(IDS, MASK).data, targets, atol=5)


@BY_BASE
def test_spans_can_be_learned_by_heart(base):
    model = SpanExtractor(make(base), dropout=0.0, rng=np.random.default_rng(1))
    allowed = MASK & (np.arange(8) > 0)
    allowed[2] = MASK[2]
    spans = np.array([[2, 4], [1, 1], [0, 0], [3, 6]])
    assert learn(model, 100, IDS, MASK, SEGMENTS, allowed, spans) < 0.1
    start, end = model.eval()(IDS, MASK, SEGMENTS, allowed)
    assert np.isneginf(start.data[~allowed]).all()
    found, log_p = best_spans(start.data, end.data)
    assert found.tolist() == spans.tolist()
    assert (np.exp(log_p) > 0.8).all()


@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 1000))
def test_best_span_is_the_best(T, max_length, seed):
    rng = np.random.default_rng(seed)
    start, end = rng.standard_normal((2, 3, T))
    start[:, T // 2 :] = np.where(rng.random((3, T - T // 2)) < 0.3, -np.inf, start[:, T // 2 :])
    start[:, 0] = 0.1
    spans, log_p = best_spans(start, end, max_length)
    for row in range(3):
        pairs = [(i, j) for i, j in itertools.combinations_with_replacement(range(T), 2) if j - i < max_length]
        i, j = max(pairs, key=lambda pair: start[row, pair[0]] + end[row, pair[1]])
        assert (i, j) == tuple(spans[row])
        p = np.exp(start[row, i]) / np.exp(start[row]).sum() * np.exp(end[row, j]) / np.exp(end[row]).sum()
        assert log_p[row] == pytest.approx(np.log(p))


def test_impossible_heads():
    with pytest.raises(ValueError, match="TextClassifier: n_classes must be an integer of at least 1"):
        TextClassifier(make("bert"), 0)
    with pytest.raises(ValueError, match="TextRegressor: std must be above 0, not 0"):
        TextRegressor(make("bert"), std=0)
