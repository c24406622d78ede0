"""The loop of `tinygrad-llm pretrain`, from the last checkpoint to the end or to Ctrl-C. Read `train` top to bottom."""

from __future__ import annotations

import dataclasses
import shlex

from rich.console import Console
from rich.text import Text

from .. import warm_up
from ..data import RandomBatches
from ..data.masking import MaskedBatches
from ..nn import Module
from ..optim import Optimizer
from ..train import (
    Run,
    StepInfo,
    build_model,
    build_optimizer,
    build_schedule,
    language_modelling,
    save_checkpoint,
    train_steps,
)
from ..train.distributed_ranks import Ranks
from ..train.energy import EnergyMeter
from ..train.run import save_config
from .display import Display
from .distributed import follow, share_training
from .log import Log
from .objectives import Objective, objective_of
from .progress import Progress
from .summary import finish
from .tensorboard import event_writer, write_insights, write_sample, write_scalars


def build(objective: Objective) -> tuple[Module, Optimizer, RandomBatches | MaskedBatches]:
    """Model, optimizer and batches as they are before the first step.

    Raises ValueError where the training or the validation text is too short.
    """
    run = objective.run
    model = build_model(run.config, run.tokenizer.vocab_size)
    return model, build_optimizer(run.config, model), objective.batches()


def train(run: Run, console: Console, began: float, meter: EnergyMeter, ranks: Ranks | None = None) -> int:
    """Returns the exit code: 0, or 130 after Ctrl-C. `began` is when the command was called, as was `meter` begun."""
    config, objective = run.config, objective_of(run)
    model, optimizer, batches = build(objective)
    objective.check()
    checkpoint = run.load_last()
    checkpoint.restore(model, optimizer, batches)
    start, progress = checkpoint.step, Progress(**checkpoint.progress, began=began, meter=meter)
    del checkpoint  # its copy of weights and optimizer state would stay in memory
    if start > config.steps:
        raise ValueError(f"{str(run.folder)!r} has done {start} steps already: --steps must be at least that")
    interrupt, gradients = share_training(ranks, model, config.seed, progress)
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
        gradients=gradients,
    )
    if ranks is not None and not ranks.is_first:
        return follow(ranks, steps, interrupt)
    save_config(run.folder, run.preset, config)
    _say_what_comes(console, run, model, start)
    if ranks is not None:
        ranks.barrier()  # the others wait until the kernels are compiled
    stopped_at = None
    with event_writer(run, start) as events:
        display = Display(console, config.steps, objective.training)
        with interrupt, Log(run.folder / "log.jsonl", start) as log, display:
            for info in steps:
                step, is_last, stop = info.step, info.step == config.steps, interrupt.requested
                progress.add(info, is_first=step == start + 1)
                display.update(info)
                measured = {}
                if due(step, config.evaluate_every) or is_last:
                    measured, text = _validate(objective, model, step, progress)
                    display.say(f"step {step}: validation {text}")
                    write_insights(events, run, model, step)
                if due(step, config.log_every) or measured:
                    line = _record(info, progress) | measured
                    log.write(**line)
                    write_scalars(events, line, info.tokens / info.seconds)
                if due(step, config.sample_every) and not is_last:
                    sample = objective.sample(model, (config.seed, step))
                    display.sample(step, sample)
                    write_sample(events, step, sample)
                if due(step, config.checkpoint_every) or is_last or stop:
                    for record in filter(None, (log, events)):
                        record.sync()  # first, for steps that the checkpoint holds are not logged again
                    last, previous = map(run.checkpoint_path, ("last", "previous"))
                    save_checkpoint(last, model, step, optimizer, batches, progress.state(), keep_as=previous)
                if stop and not is_last:
                    stopped_at = step
                    break
        if stopped_at is not None:
            _say_how_to_resume(console, run, stopped_at)
            return interrupt.exit_code
        write_sample(events, config.steps, finish(objective, model, progress, console))
    return 0


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _validate(objective: Objective, model: Module, step: int, progress: Progress) -> tuple[dict[str, float], str]:
    """Measure the model on (the beginning of) the validation text; keep its weights if they are the best so far."""
    run = objective.run
    result = objective.evaluate(model, max_tokens=run.config.evaluation_tokens)
    if progress.best_loss is None or result.loss < progress.best_loss:
        progress.best_loss, progress.best_step = result.loss, step
        save_checkpoint(run.checkpoint_path("best"), model, step)
    return objective.validation(result)


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
        compile_missing_kernels(run.config.model, console)


def compile_missing_kernels(model: str, console: Console) -> None:
    """Those of a training step of a model, as in pretrain --model; it takes long, so that is said."""
    if warm_up.is_needed():
        say(console, "compiling kernels (first run only) …")
        warm_up.compile_kernels(model)


def _say_how_to_resume(console: Console, run: Run, step: int) -> None:
    say(console, f"stopped after step {step}, everything is saved; go on with:")
    say(console, f"  tinygrad-llm pretrain --resume {shlex.quote(str(run.folder))}")
