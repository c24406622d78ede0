"""`tinygrad-llm scale`: a grid of small runs, the law that they follow, and one larger run that checks it.

The folder holds the text as tokens, plan.json, and scale.jsonl with a line for each finished run, written when the run
is: after Ctrl-C only the run in work is lost. At the end come scale.json and scale.png; see scale_report.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..data import open_tokens, read_token_header
from ..files import new_folder, read_json, remove_leftovers, write_json
from ..lock import Lock
from ..train import PretrainConfig, Run
from ..train.available_memory import available_memory
from ..train.memory import count_parameters, require_memory
from ..train.run import OTHER_FOLDER
from ..train.scaling_law import ScalingFit, best_scaling_law
from ..train.scaling_plan import MAX_EPOCHS, SCALING, Plan, Speed, choose, n_tokens, plan_grid
from ..train.scaling_runs import (
    Clock,
    FinishedRun,
    Text,
    load_runs,
    make_run,
    measure_seconds_per_token,
    measured_speed,
    processor_seconds,
    save_runs,
)
from .display import duration
from .interrupt import Interrupt
from .objectives import objective_of
from .parser import config_fields
from .scale_display import Runs
from .scale_options import MINUTES, MODELS
from .scale_report import Check, Findings, report
from .train import compile_missing_kernels, say

PLAN, RUNS = "plan.json", "scale.jsonl"


@dataclass(frozen=True)
class Study:
    """What a folder's plan.json says."""

    folder: Path
    config: PretrainConfig  # of all runs, but for size and steps
    max_epochs: float
    processor_time: bool
    plan: Plan

    @property
    def clock(self) -> Clock:
        return processor_seconds if self.processor_time else time.perf_counter

    @cached_property
    def text(self) -> Text:
        return read_text(self.folder)

    @property
    def max_tokens(self) -> int:
        return int(self.max_epochs * len(self.text.train))

    def finished(self) -> list[FinishedRun]:
        return load_runs(self.folder / RUNS)


def scale(arguments: argparse.Namespace) -> int:
    console = Console(highlight=False)
    with Lock() as lock:
        study = _resume(arguments, lock) if arguments.resume else _start(arguments, console, lock)
        compile_missing_kernels(study.config.model, console)
        with Interrupt() as interrupt:
            done = _make_all(study, study.plan.runs, interrupt, console)
            check = _check(study, interrupt, console) if done and not arguments.no_check else None
        if interrupt.requested:
            say(console, "stopped; what is finished is kept, go on with:")
            say(console, f"  tinygrad-llm scale --resume {shlex.quote(str(study.folder))}")
            return interrupt.exit_code
        report(_findings(study, check, arguments.target_minutes), study.folder, console)
    return 0


def _start(arguments: argparse.Namespace, console: Console, lock: Lock) -> Study:
    """Read the text, time each size, and plan. The folder appears when that is done, and is locked."""
    config = SCALING.override(**config_fields(arguments))
    minutes, max_epochs = (
        default if given is None else given
        for given, default in ((arguments.minutes, MINUTES), (arguments.max_epochs, MAX_EPOCHS))
    )
    _require_above_0("minutes", minutes)
    _require_above_0("max-epochs", max_epochs)
    _require_above_0("target-minutes", arguments.target_minutes)
    if config.model not in MODELS:
        raise ValueError(f"--model must be one of {', '.join(MODELS)} here, not {config.model}")
    folder = Path(arguments.out or Path("runs", "scale"))
    remedy = f"go on with it by --resume {shlex.quote(str(folder))} if it is of this command, or {OTHER_FOLDER}"
    with new_folder(folder, remedy, lock) as building:
        objective = objective_of(Run(building, "scale", config))
        say(console, f"reading {', '.join(config.corpus) or 'the embedded corpus'}")
        corpus = objective.read(config)
        tokenizer = objective.train_tokenizer(config, corpus)
        tokenizer.save(building / "tokenizer.json")
        say(console, f"{corpus.cleaning}\n{objective.write(corpus, lambda header: None)}; timing each size …")
        text = read_text(building)
        compile_missing_kernels(config.model, console)
        config = config.override(evaluation_tokens=min(config.evaluation_tokens, len(text.validation)))
        max_tokens = int(max_epochs * len(text.train))
        clock = processor_seconds if arguments.processor_time else time.perf_counter
        plan = plan_grid(
            config,
            text.vocab_size,
            60 * minutes,
            max_tokens,
            lambda size: measure_seconds_per_token(size, text, clock),
        )
        for run in plan.runs:
            require_memory(run, text.vocab_size, available_memory())
        console.print(_plan_table(plan, text))
        write_json(building / PLAN, _plan_as_dict(config, max_epochs, arguments.processor_time, plan))
    return open_study(folder)


def _resume(arguments: argparse.Namespace, lock: Lock) -> Study:
    given = [name for name in ("minutes", "max_epochs", "processor_time", "out") if getattr(arguments, name)] + [
        *config_fields(arguments)
    ]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise ValueError(f"{option} cannot be given with --resume, which keeps to its plan: only --target-minutes can")
    _require_above_0("target-minutes", arguments.target_minutes)
    study = open_study(arguments.resume)
    lock.take(study.folder)
    remove_leftovers(study.folder)
    return study


