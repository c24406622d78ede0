"""`load_pretrained` and `save_pretrained`: a model with its tokenizer, from a folder and into one.

pretrained = load_pretrained("all-MiniLM-L6-v2")
pretrained.model          # BERT(…), with the weights
pretrained.tokenizer      # WordPieceTokenizer(vocab_size=30,522, …)
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import new_folder, read_json, write_json
from ..models import BERT, GPT, Llama
from ..nn import init, lora_layers
from ..nn.block_quantized import BlockQuantized
from ..nn.quantized import is_quantized, quantize_structure
from .configs import QUANTIZATION, READERS, WRITERS, Settings, read_quantization
from .gguf import GGUFFile, is_gguf
from .gguf_llama import gguf_chat_template, gguf_tokenizer, load_gguf
from .model_card import refresh_card
from .names import FAMILIES, Entry, Family, entries
from .sentence_transformers import Pooling, read_pooling, write_pooling
from .sizes import refused_settings, require_enough_weights, require_fit
from .weights import HALVES, MAX_SHARD_BYTES, QUANTIZED_STEM, STEM, WeightFiles, write_weights

if TYPE_CHECKING:
    from ..text import BPETokenizer, CharTokenizer, ChatTemplate, WordPieceTokenizer

MODELS = {"gpt2": GPT, "bert": BERT, "llama": Llama}


@dataclass(frozen=True)
class Pretrained:
    """What was in a folder."""

    folder: Path
    model: GPT | BERT | Llama  # in evaluation mode: no dropout until model.train()
    pooling: Pooling | None  # of a sentence encoder

    @cached_property
    def tokenizer(self) -> BPETokenizer | CharTokenizer | WordPieceTokenizer:
        """Raises FileNotFoundError where the folder has none, ValueError where it is of a kind we do not follow."""
        from ..text import load_tokenizer

        return gguf_tokenizer(GGUFFile(self.folder)) if is_gguf(self.folder) else load_tokenizer(self.folder)


def chat_template_of(folder: str | os.PathLike) -> ChatTemplate:
    """Of a model's folder or GGUF file.

    Raises FileNotFoundError where there is none, ValueError where it is of no family known here.
    """
    from ..text import load_chat_template

    folder = Path(folder)
    return gguf_chat_template(GGUFFile(folder)) if is_gguf(folder) else load_chat_template(folder)


def load_pretrained(
    folder: str | os.PathLike,
    *,
    dropout: float | None = None,
    rng: np.random.Generator | None = None,
    keep_quantized: bool = False,
) -> Pretrained:
    """The GPT-2, BERT or Llama in a folder of Hugging Face's layout: config.json and model.safetensors, or shards.

    Or the Llama in a GGUF file, whose weights become float32, or stay the blocks of 4 or 8 bits that they are.

    float16 and bfloat16 weights become float32; those that `nn.quantize` made stay int8. `dropout` replaces the rates
    in config.json; `rng` is where dropout masks come from. A BERT gets a pooler and a masked-LM head where the files
    have them; its next-sentence head is left out.
    Raises FileNotFoundError for what is missing, ValueError for an unknown model or setting, and one that lists the
    missing, unexpected and wrongly shaped weights.
    """
    folder = Path(folder)
    if is_gguf(folder):
        if dropout:
            raise ValueError(f"{str(folder)!r} holds a Llama, which has no dropout: leave dropout={dropout} out")
        return Pretrained(folder, load_gguf(folder, keep_quantized), None)
    path = folder / "config.json"
    settings = Settings(path, read_json(path, "give the folder of a model in Hugging Face's layout"))
    if settings.data.get("model_type") not in list(FAMILIES):  # a list: what JSON holds may have no hash
        raise settings.wrong("model_type", f"one of {', '.join(FAMILIES)}")
    quantized = read_quantization(settings)
    family, files = FAMILIES[settings.data["model_type"]], WeightFiles(folder, QUANTIZED_STEM if quantized else STEM)
    names = _full_names(family, files.shapes)
    model = _build(settings, family, files, names, dropout, rng)
    if quantized:
        quantize_structure(model)
    table = list(entries(family, model))
    where = f"{files.path} does not hold the {family.model_type} of its config.json"
    require_fit(where, table, {name: files.shapes[found] for name, found in names.items()}, family.tied)
    parameters = dict(model.named_parameters())
    for entry in table:
        joined = entry.join([files.read(names[name]) for name in entry.theirs])
        parameters[entry.ours].data = joined.astype(parameters[entry.ours].dtype, copy=False)
    _require_ties(files, family, table, names)
    return Pretrained(folder, model.eval(), read_pooling(folder))


def _full_names(family: Family, names: Iterable[str]) -> dict[str, str]:
    """Name in the family's table → name in the file, which differs in old files and in those of a model alone."""
    names = [name for name in names if not re.search(family.ignored, name)]
    prefix = "" if any(name.startswith(family.prefix) for name in names) else family.prefix
    found = {}
    for name in names:
        old, new = next((ends for ends in family.renamed if name.endswith(ends[0])), ("", ""))
        found[prefix + name.removesuffix(old) + new] = name
    return found


def _build(
    settings: Settings, family: Family, files: WeightFiles, names: dict[str, str], dropout, rng
) -> GPT | BERT | Llama:
    """The model without its weights. Raises ValueError, with the file's name, where the settings are impossible."""
    with refused_settings(settings.path):
        config = READERS[family.model_type](settings, dropout)
        if family.model_type == "bert":
            heads = [any(name.startswith(head) for name in names) for head in ("bert.pooler.", "cls.predictions.")]
            config = dataclasses.replace(config, pooler=heads[0], masked_lm=heads[1])
        require_enough_weights(settings.path, config, (files.shapes[name] for name in names.values()))
        with init.skip_init():
            return MODELS[family.model_type](config, rng)


