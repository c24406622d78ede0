"""Random small models both ways, against transformers: `pip install -e ".[test,compare]"`, `pytest -m compare`."""

from dataclasses import replace

import numpy as np
import pytest

from tinygrad_llm.hub import Pooling, load_pretrained, save_pretrained
from tinygrad_llm.hub.names import FAMILIES, entries
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import LinearScaling, Llama3Scaling
from tinygrad_llm.text import BPETokenizer, WordPieceTokenizer

pytestmark = pytest.mark.compare
TEXT = "Return the number of items in a container; raise TypeError if it has no length. " * 30
GPT2_SIZES = {"vocab_size": 300, "n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 3}
GPT2_SIZES |= {"bos_token_id": None, "eos_token_id": None}
SIZES = {"vocab_size": 300, "max_position_embeddings": 32, "hidden_size": 24, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 6, "intermediate_size": 40, "bos_token_id": None, "eos_token_id": None}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 8, "rope_theta": 500.0}
THEIRS = {
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2_SIZES),
    "gpt2 alone": ("GPT2Model", "GPT2Config", GPT2_SIZES),
    "bert": ("BertModel", "BertConfig", SIZES),
    "bert for masked lm": ("BertForMaskedLM", "BertConfig", SIZES),
    "bert for pretraining": ("BertForPreTraining", "BertConfig", SIZES),
    "llama": ("LlamaForCausalLM", "LlamaConfig", SIZES | {"num_key_value_heads": 2}),
    "llama alone": ("LlamaModel", "LlamaConfig", SIZES | {"tie_word_embeddings": True}),
    "tied llama": ("LlamaForCausalLM", "LlamaConfig", SIZES | {"tie_word_embeddings": True}),
    "llama 3": ("LlamaForCausalLM", "LlamaConfig", SIZES | {"rope_parameters": LLAMA3, "num_key_value_heads": 3}),
    "linear llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        SIZES | {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0}},
    ),
}


@pytest.fixture(scope="module")
def transformers():
    import transformers

    return transformers


@pytest.fixture(scope="module")
def torch():
    import torch

    torch.manual_seed(0)
    return torch


def theirs(case, transformers, torch):
    model_name, config_name, sizes = THEIRS[case]
    model = getattr(transformers, model_name)(getattr(transformers, config_name)(**sizes))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def inputs(is_bert):
    rng = np.random.default_rng(0)
    ids, mask, targets = rng.integers(300, size=(2, 9)), np.ones((2, 9), np.int64), rng.integers(300, size=(2, 9))
    if is_bert:
        mask[1, 6:], targets[1, 6:], targets[:, ::2] = 0, -100, -100
    return ids, mask, targets


def their_results(model, torch, is_bert):
    """Last hidden states, logits or None, loss or None; gradients are left in the model."""
    ids, mask, targets = (torch.tensor(x) for x in inputs(is_bert))
    out = model(ids, attention_mask=mask, output_hidden_states=True)
    logits = out.get("logits", out.get("prediction_logits"))
    if logits is None:
        return out.hidden_states[-1].detach().numpy(), None, None
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return out.hidden_states[-1].detach().numpy(), logits.detach().numpy(), loss.item()


def our_results(model, is_bert):
    ids, mask, targets = inputs(is_bert)
    if not is_bert:
        loss = model.loss(ids, targets)
        loss.backward()
        return model.hidden(ids).data, model(ids).data, loss.item()
    hidden = model(ids, mask)
    if not model.config.masked_lm:
        return hidden.data, None, None
    loss = model.loss(ids, targets, mask)
    loss.backward()
    return hidden.data, model.masked_lm_logits(hidden).data, loss.item()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("case", THEIRS)
