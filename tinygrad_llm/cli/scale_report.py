"""The end of `tinygrad-llm scale`: the runs beside the law, the law, the check, and the recommended command."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text as Plain

from ..evaluate.intervals import Interval
from ..files import write_json
from ..plots.scaling import BySize, PredictedRun, SizeCurve, scaling_plot, spaced
from ..train import PretrainConfig
from ..train.memory import count_parameters
from ..train.metrics import bits_per_byte
from ..train.recipes import LAPTOP
from ..train.scaling_law import ScalingFit
from ..train.scaling_plan import REACH, Choice, Speed, sized
from ..train.scaling_runs import FinishedRun, Text
from .display import duration
from .train import say

FORMULAS = {
    "sum": "L(N, D) = E + A / N^alpha + B / D^beta",
    "coupled": "L(N, D) = (A / N^alpha + B / D^beta)^gamma",
}


@dataclass(frozen=True)
class Check:
    """What the grid's law said of a larger run, and what that came to."""

    predicted: Interval
    run: FinishedRun
    times_compute: float  # of the largest run in the grid

    @property
    def is_inside(self) -> bool:
        return self.predicted.low <= self.run.loss <= self.predicted.high


@dataclass(frozen=True)
class Findings:
    config: PretrainConfig
    text: Text
    runs: Sequence[FinishedRun]  # the check too
    fit: ScalingFit  # to all of them
    speed: Speed
    check: Check | None
    chosen: Choice
    target_minutes: float
    max_tokens: int

    @property
    def bytes_per_token(self) -> float:
        return self.text.validation_bytes / (len(self.text.validation) - 1)

    @cached_property
    def expected(self) -> Interval:
        """The loss of the recommended run."""
        return self.fit.predict(self.chosen.n_parameters, self.chosen.n_tokens, beyond=True)

    @property
    def command(self) -> str:
        """That makes the recommended run."""
        return pretrain_command(self.chosen.config)


def pretrain_command(config: PretrainConfig) -> str:
    """`tinygrad-llm pretrain` with every setting that is not laptop's; what is reported is left to it."""
    words = ["tinygrad-llm", "pretrain"]
    for field in dataclasses.fields(config):
        value, option = getattr(config, field.name), "--" + field.name.replace("_", "-")
        if value == getattr(LAPTOP, field.name) or field.metadata["group"] == "reports":
            continue
        if field.name == "corpus":
            words += [option, *value]
        elif isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def report(found: Findings, folder: Path, console: Console) -> None:
    """Show all, and write scale.json and scale.png."""
    console.print(_runs_table(found))
    law, fit = found.fit.law, found.fit
    say(console, f"{FORMULAS[fit.form]}: N all parameters, D tokens read, L nats per held-out token")
    for name in fit.names:
        interval = fit.interval(name)
        number = "{:.3f}" if name not in "AB" else "{:.3g}"
        shown = (number.format(each) for each in (interval.value, interval.low, interval.high))
        say(console, "  {:5} = {}   95 % interval {} to {}".format(name, *shown))
    say(console, f"runs are off the law by {100 * fit.spread:.2f} % (standard deviation)")
    say(
        console,
        f"fitted to the cheaper runs alone, it foretells the dearest quarter {100 * fit.rehearsal:.1f} % off",
    )
    exponent = law.beta / (law.alpha + law.beta)
    say(
        console,
        f"for k times the compute: a model k^{exponent:.2f} times as large, k^{1 - exponent:.2f} times the text",
    )
    for warning in [*fit.warnings(), *_limits(found)]:
        say(console, f"note: {warning}")
    if found.check:
        say(console, _checked(found.check))
    _recommend(found, console)
    write_json(folder / "scale.json", _as_dict(found))
    _draw(found, folder)
    say(console, f"all of it: {folder / 'scale.json'}, {folder / 'scale.png'}")


def _runs_table(found: Findings) -> Table:
    table = Table("layers", "width", "parameters", "tokens", "loss", "law", "off by", "bits per byte", title="runs")
    for column in table.columns:
        column.justify = "right"
    residual = dict(zip(map(id, found.runs), found.fit.residuals, strict=True))
    for run in sorted(found.runs, key=lambda run: (run.n_parameters, run.n_tokens)):
        fitted = found.fit.law.loss(run.n_parameters, run.n_tokens)
        sizes = f"{run.n_layers}", f"{run.d_model}", f"{run.n_parameters:,}", f"{run.n_tokens:,}"
        off = f"{100 * residual[id(run)]:+.1f} %"
        style = "bold" if run.is_check else None
        table.add_row(*sizes, f"{run.loss:.3f}", f"{fitted:.3f}", off, f"{run.bits_per_byte:.3f}", style=style)
    return table


def _checked(check: Check) -> str:
    off = check.run.loss / check.predicted.value - 1
    inside = "inside" if check.is_inside else "outside"
    return (
        f"check: a run of {check.times_compute:.1f} times the compute of any other was predicted at {check.predicted}; "
        f"measured {check.run.loss:.3f}, {inside} the interval, {100 * off:+.1f} % off. The law above includes it."
    )


