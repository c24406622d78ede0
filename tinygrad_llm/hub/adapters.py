"""LoRA adapters on disk, alone and in PEFT's layout: some hundred kB beside a model that stays as it is.

adapter_config.json          rank, alpha, which layers, on what kind of model
adapter_model.safetensors    base_model.model.transformer.h.0.attn.c_attn.lora_A.weight, … lora_B.weight

    add_lora(model, rank=8)                  and training
    save_adapter(model, "my_adapter", base="gpt2")
    load_adapter(load_pretrained("gpt2").model, "my_adapter")       here, or in PEFT:
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("gpt2"), "my_adapter")

A and B are stored alike for all kinds of layer: GPT-2's, which keep their matrix as (in, out), too. Where transformers
has several layers and we one, BERT's query, key and value in `qkv`, each of theirs gets our A and its rows of our B.
The other way, three adapters of rank r become one of rank 3r with the same results,

    | B_q A_q |     | B_q         |   | A_q |
    | B_k A_k |  =  |     B_k     | · | A_k |
    | B_v A_v |     |         B_v |   | A_v |

unless their A is the same, when ours keeps the rank. Training such a one further trains the empty blocks of B as well.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..files import new_folder, read_json, write_json, write_tensors
from ..models import BERT, GPT, Llama
from ..nn import Linear, init
from ..nn.lora import LoRALinear, lora_layers, put_lora
from .configs import MOST_NUMBER, Settings
from .model_card import refresh_card
from .names import FAMILIES, Family
from .pretrained import MODELS
from .weights import WeightFiles, _shapes, listed

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
LEAST_ALPHA = 1e-30  # below it, what it scales is no number of float32 any more
KEEP_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")  # ways to start that leave the model's own weights alone


def save_adapter(
    model: GPT | BERT | Llama, folder: str | os.PathLike, base: str = "", remedy: str = "choose another folder"
) -> None:
    """Write the adapters of `model`, and nothing else, into a new folder that PEFT and `load_adapter` open.

    `base` is the name or folder of the model below them, a note for who opens it.
    Raises ValueError for a model without adapters and where the folder is not empty, TypeError for another kind of
    model.
    """
    family, layers = _family(model), lora_layers(model)
    if not layers:
        raise ValueError("save_adapter: the model has no adapters: give it some with add_lora, and train them")
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, tuple[int, float]] = {}  # their name → rank and alpha
    for name, layer in layers.items():
        theirs = _written(model, family, name)
        for module, rows in zip(theirs, np.split(layer.lora_b.data, len(theirs)), strict=True):
            arrays[f"{PREFIX}{module}.lora_A.weight"] = layer.lora_a.data
            arrays[f"{PREFIX}{module}.lora_B.weight"] = np.ascontiguousarray(rows)
            facts[module] = (layer.rank, int(layer.alpha) if layer.alpha.is_integer() else layer.alpha)
    config = _config(model, family, facts, max(layer.dropout.p for layer in layers.values()), base)
    with new_folder(folder, remedy) as building:
        write_json(building / CONFIG, config)
        write_tensors(building / WEIGHTS, arrays, {"format": "pt"})
        refresh_card(building)


def _config(model, family: Family, facts: Mapping[str, tuple[int, float]], dropout: float, base: str) -> dict:
    """What PEFT asks for. Layers of another rank or alpha than the first are named in the patterns."""
    rank, alpha = next(iter(facts.values()))
    task = "CAUSAL_LM" if family.model_type != "bert" else "FEATURE_EXTRACTION"
    return {
        "peft_type": "LORA",
        "task_type": None if getattr(model.config, "masked_lm", False) else task,
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": _targets(model, family, list(facts)),
        "rank_pattern": {name: r for name, (r, _) in facts.items() if r != rank},
        "alpha_pattern": {name: a for name, (_, a) in facts.items() if a != alpha},
        "fan_in_fan_out": bool(family.transposed),
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def _targets(model, family: Family, adapted: list[str]) -> list[str]:
    """The ends of names that mean these layers and no others: "attn.c_attn" for all blocks; else full names."""
    every = [
        theirs
        for name, module in model.named_modules()
        if isinstance(module, (Linear, LoRALinear)) and not name.endswith(".base")
        for theirs in _written(model, family, name)
    ]
    targets = {}
    for name in adapted:
        end = re.sub(r"^.*\.\d+\.", "", name)
        same = {other for other in every if other == end or other.endswith(f".{end}")}
        targets[end if same <= set(adapted) else name] = None
    return list(targets)


def load_adapter(
    model: GPT | BERT | Llama, folder: str | os.PathLike, rng: np.random.Generator | None = None
) -> list[str]:
    """Put the adapters of a folder in PEFT's layout around the layers of `model`, which is frozen; returns their names.

    `rng` is where dropout masks come from in a model without a generator of its own.
    Raises FileNotFoundError for what is missing; ValueError for adapters already there, for another method than LoRA or
    a setting that would give other results here, and where names or shapes do not fit the model.
    """
    folder, family = Path(folder), _family(model)
    path = folder / CONFIG
    settings = Settings(path, read_json(path, "give the folder of an adapter in PEFT's layout"))
    _require_plain(settings)
    dropout = settings.number("lora_dropout", 0.0)
    if not 0 <= dropout <= 1:
        raise settings.wrong("lora_dropout", "between 0 and 1")
    if lora_layers(model):
        raise ValueError("load_adapter: the model has adapters already: take them out with remove_lora, or merge them")
    files = _AdapterFile(folder)
    pairs = _pairs(files, family)
    linear = {name: module for name, module in model.named_modules() if isinstance(module, Linear)}
    layers = {name: their_modules(family, name) for name in linear}
    unknown = set(pairs) - {theirs for each in layers.values() for theirs in each}
    if unknown or not pairs:
        found = listed(sorted(unknown)) or "no adapters at all"
        raise ValueError(f"{files.path} does not fit this {type(model).__name__}; it is for {found}")
    found = {}
    for name, theirs in layers.items():
        if pairs.keys() & set(theirs):
            found[name] = _joined(settings, files, [(each, pairs.get(each)) for each in theirs], linear[name])
    model.requires_grad_(False)
    for name, (a, b, alpha) in found.items():
        with init.skip_init():
            layer = put_lora(model, name, len(a), alpha, dropout, rng)
        layer.lora_a.data, layer.lora_b.data = (array.astype(layer.lora_a.dtype) for array in (a, b))
    return list(found)


def _joined(
    settings: Settings, files: WeightFiles, parts: list[tuple[str, str | None]], linear: Linear
) -> tuple[np.ndarray, np.ndarray, float]:
    """A, B and alpha of one of our layers, from theirs: `parts` has each layer's name, and its tensors' or None."""
    out_features, in_features = linear.weight.shape
    height = out_features // len(parts)
    a_s, b_s, scales = [], [], []
    for module, name in parts:
        a, b = np.zeros((0, in_features)), np.zeros((height, 0))
        if name is not None:
            a, b = (files.read(f"{name}.lora_{which}.weight") for which in "AB")
            if a.shape[1:] != (in_features,) or b.shape != (height, len(a)) or not len(a):
                raise ValueError(
                    f"{files.path}: the adapter of {module} has shapes {a.shape} and {b.shape}, which do not fit "
                    f"its layer ({height}, {in_features}): it is for a model of another size"
                )
        a_s.append(a.astype(np.float32))
        b_s.append(b.astype(np.float32))
        scales.append(_scale(settings, module, len(a)))
    if all(np.array_equal(a, a_s[0]) for a in a_s) and len(set(scales)) == 1:
        return a_s[0], np.concatenate(b_s), scales[0] * len(a_s[0])
    a = np.concatenate(a_s)
    b = np.zeros((out_features, len(a)), np.float32)
    column = 0
    for part, (block, scale) in enumerate(zip(b_s, scales, strict=True)):
        columns = slice(column, column := column + block.shape[1])
        b[part * height : (part + 1) * height, columns] = block * (scale / max(scales))
    return a, b, max(scales) * len(a)


def _scale(settings: Settings, module: str, rank: int) -> float:
    """What PEFT multiplies B A with; 0 for a layer without an adapter."""
    alpha = settings.number("lora_alpha", 8.0)
    patterns = settings.data.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise settings.wrong("alpha_pattern", "an object of names and numbers")
    for end, value in patterns.items():
        if not re.fullmatch(r"[\w.]+", end) or type(value) not in (int, float) or not abs(value) < MOST_NUMBER:
            raise settings.wrong("alpha_pattern", "an object of ends of names, without further patterns, and numbers")
        if f".{module}".endswith(f".{end}"):
            alpha = value
            break
    if not alpha > LEAST_ALPHA:
        raise settings.wrong("lora_alpha", "above 0, and so must each in alpha_pattern")
    root = settings.flag("use_rslora", False)
    return alpha / (math.sqrt(rank) if root else rank) if rank else 0.0


def _require_plain(settings: Settings) -> None:
    settings.require("peft_type", "LORA")
    settings.require("bias", "none")
    settings.require("use_dora", False)
    settings.require("lora_bias", False)
    settings.require("init_lora_weights", *KEEP_THE_BASE)
    for name in ("modules_to_save", "target_parameters", "layer_replication", "trainable_token_indices"):
        if settings.data.get(name):
            raise settings.wrong(name, "left out: only adapters of linear layers are read here")


def _pairs(files: WeightFiles, family: Family) -> dict[str, str]:
    """Their module, with the family's prefix → what its tensors' names begin with. Raises ValueError for others."""
    ends = (".lora_A.weight", ".lora_B.weight")
    found: dict[str, set[str]] = {}
    for name in files.shapes:
        stem = name.removesuffix(ends[0]).removesuffix(ends[1])
        found.setdefault(stem, set()).add(name.removeprefix(stem))
    odd = [stem for stem, kinds in found.items() if kinds != set(ends) or not stem.startswith(PREFIX)]
    if odd:
        raise ValueError(f"{files.path} holds what is no pair of lora_A and lora_B of a linear layer: {listed(odd)}")
    heads = tuple(name[0].partition(".")[0] + "." for name in family.names.values())  # "transformer.", "lm_head."
    modules = {stem.removeprefix(PREFIX): stem for stem in found}
    return {(name if f"{name}.".startswith(heads) else family.prefix + name): stem for name, stem in modules.items()}


def _written(model: GPT | BERT | Llama, family: Family, name: str) -> tuple[str, ...]:
    """As `save_pretrained` has it: a BERT without a head is a BertModel, whose names lack the prefix."""
    prefix = family.prefix if isinstance(model, BERT) and not model.config.masked_lm else ""
    return tuple(theirs.removeprefix(prefix) for theirs in their_modules(family, name))


def their_modules(family: Family, name: str) -> tuple[str, ...]:
    """What transformers calls our linear layer `name`: blocks.0.attention.out → (transformer.h.0.attn.c_proj,)."""
    number = "".join(re.findall(r"^blocks\.(\d+)\.", name))
    modules = family.names[re.sub(r"^blocks\.\d+\.", "blocks.*.", name)]
    return tuple(module.replace("*", number) for module in modules)


def _family(model: GPT | BERT | Llama) -> Family:
    for name, kind in MODELS.items():
        if isinstance(model, kind):
            return FAMILIES[name]
    raise TypeError(f"adapters are read and written for a GPT, BERT or Llama, not a {type(model).__name__}")


class _AdapterFile(WeightFiles):
    """The tensors of an adapter: `WeightFiles` of one file, under PEFT's name."""

    def __init__(self, folder: Path):
        self.path = folder / WEIGHTS
        if not self.path.exists():
            pickled = (folder / "adapter_model.bin").exists()
            remedy = (
                "adapter_model.bin is a pickle, which may run any code when opened: save it again with a newer PEFT"
            )
            raise FileNotFoundError(f"{str(folder)!r} lacks {WEIGHTS}: {remedy if pickled else 'get the folder again'}")
        self.shapes = _shapes(self.path)
        self._files = dict.fromkeys(self.shapes, self.path)
