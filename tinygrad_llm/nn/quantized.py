"""Quantised layers: each weight is a byte, and each row of a matrix has one float32 scale.

    model = quantize(load_pretrained(folder).model)     # Linear → QuantizedLinear, Embedding → QuantizedEmbedding
    generate(model, ids, 100)                           # a quarter of the memory, which is most of the time

A row w becomes s = max|w| / 127 and q = round(w / s), whole numbers from −127 to 127; s · q differs from w by at most
s / 2. Norms and biases are few, and stay as they are. The weights are frozen: gradients flow through the layers, to
what is trained beside them, but not to q and s.

`layer.weight` is still there: the floats s · q, made anew at each use, for what needs the whole matrix at once.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..ops.embedding import checked_ids
from ..ops.int8_linear import dequantize as dequantized
from ..ops.int8_linear import quantize_rows
from . import init
from .embedding import Embedding
from .linear import Linear
from .module import Module, Parameter


class Quantized(Module):
    """What quantised layers share: `int8_weight` (N, K) and `scale` (N,), which are saved and loaded as parameters.

    In block_quantized.py they are in blocks instead.
    """

    def _hold(self, int8_weight: np.ndarray, scale: np.ndarray) -> None:
        self.int8_weight = Parameter(int8_weight, requires_grad=False)
        self.scale = Parameter(scale, requires_grad=False)

    def _hold_zeros(self, shape: tuple[int, int]) -> None:
        self._hold(np.zeros(shape, np.int8), np.ones(shape[0], np.float32))

    @property
    def weight(self) -> Tensor:
        """The matrix (N, K) as floats: a new tensor, so that changing it changes nothing."""
        return Tensor._from_array(self.floats())

    @weight.setter
    def weight(self, weight: Tensor) -> None:
        raise TypeError(f"{type(self).__name__}: weight is made of int8_weight and scale; dequantize() to change it.")

    def floats(self) -> np.ndarray:
        """scale ⊙ int8_weight (N, K)."""
        return dequantized(self.int8_weight.data, self.scale.data, self.scale.dtype)

    def to_float(self) -> Linear | Embedding:
        """The layer whose weights are these floats."""
        floats = self.floats()
        with init.skip_init():
            if isinstance(self, Linear):
                layer = Linear(*floats.shape[::-1], bias=False)
                layer.bias = self.bias
            else:
                layer = Embedding(*floats.shape, self.padding_idx)
        layer.weight = Parameter(floats)
        return layer

    def block_bytes(self) -> int:
        """The memory of weights that are no parameters."""
        return 0


class QuantizedLinear(Quantized, Linear):
    """(…, in_features) -> (…, out_features), as `Linear`, where int8_weight (out, in) starts as zeros."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        init.require_positive("QuantizedLinear", in_features=in_features, out_features=out_features)
        self._hold_zeros((out_features, in_features))
        self.bias = init.zeros((out_features,)) if bias else None

    @classmethod
    def from_float(cls, linear: Linear) -> QuantizedLinear:
        """Raises ValueError for a weight that is not finite."""
        layer = cls.like(linear)
        layer._hold(*quantize_rows(linear.weight.data))
        layer.bias = linear.bias
        return layer

    @classmethod
    def like(cls, linear: Linear) -> QuantizedLinear:
        """The same layer, whose weights are still to be loaded."""
        out_features, in_features = linear.weight.shape
        return cls(in_features, out_features, linear.bias is not None)

    def forward(self, x: Tensor) -> Tensor:
        return F.int8_linear(x, self.int8_weight, self.scale, self.bias)

    def extra_repr(self) -> str:
        out_features, in_features = self.int8_weight.shape
        return f"{in_features}, {out_features}{'' if self.bias is not None else ', bias=False'}"


class QuantizedEmbedding(Quantized, Embedding):
    """Integer ids (…,) -> vectors (…, embedding_dim), as `Embedding`, where int8_weight starts as zeros."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        init.require_positive("QuantizedEmbedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self._hold_zeros((num_embeddings, embedding_dim))
        self.padding_idx = padding_idx

    @classmethod
    def from_float(cls, embedding: Embedding) -> QuantizedEmbedding:
        """Raises ValueError for a weight that is not finite."""
        layer = cls.like(embedding)
        layer._hold(*quantize_rows(embedding.weight.data))
        return layer

    @classmethod
    def like(cls, embedding: Embedding) -> QuantizedEmbedding:
        """The same table, whose rows are still to be loaded."""
        return cls(*embedding.weight.shape, embedding.padding_idx)

    def forward(self, ids: Tensor | np.ndarray) -> Tensor:
        ids = checked_ids("embedding", ids.data if isinstance(ids, Tensor) else np.asarray(ids), len(self.scale))
        return Tensor._from_array(self.int8_weight.data[ids] * self.scale.data[ids][..., None])

    def as_linear(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.int8_linear(x, self.int8_weight, self.scale, bias)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.int8_weight.shape[0]}, {self.int8_weight.shape[1]}{padding}"


QUANTIZED = {Linear: QuantizedLinear, Embedding: QuantizedEmbedding}


def quantize(model: Module) -> Module:
    """Put a quantised layer in place of each `Linear` and `Embedding` below `model`, which is returned.

    What is quantised already stays as it is. One float matrix after the other is freed, so that the peak of memory is
    that of the model before. Raises ValueError for a model without such layers, and for weights that are not finite,
    which leaves the layers before it quantised.
    """
    return _replace(
        model, lambda layer: type(layer) in QUANTIZED and QUANTIZED[type(layer)].from_float(layer), "quantize"
    )


def quantize_structure(model: Module) -> Module:
    """As `quantize`, with weights still to be loaded: those of `model` are not looked at."""
    make = lambda layer: type(layer) in QUANTIZED and QUANTIZED[type(layer)].like(layer)  # noqa: E731
    return _replace(model, make, "quantize_structure")


def dequantize(model: Module) -> Module:
    """`Linear` and `Embedding` again, with the rounded weights as floats, that can be trained. Returns the model.

    Raises ValueError for a model without layers of either kind.
    """
    return _replace(model, lambda layer: isinstance(layer, Quantized) and layer.to_float(), "dequantize")


def _replace(model: Module, make: Callable[[Module], Module | bool], owner: str) -> Module:
    """`make` gives the layer to put in place of one, or False."""
    below = [module for module in model.modules() if module is not model]
    if not any(type(module) in QUANTIZED or isinstance(module, Quantized) for module in below):
        raise ValueError(f"{owner}: {type(model).__name__} holds no Linear and no Embedding: nothing to do.")
    _replace_below(model, "", make, WeakKeyDictionary())
    return model


def _replace_below(parent: Module, prefix: str, make: Callable, made: WeakKeyDictionary) -> None:
    """`made` knows the new one of a layer that stands in several places; it keeps no layer alive that is in none."""
    for name, child in list(parent.named_children()):
        try:
            new = made.get(child) or make(child)
        except ValueError as error:
            raise ValueError(f"{prefix}{name}: {error}") from None
        if new:
            made[child] = new.train(child.training)
            setattr(parent, name, new)
        else:
            _replace_below(child, f"{prefix}{name}.", make, made)


def is_quantized(model: Module) -> bool:
    """Whether any layer is."""
    return any(isinstance(module, Quantized) for module in model.modules())


def weight_bytes(model: Module) -> int:
    """The memory of all weights; shared ones count once."""
    in_blocks = sum(layer.block_bytes() for layer in model.modules() if isinstance(layer, Quantized))
    return sum(parameter.data.nbytes for parameter in model.parameters()) + in_blocks
