"""A Llama in a GGUF file: its settings, weights, tokenizer and chat template, as ours.

    blk.3.attn_q.weight   →   blocks.3.attention.query.weight

Two things differ from Hugging Face's files. Rows of queries and keys are in another order: here pair i of a head is
(x_i, x_{i + D/2}), there (x_2i, x_{2i+1}); whole rows are moved, so the blocks along them stay whole. And there is one
file for everything, tokenizer and chat template included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..memory import return_freed_memory
from ..models import Llama, LlamaConfig
from ..nn import BlockEmbedding, BlockLinear, LinearScaling, init
from ..ops.block_linear import pack_blocks, unpacked
from ..text import BPETokenizer, ChatTemplate, template_for
from ..text.hf_json import from_vocab
from .configs import MOST_POSITIONS, Settings
from .gguf import BLOCK, Blocks, GGUFFile
from .names import Entry, Family, entries
from .sizes import refused_settings, require_enough_weights, require_fit

NAMES = Family(
    model_type="llama",
    prefix="",
    names={
        "token_embedding": ("token_embd",),
        "blocks.*.norm1": ("blk.*.attn_norm",),
        "blocks.*.attention.query": ("blk.*.attn_q",),
        "blocks.*.attention.key": ("blk.*.attn_k",),
        "blocks.*.attention.value": ("blk.*.attn_v",),
        "blocks.*.attention.out": ("blk.*.attn_output",),
        "blocks.*.norm2": ("blk.*.ffn_norm",),
        "blocks.*.feed_forward.gate": ("blk.*.ffn_gate",),
        "blocks.*.feed_forward.up": ("blk.*.ffn_up",),
        "blocks.*.feed_forward.down": ("blk.*.ffn_down",),
        "norm": ("output_norm",),
        "head": ("output",),
    },
    tied={},
    ignored="",
)
TURNED = (".query.weight", ".key.weight")
# How a tokenizer cuts text into words, by the name that GGUF has for it: whether it splits digits.
SPLITS = {"gpt-2": False, "smollm": True}
NORMAL, CONTROL = 1, 3  # types of tokens


def load_gguf(path: Path, keep_quantized: bool = False) -> Llama:
    """The model, with weights as floats, or as the blocks that they are in the file.

    Raises ValueError where the file holds another kind of model, or not all weights of this one.
    """
    file = GGUFFile(path)
    shapes = {name: info.shape for name, info in file.tensors.items()}
    with refused_settings(path):
        config = _config(file)
        require_enough_weights(path, config, shapes.values())
        with init.skip_init():
            model = Llama(config)
    table = list(entries(NAMES, model))
    require_fit(f"{path} does not hold the Llama of its settings", table, shapes)
    for entry in table:
        _put(model, entry, _ordered(entry.ours, file.read(entry.theirs[0]), config.head_dim), keep_quantized)
    return_freed_memory()
    return model.eval()


def _config(file: GGUFFile) -> LlamaConfig:
    everything = Settings(file.path, file.settings)
    everything.require("general.architecture", "llama")
    settings = Settings(
        Path(f"{file.path}, llama"),
        {name.removeprefix("llama."): value for name, value in file.settings.items() if name.startswith("llama.")},
    )
    d_model, n_heads = settings.integer("embedding_length"), settings.integer("attention.head_count")
    head_dim = max(d_model // n_heads, 1)
    for name in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
        settings.require(name, head_dim)
    settings.require("expert_count", 0)
    max_seq_len = settings.integer("context_length")
    if max_seq_len > MOST_POSITIONS:
        raise settings.wrong("context_length", f"at most {MOST_POSITIONS:,}")
    settings.require("rope.scaling.type", "none", "linear")
    scaling = settings.data.get("rope.scaling.type") == "linear"
    tokens = file.tensors.get("token_embd.weight")
    return LlamaConfig(
        vocab_size=settings.integer("vocab_size", tokens.shape[0] if tokens else 1),
        max_seq_len=max_seq_len,
        n_layers=settings.integer("block_count"),
        n_heads=n_heads,
        n_kv_heads=settings.integer("attention.head_count_kv", n_heads),
        d_model=d_model,
        d_ff=settings.integer("feed_forward_length"),
        rope_theta=settings.number("rope.freq_base", 10_000.0),
        rope_scaling=LinearScaling(settings.number("rope.scaling.factor")) if scaling else None,
        rms_norm_eps=settings.number("attention.layer_norm_rms_epsilon", 1e-5),
        tie_weights="output.weight" not in file.tensors,
    )


def _ordered(ours: str, weight: np.ndarray | Blocks, head_dim: int) -> np.ndarray | Blocks:
    """Rows of queries and keys as we have them."""
    if not ours.endswith(TURNED):
        return weight
    n_rows = len(weight.packed if isinstance(weight, Blocks) else weight)
    order = np.arange(n_rows).reshape(-1, head_dim // 2, 2).swapaxes(1, 2).reshape(-1)  # 0, 2, 4, …, 1, 3, 5, … of each
    if isinstance(weight, Blocks):
        return Blocks(*(None if part is None else part[order] for part in weight))
    return weight[order]


def _put(model: Llama, entry: Entry, weight: np.ndarray | Blocks, keep_quantized: bool) -> None:
    *parents, module_name, kind = entry.ours.split(".")
    parent = model
    for name in parents:
        parent = parent[int(name)] if name.isdigit() else getattr(parent, name)
    if not isinstance(weight, Blocks):
        getattr(getattr(parent, module_name), kind).data = weight
    elif keep_quantized:
        kept = BlockEmbedding if module_name == "token_embedding" else BlockLinear
        setattr(parent, module_name, kept(pack_blocks(*weight)))
    else:
        getattr(getattr(parent, module_name), kind).data = _floats(weight)


def _floats(weight: Blocks) -> np.ndarray:
    """A few rows at a time: what is made on the way stays small, and near the processor."""
    offset = np.empty((len(weight.scale), 0), np.float32) if weight.offset is None else weight.offset
    floats = np.empty((len(weight.scale), weight.scale.shape[1] * BLOCK), np.float32)
    for start in range(0, len(floats), 256):
        rows = slice(start, start + 256)
        floats[rows] = unpacked(weight.packed[rows], weight.scale[rows], offset[rows])
    return floats


def gguf_tokenizer(file: GGUFFile) -> BPETokenizer:
    """Raises ValueError where the file holds none, or one of another kind."""
    settings = Settings(file.path, file.settings)
    settings.require("tokenizer.ggml.model", "gpt2")
    settings.require("tokenizer.ggml.pre", *SPLITS)
    settings.require("tokenizer.ggml.add_bos_token", False)
    names, merges = (_texts(settings, f"tokenizer.ggml.{name}") for name in ("tokens", "merges"))
    types = np.asarray(file.settings.get("tokenizer.ggml.token_type", np.full(len(names), NORMAL)))
    if len(types) != len(names) or not np.isin(types, (NORMAL, CONTROL)).all():
        raise settings.wrong("tokenizer.ggml.token_type", f"{len(names):,} times {NORMAL} or {CONTROL}")
    special = {names[i]: int(i) for i in np.flatnonzero(types == CONTROL)}
    vocab = {name: i for i, name in enumerate(names)}
    if len(vocab) < len(names):
        raise ValueError(f"{file.path}: its {len(names):,} tokens are only {len(vocab):,} different ones")
    try:
        parts = from_vocab(vocab, merges, special)
        return BPETokenizer(*parts, split_digits=SPLITS[file.settings.get("tokenizer.ggml.pre", "gpt-2")])
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None


def _texts(settings: Settings, name: str) -> list[str]:
    value: Any = settings.data.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{settings.path} holds no tokenizer that can be read: {name} should be a list of texts")
    return value


def gguf_chat_template(file: GGUFFile) -> ChatTemplate:
    """It is read, never run. Raises FileNotFoundError where there is none, ValueError where its family is not known."""
    jinja = file.settings.get("tokenizer.chat_template")
    if not isinstance(jinja, str):
        raise FileNotFoundError(f"{file.path} holds no chat template: say which one the model was trained with")
    try:
        return template_for(jinja)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from None
