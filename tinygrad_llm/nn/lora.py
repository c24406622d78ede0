"""LoRA: a layer learns by a small correction beside it, while its own matrix stays as it is (Hu et al. 2021).

    y = W x + b + (alpha / rank) · B A dropout(x)        A (rank, in), B (out, rank)

A matrix of 768 × 768 has 589,824 numbers; a correction of rank 8 has 12,288. Gradients, the optimizer's state and what
is saved for each task shrink with it, and the model without its corrections is still there, untouched:

    add_lora(model, rank=8, alpha=16)        freezes the model, and gives each linear layer of its blocks a correction
    with without_lora(model): …              the model as it was
    merge(model)                             W + (alpha / rank) B A in place of W: no cost at inference
    unmerge(model)                           W again, bit for bit
    remove_lora(model)                       plain layers: merged ones stay merged

B starts as zeros, so that the model begins as the one it was. The frozen matrices may be bytes:
add_lora(quantize(model)) trains float32 corrections beside them, as in QLoRA (Dettmers et al. 2023, there of 4 bits).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from . import init
from .dropout import Dropout
from .linear import Linear
from .module import Module, Parameter
from .quantized import Quantized

IN_BLOCKS = ("blocks.*",)


class LoRALinear(Module):
    """(…, in) → (…, out): the layer `base`, frozen, and beside it a correction of rank `rank` that learns.

    `lora_a` (rank, in) starts as PEFT's does, U(−1/√in, 1/√in), `lora_b` (out, rank) as zeros; both come from `rng`,
    and so do the dropout masks. Raises TypeError for a base that is no linear layer, ValueError for impossible values.
    """

    def __init__(
        self,
        base: Linear,
        rank: int = 8,
        alpha: float = 16.0,
        dropout: float = 0.0,
        rng: np.random.Generator | None = None,
    ):
        if not isinstance(base, Linear):
            raise TypeError(f"LoRALinear goes around a Linear, not a {type(base).__name__}.")
        init.require_positive("LoRALinear", rank=rank)
        if not alpha > 0:
            raise ValueError(f"LoRALinear: alpha must be above 0, not {alpha!r}.")
        rng = init.generator(rng)
        out_features, in_features = base.weight.shape
        self.base, self.alpha = base, float(alpha)
        self.base.requires_grad_(False)
        self.dropout = Dropout(dropout, rng)
        self.lora_a = init.kaiming_uniform((rank, in_features), in_features, rng)
        self.lora_b = init.zeros((out_features, rank))
        for parameter in (self.lora_a, self.lora_b):
            parameter.data = parameter.data.astype(base.weight.dtype, copy=False)
        self.enabled = True
        self._weight_before: np.ndarray | None = None  # of the base, while the correction is in it

    @property
    def rank(self) -> int:
        return self.lora_a.shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def merged(self) -> bool:
        return self._weight_before is not None

    @property
    def weight(self) -> Tensor:
        """The matrix (out, in) of both together, for who multiplies by it without calling the layer: Llama's head.

        Raises RuntimeError in training with dropout, which is between x and the correction and so in no matrix.
        """
        if self.merged or not self.enabled:
            return self.base.weight
        if self.training and self.dropout.p:
            raise RuntimeError(
                "LoRALinear: the layer is used through its weight, where its dropout has no place: give it dropout=0."
            )
        return self.base.weight + (self.lora_b @ self.lora_a) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        if self.merged or not self.enabled:
            return y
        low = F.linear(self.dropout(x), self.lora_a) * self.scale  # (…, rank)
        return y + F.linear(low, self.lora_b)

    def merge(self) -> None:
        """Add the correction to the base's weight, for the same results at the base's cost. Merged already: nothing.

        Raises ValueError for a quantised base, in whose bytes the correction would mostly be lost.
        """
        if isinstance(self.base, Quantized):
            raise ValueError("LoRALinear: bytes cannot take up a small correction: merge(dequantize(model)).")
        if not self.merged:
            self._weight_before = self.base.weight.data
            correction = self.lora_b.data @ self.lora_a.data
            self.base.weight.data = self._weight_before + self._weight_before.dtype.type(self.scale) * correction

    def unmerge(self) -> None:
        """The weight as it was before `merge`, which has kept it: subtracting would leave rounding errors behind."""
        if self.merged:
            before, self._weight_before = self._weight_before, None
            self.base.weight.data = before.astype(self.base.weight.dtype, copy=False)

    def extra_repr(self) -> str:
        return f"rank={self.rank}, alpha={self.alpha:g}" + (", merged" if self.merged else "")


def add_lora(
    model: Module,
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    targets: Iterable[str] = IN_BLOCKS,
    rng: np.random.Generator | None = None,
) -> list[str]:
    """Freeze the model and put a `LoRALinear` around each linear layer that `targets` name; returns their names.

    A target is the end of a layer's dotted name ("qkv", "attention.out"), or a pattern with * for such an end or for
    the whole name ("blocks.0.*"). The default is every linear layer of the blocks. What should be trained along, such
    as a new head, belongs outside `model` (add_lora(classifier.base)), or is thawed afterwards by requires_grad_().
    Initial values come from `rng`; dropout masks from the generator of the model, if it has one, since recomputed
    activations repeat what that one drew.
    Raises ValueError for a target that names no linear layer, with those there are, and for a model with adapters.
    """
    if lora_layers(model):
        raise ValueError("add_lora: the model has adapters already: take them out with remove_lora.")
    if isinstance(targets, str):
        targets = (targets,)
    chosen = _named(model, tuple(targets))
    rng = init.generator(rng)
    model.requires_grad_(False)
    for name in chosen:
        put_lora(model, name, rank, alpha, dropout, rng)
    return chosen


def put_lora(
    model: Module, name: str, rank: int, alpha: float, dropout: float, rng: np.random.Generator | None
) -> LoRALinear:
    """A `LoRALinear` in place of the linear layer `name`, around it. The rest of the model stays as it is."""
    parent, _, child = name.rpartition(".")
    parent = dict(model.named_modules())[parent]
    layer = LoRALinear(getattr(parent, child), rank, alpha, dropout, rng)
    layer.dropout.rng = getattr(model, "rng", layer.dropout.rng)
    layer.train(parent.training)
    setattr(parent, child, layer)
    return layer


def _named(model: Module, targets: tuple[str, ...]) -> list[str]:
    linear = [name for name, module in model.named_modules() if isinstance(module, Linear)]
    for target in targets:
        if not any(_matches(name, target) for name in linear):
            endings = dict.fromkeys(name.rpartition(".")[2] for name in linear)
            raise ValueError(
                f"add_lora: no linear layer of {type(model).__name__} is called {target!r}; there are "
                f"{', '.join(endings) or 'none'}, and longer ends of names such as {linear[-1] if linear else ''!r}."
            )
    return [name for name in linear if any(_matches(name, target) for target in targets)]


def _matches(name: str, target: str) -> bool:
    return fnmatchcase(name, target) or fnmatchcase(name, f"*.{target}")


def lora_layers(model: Module) -> dict[str, LoRALinear]:
    """The adapted layers by name; empty where there are none."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def lora_parameters(model: Module) -> Iterator[Parameter]:
    """A and B of each adapted layer: what an optimizer should change."""
    for layer in lora_layers(model).values():
        yield layer.lora_a
        yield layer.lora_b


