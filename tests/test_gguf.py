"""GGUF files: every kind of weight against the specification, a whole Llama in and out, and what is refused."""

import contextlib
import struct

import numpy as np
import pytest
from cli_runs import call
from gguf_files import CHATML, SPECIAL, decode, encode, settings_of, tensors_of, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.hub import chat_template_of, load_pretrained, save_pretrained
from tinygrad_llm.hub.gguf import Blocks, GGUFFile
from tinygrad_llm.models import Llama, LlamaConfig
from tinygrad_llm.nn import BlockEmbedding, BlockLinear, add_lora, dequantize, weight_bytes
from tinygrad_llm.ops.block_linear import pack_blocks
from tinygrad_llm.text import BPETokenizer

TEXT = "In 1984 the answer was 42, not 1,024. The end of the text, and of the others. " * 8


@pytest.fixture(scope="module")
def tokenizer():
    trained = BPETokenizer.train(TEXT, 290, SPECIAL)
    return BPETokenizer(trained.tokens, trained.merges, trained.special_tokens, split_digits=True)


def small_llama(vocab_size: int = 290, **changes) -> Llama:
    sizes = {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 64, "d_ff": 96, "max_seq_len": 64}
    sizes |= {"init_std": 0.2, "rope_theta": 1000.0} | changes
    return Llama(LlamaConfig(vocab_size=vocab_size, **sizes), np.random.default_rng(0)).eval()


def ids(vocab_size: int = 290) -> np.ndarray:
    return np.random.default_rng(1).integers(0, vocab_size, (2, 20))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1"])
def test_blocks_are_decoded_as_the_specification_says(tmp_path, kind):
    weight = np.random.default_rng(0).standard_normal((70, 96)).astype(np.float32)
    file = GGUFFile(write_gguf(tmp_path / "a.gguf", {}, {"w": (weight, kind)}))
    blocks = file.read("w")
    assert isinstance(blocks, Blocks)
    expected = np.array(decode(encode(weight, kind), kind), np.float32).reshape(weight.shape)
    np.testing.assert_allclose(pack_blocks(*blocks).rows(np.arange(70)), expected, rtol=1e-6, atol=1e-6)
    step = {"Q8_0": 0.03, "Q4_0": 0.6, "Q4_1": 0.4}[kind]
    assert np.abs(expected - weight).max() < step  # the writer of the tests rounds, and does nothing else


@pytest.mark.parametrize(("kind", "dtype"), [("F32", np.float32), ("F16", np.float16)])
def test_floats_are_read_bit_by_bit(tmp_path, kind, dtype):
    array = np.random.default_rng(0).standard_normal((2, 3, 5)).astype(np.float32)
    found = GGUFFile(write_gguf(tmp_path / "a.gguf", {}, {"w": (array, kind)})).read("w")
    assert found.dtype == np.float32
    assert np.array_equal(found, array.astype(dtype).astype(np.float32))
    assert found.flags.writeable


@pytest.mark.parametrize("tie_weights", [True, False])
def test_a_llama_gives_the_same_scores(tmp_path, tie_weights):
    model = small_llama(tie_weights=tie_weights)
    again = load_pretrained(write_gguf(tmp_path / "a.gguf", settings_of(model), tensors_of(model))).model
    assert again.config == model.config.__class__(**{**vars(model.config), "init_std": 0.02})
    np.testing.assert_array_equal(again(ids()).data, model(ids()).data)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_1"])
def test_quantised_weights_stay_as_they_are_or_become_floats(tmp_path, kind):
    model = small_llama()
    path = write_gguf(tmp_path / "a.gguf", settings_of(model), tensors_of(model, kind))
    expanded, kept = load_pretrained(path).model, load_pretrained(path, keep_quantized=True).model
    assert isinstance(kept.token_embedding, BlockEmbedding)
    assert sum(isinstance(module, BlockLinear) for module in kept.modules()) == 14
    scores = expanded(ids()).data
    np.testing.assert_allclose(kept(ids()).data, scores, rtol=1e-4, atol=1e-4 * np.abs(scores).max())
    few = ids()[:, :3]
    np.testing.assert_allclose(kept(few).data, expanded(few).data, rtol=1e-4, atol=1e-4 * np.abs(scores).max())
    assert weight_bytes(kept) < 0.5 * weight_bytes(expanded)
    assert kept.loss(ids(), ids()).item() == pytest.approx(expanded.loss(ids(), ids()).item(), rel=1e-5)
    floats = {name: parameter.data for name, parameter in dequantize(kept).named_parameters()}
    for name, parameter in expanded.named_parameters():
        np.testing.assert_allclose(floats[name], parameter.data, rtol=1e-6, err_msg=name)


