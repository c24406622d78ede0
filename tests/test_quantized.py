"""Quantised layers and models: what they compute, hold, refuse, and how they are saved; and weights saved as halves."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_llm import functional as F
from tinygrad_llm.autograd import Tensor
from tinygrad_llm.generate import generate
from tinygrad_llm.hub import load_pretrained, save_pretrained
from tinygrad_llm.hub.weights import bfloat16_bits, from_bfloat16
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import (
    Embedding,
    LayerNorm,
    Linear,
    Module,
    QuantizedEmbedding,
    QuantizedLinear,
    Sequential,
    dequantize,
    quantize,
    weight_bytes,
)
from tinygrad_llm.nn.quantized import Quantized, is_quantized

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"
SMALL = {"max_seq_len": 16, "n_layers": 2, "n_heads": 4, "d_model": 64}
MODELS = {
    "gpt": lambda: GPT(GPTConfig(90, **SMALL, dropout=0.0), rng()),
    "gpt-no-bias": lambda: GPT(GPTConfig(90, **SMALL, dropout=0.0, bias=False), rng()),
    "llama": lambda: Llama(LlamaConfig(90, **SMALL, n_kv_heads=2, d_ff=96), rng()),
    "llama-untied": lambda: Llama(LlamaConfig(90, **SMALL, n_kv_heads=2, d_ff=96, tie_weights=False), rng()),
    "bert": lambda: BERT(BERTConfig(90, **SMALL, d_ff=96, dropout=0.0, pooler=True), rng()),
}
EACH_MODEL = pytest.mark.parametrize("name", MODELS)
IDS = np.random.default_rng(5).integers(0, 90, (2, 9))


def rng():
    return np.random.default_rng(0)


def scores(model) -> np.ndarray:
    return (model.masked_lm_logits(model(IDS)) if isinstance(model, BERT) else model(IDS)).data


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_a_layer_computes_with_its_rounded_weights():
    linear, table = Linear(6, 5, rng=rng()), Embedding(7, 6, padding_idx=2, rng=rng())
    layer, rows = QuantizedLinear.from_float(linear), QuantizedEmbedding.from_float(table)
    x = Tensor(rng().standard_normal((3, 6)).astype(np.float32), requires_grad=True)
    assert np.abs(layer.weight.data - linear.weight.data).max() <= layer.scale.data.max() / 2 * 1.0001
    y = layer(x)
    close(y.data, F.linear(x, layer.weight, linear.bias).data)
    y.backward(np.ones(y.shape, np.float32))
    close(x.grad.data, np.ones((3, 5), np.float32) @ layer.weight.data)
    assert layer.bias is linear.bias
    close(layer.bias.grad.data, np.full(5, 3.0))
    assert (layer.int8_weight.grad, layer.scale.grad) == (None, None)
    np.testing.assert_array_equal(rows(IDS % 7).data, rows.weight.data[IDS % 7])
    np.testing.assert_array_equal(rows(np.array([2])).data, 0)
    close(rows.as_linear(x).data, F.linear(x, rows.weight).data)
    with pytest.raises(IndexError, match="index 7 is out of range for size 7"):
        rows(np.array([7]))
    assert repr(layer) == "QuantizedLinear(6, 5)"
    assert repr(rows) == "QuantizedEmbedding(7, 6, padding_idx=2)"


@EACH_MODEL
def test_a_quantised_model_is_the_one_of_its_rounded_weights(name):
    model = MODELS[name]().eval()
    exact, size = scores(model), weight_bytes(model)
    assert quantize(model) is model
    kinds = [type(module) for module in model.modules()]
    assert Linear not in kinds
    assert Embedding not in kinds
    assert kinds.count(QuantizedLinear) >= 8
    # norms and biases stay float32, and there is a scale for each row: at a width of 64 that is more than a quarter
    assert weight_bytes(model) < 0.3 * size
    rounded = scores(model)
    assert 0 < np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()
    loss = model.loss(IDS, IDS).item()
    assert dequantize(model) is model
    assert not is_quantized(model)
    close(scores(model), rounded)
    assert model.loss(IDS, IDS).item() == pytest.approx(loss, rel=1e-5)


def test_memory_is_a_quarter_where_rows_are_long():
    model = GPT(GPTConfig(2000, 64, 1, 4, 256), rng())
    size = weight_bytes(model)
    assert weight_bytes(quantize(model)) < 0.26 * size


@pytest.mark.parametrize("name", ["gpt", "llama", "llama-untied"])
def test_generation_is_that_of_the_rounded_weights(name):
    model = quantize(MODELS[name]())
    text = generate(model, IDS, 12, temperature=0)  # longer than the context: the cache is filled anew
    np.testing.assert_array_equal(generate(dequantize(model), IDS, 12, temperature=0), text)


def test_quantising_again_changes_nothing():
    model = quantize(MODELS["gpt"]().eval())
    layers = list(model.modules())
    quantize(model)
    assert all(a is b for a, b in zip(layers, model.modules(), strict=True))
    assert {module.training for module in layers} == {False}
    assert {module.training for module in quantize(MODELS["gpt"]()).modules()} == {True}


def test_a_layer_in_two_places_stays_one():
    shared = Linear(4, 4, rng=rng())
    model = quantize(Sequential(shared, Sequential(Linear(4, 4, rng=rng()), shared)))
    assert model[0] is model[1][1]
    assert isinstance(model[0], QuantizedLinear)
    assert model[0] is not model[1][0]


def test_gradients_pass_to_what_is_trained_beside():
    """A bias, here; an adapter in the same way. Its gradient is that of a model with the rounded weights."""
    gradients = []
    for back in (False, True):
        model = quantize(MODELS["gpt"]())
        if back:
            dequantize(model)
        model.loss(IDS, IDS).backward()
        gradients.append(model.blocks[0].feed_forward.up.bias.grad.data)
    close(gradients[0], gradients[1], 1e-4)
    assert np.abs(gradients[0]).max() > 0


def test_what_quantize_refuses():
    model = MODELS["gpt"]()
    model.blocks[1].feed_forward.down.weight.data[3, 4] = np.inf
    with pytest.raises(ValueError, match=r"^blocks\.1\.feed_forward\.down: quantize_rows: .*NaN or infinity"):
        quantize(model)
    for model in (LayerNorm(4), Linear(2, 2), Module()):
        with pytest.raises(ValueError, match="holds no Linear and no Embedding"):
            quantize(model)
    layer = QuantizedLinear(2, 3)
    with pytest.raises(TypeError, match=r"QuantizedLinear: weight is made of int8_weight and scale; dequantize\(\)"):
        layer.weight = Tensor(np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match="out_features must be an integer of at least 1, not 0"):
        QuantizedLinear(2, 0)


def test_state_dict_and_back():
    model, other = quantize(MODELS["bert"]()), quantize(MODELS["bert"]())
    for layer in other.modules():
        if isinstance(layer, Quantized):
            layer.int8_weight.data[...] = 0
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(scores(other.eval()), scores(model.eval()))
    assert "blocks.0.attention.qkv.int8_weight" in model.state_dict()


# In files


@EACH_MODEL
def test_saved_and_loaded_is_the_same(name, tmp_path):
    model = quantize(MODELS[name]().eval())
    for folder, options in (("one", {}), ("shards", {"max_shard_bytes": 20_000})):
        save_pretrained(model, tmp_path / folder, **options)
        again = load_pretrained(tmp_path / folder).model
        assert is_quantized(again)
        np.testing.assert_array_equal(scores(again), scores(model))
    file = tmp_path / "one" / "model.int8.safetensors"
    assert weight_bytes(model) < file.stat().st_size < 1.7 * weight_bytes(model)
    assert not list(tmp_path.glob("*/model.safetensors*"))  # that other programs would open
    assert len(list((tmp_path / "shards").glob("model.int8-*-of-*.safetensors"))) > 2


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_models_of_transformers_quantised(name, tmp_path):
    """BERT's matrix of queries, keys and values is three there, with their scales."""
    pretrained = load_pretrained(FOLDERS / name)
    save_pretrained(quantize(pretrained.model), tmp_path / "int8", pretrained.tokenizer, pretrained.pooling)
    again = load_pretrained(tmp_path / "int8")
    for parameter, other in zip(pretrained.model.parameters(), again.model.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.data, other.data)
    assert again.pooling == pretrained.pooling
    assert again.tokenizer.vocab_size == pretrained.tokenizer.vocab_size


