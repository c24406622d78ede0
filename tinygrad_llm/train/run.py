"""A run's folder: where its settings, text, checkpoints and results are, and how to open them again.

config.json            preset and settings
tokenizer.json
train.tokens  val.tokens    of an encoder-decoder pairs: train.jsonl, val.jsonl, test.jsonl, beyond.jsonl
corpus.json            how text was cleaned and split; of a GPT or Llama, what zlib and lzma make of the validation part
last.safetensors       the newest checkpoint: training goes on from here
previous.safetensors   the one before, should the disk spoil the newest
best.safetensors       the weights with the lowest validation loss so far
log.jsonl              a line for each logged step
summary.json  loss.png  sample.txt    at the end
.lock                  while a process trains: no other one may
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..data import CompressionBaseline
from ..files import read_json, require_free, write_json
from ..json_text import shortened
from .build import build_model, model_config
from .recipes import PretrainConfig

if TYPE_CHECKING:
    from ..nn import Module
    from ..text import Tokenizer
    from .checkpoint import Checkpoint


OTHER_FOLDER = "choose another folder with --out"


@dataclass(frozen=True)
class Run:
    """An existing run: `open_run(folder)` makes one."""

    folder: Path
    preset: str
    config: PretrainConfig

    @cached_property
    def tokenizer(self) -> Tokenizer:
        from ..text import load_tokenizer

        return load_tokenizer(self.folder / "tokenizer.json")

    @cached_property
    def baselines(self) -> CompressionBaseline:
        """What compressors make of the validation text. Raises ValueError where corpus.json is damaged."""
        path = self.folder / "corpus.json"
        try:
            baselines = CompressionBaseline(**read_json(path, "the run's folder is not complete")["baselines"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{str(path)!r} is damaged ({shortened(repr(error))}): start a new run") from None
        if not all(type(bits) in (int, float) and 0 <= bits < 1e6 for bits in dataclasses.astuple(baselines)):
            raise ValueError(f"{str(path)!r} is damaged, its baselines are no numbers: start a new run")
        return baselines

    def checkpoint_path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def load_last(self) -> Checkpoint:
        """The newest checkpoint. Raises FileNotFoundError or ValueError where it is missing or damaged; the message
        says how to go on from the one before, where that is whole."""
        from .checkpoint import load_checkpoint

        last, previous = self.checkpoint_path("last"), self.checkpoint_path("previous")
        try:
            return load_checkpoint(last)
        except (FileNotFoundError, ValueError) as error:
            try:
                step = load_checkpoint(previous).step
            except (FileNotFoundError, ValueError):
                raise error from None
            raise type(error)(
                f"{error}; the one before, of step {step}, is whole: to go on from it, rename it, "
                f"mv {shlex.quote(str(previous))} {shlex.quote(str(last))}, and resume again"
            ) from None

    def load_model(self, name: str = "best") -> tuple[Module, Checkpoint]:
        """The model with the weights of a checkpoint: "best", or "last", which also stands in where there is no best.

        Raises ValueError where the checkpoint is damaged or does not fit the settings in config.json.
        """
        from ..hub.sizes import require_enough_weights
        from ..nn.quantized import quantize_structure
        from .checkpoint import load_checkpoint

        path = self.checkpoint_path(name)
        if name == "best" and not path.exists():
            path = self.checkpoint_path("last")
        checkpoint = load_checkpoint(path)
        config = model_config(self.config, self.tokenizer.vocab_size)
        require_enough_weights(self.folder / "config.json", config, (a.shape for a in checkpoint.weights.values()))
        model = build_model(self.config, self.tokenizer.vocab_size)
        if any(name.endswith(".int8_weight") for name in checkpoint.weights):
            quantize_structure(model)
        checkpoint.restore(model)
        return model, checkpoint


def open_run(folder: str | os.PathLike) -> Run:
    """Raises FileNotFoundError where the folder holds no run, ValueError where its settings are damaged."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(folder)!r} holds no run, there is no config.json in it: give the folder that "
            "`tinygrad-llm pretrain` made"
        )
    facts = read_json(path, "start a new run")
    try:
        if not isinstance(facts["preset"], str):
            raise TypeError("preset must be a name")
        return Run(Path(folder), facts["preset"], PretrainConfig(**facts["config"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the settings in {str(path)!r} are damaged ({shortened(error)}): start a new run") from None


def run_in(folder: str | os.PathLike) -> Run | None:
    """The run in a folder, or None where a model of another kind is there, or none. Raises as `open_run`."""
    path = Path(folder) / "config.json"
    return open_run(folder) if path.is_file() and "preset" in read_json(path) else None


def save_config(folder: Path, preset: str, config: PretrainConfig) -> None:
    write_json(folder / "config.json", {"preset": preset, "config": dataclasses.asdict(config)})


def require_no_run(folder: Path) -> None:
    """Raise ValueError unless the folder is new or empty."""
    if (folder / "config.json").exists():
        raise ValueError(
            f"{str(folder)!r} already holds a run: go on with it by --resume {folder}, or choose another --out"
        )
    require_free(folder, OTHER_FOLDER)
