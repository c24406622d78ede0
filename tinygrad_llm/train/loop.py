"""The training loop. There is only this one: tasks differ in their batches and in their loss function.

    for info in train_steps(model, batches, language_modelling, optimizer, schedule, n_steps=2000, clip=1.0):
        if info.step % 100 == 0:
            print(info.step, info.loss, evaluate(model, validation_tokens, ...).loss)

It is a generator: between two steps the caller's code runs and decides on logs, evaluation, checkpoints and the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..autograd import Tensor
from ..nn import Module
from ..optim import Optimizer, clip_grad_norm_


@dataclass(frozen=True)
class StepInfo:
    """What happened in one optimizer step."""

    step: int  # how many steps are done, this one included
    loss: float  # mean over the step's batches, before the update; for a language model nats per token
    lr: float  # learning rate of the first parameter group
    grad_norm: float  # 2-norm of all gradients together, before clipping
    tokens: int  # input tokens in the step's batches
    seconds: float  # wall time of the step, what the caller does between two steps not included


def train_steps(
    model: Module,
    batches: Iterator[tuple],
    loss_fn: Callable[[Module, Any], Tensor],
    optimizer: Optimizer,
    schedule: Callable[[int], float],
    *,
    n_steps: int,
    start_step: int = 0,
    accumulate: int = 1,
    clip: float | None = None,
    gradients: Callable[..., tuple[float, int]] | None = None,
) -> Iterator[StepInfo]:
    """Train from `start_step` to `n_steps`, yielding a `StepInfo` after each optimizer step.

    A step sums the gradients of `accumulate` batches, each divided by their number: the gradient of one batch so many
    times as large, where all have equally many targets. `batch[0]` are the inputs; their size counts as tokens.
    `schedule(step)` with steps from 0 is the factor on the learning rate, `clip` the limit of the gradient norm.
    `gradients` computes a step's gradients in another way, as `DataParallel.gradients` does.
    Raises FloatingPointError, naming the step, when the loss or a gradient is NaN or infinite: before the optimizer
    runs, so that the weights are those of the step before.
    """
    if accumulate < 1 or not 0 <= start_step <= n_steps:
        raise ValueError(
            f"train_steps: accumulate must be at least 1 and start_step in 0 … n_steps, not {accumulate} and "
            f"{start_step} of {n_steps}."
        )
    parameters, gradients = list(model.parameters()), gradients or _accumulate_gradients
    for step in range(start_step, n_steps):
        began = time.perf_counter()
        model.train()  # the caller may have switched to eval() in between
        model.zero_grad()  # of all parameters, those the optimizer leaves alone as well: clipping counts them
        loss, tokens = gradients(model, batches, loss_fn, accumulate, step)
        grad_norm = clip_grad_norm_(parameters, math.inf if clip is None else clip)
        if not math.isfinite(grad_norm):
            raise FloatingPointError(diverged("gradient norm", grad_norm, step))
        factor = schedule(step)
        optimizer.step(lr_factor=factor)
        lr = optimizer.param_groups[0]["lr"] * factor
        yield StepInfo(step + 1, loss, lr, grad_norm, tokens, time.perf_counter() - began)


def _accumulate_gradients(model, batches, loss_fn, accumulate: int, step: int) -> tuple[float, int]:
    """Mean loss and number of tokens of the next `accumulate` batches; their gradients are in the parameters."""
    total, tokens = 0.0, 0
    for _ in range(accumulate):
        batch = next(batches)
        loss = loss_fn(model, batch)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(diverged("loss", value, step))
        (loss if accumulate == 1 else loss * (1 / accumulate)).backward()
        total += value
        tokens += batch[0].size
    return total / accumulate, tokens


def diverged(what: str, value: float, step: int) -> str:
    return (
        f"the {what} became {value} in step {step + 1}, so training stopped before it changed the weights: "
        "lower the learning rate, or find the op that made it with detect_anomaly"
    )
