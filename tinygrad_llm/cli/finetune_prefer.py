"""`tinygrad-llm finetune prefer`: from a model that answers and pairs of answers to one that prefers the better ones.

Pairs are split into three parts: to train on, to stop by, and to test the result once. Read `finetune_prefer` top to
bottom; see prefer_report.py for what it says at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from ..data.preferences import (
    Preference,
    docstring_preferences,
    read_preferences,
    split_docstring_preferences,
    split_preferences,
)
from ..data.stratify import PARTS, ExampleSplit
from ..files import new_folder, require_free
from ..hub import chat_template_of, refresh_card
from ..models import GPT, Llama
from ..nn import num_trainable
from ..text import ChatTemplate, save_chat_template
from ..train.chat import PLAIN
from ..train.dpo import EncodedPair, PreferenceTuning, require_dpo
from ..train.energy import EnergyMeter, flops_per_token
from ..train.fine_tuned import BASE, open_model
from ..train.finetune import FineTuneConfig
from ..train.preference_rows import AnswerFrame, encode_preferences
from ..train.run import OTHER_FOLDER
from .adapters import adapt, require_lora, save_adapted
from .cost import data_facts, fine_tuning_facts
from .parser import config_fields
from .prefer_options import DEFAULTS, WITH_LORA
from .prefer_report import Measured, measure, write_report
from .train import compile_missing_kernels, say


def finetune_prefer(arguments: argparse.Namespace) -> int:
    began, meter, console = time.perf_counter(), EnergyMeter(), Console(highlight=False)
    adapted = _check(arguments)
    config = FineTuneConfig(**DEFAULTS | (WITH_LORA if adapted else {}) | config_fields(arguments))
    out = Path(arguments.out or "runs/prefer")
    require_free(out, OTHER_FOLDER)
    base, tokenizer = open_model(arguments.base)
    if not isinstance(base, (GPT, Llama)):
        kind = type(base).__name__
        raise ValueError(f"{str(arguments.base)!r} holds a {kind}, which writes no answers: give a GPT or a Llama")
    frame = AnswerFrame(tokenizer, _template(arguments.base))
    kept, pairs = _encoded(_read(arguments, config.seed, console), frame, base.config.max_seq_len, console)
    adapt(base, arguments, config.seed)
    compile_missing_kernels(type(base).__name__.lower(), console)
    tuning = PreferenceTuning(base, pairs, config, arguments.beta, arguments.label_smoothing)
    n, of = num_trainable(base), base.num_parameters()
    say(console, f"{n:,} of {of:,} parameters are trained, up to {tuning.n_steps:,} steps")
    reference = None if adapted else open_model(arguments.base)[0]
    prompts = [each.prompt for each in kept["test"]][: arguments.n_samples]
    with new_folder(out, OTHER_FOLDER) as building:
        before = measure(tuning, frame, prompts, None if adapted else base, config.seed)
        history = train(tuning, began, console, meter)
        cost = fine_tuning_facts(base, config, history[-1], flops_per_token(base), meter)
        after = measure(tuning, frame, prompts, reference, config.seed)
        facts = {"base": str(arguments.base), "config": dataclasses.asdict(config), "history": history}
        facts |= {name: getattr(arguments, name) for name in ("beta", "label_smoothing", "lora_rank", "lora_alpha")}
        data = data_facts(arguments, arguments.data or (), arguments.embedded, ExampleSplit(**kept))
        facts |= cost | {"parameters": of, "trained_parameters": n, "data": data}
        _save(base, frame, building, str(arguments.base))
        measured = Measured(before, after, kept["train"], kept["test"], tuning.model.margins, history)
        write_report(building, out, measured, facts | {"seconds": time.perf_counter() - began}, console)
        refresh_card(building)
    return 0


def _check(arguments: argparse.Namespace) -> bool:
    """Whether there are to be adapters. Raises ValueError for options that do not fit together."""
    require_dpo(arguments.beta, arguments.label_smoothing)
    if (arguments.data is None) == (arguments.embedded is None):
        raise ValueError("give the pairs by --data FILE, or take Python's own by --embedded preferences")
    require_lora(arguments)
    if arguments.n_samples < 1:
        raise ValueError(f"--n-samples must be at least 1, not {arguments.n_samples}")
    return arguments.lora_rank > 0


def _template(folder: str) -> ChatTemplate:
    """Of the model, or of the base in a folder that a fine-tuning made; PLAIN where it was taught none."""
    for place in (Path(folder), Path(folder) / BASE):
        try:
            return chat_template_of(place)
        except FileNotFoundError:
            continue
    return PLAIN


def _read(arguments: argparse.Namespace, seed: int, console: Console) -> ExampleSplit:
    if arguments.embedded:
        return split_docstring_preferences(
            _some(docstring_preferences(kinds=arguments.kinds), arguments.max_examples, seed)
        )
    table = read_preferences(arguments.data, arguments.encoding)
    say(console, str(table))
    return split_preferences(_some(table.examples, arguments.max_examples, seed), seed=seed)


def _some(preferences: list[Preference], most: int | None, seed: int) -> list[Preference]:
    order = np.random.default_rng(seed).permutation(len(preferences))[:most]
    return [preferences[i] for i in sorted(order)]


def _encoded(
    split: ExampleSplit, frame: AnswerFrame, max_seq_len: int, console: Console
) -> tuple[dict[str, list[Preference]], dict[str, list[EncodedPair]]]:
    """The pairs of each part that are short enough, and their tokens."""
    kept, pairs = {}, {}
    for part in PARTS:
        kept[part], pairs[part] = encode_preferences(getattr(split, part), frame, max_seq_len)
    n_long = sum(len(getattr(split, part)) - len(kept[part]) for part in PARTS)
    if n_long:
        say(console, f"{n_long:,} pairs left out, longer than the model's {max_seq_len} tokens")
    sizes = [len(pairs[part]) for part in PARTS]
    say(console, f"{sizes[0]:,} pairs to train on, {sizes[1]:,} to stop by, {sizes[2]:,} to test the result")
    return kept, pairs


def train(tuning: PreferenceTuning, began: float, console: Console, meter: EnergyMeter) -> list[dict]:
    """What was measured at each evaluation."""
    history = []
    for report in tuning.train():
        meter.read()  # a counter must not start anew unseen
        scores = tuning.validation
        facts = {"margin": float(scores.margins.mean()), "accuracy": scores.accuracy, "validation_loss": scores.loss}
        line = {name: getattr(report, name) for name in ("step", "loss", "is_best", "tokens", "seconds")}
        history.append(line | facts)
        best = " (best so far)" if report.is_best else ""
        say(
            console,
            f"step {report.step}/{tuning.n_steps}  loss {report.loss:.4f}  validation {scores.loss:.4f}, margin "
            f"{facts['margin']:.3f}, accuracy {scores.accuracy:.3f}{best}  {time.perf_counter() - began:.0f} s",
        )
    return history


def _save(model: GPT | Llama, frame: AnswerFrame, building: Path, base: str) -> None:
    save_adapted(model, frame.tokenizer, building, base)
    if frame.template is not PLAIN:
        save_chat_template(building / BASE, frame.template)