def num_trainable(model: Module) -> int:
    """How many numbers get gradients, of `model.num_parameters()`."""
    return sum(parameter.data.size for parameter in model.parameters() if parameter.requires_grad)


def merge(model: Module) -> Module:
    """Add each correction to its layer's weight. Returns the model.

    Raises ValueError for a model without adapters, and for a quantised one, before anything is changed.
    """
    layers = _required(model, "merge")
    for layer in sorted(layers, key=lambda layer: not isinstance(layer.base, Quantized)):
        layer.merge()
    return model


def unmerge(model: Module) -> Module:
    """Each weight as before `merge`, bit for bit. Raises ValueError for a model without adapters. Returns the model."""
    for layer in _required(model, "unmerge"):
        layer.unmerge()
    return model


def remove_lora(model: Module) -> Module:
    """Plain layers in place of the adapted ones: `remove_lora(merge(model))` is the fine-tuned model, without `merge`
    it is the one that add_lora was given. All parameters stay frozen. Raises ValueError for a model without adapters.
    """
    _required(model, "remove_lora")
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.base)
    return model


@contextmanager
def without_lora(model: Module) -> Iterator[Module]:
    """The model as it was before `add_lora`, inside the `with` block: the frozen reference costs no second model.

    Raises ValueError for a model without adapters, and for merged ones.
    """
    layers = _required(model, "without_lora")
    if any(layer.merged for layer in layers):
        raise ValueError("without_lora: the adapters are merged into the weights: unmerge them first.")
    before = [layer.enabled for layer in layers]
    try:
        for layer in layers:
            layer.enabled = False
        yield model
    finally:
        for layer, enabled in zip(layers, before, strict=True):
            layer.enabled = enabled


def _required(model: Module, what: str) -> list[LoRALinear]:
    layers = list(lora_layers(model).values())
    if not layers:
        raise ValueError(f"{what}: {type(model).__name__} has no adapters: give it some with add_lora.")
    return layers
