"""Fine-tuning: a pretrained model, gently changed for a task. Two habits keep what it knows, one finds when to stop.

freeze            embeddings and the first blocks stay as they are
layer-wise rates  the nearer to the input, the smaller the learning rate: rate · decay^(blocks above)
                  (Howard and Ruder 2018, "ULMFiT", section 3.2: discriminative fine-tuning)
early stopping    the weights that were best on the validation part are kept; after `patience` evaluations that
                  did not improve on them, training ends

for report in fine_tune(model, batches, lambda: accuracy(model, validation), config, n_steps):
    print(report.step, report.loss, report.score)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..autograd import Tensor
from ..models import BERT
from ..nn import Module, lora_layers
from ..optim import AdamW, Optimizer, linear
from .build import build_optimizer
from .loop import train_steps
from .recipes import PretrainConfig


@dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune. Raises ValueError for impossible values."""

    epochs: float = 4.0  # passes over the training examples
    batch_size: int = 16
    learning_rate: float = 1e-4  # at its highest, after the warm-up; of the head
    layer_decay: float = 0.9  # factor from each block to the one below it; 1: the same rate for all
    frozen_blocks: int = 0  # the first so many blocks, and the embeddings, are not trained; −1: only the head is
    warmup_ratio: float = 0.1  # part of the steps in which the learning rate rises; then it falls to 0
    weight_decay: float = 0.01  # on matrices
    clip: float = 1.0  # limit of the gradient's norm
    evaluations_per_epoch: float = 2.0  # on the validation part
    patience: int = 4  # evaluations without a better score, until training ends
    seed: int = 0  # of the head, the order of examples and dropout
    muon_factor: float = 0.0  # the blocks' matrices learn by Muon, at so many times the learning rate; 0: by AdamW
    core_watts: float = PretrainConfig.core_watts  # for the energy in the report; see energy.py
    co2_per_kwh: float = PretrainConfig.co2_per_kwh  # in grams

    def __post_init__(self):
        above_0 = ("epochs", "batch_size", "learning_rate", "layer_decay", "clip", "evaluations_per_epoch", "patience")
        for name in above_0:
            if not getattr(self, name) > 0:
                raise ValueError(f"FineTuneConfig: {name} must be above 0, not {getattr(self, name)!r}")
        if self.layer_decay > 1 or not 0 <= self.warmup_ratio <= 1 or self.weight_decay < 0 or self.frozen_blocks < -1:
            raise ValueError(
                f"FineTuneConfig: layer_decay {self.layer_decay!r} must be at most 1, warmup_ratio "
                f"{self.warmup_ratio!r} between 0 and 1, weight_decay {self.weight_decay!r} at least 0, frozen_blocks "
                f"{self.frozen_blocks!r} at least -1"
            )

        for name in ("core_watts", "co2_per_kwh"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"FineTuneConfig: {name} must be a number of at least 0, not {getattr(self, name)!r}")
        if self.muon_factor < 0 or (self.muon_factor and (self.layer_decay != 1 or self.frozen_blocks)):
            raise ValueError(
                f"FineTuneConfig: muon_factor {self.muon_factor!r} must be at least 0, and where it is above 0, "
                "layer_decay must be 1 and frozen_blocks 0: all of the model learns at one pace"
            )

    def n_steps(self, n_examples: int) -> int:
        return max(round(self.epochs * n_examples / self.batch_size), 1)


@dataclass(frozen=True)
class Evaluated:
    """How far training is, at each evaluation on the validation part."""

    step: int
    loss: float  # mean over the training steps since the evaluation before
    score: float  # of the validation part: the higher the better
    is_best: bool
    tokens: int = 0  # trained on so far, padding included
    seconds: float = field(default=0.0, compare=False)  # of the training steps so far


def fine_tune(
    model: Module,
    batches: Iterator[tuple],
    evaluate: Callable[[], float],
    config: FineTuneConfig,
    n_examples: int,
    loss_fn: Callable[[Module, tuple], Tensor] | None = None,
) -> Iterator[Evaluated]:
    """Train `model`, one of models/heads.py, on `batches`; yields after each evaluation of the validation part.

    When the iterator ends, by itself or early, the model has its best weights, and is in evaluation mode.
    """
    freeze(model, config.frozen_blocks)
    n_steps = config.n_steps(n_examples)
    every = max(round(n_steps / config.epochs / config.evaluations_per_epoch), 1)
    schedule = partial(linear, n_steps=n_steps, warmup_steps=round(config.warmup_ratio * n_steps), final_factor=0.0)
    best, losses, worse, tokens, seconds = -np.inf, [], 0, 0, 0.0
    kept = {}
    loss_fn = loss_fn or (lambda model, batch: model.loss(*batch))
    optimizer = layerwise_optimizer(model, config)
    for info in train_steps(model, batches, loss_fn, optimizer, schedule, n_steps=n_steps, clip=config.clip):
        losses.append(info.loss)
        tokens, seconds = tokens + info.tokens, seconds + info.seconds
        if info.step % every and info.step != n_steps:
            continue
        model.eval()
        score = evaluate()
        is_best = score > best
        best, worse = max(score, best), 0 if is_best else worse + 1
        if is_best:
            kept = {name: p.data.copy() for name, p in model.named_parameters() if p.requires_grad}
        yield Evaluated(info.step, float(np.mean(losses)), score, is_best, tokens, seconds)
        losses = []
        if worse >= config.patience:
            break
    for name, parameter in model.named_parameters():
        if name in kept:
            parameter.data = kept[name]
    model.eval()


def freeze(model: Module, n_blocks: int) -> None:
    """Embeddings and the first `n_blocks` blocks of `model.base` get no gradients; 0: none of it is frozen, −1: all.

    A base with LoRA's adapters stays as it is: they have frozen the rest.
    """
    if lora_layers(model.base):
        if n_blocks:
            raise ValueError("frozen_blocks does not go with adapters, which freeze the whole base")
        return
    total = len(model.base.blocks)
    if n_blocks > total:
        raise ValueError(f"frozen_blocks must be at most the {total} blocks that the model has, not {n_blocks}")
    for name, parameter in model.base.named_parameters():
        parameter.requires_grad_(n_blocks == 0 or (n_blocks > 0 and depth(model.base, name) > n_blocks))


def layerwise_optimizer(model: Module, config: FineTuneConfig) -> Optimizer:
    """AdamW with a rate for each depth: full for the head and what follows the blocks, and then for the last block,
    the one below it … times `layer_decay` each. With `muon_factor` the optimizer of pretraining, Muon and AdamW."""
    if config.muon_factor:
        rates = {"learning_rate": config.learning_rate, "min_learning_rate": 0.0}
        rates["muon_learning_rate"] = config.muon_factor * config.learning_rate
        return build_optimizer(PretrainConfig(optimizer="muon", weight_decay=config.weight_decay, **rates), model)
    top = len(model.base.blocks) + 1
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = top - depth(model.base, name.removeprefix("base.")) if name.startswith("base.") else 0
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((config.learning_rate * config.layer_decay**below, decay), []).append(parameter)
    return AdamW(
        [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()],
        lr=config.learning_rate,
    )


def depth(base: Module, name: str) -> int:
    """Of a parameter of the base: 0 for the embeddings, 1 … n for the blocks, n + 1 for what follows them."""
    block = re.match(r"blocks\.(\d+)\.", name)
    if block:
        return int(block[1]) + 1
    is_input = "embedding" in name or (name.startswith("norm.") and isinstance(base, BERT))  # BERT's stands before them
    return 0 if is_input else len(base.blocks) + 1
