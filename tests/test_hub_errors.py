"""What load_pretrained and save_pretrained refuse, each with one sentence that tells what to do."""

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tinygrad_llm.hub import Pooling, load_pretrained, save_pretrained
from tinygrad_llm.models import BERT, BERTConfig
from tinygrad_llm.nn import Linear

FOLDERS = Path(__file__).parents[1] / "lessons" / "pretrained"


@pytest.fixture(params=["gpt2", "bert", "llama"])
def folder(request, tmp_path):
    return copy(request.param, tmp_path)


def copy(name, tmp_path):
    shutil.copytree(FOLDERS / name, tmp_path / name)
    return tmp_path / name


def change(path: Path, **changes):
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | changes), encoding="utf-8")


def change_weights(folder: Path, change):
    arrays = load_file(folder / "model.safetensors")
    change(arrays)
    save_file(arrays, folder / "model.safetensors")


def refused(folder, match, error=ValueError):
    with pytest.raises(error, match=match):
        load_pretrained(folder)


def test_no_folder(tmp_path):
    refused(tmp_path / "nothing", r"config\.json' is missing: give the folder of a model", FileNotFoundError)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"model_type": ["gpt2"]}'])
def test_broken_config(tmp_path, raw):
    folder = copy("gpt2", tmp_path)
    (folder / "config.json").write_bytes(raw)
    with pytest.raises(ValueError, match=r"config\.json"):
        load_pretrained(folder)


def test_one_error_lists_all_that_does_not_fit(tmp_path):
    folder = copy("gpt2", tmp_path)

    def spoil(arrays):
        arrays["transformer.h.0.ln_7.weight"] = arrays.pop("transformer.h.0.ln_1.weight")
        arrays["transformer.h.1.mlp.c_fc.weight"] = arrays["transformer.h.1.mlp.c_fc.weight"][:, :-1].copy()
        arrays["transformer.wpe.weight"] = arrays["transformer.wpe.weight"].T.copy()

    change_weights(folder, spoil)
    refused(
        folder,
        r"model\.safetensors does not hold the gpt2 of its config\.json; missing: transformer\.h\.0\.ln_1\.weight; "
        r"unexpected: transformer\.h\.0\.ln_7\.weight; wrong shape: transformer\.wpe\.weight \(32, 64\) instead of "
        r"\(64, 32\), transformer\.h\.1\.mlp\.c_fc\.weight \(32, 127\) instead of \(32, 128\)$",
    )


def test_half_a_head_is_missing_the_other_half(tmp_path):
    folder = copy("bert", tmp_path)
    change_weights(folder, lambda arrays: arrays.pop("bert.pooler.dense.bias"))
    refused(folder, r"missing: bert\.pooler\.dense\.bias$")


def test_old_names_second_copies_and_what_is_no_weight(tmp_path):
    folder = copy("bert", tmp_path)
    expected = load_pretrained(folder).model.state_dict()

    def age(arrays):
        for name in [name for name in arrays if "LayerNorm" in name]:
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            arrays[old] = arrays.pop(name)
        arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"].copy()
        arrays["bert.embeddings.position_ids"] = np.arange(64)[None]

    change_weights(folder, age)
    found = load_pretrained(folder).model.state_dict()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    change_weights(folder, lambda arrays: arrays["cls.predictions.decoder.weight"].__imul__(2))
    refused(folder, r"cls\.predictions\.decoder\.weight differs from bert\.embeddings\.word_embeddings\.weight")


def test_a_pickle_is_never_opened(tmp_path):
    folder = copy("gpt2", tmp_path)
    (folder / "model.safetensors").unlink()
    refused(
        folder, r"holds no weights: model\.safetensors or model\.safetensors\.index\.json is missing", FileNotFoundError
    )
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    refused(folder, r"holds pytorch_model\.bin, which is a pickle.*save_pretrained\(other\) writes model\.safetensors$")
    assert not Path("hacked").exists()


