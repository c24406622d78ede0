"""Folders in Hugging Face's layout: settings, weights, shards, pooling, adapters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from gguf_files import SPECIAL, settings_of, tensors_of, write_gguf

from tinygrad_llm.hub import Pooling, chat_template_of, load_adapter, load_pretrained, save_adapter, save_pretrained
from tinygrad_llm.hub.gguf import GGUFFile
from tinygrad_llm.hub.sentence_transformers import read_pooling
from tinygrad_llm.models import BERT, GPT, BERTConfig, GPTConfig, Llama, LlamaConfig
from tinygrad_llm.nn import add_lora, quantize, remove_lora
from tinygrad_llm.text import BPETokenizer

from .mutate import spoiled_bytes
from .target import SENTENCE, Target, file_target, header_target

SHAPE = {"vocab_size": 12, "max_seq_len": 8, "n_layers": 1, "n_heads": 2, "d_model": 8}
TARGETS = {  # and their shares of the executions: the faster the reader, the more
    **dict.fromkeys(("hub-gpt2-config", "hub-bert-config", "hub-llama-config", "hub-index", "hub-weights"), 0.4),
    "hub-gguf": 0.2,
    "hub-gguf-header": 4.0,
    **dict.fromkeys(("hub-header", "hub-int8-header", "hub-bfloat16-header"), 0.5),
    **dict.fromkeys(("hub-modules", "hub-pooling", "hub-sentence-config"), 2.0),
    **dict.fromkeys(("hub-adapter-config", "hub-adapter-header"), 0.5),
}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def gpt() -> GPT:
    return GPT(GPTConfig(**SHAPE), rng())


def bert() -> BERT:
    return BERT(BERTConfig(**SHAPE, d_ff=16, pooler=True), rng())


def llama() -> Llama:
    return Llama(LlamaConfig(**SHAPE, n_kv_heads=1, d_ff=16), rng())


def run_model(folder: Path) -> None:
    """Read it, and see that what is accepted can be used."""
    pretrained = load_pretrained(folder)
    model, ids = pretrained.model, np.zeros((1, 2), np.int64)
    if model.config.max_seq_len >= 2:
        with np.errstate(all="ignore"):
            model(ids)


def make(name: str, folder: Path) -> Target:
    """The target of that name, whose files are in `folder`."""
    if name.startswith("hub-gguf"):
        return (_gguf_header_target if name.endswith("header") else _gguf_target)(name, folder / "model.gguf")
    kinds = {"gpt2": gpt, "bert": bert, "llama": llama}
    part = name.split("-")[1]
    model = kinds[part]() if part in kinds else bert() if part in ("modules", "pooling", "sentence") else gpt()
    weights = folder / "model" / "model.safetensors"
    if part == "adapter":
        return _adapter_target(name, folder / "adapter", model)
    if part == "int8":
        quantize(model)
        weights = weights.with_name("model.int8.safetensors")
    options = {"dtype": "bfloat16"} if part == "bfloat16" else {}
    if part == "index":
        options["max_shard_bytes"] = 2000
    save_pretrained(model, weights.parent, pooling=Pooling() if isinstance(model, BERT) else None, **options)

    def read() -> None:
        run_model(weights.parent)

    if name.endswith("-config") and part in kinds:
        return file_target(name, weights.parent / "config.json", read)
    if name.endswith("-header"):
        return header_target(name, weights, read)
    if part == "weights":
        return file_target(name, weights, read, spoil=spoiled_bytes)
    if part == "index":
        shutil.copy(min(weights.parent.glob("*.safetensors")), folder / "outside.safetensors")  # what "../" would find
        return file_target(name, weights.with_name("model.safetensors.index.json"), read)
    paths = {"modules": "modules.json", "pooling": "1_Pooling/config.json", "sentence": "sentence_bert_config.json"}
    (folder / "config.json").write_text('{"pooling_mode": "mean"}')  # what ".." would find
    return file_target(name, weights.parent / paths[part], lambda: read_pooling(weights.parent))


def _gguf_target(name: str, path: Path) -> Target:
    tokenizer = BPETokenizer.train("the cat sat on the mat. " * 9, 262, SPECIAL)
    shape = SHAPE | {"vocab_size": tokenizer.vocab_size, "d_model": 32}
    model = Llama(LlamaConfig(**shape, n_kv_heads=1, d_ff=32), rng())
    write_gguf(path, settings_of(model, tokenizer), tensors_of(model, "Q4_0"))

    def read() -> None:
        with np.errstate(all="ignore"):  # a scale may be so large that sums overflow
            pretrained = load_pretrained(path)
            pretrained.model(np.zeros((1, 2), np.int64))
        pretrained.tokenizer.decode(pretrained.tokenizer.encode(SENTENCE))
        chat_template_of(path).render([("user", "Hi")])

    return file_target(name, path, read, spoil=spoiled_bytes)


def _gguf_header_target(name: str, path: Path) -> Target:
    """The reader alone, so that it can be given many more."""
    model = Llama(LlamaConfig(**SHAPE | {"d_model": 32}, n_kv_heads=1, d_ff=32), rng())
    settings = settings_of(model) | {"a list": [1, 2, 3], "texts": ["a", "b"], "flag": True, "general.alignment": 32}
    tensors = tensors_of(model, "Q4_1")
    write_gguf(path, settings, {each: tensors[each] for each in list(tensors)[:4]})

    def read() -> None:
        file = GGUFFile(path)
        for tensor in file.tensors:
            file.read(tensor)

    return file_target(name, path, read, spoil=spoiled_bytes)


def _adapter_target(name: str, folder: Path, model: GPT) -> Target:
    add_lora(model, rank=2, rng=rng())
    save_adapter(model, folder)
    remove_lora(model)

    def read() -> None:
        remove_lora(model) if load_adapter(model, folder, rng()) else None

    if name == "hub-adapter-config":
        return file_target(name, folder / "adapter_config.json", read)
    return header_target(name, folder / "adapter_model.safetensors", read)