def test_adapters_learn_beside_blocks(tmp_path):
    model = small_llama()
    path = write_gguf(tmp_path / "a.gguf", settings_of(model), tensors_of(model, "Q4_1"))
    gradients = []
    for keep_quantized in (True, False):
        base = load_pretrained(path, keep_quantized=keep_quantized).model
        add_lora(base, 2, rng=np.random.default_rng(0))
        for name, parameter in base.named_parameters():
            if name.endswith("lora_b"):
                parameter.data[:] = 0.1
        base.loss(ids(), ids()).backward()
        gradients.append({name: p.grad.data for name, p in base.named_parameters() if p.requires_grad})
    assert len(gradients[0]) == 28
    for name, gradient in gradients[1].items():
        np.testing.assert_allclose(gradients[0][name], gradient, rtol=1e-3, atol=1e-4 * np.abs(gradient).max())


def test_tokenizer_and_chat_template(tmp_path, tokenizer):
    model = small_llama(tokenizer.vocab_size)
    path = write_gguf(tmp_path / "a.gguf", settings_of(model, tokenizer), tensors_of(model))
    again = load_pretrained(path).tokenizer
    assert (again.tokens, again.merges, again.special_tokens) == (
        tokenizer.tokens,
        tokenizer.merges,
        tokenizer.special_tokens,
    )
    assert again.encode("In 1984.") == tokenizer.encode("In 1984.")
    assert len(again.encode("1984")) == 4
    assert chat_template_of(path).name == "chatml"


def test_what_comes_from_a_gguf_is_saved_as_any_model(tmp_path, tokenizer):
    model = small_llama(tokenizer.vocab_size)
    path = write_gguf(tmp_path / "a.gguf", settings_of(model, tokenizer), tensors_of(model, "Q8_0"))
    loaded = load_pretrained(path)
    save_pretrained(loaded.model, tmp_path / "folder", loaded.tokenizer)
    again = load_pretrained(tmp_path / "folder")
    assert np.array_equal(again.model(ids()).data, loaded.model(ids()).data)
    assert again.tokenizer.encode(TEXT) == tokenizer.encode(TEXT)
    with pytest.raises(ValueError, match=r"in blocks.*dequantize"):
        save_pretrained(load_pretrained(path, keep_quantized=True).model, tmp_path / "other")


def test_quantize_keeps_the_chat_template(tmp_path, tokenizer):
    model = small_llama(tokenizer.vocab_size)
    path = write_gguf(tmp_path / "a.gguf", settings_of(model, tokenizer), tensors_of(model, "Q4_0"))
    code, _, err = call("quantize", "--from", path, "--out", tmp_path / "int8")
    assert code == 0, err
    assert chat_template_of(tmp_path / "int8") == chat_template_of(path)
    assert load_pretrained(tmp_path / "int8").tokenizer.encode("In 1984.") == tokenizer.encode("In 1984.")


CHANGES = {
    "another architecture": ({"general.architecture": "gemma"}, {}, "architecture must be 'llama'"),
    "a head of another size": ({"llama.attention.key_length": 32}, {}, "key_length must be 16"),
    "experts": ({"llama.expert_count": 8}, {}, "expert_count must be 0"),
    "another scaling": ({"llama.rope.scaling.type": "yarn"}, {}, "scaling.type must be 'none' or 'linear'"),
    "a count that is a text": ({"llama.block_count": "two"}, {}, "block_count must be an integer"),
    "more layers": ({"llama.block_count": 3}, {}, "missing: blk.2.attn_norm.weight"),
    "a thousand layers": ({"llama.block_count": 1000}, {}, "more than there are weights"),
    "fewer layers": ({"llama.block_count": 1}, {}, "unexpected: blk.1."),
    "another width": ({"llama.feed_forward_length": 100}, {}, r"wrong shape: blk.0.ffn_gate.weight \(96, 64\)"),
    "an endless context": (
        {"llama.context_length": 2**31},
        {},
        "context_length must be at most 16,777,216",
    ),
    "a bias": ({}, {"blk.0.attn_q.bias": (np.zeros(64, np.float32), "F32")}, "unexpected: blk.0.attn_q.bias"),
    "an odd alignment": ({"general.alignment": 24}, {}, "general.alignment is 24"),
}


