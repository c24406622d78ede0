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

import numpy as np

from ..data.examples import Example
from ..files import read_json, write_json
from ..hub import load_pretrained, save_pretrained
from ..models import BERT, GPT, Llama, Seq2Seq
from ..nn import Module
from .run import open_run
from .tasks import TASKS, Classify, FindAnswer, Grade
from .text_batches import Tokenizer

BASE, HEAD, TASK = "base", "head.safetensors", "task.json"


def open_model(folder: str | os.PathLike) -> tuple[GPT | BERT | Llama | Seq2Seq, Tokenizer]:
    """The model and the tokenizer of a run, of a fine-tuned model, or of a folder in Hugging Face's layout.

    Raises FileNotFoundError where there is none of them, ValueError where it is broken.
    """
    folder = Path(folder)
    if (folder / TASK).exists() or (folder / BASE).exists():
        folder = _base_of(folder)
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
    from safetensors.numpy import save_file

    save_file({name: parameter.data for name, parameter in fine_tuned.model.head.named_parameters()}, folder / HEAD)
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
        task = TASKS[facts["kind"]](**facts["settings"])
        model = task.new_model(pretrained.model, [], 0.0, np.random.default_rng(0))
        model.head.load_state_dict(load_file(folder / HEAD))
        return FineTuned(model.eval(), pretrained.tokenizer, task, int(facts["max_seq_len"]))
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"the fine-tuned model in {str(folder)!r} is damaged ({error}): make it again") from None
