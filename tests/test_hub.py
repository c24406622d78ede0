"""Folders in Hugging Face's layout: three that transformers wrote (golden/make_hub_golden.py), and our own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.hub import Pooling, load_pretrained, save_pretrained
from tinygrad_llm.hub.names import FAMILIES, entries
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import LinearScaling, Llama3Scaling
from tinygrad_llm.text import BPETokenizer, CharTokenizer, WordPieceTokenizer

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"
with np.load(Path(__file__).parent / "golden" / "hub.npz") as file:
    GOLDEN = dict(file)
BY_NAME = pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])


def golden(name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{name}/"): value for key, value in GOLDEN.items() if key.startswith(f"{name}/")}


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@BY_NAME
def test_logits_loss_and_gradients_are_those_of_transformers(name):
    expected, model = golden(name), load_pretrained(FOLDERS / name).model.to("float64")
    ids, mask, targets = expected["ids"], expected["attention_mask"], expected["targets"]
    if name == "bert":
        hidden, seen = model(ids, mask), mask.astype(bool)
        close(hidden.data[seen], expected["hidden"][seen])
        close(model.pooled(hidden).data, expected["pooled"])
        close(model.masked_lm_logits(hidden).data[seen], expected["logits"][seen])
        loss = model.loss(ids, targets, mask)
    else:
        close(model.hidden(ids).data, expected["hidden"])
        close(model(ids).data, expected["logits"])
        loss = model.loss(ids, targets)
    assert loss.item() == pytest.approx(float(expected["loss"]), rel=1e-6)
    loss.backward()
    parameters = dict(model.named_parameters())
    for entry in entries(FAMILIES[name], model):
        if entry.ours.startswith("pooler."):
            continue  # no part of this loss
        theirs = [expected[f"grad/{their_name}"] for their_name in entry.theirs]
        close(parameters[entry.ours].grad.data, entry.join(theirs), 1e-5)


def test_golden_gradients_are_all_compared():
    for name in ("gpt2", "bert", "llama"):
        model = load_pretrained(FOLDERS / name).model
        theirs = {their_name for entry in entries(FAMILIES[name], model) for their_name in entry.theirs}
        assert {key.removeprefix("grad/") for key in golden(name) if key.startswith("grad/")} <= theirs


@BY_NAME
def test_tokenizer_of_the_folder(name):
    pretrained, expected = load_pretrained(FOLDERS / name), golden(name)
    kind = WordPieceTokenizer if name == "bert" else BPETokenizer
    assert type(pretrained.tokenizer) is kind
    assert list(pretrained.tokenizer.encode(str(expected["text"]))) == expected["text_ids"].tolist()
    assert pretrained.tokenizer.vocab_size == pretrained.model.config.vocab_size


def test_what_the_folders_are():
    bert = load_pretrained(FOLDERS / "bert")
    assert (bert.model.config.pooler, bert.model.config.masked_lm) == (True, True)
    assert bert.pooling == Pooling("mean", normalize=True, max_seq_len=32)
    assert not bert.model.training
    assert load_pretrained(FOLDERS / "gpt2").pooling is None
    assert load_pretrained(FOLDERS / "llama").model.config.rope_scaling == Llama3Scaling(4.0, 1.0, 4.0, 16)
    assert {p.dtype for p in bert.model.parameters()} == {np.dtype("float32")}


@BY_NAME
def test_saved_and_loaded_is_the_same(name, tmp_path):
    first = load_pretrained(FOLDERS / name)
    save_pretrained(first.model, tmp_path / "copy", first.tokenizer, first.pooling)
    again = load_pretrained(tmp_path / "copy")
    assert again.model.config == first.model.config
    assert again.pooling == first.pooling
    assert again.tokenizer.encode("Return 1 + 2") == first.tokenizer.encode("Return 1 + 2")
    assert_same_weights(again.model, first.model)


def assert_same_weights(a, b):
    mine, other = dict(a.named_parameters()), dict(b.named_parameters())
    assert set(mine) == set(other)
    for parameter, wanted in ((mine[name], other[name]) for name in mine):
        np.testing.assert_array_equal(parameter.data, wanted.data)


SMALL_BERT = BERTConfig(40, max_seq_len=16, n_layers=1, n_heads=2, d_model=8, d_ff=12)
SMALL_LLAMA = LlamaConfig(40, max_seq_len=16, n_layers=1, n_heads=4, n_kv_heads=2, d_model=16, d_ff=12)
OURS = {
    "gpt": (GPT, GPTConfig(40, max_seq_len=16, n_layers=2, n_heads=2, d_model=8, dropout=0.0)),
    "bert": (BERT, SMALL_BERT),
    "bert with a pooler": (BERT, replace(SMALL_BERT, pooler=True)),
    "bert with a pooler only": (BERT, replace(SMALL_BERT, pooler=True, masked_lm=False)),
    "bert alone": (BERT, replace(SMALL_BERT, masked_lm=False)),
    "llama": (Llama, SMALL_LLAMA),
    "untied llama": (Llama, replace(SMALL_LLAMA, tie_weights=False, rope_scaling=LinearScaling(2.0))),
    "llama 3": (Llama, replace(SMALL_LLAMA, rope_scaling=Llama3Scaling(8.0, 1.0, 4.0, 64))),
}


@pytest.mark.parametrize("max_shard_bytes", [10**9, 1000], ids=["one file", "shards"])
@pytest.mark.parametrize("case", OURS)
def test_our_models_come_back(case, max_shard_bytes, tmp_path):
    kind, config = OURS[case]
    model = kind(config, np.random.default_rng(0))
    save_pretrained(model, tmp_path / "model", max_shard_bytes=max_shard_bytes)
    assert (tmp_path / "model" / "model.safetensors").exists() == (max_shard_bytes > 1000)
    again = load_pretrained(tmp_path / "model").model
    assert again.config == config
    assert_same_weights(again, model)


def test_a_gpt_without_biases_gets_some_of_zero(tmp_path):
    model = GPT(replace(OURS["gpt"][1], bias=False), np.random.default_rng(0))
    save_pretrained(model, tmp_path / "model")
    again = load_pretrained(tmp_path / "model").model
    assert again.config == replace(model.config, bias=True)
    ids = np.arange(12).reshape(2, 6)
    close(again(ids).data, model(ids).data)
    assert np.abs(model(ids).data).max() > 0.01


@pytest.mark.parametrize("mode", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_comes_back(mode, normalize, tmp_path):
    pooling = Pooling(mode, normalize, max_seq_len=10)
    save_pretrained(BERT(SMALL_BERT), tmp_path / "model", pooling=pooling)
    assert load_pretrained(tmp_path / "model").pooling == pooling


def test_a_tokenizer_of_characters_is_kept_too(tmp_path):
    tokenizer = CharTokenizer.train("abc" * 20)
    save_pretrained(GPT(OURS["gpt"][1]), tmp_path / "model", tokenizer)
    assert load_pretrained(tmp_path / "model").tokenizer.encode("cab") == tokenizer.encode("cab")


def test_dropout_and_its_generator_are_the_callers(tmp_path):
    save_pretrained(BERT(SMALL_BERT), tmp_path / "model")
    model = load_pretrained(tmp_path / "model", dropout=0.3, rng=np.random.default_rng(5)).model
    assert model.config.dropout == 0.3
    ids = np.arange(8)[None]
    first = model.train()(ids).data
    again = load_pretrained(tmp_path / "model", dropout=0.3, rng=np.random.default_rng(5)).model.train()(ids).data
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - model.eval()(ids).data).max() > 1e-3


@BY_NAME
def test_the_lessons_reference_is_a_part_of_the_golden_one(name):
    with np.load(FOLDERS / "reference.npz") as file:
        ids, found = file[f"{name}/ids"], file[f"{name}/expected"]
    expected = golden(name)
    np.testing.assert_array_equal(ids, expected["ids"])
    seen = expected["attention_mask"].astype(bool)
    close(found, expected["hidden"][seen] if name == "bert" else expected["logits"][:, -1])
