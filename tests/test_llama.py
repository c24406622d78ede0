"""Llama against transformers (tests/golden/make_llama_golden.py), and by its own laws."""

import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from model_checks import assert_initial_weights

from tinygrad_llm.autograd import no_grad
from tinygrad_llm.generate import generate, generate_naive
from tinygrad_llm.models import Llama, LlamaConfig
from tinygrad_llm.nn import LinearScaling, Llama3Scaling
from tinygrad_llm.optim import AdamW
from tinygrad_llm.train import load_checkpoint, save_checkpoint

with np.load(Path(__file__).parent / "golden" / "llama.npz") as file:
    GOLDEN = dict(file)
SMALL = LlamaConfig(
    vocab_size=17, max_seq_len=32, n_layers=1, n_heads=4, n_kv_heads=2, d_model=32, d_ff=12, rope_theta=500.0,
    tie_weights=False,
)  # fmt: skip
CONFIGS = {
    "plain": replace(SMALL, n_kv_heads=4, rope_theta=10_000.0),
    "grouped": replace(SMALL, n_layers=2),
    "tied": replace(SMALL, tie_weights=True),
    "llama3": replace(SMALL, tie_weights=True, rope_theta=50.0, rope_scaling=Llama3Scaling(4.0, 1.0, 4.0, 16)),
    "linear": replace(SMALL, rope_scaling=LinearScaling(3.0)),
}
OUR_NAMES = {
    "model.embed_tokens": "token_embedding",
    "model.layers": "blocks",
    "input_layernorm": "norm1",
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.o_proj": "attention.out",
    "post_attention_layernorm": "norm2",
    "mlp.": "feed_forward.",
    "_proj": "",
    "model.norm": "norm",
    "lm_head": "head",
}


def golden(case: str, kind: str) -> dict[str, np.ndarray]:
    """The arrays `<case>/<kind>/…` under our names."""
    found = {}
    for key, array in GOLDEN.items():
        if key.startswith(f"{case}/{kind}/"):
            name = key.removeprefix(f"{case}/{kind}/")
            for theirs, ours in OUR_NAMES.items():
                name = name.replace(theirs, ours)
            found[name] = array
    return found


def golden_model(case: str, dtype: str) -> Llama:
    model = Llama(CONFIGS[case])
    model.to(dtype).load_state_dict(golden(case, "state"))
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 5e-6)])
@pytest.mark.parametrize("case", CONFIGS)
def test_logits_loss_and_gradients_are_those_of_transformers(case, dtype, tolerance):
    """In float64 the distance is that of its angles, which are float32 numbers times float32 positions."""
    model, ids, targets = golden_model(case, dtype), GOLDEN[f"{case}/ids"], GOLDEN[f"{case}/targets"]
    np.testing.assert_allclose(model(ids).data, GOLDEN[f"{case}/logits"], rtol=tolerance, atol=tolerance)
    loss = model.loss(ids, targets)
    assert loss.item() == pytest.approx(float(GOLDEN[f"{case}/loss"]), rel=tolerance)
    loss.backward()
    expected = golden(case, "grad")
    assert {name for name, _ in model.named_parameters()} == set(expected)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            parameter.grad.data, expected[name], rtol=tolerance, atol=tolerance, err_msg=f"{case} {name}"
        )


def test_golden_cases_differ_by_more_than_their_tolerance():
    """Scaling, or its absence, would be seen."""
    for case in ("llama3", "linear"):
        model = golden_model(case, "float32")
        unscaled = Llama(replace(CONFIGS[case], rope_scaling=None))
        unscaled.load_state_dict(model.state_dict())
        ids = GOLDEN[f"{case}/ids"]
        assert np.abs(model(ids).data - unscaled(ids).data).max() > 1e-2


def parameter_count(c: LlamaConfig) -> int:
    """By hand: embedding (and head), and per block queries, out, keys, values, three feed-forward matrices, norms."""
    C, kv = c.d_model, c.n_kv_heads * c.d_model // c.n_heads
    block = 2 * C * C + 2 * C * kv + 3 * C * c.d_ff + 2 * C
    return (1 if c.tie_weights else 2) * c.vocab_size * C + c.n_layers * block + C


def test_parameter_count():
    for config in CONFIGS.values():
        assert Llama(config).num_parameters() == parameter_count(config)
    assert parameter_count(LlamaConfig()) == 134_515_008  # SmolLM2-135M


def test_initial_weights_and_loss():
    config = replace(SMALL, vocab_size=500, n_layers=8, d_model=128, d_ff=300, init_std=0.01)
    model = Llama(config, np.random.default_rng(0))
    assert_initial_weights(lambda rng: Llama(config, rng), std=0.01, residual_std=0.0025)
    ids, targets = np.random.default_rng(1).integers(500, size=(2, 8, 32))
    assert model.loss(ids, targets).item() == pytest.approx(math.log(500), abs=0.05)


def test_tied_weights_are_one_parameter():
    model = golden_model("tied", "float32")
    assert model.head_weight is model.token_embedding.weight
    assert "head.weight" not in model.state_dict()
    untied = golden_model("grouped", "float32")
    assert untied.head_weight is untied.head.weight


@pytest.mark.parametrize("case", ["grouped", "llama3", "linear"])
def test_checkpoint_holds_all_that_the_model_is(case, tmp_path):
    """Its config too, which is JSON there, with the scaling as a dict."""
    model = golden_model(case, "float32")
    save_checkpoint(tmp_path / "llama.safetensors", model, step=0)
    checkpoint = load_checkpoint(tmp_path / "llama.safetensors")
    again = Llama(LlamaConfig(**checkpoint.model_config))
    checkpoint.restore(again)
    assert again.config == model.config
    np.testing.assert_array_equal(again(GOLDEN[f"{case}/ids"]).data, model(GOLDEN[f"{case}/ids"]).data)


