"""Fine-tuned models on disk, and the models that they begin with.

base/               the model, in Hugging Face's layout, with its tokenizer
head.safetensors    the task's layer
task.json           which task, its classes, how long texts may be
…                   what `tinygrad-llm finetune` writes beside: report.json, confusion.png, calibration.png

Of several tasks on one base each has a folder of its own in this one, with a head and a task.json.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.columns import required_text
from ..data.examples import Example
from ..files import read_json, write_json, write_tensors
from ..hub import load_pretrained, save_pretrained
from ..hub.gguf import is_gguf
from ..json_text import shortened
from ..models import BERT, GPT, Llama, Seq2Seq
from ..nn import Module
from .run import open_run
from .tasks import TASKS, Classify, FindAnswer, Grade
from .text_batches import Tokenizer

BASE, HEAD, TASK = "base", "head.safetensors", "task.json"
SHORTEST_TEXT = 3  # tokens: a frame and something in it


def open_model(
    folder: str | os.PathLike, keep_quantized: bool = False
) -> tuple[GPT | BERT | Llama | Seq2Seq, Tokenizer]:
    """The model and the tokenizer of a run, of a fine-tuned model, of a folder in Hugging Face's layout, or of a GGUF
    file, whose weights may stay in the few bits that they have there.

    Raises FileNotFoundError where there is none of them, ValueError where it is broken.
    """
    folder = Path(folder)
    if (folder / TASK).exists() or (folder / BASE).exists():
        folder = _base_of(folder)
    if is_gguf(folder):
        pretrained = load_pretrained(folder, keep_quantized=keep_quantized)
        return pretrained.model, pretrained.tokenizer
    config = read_json(folder / "config.json", "give the folder of a run, or of a model in Hugging Face's layout")
    if "preset" in config:
        run = open_run(folder)
        return run.load_model()[0].eval(), run.tokenizer
    pretrained = load_pretrained(folder)
    return pretrained.model, pretrained.tokenizer


@dataclass(frozen=True)
class FineTuned:
    """A model for a task: `predict` gives what its task does for each example."""

    model: Module  # one of models/heads.py
    tokenizer: Tokenizer
    task: Classify | Grade | FindAnswer
    max_seq_len: int

    def predict(self, examples: Sequence[Example]):
        """Probabilities (n, classes), numbers (n,), or a list of n answers; see tasks.py."""
        return self.task.predict(self.model.eval(), self.tokenizer, examples, self.max_seq_len)


def save_base(base: GPT | BERT | Llama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write what the tasks share into an existing folder. Raises OSError where that cannot be written."""
    save_pretrained(base, folder / BASE, tokenizer)


def save_head(fine_tuned: FineTuned, folder: Path) -> None:
    """Write what is the task's own into an existing folder: that of the base, or one in it for each task."""
    arrays = {name: parameter.data for name, parameter in fine_tuned.model.head.named_parameters()}
    write_tensors(folder / HEAD, arrays)
    facts = {"kind": fine_tuned.task.kind, "max_seq_len": fine_tuned.max_seq_len}
    write_json(folder / TASK, facts | {"settings": fine_tuned.task.settings()})


def _base_of(folder: Path) -> Path:
    """Of the folder of a fine-tuned model; several tasks share the one in the folder above."""
    return folder / BASE if (folder / BASE).exists() else folder.parent / BASE


def load_fine_tuned(folder: str | os.PathLike) -> FineTuned:
    """Raises FileNotFoundError where the folder holds no fine-tuned model, ValueError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    tasks = sorted(path.parent.name for path in folder.glob(f"*/{TASK}"))
    if tasks and not (folder / TASK).exists():
        raise ValueError(f"{str(folder)!r} holds several tasks: give the folder of one in it, {', '.join(tasks)}")
    facts = read_json(folder / TASK, "give the folder that `tinygrad-llm finetune` made")
    pretrained = load_pretrained(_base_of(folder))
    try:
        task, max_seq_len = _task(facts), facts["max_seq_len"]
        model = task.new_model(pretrained.model, [], 0.0, np.random.default_rng(0))
        model.head.load_state_dict(load_file(folder / HEAD))
        return FineTuned(model.eval(), pretrained.tokenizer, task, max_seq_len)
    except (KeyError, TypeError, ValueError, OverflowError, SafetensorError) as error:
        reason = shortened(error)
        raise ValueError(f"the fine-tuned model in {str(folder)!r} is damaged ({reason}): make it again") from None


def _task(facts: dict[str, Any]) -> Classify | Grade | FindAnswer:
    """Raises ValueError, or another error that says what is wrong, where the facts are not what `save_head` wrote."""
    settings, longest = facts["settings"], facts["max_seq_len"]
    if type(longest) is not int or not SHORTEST_TEXT <= longest < 2**31:
        raise ValueError(f"max_seq_len must be an integer of at least {SHORTEST_TEXT}")
    if not isinstance(settings, dict):
        raise ValueError("its settings must be an object")
    classes = settings.get("classes", [])
    if not isinstance(classes, list) or len({required_text(name, "a class") for name in classes}) < len(classes):
        raise ValueError("its classes must be a list of different names")
    for name in ("mean", "std"):
        value = settings.get(name, 1.0)
        if type(value) not in (int, float) or not abs(value) < 1e30 or (name == "std" and not value > 0):
            raise ValueError(f"{name} must be a number")
    if type(settings.get("by_words", False)) is not bool:
        raise ValueError("by_words must be true or false")
    return TASKS[facts["kind"]](**settings)
