"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file.

The file is in safetensors format, so any tool of the field can read the weights:

    tensors    model.blocks.0.attention.out.weight, …    each parameter once, under its first name
               optimizer.3.exp_avg, …                    arrays of the optimizer's state, parameters by number
    metadata   tinygrad_llm: JSON (format version, architecture, config, step, random generators, position in the data)
               sha256: of that JSON and of all tensors

It is written under a temporary name, flushed to the disk, and only then renamed: under its own name the file is always
complete. The one before is kept under another name: disks, too, make mistakes, which the checksum finds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_tensors
from ..json_text import shortened
from ..nn import Module
from ..optim import Optimizer
from .checkpoint_facts import read_facts, require_optimizer

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds, read and verified."""

    path: Path
    step: int
    architecture: str  # name of the model's class
    model_config: dict[str, Any]
    weights: dict[str, np.ndarray]
    optimizer: dict | None  # as Optimizer.state_dict(); None where only the weights were saved
    generators: list[dict]  # states of the model's random generators
    batches: dict | None  # as RandomBatches.state_dict()
    progress: dict[str, Any]  # whatever the caller keeps count of

    def restore(self, model: Module, optimizer: Optimizer | None = None, batches=None) -> None:
        """Put everything back where `save_checkpoint` took it from.

        Raises ValueError, before anything is changed, where the model or the optimizer is another one.
        """
        self._check_model(model)
        generators = random_generators(model)
        if optimizer is not None and (self.optimizer is None or len(self.generators) != len(generators)):
            raise ValueError(
                f"{self.path} holds no training state, so training cannot go on from it: resume from another "
                "checkpoint, such as last.safetensors"
            )
        with self._about_state():
            if optimizer is not None:
                require_optimizer(self.optimizer)
                optimizer.load_state_dict(self.optimizer)
                for generator, state in zip(generators, self.generators, strict=True):
                    generator.bit_generator.state = state
            if batches is not None:
                batches.load_state_dict(self.batches or {})
        model.load_state_dict(self.weights, strict=False)  # strict would ask for tied weights under each name

    @contextmanager
    def _about_state(self) -> Iterator[None]:
        """Errors from those whose state it is, with the file's name."""
        try:
            yield
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:  # NumPy's for its generators
            raise ValueError(f"{str(self.path)!r} does not fit what should go on: {shortened(error)}") from None

    def _check_model(self, model: Module) -> None:
        name, config = type(model).__name__, _config_of(model)
        if self.architecture != name:
            its = shortened(self.architecture, 40)
            raise ValueError(f"{self.path} holds a {its}, which is another model than a {name}")
        differences = [
            f"{key} {self.model_config.get(key)!r} where the model has {config.get(key)!r}"
            for key in config | self.model_config
            if self.model_config.get(key) != config.get(key)
        ]
        own = {name: parameter.shape for name, parameter in model.named_parameters()}
        saved = {name: array.shape for name, array in self.weights.items()}
        if not differences and own != saved:
            differences = [
                f"{name} of shape {saved.get(name)} where the model has {own.get(name)}"
                for name in own | saved
                if own.get(name) != saved.get(name)
            ]
        if differences:
            raise ValueError(
                f"{self.path} is the checkpoint of another architecture: it has {shortened('; '.join(differences[:3]))}"
            )


def save_checkpoint(
    path: str | os.PathLike,
    model: Module,
    step: int,
    optimizer: Optimizer | None = None,
    batches=None,
    progress: dict[str, Any] | None = None,
    keep_as: str | os.PathLike | None = None,
) -> None:
    """Write everything that `Checkpoint.restore` puts back; without an optimizer only the weights, for generation.

    An earlier file of that name is then called `keep_as`, if that is given, and what was called so before is gone.
    Raises OSError where the disk is full or cannot be written; an earlier file of that name is untouched then.
    """
    arrays = {f"model.{name}": parameter.data for name, parameter in model.named_parameters()}
    state = {"arrays": {}, "scalars": None} if optimizer is None else optimizer.state_dict()
    arrays |= {f"optimizer.{name}": array for name, array in state["arrays"].items()}
    facts = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "architecture": type(model).__name__,
        "model_config": _config_of(model),
        "optimizer": state["scalars"],
        "generators": [generator.bit_generator.state for generator in random_generators(model)],
        "batches": None if batches is None else batches.state_dict(),
        "progress": progress or {},
    }
    text = json.dumps(facts)
    _write(Path(path), arrays, {"tinygrad_llm": text, "sha256": _digest(text, arrays)}, keep_as)


def _write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str], keep_as: str | os.PathLike | None):
    from safetensors import SafetensorError

    try:
        write_tensors(path, arrays, metadata, keep_as)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"cannot write the checkpoint {str(path)!r} ({reason}): make room or choose another folder with --out; "
            "an earlier checkpoint of that name is untouched"
        ) from None


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint and verify its checksum.

    Raises FileNotFoundError, or ValueError for a file that is truncated, damaged, or no checkpoint of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {str(path)!r}: check the folder, or train a model first")
    arrays, metadata = _read(path)
    text = metadata.get("tinygrad_llm")
    if text is None:
        raise ValueError(
            f"{str(path)!r} is a safetensors file, but no checkpoint of tinygrad_llm: it has no record of the training"
        )
    if metadata.get("sha256") != _digest(text, arrays):
        raise ValueError(f"{str(path)!r} is damaged, its content does not match its checksum: use another checkpoint")
    try:
        facts = read_facts(text)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged ({shortened(error)}): use another checkpoint") from None
    if facts["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} has checkpoint format {shortened(facts['format_version'], 40)}, "
            f"this program reads {FORMAT_VERSION}: use the version of tinygrad_llm that wrote it"
        )
    optimizer = {"arrays": _under("optimizer.", arrays), "scalars": facts["optimizer"]}
    return Checkpoint(
        path,
        facts["step"],
        facts["architecture"],
        facts["model_config"],
        _under("model.", arrays),
        optimizer if facts["optimizer"] else None,
        facts["generators"],
        facts["batches"],
        facts["progress"],
    )


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{str(path)!r} is no complete safetensors file, it is truncated, damaged or of another kind "
            f"({shortened(error)}): use another checkpoint"
        ) from None


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _config_of(model: Module) -> dict[str, Any]:
    config = getattr(model, "config", None)
    return dataclasses.asdict(config) if config is not None else {}


def random_generators(model: Module) -> list[np.random.Generator]:
    """The generators that the model's modules draw from, each once, in the order of the modules."""
    found = [
        value for module in model.modules() for value in vars(module).values() if isinstance(value, np.random.Generator)
    ]
    return list({id(generator): generator for generator in found}.values())
