"""`tinygrad-llm finetune`: from a pretrained model and tables of examples to models for tasks, and an honest report.

Examples are split into three parts that share no text: to train on, to stop by, and to test the result once. Read
`finetune` top to bottom; see finetune_report.py for what it says at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..files import new_folder, require_free
from ..hub import refresh_card
from ..models import Seq2Seq
from ..nn.quantized import is_quantized
from ..train.energy import EnergyMeter, flops_per_token
from ..train.fine_tuned import FineTuned, open_model, save_head
from ..train.finetune import FineTuneConfig
from ..train.joint import Job, Joint
from ..train.run import OTHER_FOLDER
from ..train.scratch import SETTINGS, small_bert
from .adapters import adapt, require_lora, save_adapted
from .cost import assumption, data_facts, fine_tuning_facts
from .finetune_report import write_comparison, write_report
from .finetune_tasks import read_job, wanted_tasks
from .parser import config_fields
from .train import compile_missing_kernels, say

SCRATCH = "scratch"  # in place of a folder: a new, small BERT


def finetune(arguments: argparse.Namespace) -> int:
    began, meter, console = time.perf_counter(), EnergyMeter(), Console(highlight=False)
    defaults = SETTINGS if arguments.base == SCRATCH else {}
    config, wanted = FineTuneConfig(**defaults | config_fields(arguments)), wanted_tasks(arguments)
    _check(arguments)
    out = Path(arguments.out or f"runs/{arguments.task or 'tasks'}")
    require_free(out, OTHER_FOLDER)
    if arguments.base != SCRATCH:
        open_base(arguments, (), config.seed)  # mistakes first: reading examples may take a while
    jobs = [read_job(each, arguments, config.seed, console) for each in wanted]
    base, tokenizer = open_base(arguments, jobs, config.seed)
    max_seq_len = min(arguments.max_seq_len or base.config.max_seq_len, base.config.max_seq_len)
    dropout = arguments.dropout if arguments.dropout is not None else 0.0 if arguments.base == SCRATCH else 0.1
    joint = Joint(base, tokenizer, jobs, max_seq_len, config, dropout, arguments.temperature)
    say(
        console,
        f"{type(base).__name__} with {joint.model.num_parameters():,} parameters, up to {joint.n_steps:,} steps",
    )
    compile_missing_kernels(type(base).__name__.lower(), console)
    with new_folder(out, OTHER_FOLDER) as building:
        history = train(joint, began, console, meter)
        cost = fine_tuning_facts(joint.model, config, history[-1], flops_per_token(joint.model, scored=0.0), meter)
        save_adapted(base, tokenizer, building, str(arguments.base))
        facts = {"base": str(arguments.base), "config": dataclasses.asdict(config), "history": history} | cost
        if not arguments.task:
            facts |= {"steps": dict(joint.steps), "temperature": arguments.temperature}
        for job, source in zip(jobs, wanted, strict=True):
            folder, place = (building, out) if arguments.task else (building / job.name, out / job.name)
            folder.mkdir(exist_ok=True)
            save_head(joint.models[job.name], folder)
            known = facts | {"data": data_facts(arguments, source.files, source.embedded, job.split)}
            write_report(folder, place, joint.models[job.name], job.split, known, time.perf_counter() - began, console)
        say(console, assumption(facts))
        if arguments.compare_alone:
            alone = {job.name: train_alone(job, joint, arguments, began, console, meter) for job in jobs}
            write_comparison(building, jobs, joint.models, alone, console)
            say(console, f"energy with these: {meter.read().energy(config.core_watts, config.co2_per_kwh)}")
        refresh_card(building)
    return 0


def open_base(arguments: argparse.Namespace, jobs: Sequence[Job], seed: int):
    """The model to begin with, and its tokenizer."""
    name = arguments.base
    if name == SCRATCH:
        return small_bert([example for job in jobs for example in job.split.train], seed=seed)
    base, tokenizer = open_model(name)
    if isinstance(base, Seq2Seq):
        raise ValueError(f"{name!r} holds an encoder-decoder, which writes: finetune needs a GPT, a BERT or a Llama")
    if is_quantized(base) and not arguments.lora_rank:
        raise ValueError(f"{name!r} is quantised, and bytes do not learn: train adapters beside them by --lora-rank 8")
    adapt(base, arguments, seed)
    return base, tokenizer


def _check(arguments: argparse.Namespace) -> None:
    if arguments.dropout is not None and not 0 <= arguments.dropout < 1:
        raise ValueError(f"--dropout must be at least 0 and below 1, not {arguments.dropout}")
    require_lora(arguments)
    if arguments.base == SCRATCH and arguments.lora_rank:
        raise ValueError("--lora-rank freezes the model that it begins with: it does not go with --from scratch")
    if arguments.compare_alone and len(arguments.tasks) < 2:
        raise ValueError("--compare-alone goes with two tasks or more, each given by --task")
    if not arguments.temperature >= 1:
        raise ValueError(
            f"--temperature must be at least 1 (larger: tasks come more evenly), not {arguments.temperature}"
        )


def train(joint: Joint, began: float, console: Console, meter: EnergyMeter) -> list[dict]:
    """What was measured at each evaluation."""
    history = []
    for report in joint.train():
        meter.read()  # a counter must not start anew unseen
        history.append(dataclasses.asdict(report) | ({"scores": dict(joint.scores)} if len(joint.jobs) > 1 else {}))
        best = " (best so far)" if report.is_best else ""
        parts = ", ".join(f"{name} {score:.3f}" for name, score in joint.scores.items())
        say(
            console,
            f"step {report.step}/{joint.n_steps}  loss {report.loss:.4f}  validation {report.score:.4f}"
            f"{f' ({parts})' if len(joint.jobs) > 1 else ''}{best}  {time.perf_counter() - began:.0f} s",
        )
    return history


def train_alone(
    job: Job, joint: Joint, arguments: argparse.Namespace, began: float, console: Console, meter: EnergyMeter
) -> FineTuned:
    """The same base for this task only, for as many steps as the task had among the others."""
    base, tokenizer = open_base(arguments, joint.jobs, joint.config.seed)
    n_steps, config = joint.steps[job.name], joint.config
    epochs = n_steps * config.batch_size / len(job.split.train)
    per_epoch = config.evaluations_per_epoch * config.epochs / epochs  # as often, over the whole run
    alone_config = dataclasses.replace(config, epochs=epochs, evaluations_per_epoch=per_epoch)
    max_seq_len = joint.models[job.name].max_seq_len
    say(console, f"{job.name} alone, {n_steps:,} steps")
    alone = Joint(base, tokenizer, [job], max_seq_len, alone_config, joint.dropout)
    train(alone, began, console, meter)
    return alone.models[job.name]