def _limits(found: Findings) -> list[str]:
    """What kept the recommendation from being better."""
    notes, largest = [], max(run.n_parameters for run in found.runs)
    epochs = found.chosen.n_tokens / len(found.text.train)
    if found.chosen.seconds < 0.9 * 60 * found.target_minutes:
        notes.append(
            f"the recommended run takes {duration(found.chosen.seconds)} of your {found.target_minutes:g} minutes, for "
            f"it would read the text more than {found.max_tokens / len(found.text.train):.3g} times, and repeated text "
            "teaches less and less: give more text"
        )
    elif epochs > 1.5:
        notes.append(f"the recommended run reads the text {epochs:.1f} times; the law takes that for new text")
    larger = sized(found.config, found.chosen.config.n_heads + 1)
    if count_parameters(larger, found.text.vocab_size) > REACH * largest:
        notes.append(f"the best size may be larger, but beyond {REACH:g} times the largest run no law is to be trusted")
    return notes


def _recommend(found: Findings, console: Console) -> None:
    chosen, config = found.chosen, found.chosen.config
    loss = found.expected
    bits = [bits_per_byte(each, found.bytes_per_token) for each in (loss.value, loss.low, loss.high)]
    say(
        console,
        f"\nbest for {found.target_minutes:g} minutes: {config.n_layers} layers of width {config.d_model}, "
        f"{chosen.n_parameters:,} parameters, {config.steps:,} steps, {chosen.n_tokens:,} tokens, learning rate "
        f"{config.learning_rate:g} (Muon's {config.muon_learning_rate:g})",
    )
    say(console, f"expected: loss {loss}, that is {bits[0]:.3f} bits per byte ({bits[1]:.3f} to {bits[2]:.3f})")
    console.print(Plain(f"  {found.command}"), soft_wrap=True)


def _as_dict(found: Findings) -> dict[str, Any]:
    fit, chosen, check = found.fit, found.chosen, found.check
    return {
        "form": fit.form,
        "law": {name: fit.interval(name).as_dict() for name in fit.names},
        "spread": fit.spread,
        "rehearsal": fit.rehearsal,
        "runs": [
            dataclasses.asdict(run) | {"fitted": float(fit.law.loss(run.n_parameters, run.n_tokens))}
            for run in found.runs
        ],
        "tokens_in_text": len(found.text.train),
        "vocab_size": found.text.vocab_size,
        "check": check
        and {
            "predicted": check.predicted.as_dict(),
            "measured": check.run.loss,
            "is_inside": check.is_inside,
            "times_compute": check.times_compute,
        },
        "recommended": {
            "target_minutes": found.target_minutes,
            "minutes": chosen.seconds / 60,
            "n_parameters": chosen.n_parameters,
            "n_tokens": chosen.n_tokens,
            "epochs": chosen.n_tokens / len(found.text.train),
            "loss": found.expected.as_dict(),
            "command": found.command,
        },
        "notes": [*fit.warnings(), *_limits(found)],
    }


def _draw(found: Findings, folder: Path) -> None:
    law, chosen = found.fit.law, found.chosen
    compute = [6 * run.n_parameters * run.n_tokens for run in found.runs]
    sizes = {}
    for size in sorted({run.n_parameters for run in found.runs}):
        runs = sorted(
            (run for run in found.runs if run.n_parameters == size and not run.is_check), key=lambda r: r.n_tokens
        )
        if runs:
            tokens = np.array([run.n_tokens for run in runs], float)
            many = spaced(tokens, beyond=1.5)
            losses = np.array([run.loss for run in runs])
            sizes[f"{size / 1e6:.2g} M parameters"] = SizeCurve(
                6 * size * tokens, losses, 6 * size * many, law.loss(size, many)
            )
    along = spaced([*compute, chosen.compute])
    predicted = None
    if found.check:
        run, interval = found.check.run, found.check.predicted
        predicted = PredictedRun(
            6 * run.n_parameters * run.n_tokens, interval.value, interval.low, interval.high, run.loss
        )
    scaling_plot(folder / "scale.png", sizes, (along, law.loss(*law.optimal(along))), _by_size(found), predicted)


def _by_size(found: Findings) -> dict[str, BySize]:
    """At the target, a quarter and a sixteenth of it; a size that is too slow for that, or too quick, is left out."""
    law, curves = found.fit.law, {}
    sizes = spaced([min(found.speed.n_parameters), REACH * max(found.speed.n_parameters)])
    for share in (1 / 16, 1 / 4, 1):
        seconds = 60 * found.target_minutes * share
        tokens = np.minimum([seconds / found.speed.at(size) for size in sizes], found.max_tokens)
        best = (found.chosen.n_parameters, found.chosen.loss) if share == 1 else None
        curves[f"{found.target_minutes * share:.2g} minutes"] = BySize(sizes, law.loss(sizes, tokens), best)
    return curves