@pytest.mark.parametrize(("changes", "more", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_another_model_is_refused(tmp_path, changes, more, message):
    model = small_llama()
    path = write_gguf(tmp_path / "a.gguf", settings_of(model) | changes, tensors_of(model) | more)
    with pytest.raises(ValueError, match=message) as error:
        load_pretrained(path)
    assert "a.gguf" in str(error.value)


TOKENIZERS = {
    "another kind": ({"tokenizer.ggml.model": "llama"}, "ggml.model must be 'gpt2'"),
    "another cut": ({"tokenizer.ggml.pre": "llama-bpe"}, "ggml.pre must be 'gpt-2' or 'smollm'"),
    "a beginning": ({"tokenizer.ggml.add_bos_token": True}, "add_bos_token must be False"),
    "no tokens": ({"tokenizer.ggml.tokens": 3}, "tokens should be a list of texts"),
    "a token twice": ({"tokenizer.ggml.tokens": ["a"] * 290}, "only 1 different"),
    "other types": ({"tokenizer.ggml.token_type": [6] * 290}, "token_type must be 290 times 1 or 3"),
    "an impossible merge": ({"tokenizer.ggml.merges": ["a b c"]}, "a merge must be"),
}


@pytest.mark.parametrize(("changes", "message"), TOKENIZERS.values(), ids=TOKENIZERS.keys())
def test_another_tokenizer_is_refused(tmp_path, tokenizer, changes, message):
    model = small_llama(tokenizer.vocab_size)
    path = write_gguf(tmp_path / "a.gguf", settings_of(model, tokenizer) | changes, tensors_of(model))
    with pytest.raises(ValueError, match=message):
        _ = load_pretrained(path).tokenizer


def test_no_chat_template_and_one_that_would_run(tmp_path):
    model = small_llama()
    bare = write_gguf(tmp_path / "a.gguf", settings_of(model), tensors_of(model))
    with pytest.raises(FileNotFoundError, match="no chat template"):
        chat_template_of(bare)
    hostile = settings_of(model) | {"tokenizer.chat_template": CHATML + "{{ ''.__class__.__mro__ }}" * 3 + "rm -rf"}
    with pytest.raises(ValueError, match="of no family known here"):
        chat_template_of(write_gguf(tmp_path / "b.gguf", hostile, tensors_of(model)))


def test_no_file_and_files_of_other_kinds(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no file"):
        load_pretrained(tmp_path / "none.gguf")
    for raw, message in ((b"", "shorter"), (b"\x00" * 40, "begin with GGUF"), (b"GGUF" + b"\x63" * 40, "version")):
        (tmp_path / "a.gguf").write_bytes(raw)
        with pytest.raises(ValueError, match=message):
            GGUFFile(tmp_path / "a.gguf")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tokenizer):
    model = small_llama(tokenizer.vocab_size)
    path = tmp_path_factory.mktemp("gguf") / "a.gguf"
    return write_gguf(path, settings_of(model, tokenizer), tensors_of(model, "Q4_1")).read_bytes()


def test_every_truncation_is_refused(tmp_path, whole):
    path = tmp_path / "a.gguf"
    for length in [*range(0, 9000, 83), len(whole) // 2, len(whole) - 33]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.gguf"):
            load_pretrained(path)


@settings(max_examples=150)
@given(place=st.integers(0, 20_000), number=st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]))
def test_lengths_that_are_a_lie_are_refused_or_harmless(whole, tmp_path_factory, place, number):
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    place %= len(whole) - 8
    path.write_bytes(whole[:place] + struct.pack("<Q", number) + whole[place + 8 :])
    for read in (
        lambda: load_pretrained(path),
        lambda: load_pretrained(path).tokenizer,
        lambda: chat_template_of(path),
    ):
        with contextlib.suppress(ValueError, FileNotFoundError):
            read()
