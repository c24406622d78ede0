"""GPT against PyTorch (tests/golden/make_nn_golden.py), and by its own laws."""

import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from model_checks import assert_initial_weights

from tinygrad_llm.autograd import Tensor, no_grad
from tinygrad_llm.models import GPT, GPTConfig
from tinygrad_llm.optim import AdamW, clip_grad_norm_

GOLDEN = dict(np.load(Path(__file__).parent / "golden" / "gpt.npz"))
SMALL = GPTConfig(vocab_size=13, max_seq_len=8, n_layers=2, n_heads=2, d_model=8, dropout=0.0)


def golden_model(dtype: str) -> GPT:
    model = GPT(SMALL)
    weights = {k.removeprefix("state/"): v for k, v in GOLDEN.items() if k.startswith("state/")}
    model.to(dtype).load_state_dict(weights)
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-5)])
def test_logits_loss_and_gradients_are_pytorchs(dtype, tolerance):
    model, ids, targets = golden_model(dtype), GOLDEN["ids"][0], GOLDEN["targets"][0]
    np.testing.assert_allclose(model(ids).data, GOLDEN["logits"], rtol=tolerance, atol=tolerance)
    loss = model.loss(ids, targets)
    assert loss.item() == pytest.approx(float(GOLDEN["loss"]), rel=tolerance)
    loss.backward()
    for name, parameter in model.named_parameters():
        expected = GOLDEN[f"grad/{name}"]
        np.testing.assert_allclose(parameter.grad.data, expected, rtol=tolerance, atol=tolerance, err_msg=name)


def test_ten_training_losses_are_pytorchs():
    model, losses = golden_model("float32"), []
    optimizer = AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    for ids in GOLDEN["ids"]:
        optimizer.zero_grad()
        loss = model.loss(ids, (ids + 1) % 13)
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, GOLDEN["losses"], rtol=0, atol=1e-5)


def test_ids_may_be_tensors_and_minus_100_does_not_count():
    model, ids, targets = golden_model("float64"), GOLDEN["ids"][0], GOLDEN["targets"][0].copy()
    np.testing.assert_array_equal(model(Tensor(ids)).data, model(ids).data)
    assert model.loss(Tensor(ids), Tensor(targets)).item() == model.loss(ids, targets).item()
    targets[:, 4:] = -100
    shorter = model.loss(ids[:, :4], targets[:, :4]).item()
    assert model.loss(ids, targets).item() == pytest.approx(shorter, rel=1e-12)


def parameter_count(c: GPTConfig) -> int:
    """By hand: embeddings, and per block 4 C² of attention and 8 C² of feed-forward, with biases and norms."""
    C = c.d_model
    matrices = 3 * C * C + C * C + 4 * C * C + 4 * C * C
    biases = (3 * C + C + 4 * C + C) + 2 * C if c.bias else 0
    norms = 2 * C
    return (c.vocab_size + c.max_seq_len) * C + c.n_layers * (matrices + biases + norms) + C * (2 if c.bias else 1)


@pytest.mark.parametrize("bias", [True, False])
def test_parameter_count(bias):
    config = replace(SMALL, bias=bias, n_layers=3, d_model=16)
    assert GPT(config).num_parameters() == parameter_count(config)


def test_gpt2_small_has_124_million_parameters():
    assert parameter_count(GPTConfig()) == 124_439_808


def test_initial_loss_is_that_of_guessing():
    rng = np.random.default_rng(0)
    config = GPTConfig(vocab_size=500, max_seq_len=32, n_layers=4, n_heads=4, d_model=64, dropout=0.0)
    model = GPT(config, rng)
    loss = model.loss(rng.integers(500, size=(8, 32)), rng.integers(500, size=(8, 32)))
    assert loss.item() == pytest.approx(math.log(500), abs=0.05)


def test_initial_weights():
    config = GPTConfig(vocab_size=500, max_seq_len=64, n_layers=8, n_heads=4, d_model=128)
    assert_initial_weights(lambda rng: GPT(config, rng), std=0.02, residual_std=0.005)