def _require_ties(files: WeightFiles, family: Family, table: list[Entry], names: dict[str, str]) -> None:
    """Raise ValueError where a second copy of a weight, which we keep once, is another."""
    wanted = {name for entry in table for name in entry.theirs}
    for second, first in family.tied.items():
        copied = second in names and second not in wanted
        if copied and not np.array_equal(files.read(names[second]), files.read(names[first])):
            raise ValueError(
                f"{files.path}: {second} differs from {first}, but here they are one: the model is not tied, "
                "though its config.json says so"
            )


def save_pretrained(
    model: GPT | BERT | Llama,
    folder: str | os.PathLike,
    tokenizer: BPETokenizer | CharTokenizer | WordPieceTokenizer | None = None,
    pooling: Pooling | None = None,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    dtype: str | None = None,
) -> None:
    """Write the model into a new folder that transformers and `load_pretrained` open, with a card, README.md.

    With `pooling` it is a sentence-transformers folder too. A GPT without biases gets biases of 0, for GPT-2 has them.
    `dtype` "float16" or "bfloat16" rounds all weights to half the size. A quantised model keeps its int8 weights, and
    only `load_pretrained` opens it.
    Raises ValueError where the folder exists and is not empty, for a model with adapters, another dtype or one with a
    quantised model, and for a weight that is too large for float16; TypeError for another kind of model.
    """
    with new_folder(folder, "choose another folder, or remove it first") as building:
        write_pretrained(model, building, tokenizer, pooling, max_shard_bytes=max_shard_bytes, dtype=dtype)


def write_pretrained(
    model: GPT | BERT | Llama,
    folder: Path,
    tokenizer: BPETokenizer | CharTokenizer | WordPieceTokenizer | None = None,
    pooling: Pooling | None = None,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    dtype: str | None = None,
) -> None:
    """As `save_pretrained`, into a folder that exists, beside what else belongs to the model. Raises the same."""
    model_type = next((name for name, kind in MODELS.items() if isinstance(model, kind)), None)
    if model_type is None:
        raise TypeError(f"save_pretrained writes a GPT, BERT or Llama, not a {type(model).__name__}")
    if lora_layers(model):
        raise ValueError(
            "save_pretrained: the model has adapters: save them alone by save_adapter, or merge them in, "
            "remove_lora(merge(model))"
        )
    quantized = is_quantized(model)
    if any(isinstance(module, BlockQuantized) for module in model.modules()):
        raise ValueError("save_pretrained: the weights are in blocks, as GGUF files have them: dequantize() the model")
    _check_dtype(dtype, quantized)
    family, arrays = FAMILIES[model_type], {}
    parameters = dict(model.named_parameters())
    for entry in entries(family, model):
        arrays |= entry.split(parameters[entry.ours].data)
    if model_type == "gpt2" and not model.config.bias:
        arrays |= _zero_biases(arrays)
    if model_type == "bert" and not model.config.masked_lm:  # BertModel's names, not those of a model with a head
        arrays = {name.removeprefix(family.prefix): array for name, array in arrays.items()}
    config = {"model_type": model_type} | WRITERS[model_type](model.config) | _special_ids(model_type, tokenizer)
    config |= {"torch_dtype": dtype} if dtype else {}
    config |= {"quantization_config": QUANTIZATION} if quantized else {}
    write_json(folder / "config.json", config)
    write_weights(folder, arrays, max_shard_bytes, QUANTIZED_STEM if quantized else STEM, dtype)
    if tokenizer is not None:
        tokenizer.save(folder / "tokenizer.json")
        settings = _tokenizer_config(getattr(tokenizer, "special_tokens", {}), model.config.max_seq_len)
        write_json(folder / "tokenizer_config.json", settings)
    if pooling is not None:
        write_pooling(folder, pooling, model.config.d_model, model.config.max_seq_len)
    refresh_card(folder)


def _check_dtype(dtype: str | None, quantized: bool) -> None:
    if dtype is not None and dtype not in HALVES:
        raise ValueError(f"save_pretrained: dtype must be one of {', '.join(HALVES)}, or None, not {dtype!r}")
    if dtype is not None and quantized:
        raise ValueError(f"save_pretrained: a quantised model has int8 weights, not {dtype}; dequantize() it first")


def _zero_biases(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A bias for each layer and norm of a GPT-2: as long as the norm's weight, or as the matrix (in, out) is wide.

    A quantised layer has as many scales.
    """
    layers = re.compile(r"(.*(?:\.h\..*|\.ln_f)\.)(weight|scale)")
    found = {match[1]: array for name, array in arrays.items() if (match := layers.fullmatch(name))}
    return {f"{layer}bias": np.zeros(array.shape[-1], array.dtype) for layer, array in found.items()}


def _special_ids(model_type: str, tokenizer) -> dict[str, int | None]:
    if model_type == "bert":
        return {"pad_token_id": getattr(tokenizer, "pad_id", None)}
    return dict.fromkeys(("bos_token_id", "eos_token_id"), getattr(tokenizer, "eos_id", None))


def _tokenizer_config(special: Container[str], max_seq_len: int) -> dict[str, object]:
    """What transformers asks for beside tokenizer.json."""
    if "[MASK]" in special:
        roles = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    else:
        roles = dict.fromkeys(("bos_token", "eos_token"), "<|endoftext|>")
    used = {role: token for role, token in roles.items() if token in special}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_seq_len} | used
