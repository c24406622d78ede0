"""Adapters to and from PEFT itself: the same results on both sides. Needs PyTorch, transformers and peft."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.hub import load_pretrained, save_pretrained
from tinygrad_llm.hub.adapters import load_adapter, save_adapter
from tinygrad_llm.models import BERT
from tinygrad_llm.nn import add_lora, lora_parameters

pytestmark = pytest.mark.compare

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"
IDS = np.random.default_rng(0).integers(5, 300, (2, 9))
THEIRS = {  # its class, layers to adapt here, and there
    "gpt2": ("GPT2LMHeadModel", ("qkv", "down"), ["c_attn", "mlp.c_proj"]),
    "bert": ("BertForMaskedLM", ("qkv", "out", "masked_lm_head.dense"), ["query", "value", "attention.output.dense"]),
    "llama": ("LlamaForCausalLM", ("query", "value", "gate", "head"), ["q_proj", "v_proj", "down_proj"]),
}
BY_NAME = pytest.mark.parametrize("name", THEIRS)


@pytest.fixture(scope="module")
def torch():
    import torch

    torch.manual_seed(0)
    return torch


@pytest.fixture(scope="module")
def peft():
    import peft

    return peft


def their_model(name, torch):
    import transformers

    return getattr(transformers, THEIRS[name][0]).from_pretrained(FOLDERS / name, dtype=torch.float32).eval()


def their_logits(model, torch):
    with torch.no_grad():
        return model(torch.tensor(IDS)).logits.numpy()


def our_logits(model):
    return model.masked_lm_logits(model(IDS)).data if isinstance(model, BERT) else model(IDS).data


def assert_same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@BY_NAME
@pytest.mark.parametrize("targets", ["blocks.*", "blocks.1.*", None])
def test_what_we_save_opens_there(name, targets, torch, peft, tmp_path):
    model, rng = load_pretrained(FOLDERS / name).model, np.random.default_rng(1)
    add_lora(model, 4, 12, targets=targets or THEIRS[name][1], rng=rng)
    for parameter in lora_parameters(model):
        parameter.data[...] = 0.2 * rng.standard_normal(parameter.shape)
    save_adapter(model, tmp_path / "ours", name)
    base = their_model(name, torch)
    plain = their_logits(base, torch)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "ours").eval()
    expected = their_logits(theirs, torch)
    assert abs(expected - plain).max() > 0.05
    assert_same(our_logits(model), expected)
    assert_same(their_logits(theirs.merge_and_unload(), torch), expected)


@BY_NAME
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"alpha_pattern": "first"}, {"rank_pattern": "first"}])
def test_what_they_save_opens_here_and_there_again(name, settings, torch, peft, tmp_path):
    modules = THEIRS[name][2]
    settings = {key: {modules[0]: 7} if value == "first" else value for key, value in settings.items()}
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=modules, init_lora_weights=False, **settings)
    theirs = peft.get_peft_model(their_model(name, torch), config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    model = load_pretrained(FOLDERS / name).model
    load_adapter(model, tmp_path / "theirs")
    expected = their_logits(theirs, torch)
    assert_same(our_logits(model), expected)
    save_adapter(model, tmp_path / "again")
    again = peft.PeftModel.from_pretrained(their_model(name, torch), tmp_path / "again").eval()
    assert_same(their_logits(again, torch), expected)


def test_an_adapter_of_a_bert_without_a_head(torch, peft, tmp_path):
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    theirs = transformers.BertModel(transformers.BertConfig(vocab_size=60, max_position_embeddings=16, **sizes)).eval()
    theirs.save_pretrained(tmp_path / "base")
    model = load_pretrained(tmp_path / "base").model
    add_lora(model, 2, rng=np.random.default_rng(0))
    for parameter in lora_parameters(model):
        parameter.data[...] = np.random.default_rng(1).standard_normal(parameter.shape)
    save_adapter(model, tmp_path / "adapter")
    adapted = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = adapted(torch.tensor(IDS % 60)).last_hidden_state.numpy()
    assert_same(model(IDS % 60).data, expected)
    config = peft.LoraConfig(r=3, target_modules=["key"], init_lora_weights=False)
    other = peft.get_peft_model(transformers.BertModel.from_pretrained(tmp_path / "base"), config).eval()
    other.save_pretrained(tmp_path / "other")
    model = load_pretrained(tmp_path / "base").model
    assert load_adapter(model, tmp_path / "other") == ["blocks.0.attention.qkv", "blocks.1.attention.qkv"]
    with torch.no_grad():
        assert_same(model(IDS % 60).data, other(torch.tensor(IDS % 60)).last_hidden_state.numpy())


def test_a_gpt_without_biases_takes_adapters_too(torch, peft, tmp_path):
    import transformers

    from tinygrad_llm.models import GPT, GPTConfig

    model = GPT(GPTConfig(300, 16, 2, 2, 16, 0.0, bias=False), np.random.default_rng(0))
    save_pretrained(model, tmp_path / "base")
    add_lora(model, 2, rng=np.random.default_rng(0))
    for parameter in lora_parameters(model):
        parameter.data[...] = np.random.default_rng(1).standard_normal(parameter.shape)
    save_adapter(model, tmp_path / "adapter")
    base = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "base").eval()
    assert_same(
        our_logits(model), their_logits(peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval(), torch)
    )