def _require_above_0(option: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"--{option} must be a number above 0, not {value:g}")


def read_text(folder: Path) -> Text:
    header = read_token_header(folder / "val.tokens")
    train, validation = (np.asarray(open_tokens(folder / name)) for name in ("train.tokens", "val.tokens"))
    return Text(train, validation, header.text_bytes, header.vocab_size)


def open_study(folder: str | Path) -> Study:
    """Raises FileNotFoundError where there is none, ValueError where its plan is damaged."""
    path = Path(folder) / PLAN
    remedy = "give the folder that `tinygrad-llm scale` made, or start anew with another --out"
    plan = read_json(path, remedy)
    try:
        config = PretrainConfig(**plan["config"])
        runs = tuple(config.override(**run) for run in plan["runs"])
        speed = Speed(**{name: tuple(values) for name, values in plan["speed"].items()})
        seconds = float(plan["grid_seconds"]), float(plan["check_seconds"])
        facts = float(plan["max_epochs"]), bool(plan["processor_time"])
        return Study(Path(folder), config, *facts, Plan(runs, speed, *seconds))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is damaged ({error}): {remedy}") from None


def _plan_as_dict(config: PretrainConfig, max_epochs: float, processor_time: bool, plan: Plan) -> dict:
    own = ("n_layers", "n_heads", "d_model", "steps")
    return {
        "config": dataclasses.asdict(config),
        "max_epochs": max_epochs,
        "processor_time": processor_time,
        "runs": [{name: getattr(run, name) for name in own} for run in plan.runs],
        "speed": dataclasses.asdict(plan.speed),
        "grid_seconds": plan.grid_seconds,
        "check_seconds": plan.check_seconds,
    }


def _plan_table(plan: Plan, text: Text) -> Table:
    title = f"plan: {len(plan.runs)} runs in about {duration(plan.grid_seconds)}"
    table = Table("layers", "width", "parameters", "tokens/s", "thousand tokens in each run", title=title)
    for d_model in sorted({run.d_model for run in plan.runs}):
        runs = [run for run in plan.runs if run.d_model == d_model]
        size = count_parameters(runs[0], text.vocab_size)
        budgets = ", ".join(f"{n / 1000:,.0f}" for n in sorted(map(n_tokens, runs)))
        table.add_row(f"{runs[0].n_layers}", f"{d_model}", f"{size:,}", f"{1 / plan.speed.at(size):,.0f}", budgets)
    return table


def _make_all(study: Study, runs: Sequence[PretrainConfig], interrupt: Interrupt, console: Console, **more) -> bool:
    """Make those that are not finished; whether all are now."""
    with Runs(console, runs, study.plan.speed, study.text.vocab_size) as display:
        for config in runs:
            finished = study.finished()
            if not any(run.is_of(config) for run in finished):
                display.begin(config)
                run = make_run(
                    config,
                    study.text,
                    lambda info: display.step(info) and not interrupt.requested,
                    clock=study.clock,
                    **more,
                )
                if run is None:
                    return False
                save_runs(study.folder / RUNS, [*finished, run])
                display.end(run)
            if interrupt.requested:
                return False
    return True


def _check(study: Study, interrupt: Interrupt, console: Console) -> Check | None:
    """Predict the best run for the time that is left from the grid alone, then make it."""
    grid = [run for run in study.finished() if not run.is_check]
    fit, speed = _fit(grid), measured_speed(grid)
    most = max(run.n_parameters * run.n_tokens for run in grid)
    vocab_size, seconds = study.text.vocab_size, study.plan.check_seconds
    chosen = choose(
        fit.law, speed, study.config, vocab_size, seconds, study.max_tokens, max(speed.n_parameters), 6 * most
    )
    if chosen is None:
        say(console, "no run larger than those of the grid fits into the time left, so the law stays unchecked")
        return None
    require_memory(chosen.config, vocab_size, available_memory())
    predicted = fit.predict(chosen.n_parameters, chosen.n_tokens, beyond=True)
    times = chosen.compute / 6 / most
    say(
        console, f"check: {chosen.n_parameters:,} parameters, {chosen.n_tokens:,} tokens, {times:.1f} times the compute"
    )
    say(console, f"of any run before; predicted loss {predicted}")
    if not _make_all(study, [chosen.config], interrupt, console, is_check=True):
        return None
    return Check(predicted, next(run for run in study.finished() if run.is_of(chosen.config)), times)


def _fit(runs: Sequence[FinishedRun]) -> ScalingFit:
    columns = ([getattr(run, name) for run in runs] for name in ("n_parameters", "n_tokens", "loss"))
    return best_scaling_law(*columns, rng=np.random.default_rng(0))


def _findings(study: Study, check: Check | None, target_minutes: float) -> Findings:
    """The law of all runs, and what it recommends."""
    runs = study.finished()
    fit, speed = _fit(runs), measured_speed(runs)
    chosen = choose(
        fit.law,
        speed,
        study.config,
        study.text.vocab_size,
        60 * target_minutes,
        study.max_tokens,
        max(speed.n_parameters),
    )
    if chosen is None:
        raise ValueError(f"--target-minutes {target_minutes:g} are too few for any run: give more")
    return Findings(study.config, study.text, runs, fit, speed, check, chosen, target_minutes, study.max_tokens)