def test_no_position_sees_the_future():
    model, ids = golden_model("float64"), GOLDEN["ids"][0]
    for t in range(1, 8):
        changed = ids.copy()
        changed[:, t:] = (changed[:, t:] + 1) % 13
        same = model(changed).data[:, :t] == model(ids).data[:, :t]
        assert same.all()
        assert not np.array_equal(model(changed).data[:, t], model(ids).data[:, t])


def test_gradients_reach_only_positions_up_to_the_target():
    model, ids = golden_model("float64"), GOLDEN["ids"][0]
    targets = np.full_like(ids, -100)
    targets[:, 3] = 1
    model.loss(ids, targets).backward()
    used = np.abs(model.position_embedding.weight.grad.data).sum(axis=1) > 0
    np.testing.assert_array_equal(used, np.arange(8) <= 3)


def test_one_batch_can_be_learned_by_heart():
    rng = np.random.default_rng(0)
    model = GPT(replace(SMALL, d_model=32, vocab_size=20), rng)
    ids, targets = rng.integers(20, size=(4, 8)), rng.integers(20, size=(4, 8))
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(120):
        optimizer.zero_grad()
        loss = model.loss(ids, targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_dropout_is_random_in_training_only_and_follows_the_seed():
    config, ids = replace(SMALL, dropout=0.5), GOLDEN["ids"][0]
    model, twin = GPT(config, np.random.default_rng(0)), GPT(config, np.random.default_rng(0))
    first = model(ids).data
    np.testing.assert_array_equal(first, twin(ids).data)
    assert not np.array_equal(first, model(ids).data)
    model.eval()
    np.testing.assert_array_equal(model(ids).data, model(ids).data)


@pytest.mark.parametrize("pieces", [(8,), (1,) * 8, (3, 1, 4), (5, 3)])
def test_cache_gives_what_all_at_once_gives(pieces):
    model, ids = golden_model("float32").eval(), GOLDEN["ids"][0]
    with no_grad():
        whole = model(ids).data
        cache = model.new_cache(batch_size=3)
        parts, start = [], 0
        for length in pieces:
            parts.append(model(ids[:, start : start + length], cache).data)
            start += length
            assert cache.length == start
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-5)
        np.testing.assert_allclose(model.next_token_logits(ids).data, whole[:, -1], rtol=0, atol=1e-5)


def test_cache_errors():
    model, ids = golden_model("float32"), GOLDEN["ids"][0]
    cache = model.new_cache(batch_size=3)
    with pytest.raises(RuntimeError, match="no gradients flow through a cache"):
        model(ids, cache)
    with no_grad():
        with pytest.raises(ValueError, match=r"do not fit a cache for \(B, H, T, D\) = \(3, 2, up to 8, 4\)"):
            model(ids[:1], cache)
        model(ids, cache)
        assert repr(cache) == "KVCache(2 layers, B=3, H=2, D=4, 8 of 8 tokens)"
        with pytest.raises(ValueError, match="9 tokens are more than max_seq_len = 8"):
            model(ids[:, :1], cache)
        one = Tensor(np.zeros((3, 2, 1, 4), np.float32))
        with pytest.raises(ValueError, match="1 more tokens do not fit: 8 of 8 places are filled"):
            cache.layers[0].append(one, one)
        cache.reset()
        model(ids[:, :1], cache)
        assert cache.length == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 3}, "GPTConfig: n_heads must divide d_model, but 8 / 3"),
        ({"vocab_size": 0}, "GPTConfig: vocab_size must be an integer of at least 1, not 0"),
        ({"n_layers": 1.5}, "n_layers must be an integer"),
        ({"max_seq_len": -1}, "max_seq_len"),
        ({"dropout": 1.5}, "dropout probability must be between 0 and 1, not 1.5"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps must be above 0"),
    ],
)
def test_impossible_configs(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
    with pytest.raises(FrozenInstanceError):
        SMALL.n_heads = 4


def test_impossible_ids():
    model = golden_model("float32")
    with pytest.raises(ValueError, match="9 tokens are more than max_seq_len = 8"):
        model(np.zeros((1, 9), np.int64))
    with pytest.raises(ValueError, match=r"ids must have shape \(B, T\), got \(8,\)"):
        model(np.zeros(8, np.int64))
    with pytest.raises(IndexError, match="13"):
        model(np.array([[13]]))
