"""LoRA: corrections beside frozen layers, which alone learn; merged, unmerged, taken out, and named."""

import numpy as np
import pytest
from lora_models import BY_NAME, IDS, MODELS, adapted, outputs

from tinygrad_llm.autograd import Tensor
from tinygrad_llm.models import TextClassifier
from tinygrad_llm.nn import (
    Embedding,
    Linear,
    LoRALinear,
    add_lora,
    dequantize,
    lora_layers,
    lora_parameters,
    merge,
    num_trainable,
    quantize,
    remove_lora,
    unmerge,
    without_lora,
)
from tinygrad_llm.optim import AdamW
from tinygrad_llm.testing import gradcheck

# The layer


def test_forward_is_the_formula():
    rng = np.random.default_rng(0)
    layer = LoRALinear(Linear(6, 4, rng=rng).to("float64"), rank=2, alpha=5, rng=rng)
    layer.lora_b.data[...] = rng.standard_normal((4, 2))
    x = rng.standard_normal((3, 6))
    W, b, A, B = layer.base.weight.data, layer.base.bias.data, layer.lora_a.data, layer.lora_b.data
    assert A.dtype == np.float64
    np.testing.assert_allclose(layer(Tensor(x)).data, x @ W.T + b + 5 / 2 * (x @ A.T @ B.T), rtol=1e-12)
    np.testing.assert_allclose(layer.weight.data, W + 5 / 2 * B @ A, rtol=1e-12)


def test_gradients():
    rng = np.random.default_rng(0)
    layer = LoRALinear(Linear(5, 4, rng=rng).to("float64"), rank=2, alpha=3, rng=rng)
    layer.lora_b.data[...] = rng.standard_normal((4, 2))
    x = Tensor(rng.standard_normal((2, 3, 5)), requires_grad=True)
    parameters = layer.lora_a, layer.lora_b

    def corrected(x, a, b):
        layer.lora_a, layer.lora_b = a, b
        return layer(x)

    assert gradcheck(corrected, x, *parameters)
    layer.lora_a, layer.lora_b = parameters
    layer(x).sum().backward()
    assert layer.base.weight.grad is None
    assert layer.base.bias.grad is None


def test_start_is_pefts():
    layer = LoRALinear(Linear(64, 32, rng=np.random.default_rng(0)), rank=16, rng=np.random.default_rng(1))
    assert not layer.lora_b.data.any()
    assert np.abs(layer.lora_a.data).max() == pytest.approx(1 / 8, rel=0.01)
    assert layer.lora_a.data.std() == pytest.approx(1 / 8 / np.sqrt(3), rel=0.05)
    assert (layer.rank, layer.alpha, layer.scale) == (16, 16, 1)


