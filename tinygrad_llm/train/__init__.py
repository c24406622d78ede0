"""Training: what to learn (recipes), the loop, its objectives, how it is measured, and what is kept on disk.

    config = preset("laptop")
    model = build_model(config, tokenizer.vocab_size)
    steps = train_steps(model, batches, language_modelling, build_optimizer(config, model), schedule, n_steps=2000)
    for info in steps:
        print(info.step, info.loss)

Reading order: recipes, build, loop, objectives, metrics, checkpoint, corpus, run, memory, tracking.
"""

from .build import build_model, build_optimizer, build_schedule
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .corpus import Corpus, read_corpus, train_tokenizer
from .loop import StepInfo, train_steps
from .memory import MemoryEstimate, estimate_memory
from .metrics import Evaluation, evaluate
from .objectives import language_modelling
from .recipes import PRESETS, PretrainConfig, preset
from .run import Run, open_run
from .tracking import EventWriter

__all__ = [
    "PRESETS",
    "Checkpoint",
    "Corpus",
    "Evaluation",
    "EventWriter",
    "MemoryEstimate",
    "PretrainConfig",
    "Run",
    "StepInfo",
    "build_model",
    "build_optimizer",
    "build_schedule",
    "estimate_memory",
    "evaluate",
    "language_modelling",
    "load_checkpoint",
    "open_run",
    "preset",
    "read_corpus",
    "save_checkpoint",
    "train_steps",
    "train_tokenizer",
]