def test_other_quantisations_and_lost_files_are_refused(tmp_path):
    save_pretrained(quantize(MODELS["llama"]()), tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(ValueError, match=r"quantization_config must be .*tinygrad_llm_int8.* no other quant"):
        load_pretrained(tmp_path / "model")
    del config["quantization_config"]
    path.write_text(json.dumps(config))
    with pytest.raises(FileNotFoundError, match=re.escape("holds no weights: model.safetensors or")):
        load_pretrained(tmp_path / "model")


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_half_precision_halves_the_file(dtype, digits, tmp_path):
    model = MODELS["gpt"]().eval()
    save_pretrained(model, tmp_path / "float32")
    save_pretrained(model, tmp_path / dtype, dtype=dtype, max_shard_bytes=10**9)
    sizes = [(tmp_path / each / "model.safetensors").stat().st_size for each in ("float32", dtype)]
    assert 0.5 <= sizes[1] / sizes[0] < 0.53
    again = load_pretrained(tmp_path / dtype).model
    for parameter, other in zip(model.parameters(), again.parameters(), strict=True):
        assert other.dtype == np.float32
        error = np.abs(parameter.data - other.data)
        assert (error <= np.maximum(np.abs(parameter.data) * 2.0**-digits, 2.0**-25)).all()
    save_pretrained(again, tmp_path / "again", dtype=dtype)
    files = [(tmp_path / each / "model.safetensors").read_bytes() for each in (dtype, "again")]
    assert files[0] == files[1]  # what is rounded is not rounded again
    assert json.loads((tmp_path / dtype / "config.json").read_text())["torch_dtype"] == dtype


@given(x=st.floats(width=32))
@example(x=1.00390625)  # half way: to the even one, below
@example(x=1.01171875)  # half way: to the even one, above
@example(x=3.4028234663852886e38)  # beyond the largest bfloat16 by more than half a step
@example(x=1e-45)
def test_bfloat16_is_the_nearest_and_of_two_the_even_one(x):
    bits = bfloat16_bits(np.array([x]))
    rounded = float(from_bfloat16(bits)[0])
    if not np.isfinite(x):
        assert np.isnan(rounded) if np.isnan(x) else rounded == x
        return
    below = int(np.float32(abs(x)).view(np.uint32)) >> 16
    candidates = [float(from_bfloat16(np.array([b], np.uint16))[0]) for b in (below, below + 1)]
    candidates[1] = min(candidates[1], 2.0**128)  # where infinity stands in the row of the numbers
    distances = [abs(abs(x) - each) for each in candidates]
    expected = below + (distances[1] < distances[0] or (distances[0] == distances[1] and below % 2))
    assert int(bits[0]) & 0x7FFF == expected
    assert np.signbit(rounded) == np.signbit(x)


def test_what_saving_as_halves_refuses(tmp_path):
    model = MODELS["gpt"]()
    with pytest.raises(ValueError, match="dtype must be one of float16, bfloat16, or None, not 'int4'"):
        save_pretrained(model, tmp_path / "model", dtype="int4")
    model.norm.weight.data[3] = 70_000
    with pytest.raises(ValueError, match=r"ln_f\.weight holds 70,000, which is beyond float16's largest number"):
        save_pretrained(model, tmp_path / "model", dtype="float16")
    assert not (tmp_path / "model").exists()
    save_pretrained(model, tmp_path / "model", dtype="bfloat16")
    with pytest.raises(ValueError, match="a quantised model has int8 weights, not float16"):
        save_pretrained(quantize(MODELS["gpt"]()), tmp_path / "other", dtype="float16")


@pytest.mark.compare
def test_transformers_opens_halves_and_refuses_int8(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    for name in ("gpt", "llama"):
        model = MODELS[name]().eval()
        for dtype in ("float16", "bfloat16"):
            save_pretrained(model, tmp_path / name / dtype, dtype=dtype)
            theirs = AutoModelForCausalLM.from_pretrained(tmp_path / name / dtype, dtype="auto")
            assert theirs.dtype == getattr(torch, dtype)
            ours = load_pretrained(tmp_path / name / dtype).model
            with torch.no_grad():
                logits = theirs.float()(torch.tensor(IDS)).logits.numpy()
            close(scores(ours), logits, 1e-4)
        save_pretrained(quantize(model), tmp_path / name / "int8")
        with pytest.raises(OSError, match=r"no file named.*model\.safetensors"):
            AutoModelForCausalLM.from_pretrained(tmp_path / name / "int8")


@pytest.mark.compare
def test_bfloat16_is_that_of_pytorch():
    import torch

    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    x = bits.view(np.float32)
    theirs = torch.from_numpy(x).bfloat16().view(torch.int16).numpy().view(np.uint16)
    number = ~np.isnan(x)
    np.testing.assert_array_equal(bfloat16_bits(x)[number], theirs[number])
    assert np.isnan(from_bfloat16(bfloat16_bits(x[~number]))).all()
