"""Make the folders of small models in lessons/pretrained/, and hub.npz: what transformers computes with them.

Run `python tests/golden/make_hub_golden.py` with the extra `compare` installed. Each folder is written by transformers,
and shows another side of the layout:

    gpt2    float32, one file; vocab.json and merges.txt
    bert    float16, with pooler and masked-LM head (BertForPreTraining); vocab.txt; a sentence-transformers folder
    llama   bfloat16, in shards with an index; tokenizer.json; Llama 3's scaling

hub.npz has for each `<model>/…`: ids, attention_mask, targets, what it computes in float64 from the weights as stored
(logits, hidden, loss, and gradients under transformers' names), and a text with its token ids. Beside the folders,
reference.npz has the part of it that lesson 17 compares with.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn import functional as F
from transformers import BertConfig, BertForPreTraining, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tinygrad_llm.data import embedded_corpus
from tinygrad_llm.hub import Pooling
from tinygrad_llm.hub.sentence_transformers import write_pooling
from tinygrad_llm.text import BPETokenizer, WordPieceTokenizer

FOLDER = Path(__file__).parents[2] / "lessons" / "pretrained"
TEXT = "Return the number of items in a container."
B, T = 2, 12
END = {"bos_token_id": 319, "eos_token_id": 319}  # <|endoftext|>, the last token


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=4, **END))


def bert() -> BertForPreTraining:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    return BertForPreTraining(BertConfig(vocab_size=400, max_position_embeddings=64, **sizes))


def llama() -> LlamaForCausalLM:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    scaling = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope = scaling | {"original_max_position_embeddings": 16, "rope_theta": 500.0}
    config = LlamaConfig(
        vocab_size=320, max_position_embeddings=64, intermediate_size=48, rope_parameters=rope, **sizes, **END
    )
    return LlamaForCausalLM(config)


def with_random_weights(model, dtype: torch.dtype):
    """All of them off their start, norms and biases too, and numbers of that type."""
    for parameter in model.parameters():
        parameter.data = (parameter.data + 0.1 * torch.randn_like(parameter)).to(dtype)
    return model.to(dtype)


def results(name: str, model) -> dict[str, torch.Tensor]:
    model = model.double().eval()
    V = model.config.vocab_size
    ids, targets = torch.randint(5, V, (B, T)), torch.randint(V, (B, T))
    mask = torch.ones(B, T, dtype=torch.long)
    if name == "bert":
        mask[1, 8:] = 0
        targets[:, ::2] = -100
        targets[1, 8:] = -100
    out = model(ids, attention_mask=mask, output_hidden_states=True)
    logits = out.prediction_logits if name == "bert" else out.logits
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    found = {"ids": ids, "attention_mask": mask, "targets": targets, "logits": logits, "loss": loss}
    found["hidden"] = out.hidden_states[-1]
    if name == "bert":
        found["pooled"] = model.bert(ids, attention_mask=mask).pooler_output
    gradients = {f"grad/{key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
    return {key: value.detach().numpy() for key, value in (found | gradients).items()}


def write_tokenizer(name: str, folder: Path) -> list[int]:
    """The family's own files, of which tokenizer.json is not always one. The ids of TEXT, as transformers has them."""
    prose = "\n".join(document.text for document in embedded_corpus("topics"))[:200_000]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "tokenizer.json"
        if name == "bert":
            tokenizer = WordPieceTokenizer.train(prose, 400)
            tokenizer.save(path)
            tokenizer.save_vocab(folder / "vocab.txt")
        else:
            tokenizer = BPETokenizer.train(prose, 320, special_tokens=["<|endoftext|>"])
            tokenizer.save(path)
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
        if name == "llama":
            theirs.save_pretrained(folder)
        if name == "gpt2":
            data = json.loads(path.read_text(encoding="utf-8"))["model"]
            (folder / "vocab.json").write_text(json.dumps(data["vocab"], ensure_ascii=False), encoding="utf-8")
            (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *data["merges"], ""]), encoding="utf-8")
    return theirs.encode(TEXT)


def make(name: str, model, dtype: torch.dtype) -> dict[str, np.ndarray]:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    model = with_random_weights(model, dtype)
    model.save_pretrained(folder, max_shard_size="20KB" if name == "llama" else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    text_ids = write_tokenizer(name, folder)
    model = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    if name == "bert":
        write_pooling(folder, Pooling("mean", normalize=True, max_seq_len=32), d_model=32, max_seq_len=64)
    return results(name, model) | {"text": np.array(TEXT), "text_ids": np.array(text_ids)}


def reference(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For the lesson, a few kB: what goes in, and what comes out of a decoder last, or of a BERT at the tokens."""
    kept = {key: arrays[key] for key in ("gpt2/ids", "llama/ids", "bert/ids", "bert/attention_mask")}
    outputs = {f"{name}/expected": arrays[f"{name}/logits"][:, -1] for name in ("gpt2", "llama")}  # (B, V)
    outputs["bert/expected"] = arrays["bert/hidden"][arrays["bert/attention_mask"] == 1]  # (tokens, C)
    return kept | {key: array.astype(np.float32) for key, array in outputs.items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    arrays = {"transformers_version": np.array(transformers.__version__)}
    for name, build, dtype in (
        ("gpt2", gpt2, torch.float32),
        ("bert", bert, torch.float16),
        ("llama", llama, torch.bfloat16),
    ):
        arrays |= {f"{name}/{key}": value for key, value in make(name, build(), dtype).items()}
    arrays = {key: a.astype(np.float32) if key.find("grad/") > 0 else a for key, a in arrays.items()}
    np.savez_compressed(Path(__file__).parent / "hub.npz", **arrays)
    np.savez_compressed(FOLDER / "reference.npz", **reference(arrays))