def test_no_position_sees_the_future():
    model, ids = golden_model("grouped", "float64"), GOLDEN["grouped/ids"]
    before = model(ids).data
    for t in range(1, ids.shape[1], 3):
        changed = ids.copy()
        changed[:, t:] = (changed[:, t:] + 1) % 17
        after = model(changed).data
        assert np.array_equal(after[:, :t], before[:, :t])
        assert not np.array_equal(after[:, t], before[:, t])


def test_checkpointed_activations_give_the_same_gradients():
    ids, targets = GOLDEN["grouped/ids"], GOLDEN["grouped/targets"]
    found = []
    for checkpointed in (False, True):
        model = golden_model("grouped", "float32")
        model.checkpoint_activations = checkpointed
        model.loss(ids, targets).backward()
        found.append({name: parameter.grad.data for name, parameter in model.named_parameters()})
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_one_batch_can_be_learned_by_heart():
    rng = np.random.default_rng(0)
    model = Llama(replace(SMALL, n_layers=2, d_ff=64, tie_weights=True), rng)
    ids, targets = rng.integers(17, size=(2, 4, 8))
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(120):
        optimizer.zero_grad()
        loss = model.loss(ids, targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("case", ["plain", "grouped", "llama3"])
@pytest.mark.parametrize("pieces", [(12,), (1,) * 12, (5, 1, 1, 5)])
def test_cache_gives_what_all_at_once_gives(case, pieces):
    """Positions go on where the cache ends, in prefill and token by token."""
    model, ids = golden_model(case, "float32"), GOLDEN[f"{case}/ids"]
    with no_grad():
        whole = model(ids).data
        cache = model.new_cache(batch_size=2)
        ends = np.cumsum(pieces)
        parts = [model(ids[:, end - length : end], cache).data for end, length in zip(ends, pieces, strict=True)]
        assert cache.length == 12
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=2e-5)
        np.testing.assert_allclose(model.next_token_logits(ids).data, whole[:, -1], rtol=0, atol=2e-5)


def test_cache_is_as_small_as_its_heads_are_few():
    cache = golden_model("grouped", "float32").new_cache(batch_size=3)
    assert repr(cache) == "KVCache(2 layers, B=3, H=2, D=8, 0 of 32 tokens)"
    assert Llama(SMALL).to("float64").new_cache(1).layers[0].keys.dtype == np.float64


def test_gradients_do_not_flow_through_a_cache():
    model = Llama(SMALL)
    with pytest.raises(RuntimeError, match="no gradients flow through a cache"):
        model(np.zeros((1, 2), np.int64), model.new_cache(1))


def test_padding_before_a_text_changes_nothing():
    """Distances stay what they were, though the positions are others; padding is not looked at."""
    model, ids = golden_model("grouped", "float32"), GOLDEN["grouped/ids"][:1]
    padded = np.concatenate([np.zeros((1, 3), np.int64), ids], axis=1)
    cache = model.new_cache(batch_size=1)
    cache.reset(padding=np.array([3]))
    with no_grad():
        start, end = model(padded[:, :10], cache).data, model(padded[:, 10:], cache).data
        np.testing.assert_allclose(np.concatenate([start[:, 3:], end], axis=1), model(ids).data, rtol=0, atol=2e-5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_generation_with_cache_equals_the_naive_one(temperature):
    """Beyond max_seq_len too, where the window moves on and positions count from its start anew."""
    model, prompt = golden_model("grouped", "float32"), GOLDEN["grouped/ids"]
    settings = {"max_new_tokens": 40, "temperature": temperature}
    fast = generate(model, prompt, **settings, rng=np.random.default_rng(0))
    slow = generate_naive(model, prompt, **settings, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(fast, slow)
    assert fast.shape == (2, 52)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 3}, "LlamaConfig: n_heads must divide d_model, but 32 / 3"),
        ({"n_kv_heads": 3}, "LlamaConfig: n_kv_heads must divide n_heads, but 4 / 3"),
        ({"n_kv_heads": 0}, "LlamaConfig: n_kv_heads must be an integer of at least 1, not 0"),
        ({"n_heads": 32, "n_kv_heads": 32}, "LlamaConfig: a head needs an even number of features"),
        ({"vocab_size": 0}, "LlamaConfig: vocab_size must be an integer of at least 1, not 0"),
        ({"d_ff": 1.5}, "d_ff must be an integer"),
        ({"rope_theta": 0.0}, "rope_theta must be above 0"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps must be above 0"),
        ({"init_std": 0.0}, "LlamaConfig: init_std must be a number above 0"),
    ],
)
def test_impossible_configs(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
    with pytest.raises(FrozenInstanceError):
        SMALL.n_heads = 4


@pytest.mark.parametrize("scaling", [4.0, "linear", {"rope_type": "yarn", "factor": 4.0}])
def test_unknown_scalings(scaling):
    with pytest.raises(TypeError, match=r"LlamaConfig: rope_scaling must be a LinearScaling, a Llama3Scaling"):
        replace(SMALL, rope_scaling=scaling)


def test_impossible_ids():
    model = Llama(SMALL)
    with pytest.raises(ValueError, match="Llama: 33 tokens are more than max_seq_len = 32"):
        model(np.zeros((1, 33), np.int64))
    with pytest.raises(ValueError, match=r"Llama: ids must have shape \(B, T\), got \(8,\)"):
        model(np.zeros(8, np.int64))
    with pytest.raises(IndexError, match="17"):
        model(np.array([[17]]))
