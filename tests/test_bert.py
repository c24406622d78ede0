"""BERT by its own laws; that it is transformers' is shown in test_hub.py."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tinygrad_llm import functional as F
from tinygrad_llm.models import BERT, BERTConfig
from tinygrad_llm.optim import AdamW

SMALL = BERTConfig(30, max_seq_len=12, n_layers=2, n_heads=2, d_model=16, d_ff=24, dropout=0.0, pooler=True)
IDS = np.random.default_rng(3).integers(30, size=(2, 8))


def bert(**changes) -> BERT:
    return BERT(replace(SMALL, **changes), np.random.default_rng(0)).to("float64").eval()


def test_every_position_sees_every_other():
    model = bert()
    before = model(IDS).data
    for t in range(IDS.shape[1]):
        changed = IDS.copy()
        changed[:, t] = (changed[:, t] + 1) % 30
        assert (np.abs(model(changed).data - before).max(axis=-1) > 1e-9).all()


def test_padding_is_seen_by_nothing():
    model, mask = bert(), np.arange(8) < np.array([[8], [5]])
    before = model(IDS, mask).data
    changed = IDS.copy()
    changed[1, 5:] = 7
    np.testing.assert_array_equal(model(changed, mask).data[mask], before[mask])
    np.testing.assert_allclose(before[1, :5], model(IDS[1:, :5]).data[0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model(IDS, np.ones((2, 8), int)).data, model(IDS).data)


def test_segments_and_positions_count():
    model, segments = bert(), np.array([[0, 0, 0, 1, 1, 1, 1, 1]] * 2)
    plain = model(IDS).data
    np.testing.assert_array_equal(model(IDS, segments=np.zeros_like(IDS)).data, plain)
    assert np.abs(model(IDS, segments=segments).data - plain).max() > 1e-3
    assert np.abs(model(IDS[:, ::-1]).data[:, ::-1] - plain).max() > 1e-3


def test_the_loss_is_the_mean_over_the_targets_that_count():
    model, targets = bert(), np.full(IDS.shape, -100)
    targets[0, 1], targets[1, 4], targets[1, 7] = 3, 5, 29
    logits = model.masked_lm_logits(model(IDS))
    expected = F.cross_entropy(logits.reshape(-1, 30), targets.reshape(-1)).item()
    assert model.loss(IDS, targets).item() == pytest.approx(expected, rel=1e-12)


def test_first_loss_and_count_of_parameters():
    model = BERT(replace(SMALL, vocab_size=500, d_model=64, n_heads=4), np.random.default_rng(0)).eval()
    ids = np.random.default_rng(1).integers(500, size=(4, 12))
    assert model.loss(ids, ids).item() == pytest.approx(math.log(500), abs=0.05)
    c = BERTConfig(pooler=True, masked_lm=False)
    C, block = c.d_model, 4 * c.d_model**2 + 2 * c.d_model * c.d_ff + 9 * c.d_model + c.d_ff
    by_hand = (c.vocab_size + c.max_seq_len + 2) * C + 2 * C + 12 * block + C * C + C
    assert by_hand == 109_482_240  # bert-base-uncased
    small = replace(c, vocab_size=20, max_seq_len=8, n_layers=1)
    without = by_hand - (c.vocab_size - 20 + c.max_seq_len - 8) * C - 11 * block
    assert BERT(small).num_parameters() == without


def test_hidden_words_can_be_learned_by_heart():
    model = BERT(SMALL, np.random.default_rng(0))
    masked, targets = IDS.copy(), np.full(IDS.shape, -100)
    targets[:, ::3], masked[:, ::3] = IDS[:, ::3], 29
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(80):
        optimizer.zero_grad()
        loss = model.loss(masked, targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_dropout_is_for_training():
    model = bert(dropout=0.2)
    np.testing.assert_array_equal(model(IDS).data, model(IDS).data)
    model.train()
    assert np.abs(model(IDS).data - model(IDS).data).max() > 1e-3


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bert(pooler=False).pooled(bert()(IDS)), "no pooler: build it with BERTConfig.pooler=True."),
        (lambda: bert(masked_lm=False).loss(IDS, IDS), "no masked-LM head: build it with BERTConfig.masked_lm=True."),
        (lambda: bert()(IDS, np.ones((2, 7))), r"attention_mask must have the shape of ids, \(2, 8\), got \(2, 7\)"),
        (lambda: bert()(IDS, segments=[0, 1]), r"segments must have the shape of ids, \(2, 8\), got \(2,\)"),
        (lambda: bert().loss(IDS, IDS[0]), r"targets must have the shape of ids"),
        (lambda: bert()(np.zeros((1, 13), int)), "BERT: 13 tokens are more than max_seq_len = 12"),
        (lambda: bert()(np.zeros(3, int)), r"BERT: ids must have shape \(B, T\)"),
        (lambda: replace(SMALL, n_heads=3), "BERTConfig: n_heads must divide d_model"),
        (lambda: replace(SMALL, n_segments=0), "BERTConfig: n_segments must be an integer of at least 1"),
        (lambda: replace(SMALL, dropout=1.5), "BERTConfig: the dropout probability"),
        (lambda: replace(SMALL, layer_norm_eps=0), "BERTConfig: layer_norm_eps must be above 0"),
        (lambda: replace(SMALL, init_std=0), "BERTConfig: init_std"),
    ],
)
def test_what_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_unknown_ids_and_segments():
    with pytest.raises(IndexError, match="30"):
        bert()(np.array([[30]]))
    with pytest.raises(IndexError, match="2"):
        bert()(IDS, segments=np.full(IDS.shape, 2))
