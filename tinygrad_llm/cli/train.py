"""The loop of `tinygrad-llm pretrain`, from the last checkpoint to the end or to Ctrl-C. Read `train` top to bottom."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from .. import warm_up
from ..data import RandomBatches, open_tokens, read_token_header, sequential_batches
from ..nn import Module
from ..optim import Optimizer
from ..train import (
    PretrainConfig,
    Run,
    StepInfo,
    build_model,
    build_optimizer,
    build_schedule,
    language_modelling,
    load_checkpoint,
    save_checkpoint,
    train_steps,
)
from ..train.run import save_config
from .display import Display
from .evaluate import evaluate_file
from .generate import sample_text
from .interrupt import Interrupt
from .log import Log
from .progress import Progress
from .summary import finish
from .tensorboard import event_writer, write_insights, write_sample, write_scalars


def build(config: PretrainConfig, vocab_size: int, folder: Path) -> tuple[Module, Optimizer, RandomBatches]:
    """Model, optimizer and batches as they are before the first step.

    Raises ValueError where the training text is shorter than the context, or the validation text than two tokens.
    """
    model = build_model(config, vocab_size)
    sequential_batches(open_tokens(folder / "val.tokens"), config.batch_size, config.max_seq_len)  # checks it
    tokens = open_tokens(folder / "train.tokens")
    batches = RandomBatches(tokens, config.batch_size, config.max_seq_len, config.seed)
    return model, build_optimizer(config, model), batches


def train(run: Run, console: Console, began: float) -> int:
    """Returns the exit code: 0, or 130 after Ctrl-C. `began` is when the command was called."""
    config, baselines = run.config, run.baselines
    model, optimizer, batches = build(config, run.tokenizer.vocab_size, run.folder)
    checkpoint = load_checkpoint(run.checkpoint_path("last"))
    checkpoint.restore(model, optimizer, batches)
    start, progress = checkpoint.step, Progress(**checkpoint.progress, began=began)
    del checkpoint  # its copy of weights and optimizer state would stay in memory
    if start > config.steps:
        raise ValueError(f"{str(run.folder)!r} has done {start} steps already: --steps must be at least that")
    save_config(run.folder, run.preset, config)
    steps = train_steps(
        model,
        batches,
        language_modelling,
        optimizer,
        build_schedule(config),
        n_steps=config.steps,
        start_step=start,
        accumulate=config.accumulate,
        clip=config.clip or None,
    )
    _say_what_comes(console, run, model, start)
    stopped_at = None
    with event_writer(run, start) as events:
        with Interrupt() as interrupt, Log(run.folder / "log.jsonl", start) as log, _display(console, run) as display:
            for info in steps:
                step, is_last, stop = info.step, info.step == config.steps, interrupt.requested
                progress.add(info, is_first=step == start + 1)
                display.update(info)
                measured = {}
                if due(step, config.evaluate_every) or is_last:
                    measured = _validate(run, model, step, progress)
                    display.say(f"step {step}: validation {measured['validation_bits_per_byte']:.3f} bits/byte")
                    write_insights(events, run, model, step)
                if due(step, config.log_every) or measured:
                    line = _record(info, progress) | measured
                    log.write(**line)
                    write_scalars(events, line, info.tokens / info.seconds)
                if due(step, config.sample_every) and not is_last:
                    sample = sample_text(run, model, config.sample_tokens, (config.seed, step))
                    display.sample(step, sample)
                    write_sample(events, step, sample)
                if due(step, config.checkpoint_every) or is_last or stop:
                    save_checkpoint(run.checkpoint_path("last"), model, step, optimizer, batches, progress.state())
                if stop and not is_last:
                    stopped_at = step
                    break
        if stopped_at is not None:
            _say_how_to_resume(console, run, stopped_at)
            return interrupt.exit_code
        write_sample(events, config.steps, finish(run, model, progress, baselines, console))
    return 0


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _display(console: Console, run: Run) -> Display:
    header = read_token_header(run.folder / "train.tokens")
    return Display(console, run.config.steps, header.text_bytes / header.n_tokens)


def _validate(run: Run, model: Module, step: int, progress: Progress) -> dict[str, float]:
    """Measure the model on (the beginning of) the validation text; keep its weights if they are the best so far."""
    result = evaluate_file(run.config, model, run.folder / "val.tokens", run.config.evaluation_tokens)
    if progress.best_loss is None or result.loss < progress.best_loss:
        progress.best_loss, progress.best_step = result.loss, step
        save_checkpoint(run.checkpoint_path("best"), model, step)
    return {"validation_loss": result.loss, "validation_bits_per_byte": result.bits_per_byte}


def _record(info: StepInfo, progress: Progress) -> dict[str, float]:
    """A line of the log; its loss is the mean over the steps since the line before."""
    loss = sum(progress.losses) / len(progress.losses)
    progress.losses.clear()
    return dataclasses.asdict(info) | {"loss": loss, "tokens": progress.tokens, "seconds": progress.total_seconds}


def _say_what_comes(console: Console, run: Run, model: Module, start: int) -> None:
    if start < run.config.steps:
        say(console, f"{run.folder}: {model.num_parameters():,} parameters, steps {start + 1} to {run.config.steps}")
        if run.config.tensorboard:
            say(console, f"to watch it: tensorboard --logdir {shlex.quote(str(run.folder.parent))}")
        if warm_up.is_needed():
            say(console, "compiling kernels (first run only) …")
            warm_up.compile_kernels(run.config.model)


def _say_how_to_resume(console: Console, run: Run, step: int) -> None:
    say(console, f"stopped after step {step}, everything is saved; go on with:")
    say(console, f"  tinygrad-llm pretrain --resume {shlex.quote(str(run.folder))}")