def test_cut_at_any_place(tmp_path):
    folder = copy("gpt2", tmp_path)
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    for size in [0, 1, 7, 8, 9, *range(50, len(raw), len(raw) // 10), len(raw) - 1]:
        path.write_bytes(raw[:size])
        refused(folder, r"model\.safetensors' is no complete safetensors file .*: get it again$")


def test_a_header_longer_than_the_file(tmp_path):
    folder = copy("gpt2", tmp_path)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    refused(folder, "no complete safetensors file")


@pytest.mark.parametrize("target", ["../bert/model.safetensors", "/etc/passwd", 3, None, "", ".."])
def test_shards_stay_in_the_folder(tmp_path, target):
    folder = copy("llama", tmp_path)
    path = folder / "model.safetensors.index.json"
    weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    change(path, weight_map=weight_map | {"model.norm.weight": target})
    refused(folder, r"index\.json is damaged: .* is no name of a safetensors file beside it")


def test_shards_that_lack_something(tmp_path):
    folder = copy("llama", tmp_path)
    path = folder / "model.safetensors.index.json"
    weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    change(path, weight_map=weight_map | {"model.extra": weight_map["model.norm.weight"]})
    refused(folder, r"tells of tensors that are not in its files: model\.extra$")
    change(path, weight_map={})
    refused(folder, "its weight_map should tell the file of each tensor")
    change(path, weight_map=weight_map)
    shard = folder / weight_map["model.norm.weight"]
    shard.unlink()
    refused(folder, f"{shard.name}' is missing", FileNotFoundError)


def test_weights_of_other_types(tmp_path):
    folder = copy("gpt2", tmp_path)

    def spoil(arrays):
        arrays["transformer.ln_f.bias"] = np.zeros(32, np.complex64)

    change_weights(folder, spoil)
    refused(folder, r"transformer\.ln_f\.bias is of type C64, but weights of BF16, F16, F32, F64 are read here")


@pytest.mark.parametrize(
    ("name", "changes", "match"),
    [
        ("gpt2", {"model_type": "mamba"}, "model_type must be one of gpt2, bert, llama, not 'mamba'"),
        ("gpt2", {"n_layer": "2"}, "n_layer must be an integer of at least 1, not '2'"),
        ("gpt2", {"n_layer": True}, "n_layer must be an integer"),
        ("gpt2", {"n_layer": 10**9}, "1,000,000,000 layers, which is more than there are weights"),
        ("gpt2", {"vocab_size": 10**30}, "config.json"),
        ("gpt2", {"n_positions": 10**11}, "tells of a model of 3"),
        ("gpt2", {"n_head": 5}, "n_heads must divide d_model, but 32 / 5"),
        ("gpt2", {"n_inner": 100}, "n_inner must be 128, the only choice here, not 100"),
        ("gpt2", {"activation_function": "relu"}, "activation_function must be 'gelu_new' or 'gelu_pytorch_tanh'"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx must be False"),
        ("gpt2", {"tie_word_embeddings": False}, "tie_word_embeddings must be True"),
        ("gpt2", {"layer_norm_epsilon": "x"}, "layer_norm_epsilon must be a number, not 'x'"),
        ("gpt2", {"attn_pdrop": 0.3}, r"several dropout rates \(resid_pdrop 0\.1.*attn_pdrop 0\.3\): load_pretrained"),
        ("bert", {"hidden_act": "gelu_new"}, "hidden_act must be 'gelu', the only choice here"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type must be 'absolute'"),
        ("bert", {"is_decoder": True}, "is_decoder must be False"),
        ("bert", {"type_vocab_size": 0}, "type_vocab_size must be an integer of at least 1"),
        ("llama", {"head_dim": 16}, "head_dim must be hidden_size / num_attention_heads = 8, as in Llama 3.1, not 16"),
        ("llama", {"attention_bias": True}, "attention_bias must be False"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act must be 'silu'"),
        ("llama", {"max_position_embeddings": 10**12}, "max_position_embeddings must be at most 16,777,216"),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "rope_type must be 'default', 'linear' or 'llama3'"),
        ("llama", {"rope_parameters": {"rope_type": "linear"}}, "factor must be a number, not None"),
        ("llama", {"rope_parameters": 5}, "rope_parameters must be an object, not 5"),
        ("llama", {"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false, not 'no'"),
        ("llama", {"tie_word_embeddings": True}, "lm_head.weight differs from model.embed_tokens.weight"),
        ("llama", {"num_key_value_heads": 3}, "n_kv_heads must divide n_heads"),
    ],
)
def test_settings_that_would_not_be_followed(tmp_path, name, changes, match):
    folder = copy(name, tmp_path)
    change(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=match) as caught:
        load_pretrained(folder)
    assert "config.json" in str(caught.value)


def test_rope_settings_of_old_transformers(tmp_path):
    folder = copy("llama", tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rope = config.pop("rope_parameters")
    theta = rope.pop("rope_theta")
    expected = load_pretrained(folder).model.config
    for key in ("rope_type", "type"):
        old = config | {
            "rope_theta": theta,
            "rope_scaling": {key: rope["rope_type"], **rope} if key == "type" else rope,
        }
        (folder / "config.json").write_text(json.dumps(old), encoding="utf-8")
        assert load_pretrained(folder).model.config == expected


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("modules.json", {}, "should hold a JSON list, not a dict"),
        ("modules.json", [1], "each step needs a type, and a folder beside it as its path"),
        ("modules.json", [{"type": "a.Transformer", "path": ""}], "not Transformer$"),
        ("modules.json", [{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": "../x"}], "each step needs"),
        ("1_Pooling/config.json", {"pooling_mode_lasttoken": True}, "the pooling must be one of mean, cls, max, not"),
        ("1_Pooling/config.json", {"pooling_mode": "weighted"}, "the pooling must be one of mean, cls, max"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            "the pooling must be one of",
        ),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length must be an integer of at least 2"),
    ],
)
def test_poolings_that_would_not_be_followed(tmp_path, file, content, match):
    folder = copy("bert", tmp_path)
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    refused(folder, match)


def test_a_folder_without_a_tokenizer(tmp_path):
    folder = copy("bert", tmp_path)
    (folder / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        load_pretrained(folder).tokenizer  # noqa: B018


def test_dropout_of_a_llama(tmp_path):
    with pytest.raises(ValueError, match=r"has no dropout: leave dropout=0\.1 out"):
        load_pretrained(FOLDERS / "llama", dropout=0.1)


def test_what_is_saved_where(tmp_path):
    model = BERT(BERTConfig(20, max_seq_len=8, n_layers=1, n_heads=2, d_model=8, d_ff=8))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match=r"full' exists and is not empty: choose another folder"):
        save_pretrained(model, tmp_path / "full")
    assert os.listdir(tmp_path / "full") == ["mine.txt"]
    with pytest.raises(TypeError, match="save_pretrained writes a GPT, BERT or Llama, not a Linear"):
        save_pretrained(Linear(2, 2), tmp_path / "linear")
    with pytest.raises(ValueError, match="Pooling: mode must be one of mean, cls, max, not 'sum'"):
        Pooling("sum")


def test_nothing_is_left_of_a_folder_that_could_not_be_written(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinygrad_llm.hub.pretrained.write_weights", fail)
    model = BERT(BERTConfig(20, max_seq_len=8, n_layers=1, n_heads=2, d_model=8, d_ff=8))
    with pytest.raises(OSError, match="No space left"):
        save_pretrained(model, tmp_path / "model")
    assert os.listdir(tmp_path) == []
