"""Adapters on disk, in PEFT's layout: what PEFT wrote (golden/make_lora_golden.py), our own, and broken ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from lora_models import BY_NAME, MODELS, adapted, outputs
from safetensors.numpy import load_file, save_file

from tinygrad_llm.hub import load_pretrained
from tinygrad_llm.hub.adapters import load_adapter, save_adapter
from tinygrad_llm.hub.names import FAMILIES
from tinygrad_llm.nn import Linear, lora_layers, merge, num_trainable

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"
with np.load(Path(__file__).parent / "golden" / "lora.npz") as file:
    GOLDEN = dict(file)


def golden(name, folder):
    """PEFT's adapter in a folder, and what it makes of the model."""
    case = {key.removeprefix(f"{name}/"): value for key, value in GOLDEN.items() if key.startswith(f"{name}/")}
    (folder / "adapter_config.json").write_text(str(case["config"]), encoding="utf-8")
    tensors = {key.removeprefix("tensor/"): value for key, value in case.items() if key.startswith("tensor/")}
    save_file(tensors, folder / "adapter_model.safetensors")
    return case


@BY_NAME
def test_what_peft_wrote_gives_its_results(name, tmp_path):
    case, model = golden(name, tmp_path), load_pretrained(FOLDERS / name).model
    names = load_adapter(model, tmp_path)
    assert set(names) == set(lora_layers(model))
    model.to("float64")
    np.testing.assert_allclose(outputs(model, case["ids"]), case["logits"], rtol=1e-6, atol=1e-6)
    loss = model.loss(case["ids"], case["targets"])
    assert loss.item() == pytest.approx(float(case["loss"]), rel=1e-7)
    loss.backward()
    assert_gradients(case, FAMILIES[name], model)
    np.testing.assert_allclose(outputs(merge(model), case["ids"]), case["logits"], rtol=1e-6, atol=1e-6)


def assert_gradients(case, family, model):
    """Ours of each A and B, where theirs are; of several layers of theirs in one, in their places."""
    compared = 0
    for name, layer in lora_layers(model).items():
        theirs = family.names[name.replace("blocks.0.", "blocks.*.").replace("blocks.1.", "blocks.*.")]
        height, row = len(layer.lora_b.data) // len(theirs), 0
        for part, module in enumerate(theirs):
            key = f"grad/base_model.model.{module.replace('*', name.split('.')[1])}"
            if f"{key}.lora_A.weight" not in case:
                continue
            a, b = case[f"{key}.lora_A.weight"], case[f"{key}.lora_B.weight"]
            rank = slice(row, row + len(a))
            np.testing.assert_allclose(layer.lora_a.grad.data[rank], a, rtol=1e-4, atol=1e-7)
            ours = layer.lora_b.grad.data[part * height : (part + 1) * height, rank]
            np.testing.assert_allclose(ours, b, rtol=1e-4, atol=1e-7)
            row += len(a)
            compared += 1
    assert compared == sum(key.startswith("grad/") for key in case) / 2


@BY_NAME
@pytest.mark.parametrize(
    "settings", [{}, {"targets": ("blocks.1.*",)}, {"targets": ("out",), "rank": 1, "dropout": 0.2}]
)
def test_saved_and_loaded_again(name, settings, tmp_path):
    model, again = adapted(name, **settings), MODELS[name]()
    expected = outputs(model)
    save_adapter(model, tmp_path / "adapter", "my-base")
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    load_adapter(again, tmp_path / "adapter")
    np.testing.assert_array_equal(outputs(again), expected)
    for name_, layer in lora_layers(model).items():
        other = lora_layers(again)[name_]
        assert (other.rank, other.alpha, other.dropout.p) == (layer.rank, layer.alpha, layer.dropout.p)
        assert other.dropout.rng is getattr(again, "rng", None)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["peft_type"], config["base_model_name_or_path"]) == ("LORA", "my-base")
    assert config["fan_in_fan_out"] is (name == "gpt2")


def test_layers_of_several_ranks_are_told_apart(tmp_path):
    case, model = golden("bert", tmp_path), load_pretrained(FOLDERS / "bert").model
    load_adapter(model, tmp_path)
    assert {layer.rank for layer in lora_layers(model).values()} == {3, 6}
    save_adapter(model, tmp_path / "again")
    config = json.loads((tmp_path / "again" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["r"] == 6
    assert set(config["rank_pattern"].values()) == {3}
    other = load_pretrained(FOLDERS / "bert").model
    load_adapter(other, tmp_path / "again")
    np.testing.assert_array_equal(outputs(other, case["ids"]), outputs(model, case["ids"]))


def changed(tensors, **new):
    return {key: value for key, value in (tensors | new).items() if value is not None}


C_ATTN = "base_model.model.transformer.h.0.attn.c_attn"
BROKEN = {
    "method": ({"peft_type": "IA3"}, {}, "peft_type must be 'LORA'"),
    "dora": ({"use_dora": True}, {}, "use_dora must be False"),
    "biases": ({"bias": "all"}, {}, "bias must be 'none'"),
    "start": ({"init_lora_weights": "pissa"}, {}, "init_lora_weights"),
    "modules": ({"modules_to_save": ["lm_head"]}, {}, "modules_to_save must be left out"),
    "alpha": ({"lora_alpha": 0}, {}, "lora_alpha must be above 0"),
    "pattern": ({"alpha_pattern": {"(a+)+b": 3}}, {}, "alpha_pattern must be"),
    "half": ({}, {f"{C_ATTN}.lora_B.weight": None}, "no pair of lora_A and lora_B"),
    "other": ({}, {"base_model.model.x.weight": np.zeros(1, np.float32)}, "no pair of lora_A and lora_B"),
    "shape": ({}, {f"{C_ATTN}.lora_A.weight": np.zeros((3, 5), np.float32)}, "another size"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_adapters_that_do_not_fit_are_refused(what, tmp_path):
    golden("gpt2", tmp_path)
    settings, tensors, message = BROKEN[what]
    path, weights = tmp_path / "adapter_config.json", tmp_path / "adapter_model.safetensors"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings), encoding="utf-8")
    save_file(changed(load_file(weights), **tensors), weights)
    model = load_pretrained(FOLDERS / "gpt2").model
    with pytest.raises(ValueError, match=message):
        load_adapter(model, tmp_path)
    assert lora_layers(model) == {}
    assert num_trainable(model) == model.num_parameters()


def test_adapters_of_another_model_and_none_are_refused(tmp_path):
    golden("gpt2", tmp_path)
    with pytest.raises(ValueError, match="does not fit this Llama"):
        load_adapter(MODELS["llama"](), tmp_path)
    with pytest.raises(ValueError, match="has no adapters"):
        save_adapter(MODELS["llama"](), tmp_path / "new")
    with pytest.raises(ValueError, match="has adapters already"):
        load_adapter(adapted("gpt2"), tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(FileNotFoundError, match="is a pickle"):
        load_adapter(MODELS["gpt2"](), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json"):
        load_adapter(MODELS["gpt2"](), tmp_path / "nowhere")
    with pytest.raises(TypeError, match="not a Linear"):
        save_adapter(Linear(2, 2), tmp_path / "new")
