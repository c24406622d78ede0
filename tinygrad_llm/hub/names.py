"""What the same weight is called here and in transformers: one table for each family of models.

    blocks.3.attention.qkv.weight     transformer.h.3.attn.c_attn.weight                     GPT-2, transposed
    blocks.3.attention.qkv.weight     bert.encoder.layer.3.attention.self.query.weight       BERT: three matrices,
                                                                          key, value         here one above the other
    blocks.3.attention.query.weight   model.layers.3.self_attn.q_proj.weight                 Llama

A file of a model without its head lacks the first part of the names: `h.3.attn.c_attn.weight`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..nn import Module


@dataclass(frozen=True)
class Family:
    """How transformers names one kind of model. In the names * stands for the number of a block."""

    model_type: str  # in config.json
    prefix: str  # of all names but those of the heads, where a file has heads
    names: Mapping[str, tuple[str, ...]]  # module here → modules there; several are stacked along the first axis
    tied: Mapping[str, str]  # a second name there, which some files have too → the first
    ignored: str  # regular expression of what is no parameter, or is of no use here
    transposed: tuple[str, ...] = ()  # modules there that keep their matrix as (in, out)
    renamed: tuple[tuple[str, str], ...] = ()  # ends of names in old files


GPT2 = Family(
    model_type="gpt2",
    prefix="transformer.",
    names={
        "token_embedding": ("transformer.wte",),
        "position_embedding": ("transformer.wpe",),
        "blocks.*.norm1": ("transformer.h.*.ln_1",),
        "blocks.*.attention.qkv": ("transformer.h.*.attn.c_attn",),
        "blocks.*.attention.out": ("transformer.h.*.attn.c_proj",),
        "blocks.*.norm2": ("transformer.h.*.ln_2",),
        "blocks.*.feed_forward.up": ("transformer.h.*.mlp.c_fc",),
        "blocks.*.feed_forward.down": ("transformer.h.*.mlp.c_proj",),
        "norm": ("transformer.ln_f",),
    },
    transposed=("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
    tied={"lm_head.weight": "transformer.wte.weight"},
    ignored=r"h\.\d+\.attn\.(masked_)?bias",  # the triangle of the causal mask
)

_BERT_LAYER = "bert.encoder.layer.*"
BERT = Family(
    model_type="bert",
    prefix="bert.",
    names={
        "token_embedding": ("bert.embeddings.word_embeddings",),
        "position_embedding": ("bert.embeddings.position_embeddings",),
        "segment_embedding": ("bert.embeddings.token_type_embeddings",),
        "norm": ("bert.embeddings.LayerNorm",),
        "blocks.*.attention.qkv": tuple(f"{_BERT_LAYER}.attention.self.{name}" for name in ("query", "key", "value")),
        "blocks.*.attention.out": (f"{_BERT_LAYER}.attention.output.dense",),
        "blocks.*.norm1": (f"{_BERT_LAYER}.attention.output.LayerNorm",),
        "blocks.*.feed_forward.up": (f"{_BERT_LAYER}.intermediate.dense",),
        "blocks.*.feed_forward.down": (f"{_BERT_LAYER}.output.dense",),
        "blocks.*.norm2": (f"{_BERT_LAYER}.output.LayerNorm",),
        "pooler": ("bert.pooler.dense",),
        "masked_lm_head.dense": ("cls.predictions.transform.dense",),
        "masked_lm_head.norm": ("cls.predictions.transform.LayerNorm",),
        "masked_lm_head": ("cls.predictions",),
    },
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    ignored=r"embeddings\.position_ids|cls\.seq_relationship\.\w+",  # 0, 1, 2, …; "does the second text follow?"
    renamed=((".gamma", ".weight"), (".beta", ".bias")),
)

LLAMA = Family(
    model_type="llama",
    prefix="model.",
    names={
        "token_embedding": ("model.embed_tokens",),
        "blocks.*.norm1": ("model.layers.*.input_layernorm",),
        "blocks.*.attention.query": ("model.layers.*.self_attn.q_proj",),
        "blocks.*.attention.key": ("model.layers.*.self_attn.k_proj",),
        "blocks.*.attention.value": ("model.layers.*.self_attn.v_proj",),
        "blocks.*.attention.out": ("model.layers.*.self_attn.o_proj",),
        "blocks.*.norm2": ("model.layers.*.post_attention_layernorm",),
        "blocks.*.feed_forward.gate": ("model.layers.*.mlp.gate_proj",),
        "blocks.*.feed_forward.up": ("model.layers.*.mlp.up_proj",),
        "blocks.*.feed_forward.down": ("model.layers.*.mlp.down_proj",),
        "norm": ("model.norm",),
        "head": ("lm_head",),
    },
    tied={"lm_head.weight": "model.embed_tokens.weight"},
    ignored=r"rotary_emb\.inv_freq",
)

FAMILIES = {family.model_type: family for family in (GPT2, BERT, LLAMA)}


@dataclass(frozen=True)
class Entry:
    """One parameter here and its arrays there."""

    ours: str
    theirs: tuple[str, ...]
    shape: tuple[int, ...]  # of each of theirs
    transposed: bool

    def join(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Their arrays → ours, float32 and contiguous."""
        arrays = [array.T if self.transposed else array for array in arrays]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return np.ascontiguousarray(joined, dtype=np.float32)

    def split(self, array: np.ndarray) -> dict[str, np.ndarray]:
        """Our array → theirs by name."""
        parts = np.split(array, len(self.theirs))
        return {
            name: np.ascontiguousarray(part.T if self.transposed else part)
            for name, part in zip(self.theirs, parts, strict=True)
        }


def entries(family: Family, model: Module) -> Iterator[Entry]:
    """All parameters of the model."""
    for ours, parameter in model.named_parameters():
        module, _, kind = ours.rpartition(".")
        number = "".join(re.findall(r"^blocks\.(\d+)\.", module))
        modules = family.names[re.sub(r"^blocks\.\d+\.", "blocks.*.", module)]
        theirs = tuple(f"{name.replace('*', number)}.{kind}" for name in modules)
        transposed = kind == "weight" and modules[0].endswith(family.transposed)
        shape = (parameter.shape[0] // len(theirs), *parameter.shape[1:])
        yield Entry(ours, theirs, shape[::-1] if transposed else shape, transposed)