def test_what_they_save_opens_here(case, dtype, transformers, torch, tmp_path):
    model = theirs(case, transformers, torch).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    model = type(model).from_pretrained(tmp_path / "theirs", dtype=torch.float32).eval()
    ours, is_bert = load_pretrained(tmp_path / "theirs").model, case.startswith("bert")
    seen = inputs(is_bert)[1].astype(bool)
    expected, found = their_results(model, torch, is_bert), our_results(ours, is_bert)
    np.testing.assert_allclose(found[0][seen], expected[0][seen], rtol=1e-4, atol=1e-4)
    if expected[1] is None:
        return
    np.testing.assert_allclose(found[1][seen], expected[1][seen], rtol=1e-4, atol=1e-4)
    assert found[2] == pytest.approx(expected[2], rel=1e-4)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    parameters = dict(ours.named_parameters())
    for entry in entries(FAMILIES["bert" if is_bert else model.config.model_type], ours):
        if not entry.ours.startswith("pooler."):
            expected_gradient = entry.join([gradients[name].numpy() for name in entry.theirs])
            np.testing.assert_allclose(
                parameters[entry.ours].grad.data, expected_gradient, rtol=1e-4, atol=1e-4, err_msg=entry.ours
            )


BERT_CONFIG = BERTConfig(300, max_seq_len=16, n_layers=2, n_heads=2, d_model=16, d_ff=24)
LLAMA_CONFIG = LlamaConfig(300, max_seq_len=16, n_layers=2, n_heads=4, n_kv_heads=2, d_model=16, d_ff=24)
OURS = {
    "gpt": ("AutoModelForCausalLM", GPT, GPTConfig(300, 16, n_layers=2, n_heads=2, d_model=16)),
    "gpt without biases": ("AutoModelForCausalLM", GPT, GPTConfig(300, 16, 2, 2, 16, bias=False)),
    "bert": ("AutoModel", BERT, BERTConfig(300, 16, n_layers=2, n_heads=2, d_model=16, pooler=True, masked_lm=False)),
    "bert with a head": ("AutoModelForMaskedLM", BERT, BERT_CONFIG),
    "llama": ("AutoModelForCausalLM", Llama, LLAMA_CONFIG),
    "llama 3": (
        "AutoModelForCausalLM",
        Llama,
        replace(LLAMA_CONFIG, rope_scaling=Llama3Scaling(4.0, 1.0, 4.0, 8), tie_weights=False),
    ),
    "linear llama": ("AutoModelForCausalLM", Llama, replace(LLAMA_CONFIG, rope_scaling=LinearScaling(3.0))),
}


@pytest.mark.parametrize("max_shard_bytes", [10**9, 8000], ids=["one file", "shards"])
@pytest.mark.parametrize("case", OURS)
def test_what_we_save_opens_in_transformers(case, max_shard_bytes, transformers, torch, tmp_path):
    auto_class, kind, config = OURS[case]
    ours = kind(config, np.random.default_rng(0)).eval()
    for parameter in ours.parameters():
        parameter.data += 0.1 * np.random.default_rng(1).standard_normal(parameter.shape).astype(np.float32)
    words = WordPieceTokenizer if kind is BERT else BPETokenizer
    tokenizer = words.train(TEXT, 300, **({} if kind is BERT else {"special_tokens": ["<|endoftext|>"]}))
    save_pretrained(ours, tmp_path / "ours", tokenizer, max_shard_bytes=max_shard_bytes)
    auto = getattr(transformers, auto_class)
    model, report = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    is_bert = kind is BERT
    expected, found = their_results(model.eval(), torch, is_bert), our_results(ours, is_bert)
    seen = inputs(is_bert)[1].astype(bool)
    index = 0 if expected[1] is None else 1
    np.testing.assert_allclose(found[index][seen], expected[index][seen], rtol=1e-4, atol=1e-4)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert their_tokenizer("Return 1 + the length!")["input_ids"] == list(tokenizer.encode("Return 1 + the length!"))


def test_sentence_transformers_opens_our_folder(transformers, torch, tmp_path):
    import sentence_transformers

    from tinygrad_llm.applications import SentenceEncoder

    model = BERT(BERTConfig(300, 16, n_layers=2, n_heads=2, d_model=16, masked_lm=False), np.random.default_rng(0))
    tokenizer = WordPieceTokenizer.train(TEXT, 300)
    for pooling in (Pooling("mean"), Pooling("max", normalize=False, max_seq_len=8), Pooling("cls")):
        folder = tmp_path / pooling.mode
        save_pretrained(model, folder, tokenizer, pooling)
        theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
        texts = ["Return the number", "items", "the container has no length and no items " * 2]
        ours = SentenceEncoder.from_pretrained(folder).encode(texts)
        np.testing.assert_allclose(ours, theirs.encode(texts), rtol=1e-4, atol=1e-4)
