"""The files with which sentence-transformers makes a BERT an encoder of sentences: how to pool, how long texts may be.

modules.json              the steps: the Transformer, pooling, perhaps normalization
1_Pooling/config.json     which pooling
sentence_bert_config.json the longest text, in tokens
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import read_json, write_json
from ..json_text import shortened
from .weights import is_beside

MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
}
_SIZE = "word_embedding_dimension"


@dataclass(frozen=True)
class Pooling:
    """How the vectors of a text's tokens become one. Raises ValueError for an unknown mode."""

    mode: str = "mean"  # mean or max over the tokens, or the first one's: cls
    normalize: bool = True  # to length 1, so that a dot product is a cosine
    max_seq_len: int | None = None  # longer texts are cut off; None: where the model's positions end

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"Pooling: mode must be one of {', '.join(MODES)}, not {self.mode!r}")


def read_pooling(folder: Path) -> Pooling | None:
    """None where the folder is no sentence encoder's. Raises ValueError for what we would not follow exactly."""
    path = folder / "modules.json"
    if not path.exists():
        return None
    steps = _steps(path)
    kinds = [kind for kind, _ in steps]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or steps[0][1] != "":
        raise ValueError(
            f"{path}: the steps must be Transformer, in the folder itself, Pooling and perhaps Normalize, "
            f"not {shortened(', '.join(kinds))}"
        )
    config_path = folder / "sentence_bert_config.json"
    longest = read_json(config_path).get("max_seq_length") if config_path.exists() else None
    if longest is not None and (type(longest) is not int or longest < 2):
        shown = shortened(repr(longest), 80)
        raise ValueError(f"{config_path}: max_seq_length must be an integer of at least 2, not {shown}")
    return Pooling(_mode(folder / steps[1][1] / "config.json"), "Normalize" in kinds, longest)


def _steps(path: Path) -> list[tuple[str, str]]:
    """The kind and the folder of each step."""
    modules = read_json(path, kind=list)
    steps = [(each.get("type"), each.get("path")) if isinstance(each, dict) else (None, None) for each in modules]
    for kind, folder in steps:
        if not isinstance(kind, str) or not isinstance(folder, str) or not (folder == "" or is_beside(folder)):
            raise ValueError(f"{path} is damaged: each step needs a type, and a folder beside it as its path")
    return [(kind.rpartition(".")[2], folder) for kind, folder in steps]


def _mode(path: Path) -> str:
    data = read_json(path)
    mode = data.get("pooling_mode")
    chosen = [mode] if mode is not None else [mode for mode, flag in MODES.items() if data.get(flag)]
    others = [name for name, value in data.items() if name.startswith("pooling_mode_") and value is True]
    if len(chosen) != 1 or chosen[0] not in MODES or not set(others) <= set(MODES.values()):
        shown = shortened(repr(mode or others))
        raise ValueError(f"{path}: the pooling must be one of {', '.join(MODES)}, not {shown}")
    return chosen[0]


def write_pooling(folder: Path, pooling: Pooling, d_model: int, max_seq_len: int) -> None:
    steps = ["Transformer", "Pooling"] + ["Normalize"] * pooling.normalize
    modules: list[dict[str, Any]] = [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{step}" if number else "",
            "type": f"sentence_transformers.models.{step}",
        }
        for number, step in enumerate(steps)
    ]
    write_json(folder / "modules.json", modules)
    for module in modules[1:]:
        (folder / module["path"]).mkdir()
    flags = {flag: mode == pooling.mode for mode, flag in MODES.items()}
    write_json(folder / "1_Pooling" / "config.json", {_SIZE: d_model} | flags)
    longest = max_seq_len if pooling.max_seq_len is None else pooling.max_seq_len
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