def test_dropout_is_on_the_correction_alone_and_in_training():
    rng = np.random.default_rng(0)
    layer = LoRALinear(Linear(6, 4, rng=rng), rank=2, alpha=2, dropout=0.5, rng=np.random.default_rng(3))
    layer.lora_b.data[...] = 1
    x = rng.standard_normal((50, 6)).astype(np.float32)
    base = layer.base(Tensor(x)).data
    trained = layer.train()(Tensor(x)).data - base
    plain = layer.eval()(Tensor(x)).data - base
    np.testing.assert_allclose(plain, x @ layer.lora_a.data.T @ layer.lora_b.data.T, atol=1e-5)
    assert abs(trained - plain).max() > 0.01
    layer.dropout.p = 0.0
    np.testing.assert_allclose(layer.train()(Tensor(x)).data - base, plain, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"), [({"rank": 0}, "rank"), ({"alpha": 0}, "alpha"), ({"dropout": 2}, "dropout")]
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LoRALinear(Linear(2, 2), **settings)


def test_only_linear_layers_are_adapted():
    with pytest.raises(TypeError, match="not a Embedding"):
        LoRALinear(Embedding(3, 2))


# Models


@BY_NAME
def test_a_model_begins_as_it_was_and_only_corrections_learn(name):
    model, plain = MODELS[name](), MODELS[name]()
    names = add_lora(model, rank=2, rng=np.random.default_rng(1))
    assert names == list(lora_layers(model))
    assert len(names) == (14 if name == "llama" else 8)
    np.testing.assert_array_equal(outputs(model), outputs(plain))
    assert num_trainable(model) == sum(p.data.size for p in lora_parameters(model)) < 0.5 * model.num_parameters()
    frozen = {key: array.copy() for key, array in model.state_dict().items()}
    optimizer = AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(10):
        loss = model.train().loss(IDS, IDS)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = {key for key, array in model.state_dict().items() if not np.array_equal(array, frozen[key])}
    assert changed == {f"{each}.{part}" for each in names for part in ("lora_a", "lora_b")}
    with without_lora(model):
        np.testing.assert_array_equal(outputs(model), outputs(plain))
    assert abs(outputs(model) - outputs(plain)).max() > 0.01


@BY_NAME
def test_merged_is_the_same_and_unmerged_the_very_same(name):
    model = adapted(name, targets=("blocks.*", "head") if name == "llama" else "blocks.*")
    weights = {key: layer.base.weight.data.copy() for key, layer in lora_layers(model).items()}
    expected = outputs(model)
    merge(merge(model))
    assert all(layer.merged for layer in lora_layers(model).values())
    np.testing.assert_allclose(outputs(model), expected, atol=1e-5)
    unmerge(model)
    np.testing.assert_array_equal(outputs(model), expected)
    for key, layer in lora_layers(model).items():
        np.testing.assert_array_equal(layer.base.weight.data, weights[key], err_msg=key)


@BY_NAME
def test_taken_out_it_is_a_plain_model_again(name):
    model, plain = adapted(name), MODELS[name]()
    expected = outputs(model)
    remove_lora(merge(model))
    assert list(model.state_dict()) == list(plain.state_dict())
    np.testing.assert_allclose(outputs(model), expected, atol=1e-5)
    again = remove_lora(adapted(name))
    np.testing.assert_array_equal(outputs(again), outputs(plain))


def test_llamas_head_is_adapted_though_it_is_never_called():
    model, plain = adapted("llama", targets="head"), MODELS["llama"]()
    assert abs(outputs(model) - outputs(plain)).max() > 0.01
    model.loss(IDS, IDS).backward()
    assert all(parameter.grad is not None for parameter in lora_parameters(model))
    dropping = adapted("llama", targets="head", dropout=0.1).train()
    with pytest.raises(RuntimeError, match="give it dropout=0"):
        dropping.loss(IDS, IDS)


def test_recomputed_activations_drop_the_same():
    gradients = []
    for checkpointed in (False, True):
        model = adapted("gpt2", dropout=0.3).train()
        model.checkpoint_activations = checkpointed
        model.loss(IDS, IDS).backward()
        gradients.append([parameter.grad.data for parameter in lora_parameters(model)])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("targets", "n"), [("qkv", 2), ("attention.out", 2), (("qkv", "up"), 4), ("blocks.1.*", 4), ("*.feed_forward.*", 4)]
)
def test_layers_are_named_by_ends_and_patterns(targets, n):
    model = MODELS["gpt2"]()
    assert len(add_lora(model, targets=targets)) == n == len(lora_layers(model))


def test_names_that_mean_nothing_are_told_with_those_that_do():
    model = MODELS["gpt2"]()
    with pytest.raises(ValueError, match=r"no linear layer of GPT is called 'q_proj'; there are qkv, out, up, down"):
        add_lora(model, targets=("qkv", "q_proj"))
    assert lora_layers(model) == {}
    assert num_trainable(model) == model.num_parameters()


def test_adapters_are_added_once_and_needed_to_be_merged():
    model = MODELS["gpt2"]()
    for function in (merge, unmerge, remove_lora):
        with pytest.raises(ValueError, match="has no adapters"):
            function(model)
    with pytest.raises(ValueError, match="has no adapters"), without_lora(model):
        pass
    add_lora(model)
    with pytest.raises(ValueError, match="has adapters already"):
        add_lora(model)
    merge(model)
    with pytest.raises(ValueError, match="unmerge them first"), without_lora(model):
        pass


def test_beside_bytes_as_in_qlora():
    model = quantize(MODELS["gpt2"]())
    rng = np.random.default_rng(1)
    before = outputs(model)
    add_lora(model, 3, 6, rng=rng)
    np.testing.assert_array_equal(outputs(model), before)
    for parameter in lora_parameters(model):
        parameter.data[...] = 0.2 * rng.standard_normal(parameter.shape)
    model.loss(IDS, IDS).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        f"{name}.{part}" for name in lora_layers(model) for part in ("lora_a", "lora_b")
    }
    expected = outputs(model)
    with pytest.raises(ValueError, match="dequantize"):
        merge(model)
    np.testing.assert_array_equal(outputs(model), expected)
    floats = dequantize(model)
    np.testing.assert_allclose(outputs(floats), expected, atol=1e-4)
    expected = outputs(floats)
    np.testing.assert_allclose(outputs(merge(floats)), expected, atol=1e-5)


def test_a_new_head_is_trained_along():
    classifier = TextClassifier(MODELS["bert"](), 3, rng=np.random.default_rng(0))
    add_lora(classifier.base, rank=2)
    classifier.loss(IDS, np.ones_like(IDS), None, np.array([0, 2])).backward()
    trained = {name for name, p in classifier.named_parameters() if p.grad is not None}
    assert {"head.weight", "head.bias"} < trained
    assert all(name.startswith("head.") or "lora_" in name for name in trained)
