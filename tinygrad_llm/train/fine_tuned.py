"""Fine-tuned models on disk, and the models that they begin with.

base/               the model, in Hugging Face's layout, with its tokenizer
head.safetensors    the task's layer
task.json           which task, its classes, how long texts may be
…                   what `tinygrad-llm finetune` writes beside: report.json, confusion.png
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
from ..models import BERT, GPT, Llama
from ..nn import Module
from .run import open_run
from .tasks import TASKS, Classify, FindAnswer, Grade
from .text_batches import Tokenizer

HEAD, TASK = "head.safetensors", "task.json"


def open_model(folder: str | os.PathLike) -> tuple[GPT | BERT | Llama, Tokenizer]:
    """The model and the tokenizer of a run, of a fine-tuned model, or of a folder in Hugging Face's layout.

    Raises FileNotFoundError where there is none of them, ValueError where it is broken.
    """
    folder = Path(folder)
    if (folder / TASK).exists():
        folder = folder / "base"
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


def save_fine_tuned(fine_tuned: FineTuned, folder: Path) -> None:
    """Write it into an existing folder. Raises OSError where that cannot be written."""
    from safetensors.numpy import save_file

    save_pretrained(fine_tuned.model.base, folder / "base", fine_tuned.tokenizer)
    save_file({name: parameter.data for name, parameter in fine_tuned.model.head.named_parameters()}, folder / HEAD)
    facts = {"kind": fine_tuned.task.kind, "max_seq_len": fine_tuned.max_seq_len}
    write_json(folder / TASK, facts | {"settings": fine_tuned.task.settings()})


def load_fine_tuned(folder: str | os.PathLike) -> FineTuned:
    """Raises FileNotFoundError where the folder holds no fine-tuned model, ValueError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    facts = read_json(folder / TASK, "give the folder that `tinygrad-llm finetune` made")
    pretrained = load_pretrained(folder / "base")
    try:
        task = TASKS[facts["kind"]](**facts["settings"])
        model = task.new_model(pretrained.model, [], 0.0, np.random.default_rng(0))
        model.head.load_state_dict(load_file(folder / HEAD))
        return FineTuned(model.eval(), pretrained.tokenizer, task, int(facts["max_seq_len"]))
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"the fine-tuned model in {str(folder)!r} is damaged ({error}): make it again") from None
